"""Durable waits: for time to pass and for user events, all of several or any of them.

What is recorded of a wait are its members, a timer for each sleep and a call for each
event; how they are combined is plain asyncio, the same on every replay.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias, overload

from everact.runtime.core.durations import Duration, optional_seconds, seconds
from everact.runtime.core.keywords import suggesting
from everact.runtime.definitions.author import sleep
from everact.runtime.definitions.durable import DurableLoop, durable_loop
from everact.runtime.filters.parsing import parse
from everact.runtime.values.payloads import checked_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """The user event that met a condition."""

    event_id: str
    key: str
    payload: Any


@dataclass(frozen=True, slots=True)
class SleepCondition:
    """Met when `duration` is over, counted from when the wait is recorded.

    `key` is its name in the answer, else ``sleep:90s``, with the duration in seconds.
    """

    duration: Duration
    key: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        seconds(self.duration, what="the duration of a sleep condition")
        _check_name(self.key, "the key of a condition")

    @property
    def name(self) -> str:
        """What it is called in the answer."""
        return self.key or f"sleep:{seconds(self.duration):g}s"


@suggesting
@dataclass(frozen=True, slots=True)
class UserEventCondition:
    """Met by a user event of that key, pushed once the wait is recorded.

    `filter` is what its payload must fit, `scope` the scope that it must have; without
    one, events of every scope count. `look_back` lets events count that were stored so
    long before, the oldest first; it takes a scope. `key` is its name in the answer,
    else the event key. ValueError for a filter that cannot be read.
    """

    event_key: str
    filter: str | None = field(default=None, kw_only=True)
    scope: str | None = field(default=None, kw_only=True)
    key: str | None = field(default=None, kw_only=True)
    look_back: Duration | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.event_key, "the key of an event", required=True)
        _check_name(self.scope, "the scope of an event")
        _check_name(self.key, "the key of a condition")
        optional_seconds(self.look_back, what="look_back")
        if self.look_back is not None and self.scope is None:
            raise ValueError("look_back takes a scope: events are looked for in it")
        if self.filter is not None:
            read = parse(self.filter)
            if read.order or read.group:
                raise ValueError("a filter of events neither orders nor groups them")

    @property
    def name(self) -> str:
        """What it is called in the answer."""
        return self.key or self.event_key


Condition: TypeAlias = SleepCondition | UserEventCondition


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions of which one is enough; see `any_of`."""

    conditions: tuple[Condition, ...]


class _Member(NamedTuple):
    """A condition of a wait, and the future that is done when it is met."""

    name: str
    met: "asyncio.Future[Any]"


class _Wait:
    """A wait that is recorded under its signal key, and how many await it now."""

    __slots__ = ("conditions", "outcome", "waiting")

    def __init__(
        self, conditions: tuple[Any, ...], outcome: "asyncio.Task[dict[str, Any]]"
    ) -> None:
        self.conditions = conditions
        self.outcome = outcome
        self.waiting = 0


def any_of(*conditions: Condition) -> AnyOf:
    """A group that is met by the first of its members; the others are given up.

    ValueError without any, TypeError for what is no condition.
    """
    if not conditions:
        raise ValueError("any_of needs a condition")
    for condition in conditions:
        _check_kind(condition, (SleepCondition, UserEventCondition))
    return AnyOf(conditions)


@overload
async def wait_for(
    signal_key: str, condition: UserEventCondition, /, *conditions: UserEventCondition
) -> dict[str, ReceivedEvent]: ...
@overload
async def wait_for(
    signal_key: str, condition: SleepCondition, /, *conditions: SleepCondition
) -> dict[str, timedelta]: ...
@overload
async def wait_for(
    signal_key: str, /, *conditions: Condition | AnyOf
) -> dict[str, Any]: ...
async def wait_for(
    signal_key: str, /, *conditions: Condition | AnyOf
) -> dict[str, Any]:
    """Wait durably until all conditions are met; what met them, by condition key.

    That is a `ReceivedEvent` of an event condition and the time slept of a sleep. Of
    an `any_of` group, whose first member is enough, what was not met is not there. So
    a sleep beside an event does not limit the wait: a sleep in a group with it does.

    `signal_key` names the wait in its run. It is recorded once: whoever waits under
    the same key again gets the outcome of the wait that is there already, so a loop
    needs a key for each turn. ValueError if the conditions are other ones then, if two
    have the same key, without conditions, and outside workflow code.
    """
    loop = durable_loop()
    if loop is None:
        raise ValueError("only workflow code has durable waits: nothing records this")
    _check_name(signal_key, "signal_key", required=True)
    _check(conditions)
    waits = loop.named_waits
    wait = waits.get(signal_key)
    if wait is None:
        units = [_opened(loop, signal_key, condition) for condition in conditions]
        wait = _Wait(conditions, asyncio.ensure_future(_all(units)))
        waits[signal_key] = wait
    elif wait.conditions != conditions:
        raise ValueError(f"{signal_key!r} names a wait for other conditions already")
    wait.waiting += 1
    try:
        return dict(await asyncio.shield(wait.outcome))
    finally:
        wait.waiting -= 1
        if not wait.waiting and not wait.outcome.done():
            wait.outcome.cancel()
            del waits[signal_key]


def _opened(
    loop: DurableLoop, signal_key: str, unit: Condition | AnyOf
) -> list[_Member]:
    """Open a condition, or each of a group."""
    members = unit.conditions if isinstance(unit, AnyOf) else (unit,)
    return [_Member(c.name, _opened_one(loop, signal_key, c)) for c in members]


def _opened_one(
    loop: DurableLoop, signal_key: str, condition: Condition
) -> "asyncio.Future[Any]":
    if isinstance(condition, SleepCondition):
        return asyncio.ensure_future(sleep(condition.duration))
    back = optional_seconds(condition.look_back, what="look_back")
    return loop.await_event(
        condition.event_key,
        scope=condition.scope,
        filter=condition.filter or "",
        since=None if back is None else loop.wall_time() - back,
        wait=signal_key,
    )


async def _all(units: list[list[_Member]]) -> dict[str, Any]:
    met = await asyncio.gather(*map(_first, units))
    return {name: value for found in met for name, value in found.items()}


async def _first(members: list[_Member]) -> dict[str, Any]:
    """What the members are that are met as soon as one is; the others are given up."""
    try:
        await asyncio.wait(
            [member.met for member in members], return_when=asyncio.FIRST_COMPLETED
        )
        return {m.name: m.met.result() for m in members if m.met.done()}
    finally:
        for member in members:
            member.met.cancel()


def _check(conditions: Iterable[Any]) -> None:
    names: set[str] = set()
    for given in conditions:
        _check_kind(given, (SleepCondition, UserEventCondition, AnyOf))
        for condition in given.conditions if isinstance(given, AnyOf) else (given,):
            if condition.name in names:
                raise ValueError(
                    f"two conditions have the key {condition.name!r}: give them keys "
                    "of their own with key=…"
                )
            names.add(condition.name)
    if not names:
        raise ValueError("a wait needs a condition")


def _check_kind(given: Any, kinds: tuple[type, ...]) -> None:
    if not isinstance(given, kinds):
        names = ", ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"a condition is one of {names}, not {given!r}")


def _check_name(text: str | None, what: str, *, required: bool = False) -> None:
    if text is None and not required:
        return
    if not isinstance(text, str):
        raise TypeError(f"{what} must be text, not {type(text).__name__}")
    if not text:
        raise ValueError(f"{what} must not be empty")
    checked_text(text, what)
