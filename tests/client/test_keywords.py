"""Keywords are closed: every public verb and decorator refuses what it cannot know."""

from __future__ import annotations

import asyncio
import enum
import importlib
import inspect
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Unpack, get_args, get_origin, get_overloads, get_type_hints

import msgspec
import pydantic
import pytest

from everact.actors import Actor
from everact.runtime import (
    Call,
    Registry,
    RunHandle,
    RunInfo,
    Runtime,
    RuntimeThread,
    Task,
    Worker,
    execute_child,
    function,
    start_child,
    task,
    workflow,
)
from everact.runtime.core.keywords import closed
from everact.runtime.events import ReceivedEvent
from everact.runtime.public import MODULES
from everact.runtime.schedules import Schedule, ScheduleBackfill, StartWorkflow
from everact.runtime.search import SearchAttributeKey
from everact.runtime.updates import StartOperation, UpdateHandle
from everact.runtime.versions import AddNewDefault

PUBLIC = {
    name: getattr(module, name)
    for module in map(importlib.import_module, MODULES)
    if module.__name__ not in ("everact.runtime.control", "everact.runtime.testing")
    for name in module.__all__
}
REGISTRY = Registry()
UNKNOWN = "zzz"
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@workflow(registry=REGISTRY)
async def sleeper() -> None:
    await asyncio.sleep(3600)


@task(registry=REGISTRY)
async def nothing() -> None: ...


async def plain() -> None: ...


class Idle(Actor): ...


GIVEN: dict[str, Any] = {
    "id": "w",
    "workflow": sleeper,
    "signal": "s",
    "query": "q",
    "update": "u",
    "wait_for": "completed",
    "callback": lambda _: None,
    "schedule": Schedule(StartWorkflow(sleeper)),
    "key": "k",
    "event_id": "e",
    "call": Call("nothing"),
    "queue": "default",
    "operation": AddNewDefault("b"),
    "build_ids": ["b"],
    "error": ValueError("x"),
    "request": None,
    "func": nothing,
    "cls": Idle,
}
"""What is given for a parameter that has no default, by its name."""

SEVERAL: dict[str, list[Any]] = {
    "backfill": [ScheduleBackfill(MOMENT, MOMENT)],
    "keys": [SearchAttributeKey.for_int("Number")],
}
"""What is given where several are taken, if one is needed."""

THEIR_OWN = {
    "Runtime.spawn": "arguments of the actor",
    "RuntimeThread.spawn": "arguments of the actor",
    "Task.blocking": "arguments of the task",
    "Task.build_call": "arguments of the task",
    "Task.dispatch": "arguments of the task",
    "Reset": "arguments of what is run instead",
}
"""Verbs whose last keywords are somebody else's."""


