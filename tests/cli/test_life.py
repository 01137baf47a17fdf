"""A workflow's whole life with nothing but commands, read back as JSON."""

from __future__ import annotations

import pytest

from everact.runtime.cli.exits import Exit
from everact.runtime.testing import History
from tests.cli.conftest import WORKS, Shell

pytestmark = pytest.mark.real_time


@pytest.mark.feature("DF-21")
def test_a_whole_life_by_commands_alone(shell: Shell) -> None:
    with shell.serving(WORKS, "--address", "127.0.0.1:0") as ready:
        assert "Basket" in ready["workflows"]
        there = shell.within(EVERACT_ADDRESS=ready["address"])
        names = {item["name"] for item in there.json("workflows")["workflows"]}
        assert {"Basket", "squares"} <= names

        begun = there.json("start", "Basket", "--id", "b-1", "--memo", "who=Ada")
        assert begun["workflow_id"] == "b-1"
        there.json("signal", "b-1", "add", '{"article": "tea", "amount": 2}')
        there.json("signal", "b-1", "add", '{"article": "jam", "amount": 3}')
        asked = there.json("query", "b-1", "articles")
        assert asked["answer"] == ["tea", "jam"]
        found = there.json("describe", "b-1")
        assert (found["status"], found["memo"]) == ("running", {"who": "Ada"})
        assert found["run_id"] == begun["run_id"]
    # The engine is gone, and comes back on another port.
    with shell.serving(WORKS, "--address", "127.0.0.1:0") as ready:
        there = shell.within(EVERACT_ADDRESS=ready["address"])
        there.json("signal", "b-1", "pay")
        assert there.json("result", "b-1") == {
            "workflow_id": "b-1",
            "status": "completed",
            "result": 5,
        }
        kinds = [item["kind"] for item in there.json("history", "b-1")["items"]]
        assert kinds[0] == "Started"
        assert kinds[-1] == "Complete"
        assert kinds.count("SignalReceived") == 3


@pytest.mark.feature("MS-07", "MS-09")
def test_an_update_is_answered_once_by_its_id(engine: Shell) -> None:
    engine.json("start", "Basket", "--id", "updated")
    engine.json("signal", "updated", "add", '{"article": "tea", "amount": 40}')
    for _ in range(2):
        found = engine.json("update", "updated", "discount", "50", "--id", "once")
        assert (found["update_id"], found["answer"]) == ("once", 20)
    refused = engine("update", "updated", "discount", "90")
    assert refused.code == 1 and "90 % is too much" in refused.err
    sent = engine("update", "updated", "discount", "10", "--accepted")
    assert sent.code == 0 and "discount accepted" in sent.out
    late = engine("start", "nobody-serves-this", "--anyway", "--id", "pending")
    assert late.code == 0
    late = engine("update", "pending", "any", "--timeout", "50ms")
    assert late.code == 7, late


def test_a_start_waits_for_its_result_on_demand(engine: Shell) -> None:
    done = engine("start", "squares", "4", "--id", "s-1", "--wait")
    assert (done.code, done.out) == (0, "[0,1,4,9]\n")
    attached = engine.json(
        "start", "squares", "9", "--id", "s-1", "--on-conflict", "attach", "--wait"
    )
    assert attached["result"] == [0, 1, 4, 9]


def test_lists_are_paged_and_filtered(engine: Shell) -> None:
    for number in range(3):
        engine.json("start", "squares", "1", "--id", f"page-{number}", "--wait")
    first = engine.json("list", "--workflow", "squares", "--limit", "2")
    assert [line["workflow_id"] for line in first["runs"]] == ["page-2", "page-1"]
    rest = engine.json("list", "--workflow", "squares", "--after", str(first["next"]))
    assert rest["runs"][0]["workflow_id"] == "page-0"
    assert rest["next"] is None
    one = engine.json("list", "--id", "page-1", "--status", "completed")
    assert [line["status"] for line in one["runs"]] == ["completed"]
    assert engine.json("list", "--id", "page-1", "--status", "failed")["runs"] == []
    assert engine.json("count", "--id", "page-1") == {"count": 1, "groups": []}


