"""A part stands beside the journal: what it is told, and that none replaces another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, Runtime, workflow
from everact.runtime.core.records import (
    AttributeKind,
    Began,
    Complete,
    RunTask,
    Started,
    StartTimer,
    TaskCompleted,
)
from everact.runtime.engine.engine import Engine
from everact.runtime.engine.host import Acts, Run, Writes
from everact.runtime.engine.parts.base import Part, Parts
from everact.runtime.search import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from everact.runtime.store.base import Opened, RunRow, Statement

REGISTRY = Registry()
LABEL = SearchAttributeKey.for_keyword("label")


@workflow(registry=REGISTRY)
async def nap(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


class Labels(Part):
    """Gives each run an attribute, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def writes(self) -> Mapping[type, Writes]:
        return {Started: self._label}

    def after_commit(self) -> Mapping[type, Acts]:
        return {Complete: self._note, StartTimer: self._note}

    def resumed(self) -> Mapping[type, Acts]:
        return {StartTimer: lambda run, _: self.told.append("resumed StartTimer")}

    def _label(self, run: Run, _: Any) -> tuple[Statement, ...]:
        self.told.append(f"writes with Started, {run.journal.in_flight} in flight")
        row = (run.row.key, "label", 0, int(AttributeKind.KEYWORD), "red", None)
        return (("put_attribute", row),)

    def _note(self, run: Run, command: Any) -> None:
        self.told.append(f"after_commit {type(command).__name__}")

    def loaded(self, run: Run) -> None:
        self.told.append("loaded")

    def closed(self, run: Run) -> None:
        self.told.append("closed")

    def forget(self, run: Run) -> None:
        self.told.append("forget")

    def gone(self, key: int, row: RunRow | None) -> None:
        self.told.append("gone")

    async def open(self, opened: Opened) -> None:
        self.told.append("open")

    def recover(self) -> None:
        self.told.append("recover")

    def stop(self) -> None:
        self.told.append("stop")

    def close(self) -> None:
        self.told.append("close")


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> Labels:
    """A part more than the engine has."""
    part, made = Labels(), Engine._make_parts

    def with_one_more(engine: Engine, *given: Any) -> tuple[Part, ...]:
        return (*made(engine, *given), part)

    monkeypatch.setattr(Engine, "_make_parts", with_one_more)
    return part


def opened(folder: Path) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Runtime(
        folder / "a.db",
        registry=REGISTRY,
        clock=VirtualClock(loop),
        declare_search_attributes=True,
    )


async def test_a_part_is_told_of_an_engine_and_its_runs_in_order(
    tmp_path: Path, labels: Labels
) -> None:
    async with opened(tmp_path) as runtime:
        handle = await runtime.start(nap, 60.0, id="a")
    assert labels.told == [
        "open",
        "recover",
        "writes with Started, 0 in flight",
        "after_commit StartTimer",
        "stop",
        "forget",
        "close",
    ]
    labels.told.clear()
    async with opened(tmp_path) as runtime:
        handle = runtime.handle("a")
        assert await handle.result() == "slept"
    assert labels.told == [
        "open",
        "recover",
        "resumed StartTimer",
        "loaded",
        "after_commit Complete",
        "closed",
        "forget",
        "stop",
        "close",
    ]


async def test_two_parts_write_with_one_record(tmp_path: Path, labels: Labels) -> None:
    """Visibility answers for a start too: neither takes the place of the other."""
    own = SearchAttributeKey.for_keyword("own")
    blue = TypedSearchAttributes([SearchAttributePair(own, "blue")])
    async with opened(tmp_path) as runtime:
        await runtime.start(nap, 60.0, id="a", search_attributes=blue)
        await runtime.search_attributes.add(LABEL)
        found = [
            run.workflow_id
            async for run in runtime.list("label = 'red' AND own = 'blue'")
        ]
    assert found == ["a"]


def test_parts_that_answer_for_one_kind_are_all_asked_in_their_order() -> None:
    asked: list[str] = []

    def hook(name: str) -> Callable[[Run, Any], Any]:
        def write(run: Run, record: Any) -> tuple[Statement, ...]:
            asked.append(name)
            return ((name, ()),)

        return write

    class Writing(Part):
        def __init__(self, name: str, *kinds: type) -> None:
            self._hook = {kind: hook(name) for kind in kinds}

        def writes(self) -> Mapping[type, Writes]:
            return self._hook

        def after_commit(self) -> Mapping[type, Acts]:
            return self._hook

    parts = Parts((Writing("first", Began, Complete), Writing("second", Began)))
    run: Any = None
    assert parts.writes[Began](run, None) == (("first", ()), ("second", ()))
    assert parts.writes[Complete](run, None) == (("first", ()),)
    assert Started not in parts.writes
    asked.clear()
    parts.after_commit[Began](run, None)
    assert asked == ["first", "second"]


@pytest.mark.parametrize("kind", [RunTask, TaskCompleted])
def test_a_part_that_wants_to_be_asked_of_steps_is_refused(kind: type) -> None:
    class Asked(Part):
        def writes(self) -> Mapping[type, Writes]:
            return {kind: lambda run, record: ()}

    with pytest.raises(TypeError, match=kind.__name__):
        Parts((Asked(),))


def test_what_a_part_does_not_override_is_not_asked() -> None:
    class Closing(Part):
        def closed(self, run: Run) -> None:
            """It is told of the ends of runs, and of nothing else."""

    closing = Closing()
    parts = Parts((Part(), closing))
    assert parts.closed == (closing.closed,)
    assert parts.loaded == parts.renewed == parts.forget == ()
