"""No number that is accepted breaks what anybody asks later.

Requests of every operation in the table, and every verb of clients and of workflow code
that takes a number, a duration or a moment, are given extreme ones. Each is refused as
such, or else all can be listed, described and counted afterwards, now and after a
restart.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, given, reject, settings

from everact.actors import VirtualClock, VirtualLoop, run_virtual
from everact.runtime import (
    ApplicationError,
    Registry,
    RetryPolicy,
    Runtime,
    continue_as_new,
    execute_child,
    receive,
    sleep,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.core.bounds import LAST_MOMENT, LONGEST, WITHIN
from everact.runtime.core.opaque import DOCUMENT, PAYLOAD, STANDS_FOR
from everact.runtime.errors import EveractError
from everact.runtime.events import SleepCondition, UserEventCondition, wait_for
from everact.runtime.operations.table import OPERATIONS
from everact.runtime.schedules import (
    CalendarSpec,
    IntervalSpec,
    Range,
    Schedule,
    ScheduleBackfill,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    StartWorkflow,
)
from everact.runtime.search import SearchAttributeKey, TypedSearchAttributes
from everact.runtime.workflows import upsert_search_attributes

REGISTRY = Registry()

EXTREMES: list[Any] = [
    *(0, -1, 1, 3, True, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, -1e-9, 1e9, 1e15, 1e18, 1e300, 1.7e308, -1.7e308),
    *(math.inf, -math.inf, math.nan, LONGEST, LONGEST + 1, LAST_MOMENT),
]
TEXTS = ["5000000d", "1s", "36525d", "9" * 5000 + "d", "1e9s", "-1s", "", "∞"]
MOMENTS = [
    datetime.min,  # noqa: DTZ901 (naive ones as well)
    datetime.max,  # noqa: DTZ901
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12))),
    datetime(1969, 12, 31, tzinfo=UTC),
    datetime(8999, 1, 1, tzinfo=UTC).replace(tzinfo=None),
    datetime(9000, 1, 2, tzinfo=UTC),
]
DURATIONS = [*EXTREMES, *TEXTS, timedelta.max, timedelta.min, timedelta(days=36525)]
REFUSED = (EveractError, ValueError, TypeError)
KEPT = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@workflow(registry=REGISTRY)
async def sleeper(seconds: float = 3600.0) -> None:
    await asyncio.sleep(seconds)


@task(registry=REGISTRY)
async def failing(wait: Any) -> None:
    error = ApplicationError("later")
    error.retry_after = wait
    raise error


# -- what is looked at afterwards ----------------------------------------------------


async def look(runtime: Runtime) -> None:
    """List, describe and count all that there is."""
    found = [line async for line in runtime.list()]
    assert (await runtime.count()).count == len(found)
    for line in found:
        handle = runtime.handle(line.workflow_id, run_id=line.run_id)
        await handle.describe()
        assert await handle.history()
    for one in [one async for one in await runtime.schedules.list()]:
        await runtime.schedules.handle(one.id).describe()
    [event async for event in runtime.events.list()]


async def twice(path: Path, act: Callable[[Runtime], Awaitable[None]]) -> None:
    """Act, look, start again, look again."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    for life in (act, None):
        made = Runtime(
            path,
            registry=REGISTRY,
            clock=VirtualClock(loop),
            retention=None,
            declare_search_attributes=True,
        )
        async with made as runtime:
            if life is not None:
                await life(runtime)
            await asyncio.sleep(1)
            await look(runtime)


# -- every operation -----------------------------------------------------------------