def test_a_followed_history_ends_with_its_run(engine: Shell) -> None:
    engine.json("start", "Basket", "--id", "followed")
    with engine.begin("history", "followed", "--follow", "--json") as following:
        assert following.stdout is not None
        assert '"Started"' in following.stdout.readline()
        engine.json("signal", "followed", "pay")
        lines = following.stdout.read().splitlines()
    assert '"Complete"' in lines[-1]
    assert following.returncode == 0


def test_a_history_is_saved_for_tests_to_replay(engine: Shell) -> None:
    engine.json("start", "squares", "2", "--id", "saved", "--wait")
    told = engine.json("history", "saved", "--save", "saved.history")
    loaded = History.load(engine.folder / "saved.history")
    assert told["rows"] == len(loaded.rows) > 2
    assert (loaded.workflow, loaded.workflow_id) == ("squares", "saved")
    assert loaded.as_json


@pytest.mark.feature("MS-20")
def test_events_are_pushed_and_listed(engine: Shell) -> None:
    pushed = engine.json(
        *("events", "push", "paid", "--payload", '{"amount": 7}', "--scope", "o-1"),
        *("--metadata", "by=till", "--request-id", "paid-1"),
    )
    same = ("events", "push", "paid", "--request-id", "paid-1")
    again = engine(*same, "--scope", "o-1")
    assert (again.code, again.out) == (0, pushed["event_id"] + "\n")
    for other in (same, (*same, "--scope", "o-2")):
        refused = engine(*other)
        assert (refused.code, refused.out) == (Exit.REFUSED, "")
        assert "'paid-1' was used for events.push of 'paid', 'o-1'" in refused.err
    engine.json("events", "push", "sent", "--payload", "on its way")
    found = engine.json("events", "list")["events"]
    assert [(e["key"], e["scope"], e["payload"]) for e in found] == [
        ("sent", None, "on its way"),
        ("paid", "o-1", {"amount": 7}),
    ]
    assert found[1]["metadata"] == {"by": "till"}
    assert found[1]["event_id"] == pushed["event_id"]
    assert engine.json("events", "list", "--scope", "o-1")["events"] == found[1:]
    assert engine.json("events", "list", "--limit", "1")["events"] == found[:1]
    assert '{"amount":7}' in engine("events", "list", "--key", "paid").out
    assert engine("events", "push", "").code == Exit.USAGE
    assert engine("events", "list", "--key", "").code == Exit.USAGE


def test_cancelling_and_terminating_end_a_run(engine: Shell) -> None:
    engine.json("start", "Basket", "--id", "c-1")
    assert engine.json("cancel", "c-1", "--reason", "why not")["cancel_requested"]
    ended = engine("result", "c-1", "--json")
    assert ended.code == 1
    assert ended.error["cause"] == {"type": "RunCancelled", "message": "why not"}
    engine.json("start", "Basket", "--id", "t-1")
    assert engine.json("terminate", "t-1", "--reason", "wrong")["terminated"]
    assert engine.json("describe", "t-1")["status"] == "terminated"


@pytest.mark.feature("AC-05", "AC-06", "AC-07")
def test_a_task_that_was_handed_over_is_failed_and_completed(engine: Shell) -> None:
    engine.json("start", "ordering", "tea", "--id", "o-1")
    (pending,) = engine.json("describe", "o-1")["pending_tasks"]
    task = ("--workflow-id", "o-1", "--task-id", pending["task_id"])
    engine.json("tasks", "heartbeat", "40", *task)
    told = engine("tasks", "fail", "not today", *task)
    assert (told.code, told.out) == (0, "failed\n")
    assert engine("tasks", "complete", *task, "--json").error["status"] == "NOT_FOUND"
    while engine.json("describe", "o-1")["pending_tasks"][0]["state"] == "retrying":
        pass
    engine.json("tasks", "complete", "approved", *task)
    assert engine.json("result", "o-1")["result"] == "approved"
    assert engine("tasks", "complete").code == 2
    assert engine("tasks", "complete", "--token", "?!").code == 2