def open_ended(target: Any) -> bool:
    """Whether Python itself would take any keyword."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.kind is p.VAR_KEYWORD for p in parameters)


def arguments(target: Any) -> tuple[list[Any], dict[str, Any]]:
    """What a verb cannot do without."""
    positional, named = [], {}
    for parameter in inspect.signature(target).parameters.values():
        if parameter.default is not parameter.empty:
            continue
        if parameter.name == "start":
            named["start"] = StartOperation(sleeper, id="x", on_conflict="fail")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = GIVEN[parameter.name]
        elif parameter.kind is parameter.VAR_POSITIONAL:
            positional += SEVERAL.get(parameter.name, [])
        elif parameter.kind is not parameter.VAR_KEYWORD:
            positional.append(GIVEN[parameter.name])
    return positional, named


def nouns(client: Any) -> Iterator[Any]:
    """A client, and what it gives to address things with."""
    yield client
    yield from (client.schedules, client.events, client.updates, client.versions)
    yield client.search_attributes
    yield client.schedules.handle("s")
    handle = client.handle("w")
    yield from (handle, handle.update_handle("u"))
    yield client.task_handle(workflow_id="w", task_id="t")


def verbs(client: Any) -> Iterator[tuple[str, Any]]:
    """Every public method that Python lets take any keyword, with its name."""
    for noun in nouns(client):
        for name, _ in inspect.getmembers(type(noun), inspect.isfunction):
            verb = f"{type(noun).__name__}.{name}"
            method = getattr(noun, name)
            if name[0] != "_" and verb not in THEIR_OWN and open_ended(method):
                yield verb, method


async def test_every_verb_of_a_client_refuses_an_unknown_keyword_by_name(
    tmp_path: Path,
) -> None:
    seen = []
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        await runtime.start(sleeper, id="w")
        await runtime.schedules.create("s", Schedule(StartWorkflow(sleeper)))
        for verb, method in verbs(runtime):
            positional, named = arguments(method)
            with pytest.raises(TypeError, match=UNKNOWN):
                await used(method(*positional, **named, **{UNKNOWN: 1}))
            seen.append(verb)
        view = await runtime.handle("w").describe()
        assert view.status.name == "RUNNING"
        assert (await runtime.count()).count == 1
    assert len(seen) > 30
    assert {"Runtime.start", "RunHandle.cancel", "ScheduleHandle.pause"} <= {*seen}


async def used(answer: Any) -> Any:
    """Whatever a verb gives, asked for to its end."""
    if inspect.isawaitable(answer):
        answer = await answer
    if isinstance(answer, AsyncIterator):
        await anext(answer, None)


def test_every_blocking_verb_refuses_an_unknown_keyword_by_name(
    tmp_path: Path,
) -> None:
    with RuntimeThread(tmp_path / "a.db", registry=REGISTRY) as runtime:
        runtime.start(sleeper, id="w")
        runtime.schedules.create("s", Schedule(StartWorkflow(sleeper)))
        for verb, method in verbs(runtime):
            positional, named = arguments(method)
            with pytest.raises(TypeError, match=UNKNOWN):
                answer = method(*positional, **named, **{UNKNOWN: 1})
                if hasattr(answer, "__next__"):
                    next(answer, None)
                pytest.fail(f"{verb} took it")
        assert runtime.count().count == 1


async def test_every_public_function_and_class_refuses_an_unknown_keyword() -> None:
    for name, target in PUBLIC.items():
        if not callable(target) or name in THEIR_OWN or not made(target):
            continue
        if not open_ended(target):
            continue  # Python refuses it
        if inspect.isclass(target) and target.__init__ is object.__init__:
            continue
        positional, named = arguments(target)
        with pytest.raises(TypeError, match=UNKNOWN):
            await used(target(*positional, **named, **{UNKNOWN: 1}))


def made(target: Any) -> bool:
    """Whether users call it: neither an error nor a protocol."""
    if isinstance(target, type) and issubclass(target, BaseException):
        return False
    return not getattr(target, "_is_protocol", False)


@pytest.mark.parametrize(
    "decorate",
    [
        task,
        function,
        workflow,
        workflow.signal,
        workflow.query,
        workflow.update,
        nothing.with_options,
    ],
)
def test_every_decorator_refuses_it_at_once(decorate: Any) -> None:
    with pytest.raises(TypeError, match=UNKNOWN):
        decorate(**{UNKNOWN: 1})


def test_the_nearest_known_name_is_told() -> None:
    with pytest.raises(TypeError, match=r"retires \(did you mean retries\?\)"):
        task(retires=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"of Worker: slotz \(did you mean slots"):
        Worker(slotz=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"a start: pirority \(did you mean priority"):
        closed(["pirority"], ["priority", "id"], "a start")


async def test_whatever_has_several_keywords_tells_the_nearest() -> None:
    """Where there is but one, Python's own refusal leaves nothing to guess."""
    seen = set()
    for target in PUBLIC.values():
        keywords = keywords_of(target) if callable(target) and made(target) else []
        if len(keywords) < 2 or open_ended(target) or of_ours(target):
            continue
        name = max(keywords, key=len)
        slip = name[:-1] + "zz"
        with pytest.raises(TypeError, match=rf"{slip} \(did you mean {name}\?\)"):
            target(**{slip: 1})
        seen.add(getattr(target, "__name__", ""))
    assert {"Runtime", "Worker", "retry"} <= seen


@pytest.mark.parametrize(
    "call",
    [
        partial(start_child, sleeper),
        partial(execute_child, sleeper),
        nothing.with_options,
        task,
    ],
)
async def test_options_of_a_dictionary_tell_the_nearest(call: Any) -> None:
    target = getattr(call, "func", call)
    hints = [*get_type_hints(inspect.unwrap(target)).values()]
    hints += [h for o in get_overloads(target) for h in get_type_hints(o).values()]
    options = next(get_args(hint)[0] for hint in hints if get_origin(hint) is Unpack)
    name = max(options.__annotations__, key=len)
    slip = name[:-1] + "zz"
    with pytest.raises(TypeError, match=rf"{slip} \(did you mean {name}\?\)"):
        await used(call(**{slip: 1}))