def values(kind: Any, payload: bytes) -> st.SearchStrategy[Any]:
    """Values of a field of a request, its numbers being extreme."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        stands_for = [(meta.extra or {}).get(STANDS_FOR) for meta in kind.__metadata__]
        if PAYLOAD in stands_for:
            return st.just(payload)
        if DOCUMENT in stands_for:
            return st.sampled_from([b"", b"{}"])
        return values(arguments[0], payload)
    if origin in (Union, UnionType):
        return st.one_of([values(one, payload) for one in arguments])
    if origin is tuple:
        if arguments[-1] is not Ellipsis:
            return st.tuples(*(values(one, payload) for one in arguments))
        return st.lists(values(arguments[0], payload), max_size=2).map(tuple)
    if origin is dict:
        named = st.sampled_from(["Number", "a"])
        return st.dictionaries(named, values(arguments[1], payload), max_size=1)
    if kind is NoneType:
        return st.none()
    if kind in (int, float):
        return st.sampled_from(EXTREMES) | st.floats() | st.integers()
    if kind is bool:
        return st.booleans()
    if kind is str:
        return st.sampled_from(["", "s", "w", "sleeper", "default", "0 * * * *"])
    if kind is bytes:
        return st.just(b"")
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from([*kind, 99])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.deferred(lambda: struct(kind, payload))
    return st.none()


FIXED = {"workspace": "default", "namespace": "default", "identity": "", "key": "k"}


@st.composite
def struct(draw: st.DrawFn, kind: type[msgspec.Struct], payload: bytes) -> Any:
    """Requests and their parts; most of the fields that have a default keep it."""
    hints = get_type_hints(kind, include_extras=True)
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if not field.required and draw(st.integers(0, 2)):
            continue
        made = values(hints[field.name], payload)
        if field.name in FIXED and hints[field.name] is str:
            made = st.just(FIXED[field.name])
        given[field.name] = draw(made)
    try:
        return kind(**given)
    except ValueError:  # some check themselves when they are made
        reject()


@st.composite
def requests(draw: st.DrawFn, payload: bytes) -> Any:
    """A request of any operation that there is."""
    return draw(struct(draw(st.sampled_from(list(OPERATIONS))), payload))


async def ask(runtime: Runtime, request: Any) -> None:
    try:
        async with asyncio.timeout(2):
            answer = await runtime.transport.call(request)
            if isinstance(answer, AsyncIterator):
                await anext(answer, None)
    except (TimeoutError, *REFUSED):
        pass


PAYLOAD_OF_ONE = Runtime(":memory:").values.encode(1, "one")


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(requests(PAYLOAD_OF_ONE), min_size=1, max_size=12))
def test_whatever_is_accepted_can_be_looked_at_and_started_with(
    asked: list[Any],
) -> None:
    async def act(runtime: Runtime) -> None:
        await runtime.start(sleeper, id="w")
        schedule = Schedule(StartWorkflow("sleeper"), ScheduleSpec())
        await runtime.schedules.create("s", schedule)
        for request in asked:
            await ask(runtime, request)

    with TemporaryDirectory() as directory:
        run_virtual(twice(Path(directory) / "a.db", act))


def numbers(kind: Any, where: str, seen: tuple[Any, ...] = ()) -> list[str]:
    """Where a type has floats of which no range is declared."""
    if get_origin(kind) is Annotated:
        inner, *metas = get_args(kind)
        ranges = [meta for meta in metas if (meta.extra or {}).get(WITHIN)]
        if inner is float:
            limited = any(meta.ge is not None for meta in metas)
            return [] if ranges or limited else [where]
        return numbers(inner, where, seen)
    if kind is float:
        return [where]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind in seen:
            return []
        hints = get_type_hints(kind, include_extras=True)
        return [
            found
            for name in kind.__struct_fields__
            for found in numbers(hints[name], f"{where}.{name}", (*seen, kind))
        ]
    return [f for one in get_args(kind) for f in numbers(one, where, seen)]


def test_every_duration_and_moment_of_a_request_has_a_declared_range() -> None:
    assert [f for kind in OPERATIONS for f in numbers(kind, kind.__name__)] == []


# -- every verb of a client ----------------------------------------------------------

NUMBER: SearchAttributeKey[Any] = SearchAttributeKey.for_int("Number")
SHARE: SearchAttributeKey[Any] = SearchAttributeKey.for_float("Share")
WHEN: SearchAttributeKey[Any] = SearchAttributeKey.for_datetime("When")


def one_time(**spec: Any) -> Schedule:
    return Schedule(StartWorkflow(sleeper), ScheduleSpec(**spec))


STARTS: dict[str, list[Any]] = {
    "start_delay": DURATIONS,
    "run_timeout": DURATIONS,
    "execution_timeout": DURATIONS,
    "task_timeout": DURATIONS,
    "priority": EXTREMES,
    "correlation_id": EXTREMES,
    "scheduled_start_time": MOMENTS,
    "retry": [
        RetryPolicy(**{name: extreme})
        for name in ("first", "growth", "longest", "attempts")
        for extreme in EXTREMES
    ],
    "cron_schedule": [f"@every {text}" for text in TEXTS] + ["*/99999999999 * * * *"],
}

VERBS: dict[str, tuple[list[Any], Callable[[Runtime, Any], Awaitable[Any]]]] = {
    **{
        f"start({name}=)": (
            given,
            lambda runtime, x, name=name: runtime.start(sleeper, **{name: x}),  # type: ignore[misc]
        )
        for name, given in STARTS.items()
    },
    "start(search_attributes=int)": (
        EXTREMES,
        lambda runtime, x: runtime.start(
            sleeper, search_attributes=TypedSearchAttributes([NUMBER.value_set(x)])
        ),
    ),
    "start(search_attributes=float)": (
        EXTREMES,
        lambda runtime, x: runtime.start(
            sleeper, search_attributes=TypedSearchAttributes([SHARE.value_set(x)])
        ),
    ),
    "start(search_attributes=datetime)": (
        MOMENTS,
        lambda runtime, x: runtime.start(
            sleeper, search_attributes=TypedSearchAttributes([WHEN.value_set(x)])
        ),
    ),
    "list(limit=)": (EXTREMES, lambda runtime, x: listed(runtime, limit=x)),
    "list(page_size=)": (EXTREMES, lambda runtime, x: listed(runtime, page_size=x)),
    "list(query)": (
        [*EXTREMES, "9" * 5000],
        lambda runtime, x: listed(runtime, f"Number > {text_of(x)}"),
    ),
    "follow_history(page_size=)": (
        EXTREMES,
        lambda runtime, x: followed(runtime, x),  # noqa: PLW0108 (is defined below)
    ),
    "result(rpc_timeout=)": (
        DURATIONS,
        lambda runtime, x: runtime.handle("w").describe(rpc_timeout=x),
    ),
    "schedules(interval)": (
        DURATIONS,
        lambda runtime, x: runtime.schedules.create(
            "one", one_time(intervals=[IntervalSpec(x)])
        ),
    ),
    "schedules(offset)": (
        DURATIONS,
        lambda runtime, x: runtime.schedules.create(
            "one", one_time(intervals=[IntervalSpec("1d", x)])
        ),
    ),
    "schedules(jitter)": (
        DURATIONS,
        lambda runtime, x: runtime.schedules.create(
            "one", one_time(intervals=[IntervalSpec("1d")], jitter=x)
        ),
    ),
    "schedules(calendar)": (
        EXTREMES,
        lambda runtime, x: runtime.schedules.create(
            "one", one_time(calendars=[CalendarSpec(hour=(Range(0, x, x),))])
        ),
    ),
    "schedules(start_at)": (
        MOMENTS,
        lambda runtime, x: runtime.schedules.create(
            "one", one_time(intervals=[IntervalSpec("1d")], start_at=x)
        ),
    ),
    "schedules(end_at)": (
        MOMENTS,
        lambda runtime, x: runtime.schedules.create(
            "one", one_time(intervals=[IntervalSpec("1d")], end_at=x)
        ),
    ),
    "schedules(catchup_window)": (
        DURATIONS,
        lambda runtime, x: runtime.schedules.create(
            "one",
            Schedule(StartWorkflow(sleeper), policy=SchedulePolicy(catchup_window=x)),
        ),
    ),
    "schedules(remaining_actions)": (
        EXTREMES,
        lambda runtime, x: runtime.schedules.create(
            "one",
            Schedule(
                StartWorkflow(sleeper),
                state=ScheduleState(limited_actions=True, remaining_actions=x),
            ),
        ),
    ),
    "backfill": (
        MOMENTS,
        lambda runtime, x: runtime.schedules.handle("s").backfill(
            ScheduleBackfill(x, x)
        ),
    ),
}


async def listed(runtime: Runtime, query: str = "", **options: Any) -> None:
    async for _ in runtime.list(query, **options):
        pass


async def followed(runtime: Runtime, page_size: Any) -> None:
    async for _ in runtime.handle("w").follow_history(wait=False, page_size=page_size):
        pass


def text_of(number: Any) -> str:
    return "1" * 401 if number == 10**400 else str(number)


@KEPT
@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_refuses_an_extreme_value_or_lives_with_it(
    verb: str, tmp_path: Path
) -> None:
    given, call = VERBS[verb]
    said: list[str] = []

    async def act(runtime: Runtime) -> None:
        await runtime.start(sleeper, id="w")
        await runtime.schedules.create("s", one_time(intervals=[IntervalSpec("1d")]))
        for extreme in given:
            try:
                await call(runtime, extreme)
            except REFUSED as error:
                said.append(str(error))
            else:
                await look(runtime)
            if verb.startswith("schedules"):
                await forget(runtime, "one")

    await twice(tmp_path / "a.db", act)
    assert all(len(text) < 1000 for text in said)


async def forget(runtime: Runtime, id: str) -> None:
    try:
        await runtime.schedules.handle(id).delete()
    except EveractError:
        pass


# -- every verb of workflow code -----------------------------------------------------


@workflow(registry=REGISTRY)
async def child(seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)


async def _timeout(x: Any) -> None:
    async with asyncio.timeout(x):
        await asyncio.sleep(0)


async def _upsert(key: SearchAttributeKey[Any], x: Any) -> None:
    upsert_search_attributes(key.value_set(x))


async def _continue(x: Any) -> None:
    continue_as_new(run_timeout=x, task_timeout=x)


async def _options(name: str, x: Any) -> None:
    await failing.with_options(**{name: x, "retries": 0})(None)


AUTHOR: dict[str, tuple[list[Any], Callable[[Any], Awaitable[Any]]]] = {
    "sleep": (DURATIONS, sleep),
    "asyncio.sleep": (EXTREMES, asyncio.sleep),
    "asyncio.timeout": (EXTREMES, _timeout),
    "asyncio.wait_for": (EXTREMES, lambda x: asyncio.wait_for(asyncio.Future(), x)),
    "wait_condition": (DURATIONS, lambda x: wait_condition(lambda: True, timeout=x)),
    "receive": (DURATIONS, lambda x: receive("never", timeout=x)),
    "wait_for": (DURATIONS, lambda x: wait_for("k", SleepCondition(x))),
    "look_back": (
        DURATIONS,
        lambda x: wait_for("k", UserEventCondition("e", scope="s", look_back=x)),
    ),
    "retry_after": (EXTREMES, failing.with_options(retries=1)),
    "timeout": (DURATIONS, lambda x: _options("timeout", x)),
    "queue_timeout": (DURATIONS, lambda x: _options("queue_timeout", x)),
    "child run_timeout": (DURATIONS, lambda x: execute_child(child, run_timeout=x)),
    "child priority": (EXTREMES, lambda x: execute_child(child, priority=x)),
    "child retry": (
        EXTREMES,
        lambda x: execute_child(child, retry=RetryPolicy(first=x, attempts=2)),
    ),
    "upsert int": (EXTREMES, lambda x: _upsert(NUMBER, x)),
    "upsert float": (EXTREMES, lambda x: _upsert(SHARE, x)),
    "upsert datetime": (MOMENTS, lambda x: _upsert(WHEN, x)),
    "continue_as_new": (DURATIONS, _continue),
}


@workflow(registry=REGISTRY)
async def author(verb: str, place: int) -> None:
    given, call = AUTHOR[verb]
    await call(given[place])


@KEPT
@pytest.mark.parametrize("verb", AUTHOR)
async def test_workflow_code_is_refused_an_extreme_value_or_lives_with_it(
    verb: str, tmp_path: Path
) -> None:
    async def act(runtime: Runtime) -> None:
        for place, _ in enumerate(AUTHOR[verb][0]):
            await runtime.start(author, args=(verb, place), id=f"a{place}")
        await asyncio.sleep(1)
        async for line in runtime.list("WorkflowType = 'author'"):
            view = await runtime.handle(line.workflow_id).describe()
            assert not view.aside, (line.workflow_id, view.aside)

    await twice(tmp_path / "a.db", act)