@pytest.mark.feature("WV-03", "WV-04", "WV-05", "WV-06", "WV-07", "WV-09")
def test_builds_are_added_promoted_merged_and_looked_for(engine: Shell) -> None:
    def sets(*command: str) -> list[list[str]]:
        found: list[list[str]] = engine.json("versions", *command)["sets"]
        return found

    assert sets("show", "ships") == []
    sets("add-default", "ships", "1.0")
    assert sets("add-compatible", "ships", "1.1", "1.0") == [["1.0", "1.1"]]
    assert sets("add-default", "ships", "2.0") == [["1.0", "1.1"], ["2.0"]]
    assert sets("promote", "ships", "1.0") == [["1.1", "1.0"], ["2.0"]]
    assert sets("promote-set", "ships", "1.1") == [["2.0"], ["1.1", "1.0"]]
    assert engine("versions", "show", "ships").out == "2.0\n1.1 1.0  <- new runs\n"
    found = engine.json("versions", "reachability", "1.0", "2.0")
    assert found["reachable"] == {"1.0": {"ships": ["new"]}, "2.0": {"ships": []}}
    assert sets("merge", "ships", "2.0", "1.0") == [["1.1", "1.0", "2.0"]]
    refused = engine("versions", "promote", "ships", "9.9", "--json")
    assert refused.error["status"] == "NOT_FOUND"
    assert engine("versions", "add-default", "ships", "").code == 2
    assert engine("versions", "reachability").code == 2


def test_actors_are_spawned_told_asked_and_stopped(engine: Shell) -> None:
    assert engine.json("actors", "spawn", "Counter", "40", "--name", "clicks") == {
        "actor": "clicks",
        "class_name": "Counter",
        "unread": 0,
    }
    engine.json("actors", "tell", "clicks", "1")
    assert engine.json("actors", "ask", "clicks", "1")["answer"] == 42
    (listed,) = engine.json("actors", "list")["actors"]
    assert listed["actor"] == "clicks"
    tree = engine.json("actors", "tree")
    assert "clicks" in [node["name"] for node in tree["actors"]]
    assert "Counter clicks" in engine("actors", "tree").out
    assert engine.json("actors", "stop", "clicks")["stopped"]
    assert engine.json("actors", "list")["actors"] == []


def test_people_get_tables_without_colours_when_nobody_watches(engine: Shell) -> None:
    engine.json("start", "squares", "2", "--id", "shown", "--name", "two", "--wait")
    listed = engine("list", "--id", "shown").out.splitlines()
    assert listed[0].split() == [
        "ID",
        "NAME",
        "WORKFLOW",
        "STATUS",
        "QUEUE",
        "STARTED",
        "TOOK",
    ]
    shown = ["shown", "two", "squares", "completed", "default"]
    assert listed[1].split()[:5] == shown
    described = engine("describe", "shown").out
    assert "status      completed" in described
    history = engine("history", "shown").out
    assert 'TaskCompleted     {"task":"square","call":1,"result":0}' in history
    assert "\x1b" not in "".join([*listed, described, history])