def keywords_of(target: Any) -> list[str]:
    """What may be given by name alone."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def of_ours(target: Any) -> bool:
    """Whether users are given it, or make it by decorators, and never by its class."""
    given = (enum.EnumType, type(msgspec.Struct))
    ours = (RunHandle, RunInfo, ReceivedEvent, Task, UpdateHandle)
    return isinstance(target, given) or target in ours


async def test_a_slip_in_a_verb_is_told_by_the_verb_and_nothing_happens(
    tmp_path: Path,
) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        handle = await runtime.start(sleeper, id="w")
        with pytest.raises(TypeError, match=r"RunHandle.cancel: reasn .*mean reason"):
            await handle.cancel(reasn="x")  # type: ignore[call-arg]
        assert (await handle.describe()).status.name == "RUNNING"


# -- values are checked where they are given -----------------------------------------


@pytest.mark.parametrize(
    "give",
    [
        lambda: task(retry=3)(plain),  # type: ignore[call-overload]
        lambda: nothing.with_options(retry=3),  # type: ignore[arg-type]
        lambda: function(retry=3)(plain),
        lambda: task(registry=3)(plain),  # type: ignore[call-overload]
    ],
)
def test_a_policy_that_is_none_is_refused_by_the_decorator(give: Any) -> None:
    with pytest.raises(TypeError, match=r"retry takes a policy|takes a Registry"):
        give()


async def test_a_policy_that_is_none_is_refused_by_a_start(tmp_path: Path) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        with pytest.raises(TypeError, match="retry takes a policy"):
            await runtime.start(sleeper, retry=3)  # type: ignore[call-overload]
        assert (await runtime.count()).count == 0


def test_function_may_stand_without_parentheses() -> None:
    async def lonely() -> int:
        return 1

    registered = function(lonely)
    assert registered.function is lonely
    assert registered.everact_name.endswith("lonely")
    assert registered.options.retry.attempts == 10


async def test_a_result_is_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        handle = await runtime.start(sleeper, id="w")
        for waiting in (handle.result(timeout="10ms"), handle.value(timeout=0.01)):
            with pytest.raises(TimeoutError):
                await waiting
        with pytest.raises(ValueError, match="timeout must not be negative"):
            await handle.result(timeout=-1)
        assert (await handle.describe()).status.name == "RUNNING"


# -- arguments of a start ------------------------------------------------------------


@dataclass
class Order:
    item: str
    count: int = 1


class Parcel(msgspec.Struct):
    weight: float


class Label(pydantic.BaseModel):
    text: str


@workflow(registry=REGISTRY)
async def orders(
    order: Order | None, parcel: Parcel | None = None, *, label: Label | None = None
) -> str:
    return f"{order!r} {parcel!r} {label!r}"


@workflow(registry=REGISTRY)
async def batch(
    rows: list[Order], by_name: dict[str, Parcel | None], *labels: tuple[Label, ...]
) -> str:
    return f"{rows!r} {by_name!r} {labels!r}"


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ([5], {}, "'order' of orders"),
        ([{"item": 5}], {}, "'order' of orders"),
        ([Parcel(1.0)], {}, "'order' of orders"),
        ([None, {"weight": "x"}], {}, "'parcel' of orders"),
        ([None], {"label": {"txt": "x"}}, "'label' of orders"),
        ([None], {"label": object()}, "'label' of orders"),
    ],
)
async def test_an_argument_that_is_none_of_its_type_is_refused_by_the_start(
    args: list[Any], kwargs: dict[str, Any], named: str, tmp_path: Path
) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        with pytest.raises(TypeError, match=named):
            await runtime.start(orders, args=args, kwargs=kwargs)
        assert (await runtime.count()).count == 0


async def test_instances_are_taken_as_they_are_and_data_become_instances(
    tmp_path: Path,
) -> None:
    order = Order(item=5)  # type: ignore[arg-type]
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        found = await runtime.execute(orders, args=[order, Parcel(1.0)])
        assert found == "Order(item=5, count=1) Parcel(weight=1.0) None"
        found = await runtime.execute(
            orders, args=[{"item": "x"}], kwargs={"label": {"text": "t"}}
        )
        assert found == "Order(item='x', count=1) None Label(text='t')"


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ([5, {}], "'rows' of batch"),
        ([[Order("a"), 5], {}], "'rows' of batch"),
        ([[{"item": 5}], {}], "'rows' of batch"),
        ([[], {"p": Order("a")}], "'by_name' of batch"),
        ([[], []], "'by_name' of batch"),
        ([[], {}, [Label(text="l"), "l"]], "'labels' of batch"),
    ],
)
async def test_a_container_of_what_is_none_of_its_type_is_refused_by_the_start(
    args: list[Any], named: str, tmp_path: Path
) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        with pytest.raises(TypeError, match=named):
            await runtime.start(batch, args=args)
        assert (await runtime.count()).count == 0


class Rows(list[Order]):
    """A container of the author's own: its values are not looked at."""


async def test_containers_of_instances_are_taken_as_they_are(tmp_path: Path) -> None:
    wrong = Order(item=5)  # type: ignore[arg-type]
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        given = [[wrong], {"p": Parcel(1.0), "none": None}, (Label(text="l"),)]
        found = await runtime.execute(batch, args=given)
        assert found == (
            "[Order(item=5, count=1)] {'p': Parcel(weight=1.0), 'none': None} "
            "((Label(text='l'),),)"
        )
        found = await runtime.execute(
            batch, args=[[{"item": "x"}, Order("y")], {"p": {"weight": 2}}]
        )
        assert found == (
            "[Order(item='x', count=1), Order(item='y', count=1)] "
            "{'p': Parcel(weight=2.0)} ()"
        )
        found = await runtime.execute(batch, args=[Rows(), {}])
        assert found == "[] {} ()"


async def test_a_child_refuses_an_unknown_option(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"of a child run: qeue \(did you mean queue"):
        await execute_child(sleeper, qeue="x")  # type: ignore[call-overload]
