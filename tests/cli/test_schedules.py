"""`everact schedules`: from creation to deletion, for people and for programs."""

from __future__ import annotations

import warnings

import pytest

from tests.cli.conftest import Shell


@pytest.mark.real_time
@pytest.mark.feature("SC-01", "SC-16", "SC-17", "SC-18", "SC-20", "SC-21", "SC-22")
def test_a_schedule_is_created_looked_at_used_and_deleted(engine: Shell) -> None:
    made = engine(
        *("schedules", "create", "nightly", "squares", "3", "--cron", "0 2 * * *"),
        *("--zone", "Europe/Berlin", "--workflow-id", "sq", "--trigger", "--json"),
        *("--memo", "team=red"),
    )
    assert made.data == {"schedule_id": "nightly", "created": True}, made.err
    again = engine("schedules", "create", "nightly", "squares", "1", "--every", "1h")
    assert (again.code, "already running" in again.err) == (5, True), again
    shown = engine("schedules", "describe", "nightly", "--json").data
    assert shown["action"] == {
        "workflow": "squares",
        "args": [3],
        "kwargs": {},
        "id": "sq",
    }
    assert (shown["actions_taken"], shown["memo"]) == (1, {"team": "red"})
    assert len(shown["next_times"]) == 10
    (taken,) = shown["recent_actions"]
    assert engine("result", taken["workflow_id"], "--json").data["result"] == [0, 1, 4]
    assert engine("schedules", "pause", "nightly", "--note", "why not").code == 0
    table = engine("schedules", "describe", "nightly").out
    assert "paused" in table
    assert "why not" in table
    listed = engine("schedules", "list", "Paused = true", "--json").data
    assert [line["id"] for line in listed["schedules"]] == ["nightly"]
    assert "nightly" in engine("schedules", "list").out
    assert engine("schedules", "trigger", "nightly", "--overlap", "allow_all").code == 0
    back = ("2026-01-01T00:00:00Z", "2026-01-02T02:00:00Z")
    assert engine("schedules", "backfill", "nightly", *back).code == 0
    shown = engine("schedules", "describe", "nightly", "--json").data
    assert shown["actions_taken"] + shown["actions_skipped"] == 4
    assert engine("schedules", "resume", "nightly").out == "nightly: resumed\n"
    assert engine("schedules", "delete", "nightly").out == "nightly: deleted\n"
    assert engine("schedules", "describe", "nightly").code == 4


@pytest.mark.real_time
@pytest.mark.feature("SC-10")
def test_a_pasted_crontab_that_means_something_else_here_is_warned_about(
    engine: Shell,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        made = engine(
            *["schedules", "create", "s", "squares", "1", "--cron"], "0 0 13 * FRI"
        )
    assert made.code == 0, made
    said = "".join(made.err.split("\n"))
    assert said.startswith("warning: cron '0 0 13 * FRI' restricts day of month"), said
    assert ".py" not in said


@pytest.mark.real_time
@pytest.mark.feature("SC-10", "CR-01", "CR-04")
def test_what_makes_no_sense_is_a_mistake(engine: Shell) -> None:
    for wrong in (
        ("schedules", "create", "s", "squares"),
        ("schedules", "create", "s", "squares", "--cron", "0 25 * * *"),
        ("schedules", "backfill", "s", "yesterday", "today"),
        ("start", "squares", "1", "--cron", "x"),
    ):
        done = engine(*wrong)
        assert done.code == 2, done
    started = engine("start", "squares", "1", "--id", "c", "--cron", "@yearly")
    assert started.code == 0, started.err
    assert engine("cancel", "c").code == 0
