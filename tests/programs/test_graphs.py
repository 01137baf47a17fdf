"""A kind whose code is a table is three files: definition, program, a line in a list.

The graph of `graphs.py` has a node that is skipped, one that waits and one that runs a
task. It is crashed at every transition, killed on a real database, and asked questions
whose answers have to be waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, RunStatus, Runtime, task, testing
from everact.runtime.errors import QueryFailed, UpdateFailed, WorkflowFailure
from tests.features.killing import Program
from tests.programs import graphs
from tests.programs.graphs import GraphDefinition, GraphProgram, Node

REGISTRY = Registry()
asked: list[int] = []


@task(registry=REGISTRY)
async def double(number: int) -> int:
    if number < 0:
        raise ValueError("too small")
    return 2 * number


def small(number: int) -> bool:
    asked.append(number)
    return number < 10


NODES = (
    Node("report", task="double", skip_if=small),
    Node("pause", seconds=3600, parents=("report",)),
    Node("count", task="double", parents=("pause",)),
)
GraphDefinition("words", NODES, REGISTRY)
REST = Node("rest", seconds=3600, parents=("count",))
GraphDefinition("longer", (*NODES, REST), REGISTRY)
ENDED = {"pause": None, "count": 14}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked.clear()
    monkeypatch.setattr(GraphProgram, "answers_after", 0.0)
    with graphs.known():
        yield


def runtime(path: Path | str) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Runtime(path, registry=REGISTRY, clock=VirtualClock(loop))


async def playing(runtime: Runtime) -> Any:
    handle: Any = await runtime.start("words", 7, id="w")
    noted = await handle.update("note", "first", id="n")
    return noted, await handle.result(), await handle.query("nodes")


def test_a_graph_that_is_crashed_at_every_transition_ends_as_it_would() -> None:
    report = testing.crash_everywhere(playing, registry=REGISTRY)
    after = {"report": "skipped", "pause": "done", "count": "done"}
    assert report.outcome == (1, ENDED, after)
    assert report.crashes >= 9, "a start, an update, a timer, and the task's end"


async def test_a_graph_on_disk_goes_on_where_it_was_and_asks_no_condition_again(
    tmp_path: Path,
) -> None:
    async with runtime(tmp_path / "db") as made:
        await made.start("words", 7, id="w")
    for _ in range(3):
        async with runtime(tmp_path / "db") as made:
            handle: Any = made.handle("w")
            nodes = await handle.query("nodes")
            assert nodes == {"report": "skipped", "pause": "open"}
    async with runtime(tmp_path / "db") as made:
        assert await made.handle("w").result() == ENDED
    assert asked == [7]


async def test_a_graph_fails_with_its_task_and_stops_when_it_is_asked_to() -> None:
    async with runtime(":memory:") as made:
        with pytest.raises(WorkflowFailure, match="too small"):
            await (await made.start("words", -1)).result()
        handle = await made.start("words", 7)
        await handle.cancel()
        with pytest.raises(WorkflowFailure):
            await handle.result()
        assert (await handle.describe()).status is RunStatus.CANCELLED


KILLED = """
    import asyncio
    from everact.runtime import Registry, Runtime, task
    from tests.programs import graphs
    from tests.programs.graphs import GraphDefinition, Node

    registry = Registry()

    @task(registry=registry)
    async def step(number):
        print("step", flush=True)
        return number

    def never(number):
        return False

    def always(number):
        return True

    nodes = [Node("n0", task="step", skip_if=always)]
    for n in range(1, 60):
        what = {"seconds": 0.001} if n % 3 == 1 else {"task": "step"}
        nodes.append(Node(f"n{n}", parents=(f"n{n - 1}",), skip_if=never, **what))
    GraphDefinition("long", tuple(nodes), registry)

    async def main():
        async with Runtime("everact.db", registry=registry) as runtime:
            handle = await runtime.start("long", 7, id="g", on_conflict="attach")
            result = await handle.result()
            print(len(result), sum(v or 0 for v in result.values()), flush=True)

    with graphs.known():
        asyncio.run(main())