@pytest.mark.feature("ST-09", "ST-14", "ST-16", "ST-17")
def test_a_start_says_when_how_urgent_and_what_for(engine: Shell) -> None:
    said = ("--summary", "Nightly", "--details", "Ask Ada.", "--priority", "3")
    more = ("--metadata", "k=1", "--metadata", "who=Ada", "--at", "2040-01-31T06:00")
    engine.json("start", "squares", "1", "--id", "planned", *said, *more)
    found = engine.json("describe", "planned")
    assert (found["state"], found["priority"]) == ("scheduled", 3)
    assert found["scheduled_start_time"] == "2040-01-31T06:00:00Z"
    assert found["static_summary"] == "Nightly"
    assert found["additional_metadata"] == {"k": 1, "who": "Ada"}
    shown = engine("describe", "planned").out
    for line in ("status      scheduled", "details     Ask Ada.", "priority    3"):
        assert line in shown
    assert engine.json("list", "--id", "planned")["runs"][0]["priority"] == 3
    assert engine("start", "squares", "1", "--at", "tomorrow").code == 2


@pytest.mark.feature("ST-06", "ID-04", "ID-08", "ID-09")
def test_a_start_says_what_to_do_about_the_run_of_its_id(engine: Shell) -> None:
    line = '{"article": "tea", "amount": 2}'
    signalled = ("--id", "b-9", "--signal", "add", "--signal-arg", line)
    first = engine.json("start", "Basket", *signalled)
    again = engine.json("start", "Basket", *signalled)
    assert first["run_id"] == again["run_id"]
    assert engine.json("query", "b-9", "articles")["answer"] == ["tea", "tea"]
    other = engine.json(
        "start", "Basket", "--id", "b-9", "--on-conflict", "terminate_existing"
    )
    assert other["run_id"] != first["run_id"]
    engine.json("terminate", "b-9")
    refused = engine("start", "Basket", "--id", "b-9", "--on-reuse", "reject")
    assert (refused.code != 0, "on_reuse" in refused.err) == (True, True)
    wrong = engine("start", "Basket", "--id", "b-9", "--signal-arg", "1")
    assert (wrong.code, "--signal" in wrong.err) == (2, True)


def test_a_result_without_a_json_form_is_named(engine: Shell) -> None:
    found = engine.json("start", "opaque", "--wait")
    assert found["result"] == {"$python": "builtins.type"}


def test_a_served_engine_whose_database_is_deleted_ends_and_says_what_to_do(
    shell: Shell,
) -> None:
    place = ("--database", "shop.db", "--address", "127.0.0.1:0")
    with shell.begin("serve", WORKS, *place, "--json") as command:
        assert command.stdout is not None
        assert command.stdout.readline()
        (shell.folder / "shop.db").unlink()
        _, said = command.communicate(timeout=60)
    assert command.returncode == Exit.SETUP
    assert "was deleted while it was open" in said and "shop.db.rescued" in said
    again = shell("serve", WORKS, *place)
    assert again.code == Exit.SETUP and "shop.db.rescued" in again.err


def test_describe_shows_what_a_run_was_given_and_what_came_of_it(
    engine: Shell,
) -> None:
    engine.json("start", "squares", "3", "--id", "given", "--wait")
    found = engine.json("describe", "given")
    assert (found["args"], found["kwargs"], found["result"]) == ([3], {}, [0, 1, 4])
    assert found["failure"] is None
    text = engine("describe", "given").out
    assert "arguments" in text and "[0,1,4]" in text.replace(" ", "")

    assert engine("start", "unlucky", "no luck", "--id", "failed", "--wait").code == 1
    found = engine.json("describe", "failed")
    assert (found["args"], found["result"]) == (["no luck"], None)
    failure = found["failure"]
    assert (failure["type"], failure["message"]) == ("ValueError", "no luck")
    assert 'works.py", line' in failure["traceback"]
    text = engine("describe", "failed").out
    assert "ValueError: no luck" in text and "raise ValueError(text)" in text


def test_history_says_which_task_an_outcome_is_of(engine: Shell) -> None:
    engine.json("start", "squares", "2", "--id", "named", "--wait")
    items = engine.json("history", "named")["items"]
    done = [item["data"]["task"] for item in items if item["kind"] == "TaskCompleted"]
    assert done == ["square", "square"]
    assert '"task":"square"' in engine("history", "named").out.replace(" ", "")
