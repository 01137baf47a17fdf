"""Operations on the clock of an engine under test (see `engine.controlled`)."""

from typing import TYPE_CHECKING, Any

import msgspec

from everact.runtime.core.bounds import LAST_MOMENT, Seconds
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.engine.controlled import ControlledLoop
from everact.runtime.errors import RPCError, invalid
from everact.runtime.operations.access import Access
from everact.runtime.operations.base import Request, operation

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine


class ClockReading(msgspec.Struct, frozen=True, kw_only=True):
    """What the clock shows in epoch seconds, and whether it stands still."""

    now: float
    locked: bool


class ReadClock(Request[ClockReading], frozen=True, kw_only=True):
    """Read the engine's clock; the one operation here that any engine takes."""


class LockClock(Request[ClockReading], frozen=True, kw_only=True):
    """Let time stand still, or pass by itself; UNIMPLEMENTED for a real clock."""

    locked: bool = True


class AdvanceClock(Request[ClockReading], frozen=True, kw_only=True):
    """Let time pass and do all that is due in it, in order; durable when answered.

    The clock stands still afterwards. UNIMPLEMENTED for a real clock.
    """

    seconds: Seconds


@operation("clock.now", ReadClock, access=Access.INFO)
async def read_clock(engine: "Engine", _: ReadClock) -> ClockReading:
    """Read it."""
    return _reading(engine)


@operation("clock.lock", LockClock)
async def lock_clock(engine: "Engine", request: LockClock) -> ClockReading:
    """Lock or unlock it."""
    loop = _controlled(engine)
    if request.locked:
        loop.lock()
    else:
        loop.unlock()
    return _reading(engine)


@operation("clock.advance", AdvanceClock)
async def advance_clock(engine: "Engine", request: AdvanceClock) -> ClockReading:
    """Advance it, one caller at a time."""
    loop = _controlled(engine)
    async with loop.advancing:
        if engine.clock.now() + request.seconds > LAST_MOMENT:
            raise invalid("the clock cannot be advanced beyond the year 8999")
        await loop.advance(request.seconds)
    await engine.commits.idle()
    return _reading(engine)


def _reading(engine: "Engine") -> ClockReading:
    loop = engine.loop
    locked = isinstance(loop, ControlledLoop) and loop.locked
    return ClockReading(now=engine.clock.now(), locked=locked)


def _controlled(engine: "Engine") -> ControlledLoop:
    loop: Any = engine.loop
    if not isinstance(loop, ControlledLoop):
        raise RPCError(
            "this engine runs on the real clock, which nobody can set; only an engine "
            "started with a test clock takes this",
            RPCStatus.UNIMPLEMENTED,
        )
    return loop