"""


@pytest.mark.slow
def test_a_graph_survives_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=":")
    program = Program(tmp_path, KILLED)
    for _ in range(5):
        program.kill_at("step", times=4)
    assert program.run()[-1] == f"59 {39 * 7}"


# -- answers that have to be waited for ----------------------------------------------


async def test_a_query_that_waits_speaks_of_one_state_and_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with runtime(":memory:") as made:
        handle: Any = await made.start("words", 7, id="w")
        monkeypatch.setattr(GraphProgram, "answers_after", 5.0)
        await asyncio.sleep(3598)
        asking = asyncio.ensure_future(handle.query("nodes"))
        assert await handle.result() == ENDED
        assert not asking.done(), "the run went on while the question waited"
        assert await asking == {"report": "skipped", "pause": "open"}
        assert (await handle.query("nodes"))["pause"] == "done", "closed, and asked"


async def test_a_query_that_waits_fails_as_one_that_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with runtime(":memory:") as made:
        handle: Any = await made.start("words", 7, id="w", task_timeout=10)
        with pytest.raises(QueryFailed, match="no node has the name 'x'"):
            await handle.query("nodes", "x")
        monkeypatch.setattr(GraphProgram, "answers_after", 1e6)
        before = asyncio.get_running_loop().time()
        with pytest.raises(QueryFailed, match="no answer within 10 s"):
            await handle.query("nodes")
        assert asyncio.get_running_loop().time() - before == pytest.approx(10)
        assert (await handle.describe()).history_length == 1
        await handle.terminate()
        with pytest.raises(QueryFailed, match="no answer within 10 s"):
            await handle.query("nodes")


async def test_code_that_exits_while_it_is_waited_for_harms_no_other_answer() -> None:
    async with runtime(":memory:") as made:
        handle: Any = await made.start("words", 7, id="w")
        with pytest.raises(QueryFailed, match="SystemExit: 3"):
            await handle.query("nodes", "exit")
        with pytest.raises(UpdateFailed):
            await handle.update("note", "exit")
        assert await handle.update("note", "first") == 1
        assert await handle.result() == ENDED


async def test_updates_that_are_judged_later_are_taken_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(GraphProgram, "answers_after", 1.0)
    async with runtime(":memory:") as made:
        handle: Any = await made.start("words", 7, id="w")
        given = [handle.update("note", f"n{n}") for n in range(4)]
        found = await asyncio.gather(*given, return_exceptions=True)
        assert found[:2] == [1, 2]
        for refused in found[2:]:
            assert isinstance(refused, UpdateFailed)
            assert "two notes" in str(refused.__cause__ or refused)
        (run,) = made.engine.runs.values()
        assert run.code.program is not None
        assert run.code.program.notes == ["n0", "n1"]  # type: ignore[attr-defined]


async def test_an_update_is_judged_by_the_state_that_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(GraphProgram, "answers_after", 1.0)
    judged: list[dict[str, str]] = []
    validate = GraphProgram.validate

    def seen(program: GraphProgram, event: Any) -> Any:
        judged.append(dict(program.state))
        return validate(program, event)

    monkeypatch.setattr(GraphProgram, "validate", seen)
    async with runtime(":memory:") as made:
        handle: Any = await made.start("longer", 7, id="w")
        await asyncio.sleep(3599.5)
        assert await handle.update("note", "late") == 1
    assert [s["pause"] for s in judged] == ["open", "done"]


async def test_an_update_that_is_not_judged_in_time_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(GraphProgram, "answers_after", 1e6)
    async with runtime(":memory:") as made:
        handle: Any = await made.start("words", 7, id="w", task_timeout=10)
        with pytest.raises(UpdateFailed, match="no answer within 10 s"):
            await handle.update("note", "n")
        waiting = asyncio.ensure_future(handle.update("note", "m"))
        await asyncio.sleep(1)
        await handle.terminate()
        with pytest.raises(Exception, match=r"closed|not open|ended|terminated"):
            await waiting
    monkeypatch.setattr(GraphProgram, "answers_after", 5.0)
    async with runtime(":memory:") as made:
        handle = await made.start("words", 7, id="w")
        waiting = asyncio.ensure_future(handle.update("note", "m"))
        await asyncio.sleep(1)
    with pytest.raises(Exception, match="closed"):
        await waiting
