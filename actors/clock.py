"""Time for actors: one port, the real clock, and virtual time for tests.

The rule kept here: a ``call_at`` timer lives on the wall-clock axis and never fires
before ``now() >= when``, whatever happens to the wall clock meanwhile; ``call_later``
lives on the monotonic axis and knows nothing of the wall clock.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import math
import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias, TypeVar

__all__ = [
    "Clock",
    "SystemClock",
    "TimerHandle",
    "VirtualClock",
    "VirtualLoop",
    "run_virtual",
]

T = TypeVar("T")

Selected: TypeAlias = list[tuple[selectors.SelectorKey, int]]

#: Seconds after which the real clock looks again at the wall time of its next timer:
#: the greatest lateness after the wall clock was set forward or the machine slept.
RECHECK = 1.0

#: Seconds that a virtual loop waits at most in one real select.
SLICE = 0.05


class TimerHandle(Protocol):
    """A timer that was armed. ``cancel`` is idempotent, also after it has fired."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """What actors know of time. All methods but ``now``, ``monotonic``, ``hold`` and
    ``release`` belong on the thread of the loop.
    """

    def now(self) -> float:
        """Wall-clock time in epoch seconds. It may jump, also backwards."""
        ...

    def monotonic(self) -> float:
        """Seconds since an unspecified start. Never goes back."""
        ...

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any
    ) -> TimerHandle:
        """Call once ``now() >= when`` (epoch seconds), never synchronously."""
        ...

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any
    ) -> TimerHandle:
        """Call after ``delay`` monotonic seconds, never synchronously."""
        ...

    def hold(self) -> None:
        """Work outside the loop begins: virtual time must stand still."""
        ...

    def release(self) -> None:
        """Work outside the loop has ended, and the loop was told of its outcome.

        One release for every hold.
        """
        ...


class _WallTimer:
    """One callback on the wall-clock axis."""

    __slots__ = ("args", "callback", "context", "when")

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self.when = when
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = contextvars.copy_context()

    def cancel(self) -> None:
        self.callback = None
        self.args = ()


class _WallTimers:
    """All wall-clock timers of one loop: a heap behind a single loop timer.

    The loop timer is armed for the earliest of them, or for ``recheck`` seconds if
    that is nearer, so that a change of the wall clock is noticed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        recheck: float,
    ) -> None:
        self.loop = loop
        self._now = now
        self._recheck = recheck
        self._heap: list[tuple[float, int, _WallTimer]] = []
        self._order = itertools.count()
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for = math.inf

    def add(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> _WallTimer:
        timer = _WallTimer(when, callback, args)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        if when < self._armed_for:
            self.rearm()
        return timer

    def rearm(self) -> None:
        """Arm the loop timer for the earliest live timer; drop cancelled heads."""
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
        if not heap:
            self._armed_for = math.inf
            return
        self._armed_for = heap[0][0]
        delay = min(max(0.0, self._armed_for - self._now()), self._recheck)
        self._armed = self.loop.call_later(delay, self._fire)

    def _fire(self) -> None:
        heap = self._heap
        now = self._now()
        try:
            while heap and heap[0][0] <= now:
                self._call(heapq.heappop(heap)[2])
        finally:
            self.rearm()

    def _call(self, timer: _WallTimer) -> None:
        callback = timer.callback
        if callback is None:
            return
        args, timer.callback = timer.args, None
        try:
            timer.context.run(callback, *args)
        except Exception as error:  # one timer must not stop the others
            self.loop.call_exception_handler(
                {"message": f"Exception in timer {callback!r}", "exception": error}
            )


class SystemClock:
    """The machine's clock. Binds to the running loop at its first timer."""

    __slots__ = ("_timers",)

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._timers: _WallTimers | None = None

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any
    ) -> TimerHandle:
        timers = self._timers
        if timers is None or timers.loop.is_closed():
            loop = asyncio.get_running_loop()
            timers = self._timers = _WallTimers(loop, self.now, RECHECK)
        return timers.add(when, callback, args)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any
    ) -> TimerHandle:
        return asyncio.get_running_loop().call_later(delay, callback, *args)

    def hold(self) -> None:
        """Real time does not wait for anybody."""

    def release(self) -> None:
        """Real time does not wait for anybody."""


class _VirtualSelector(selectors.DefaultSelector):
    """A selector that lets the loop's virtual time jump instead of waiting."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Selected:
        return self.loop.select_virtually(super().select, timeout)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual: it costs nothing to wait.

    Exactly when the loop would block with nothing ready and no hold is outstanding,
    ``time()`` jumps to the next timer. While a hold is outstanding, or when nothing is
    scheduled, it really waits, and calls from other threads wake it.
    """

    def __init__(self) -> None:
        self._virtual_time = 0.0
        self._holds = 0
        self._holds_lock = threading.Lock()
        selector = _VirtualSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_time

    @property
    def is_held(self) -> bool:
        """Whether work outside the loop is under way."""
        return self._holds > 0

    def hold(self) -> None:
        """Keep virtual time from jumping. From any thread."""
        with self._holds_lock:
            self._holds += 1

    def release(self) -> None:
        """End one hold. From any thread, after the outcome was handed to the loop."""
        with self._holds_lock:
            if self._holds == 0:
                raise RuntimeError("release() without hold()")
            self._holds -= 1
            last = self._holds == 0
        if last and not self.is_closed():
            self.call_soon_threadsafe(_nothing)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """As always, and a hold for as long as the call runs in its thread."""
        future = super().run_in_executor(executor, func, *args)
        self.hold()
        future.add_done_callback(lambda _: self.release())
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """As always, really waiting: its time limit must not pass virtually."""
        self.hold()
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self.release()

    def select_virtually(
        self,
        select: Callable[[float | None], Selected],
        timeout: float | None,
    ) -> Selected:
        """What the loop's selector does: let time jump instead of waiting."""
        # Asked before looking: a thread announces its outcome first and releases its
        # hold after, so without a hold here the look cannot miss the outcome.
        held = self.is_held
        ready = select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if not held and self.jump_to_next_timer():
            return ready
        return select(SLICE)

    def jump_to_next_timer(self) -> bool:
        """Move time to the next timer. False if there is none."""
        # The heap of timers is asyncio's own; only its head gives the exact due time.
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not scheduled:
            return False
        self._virtual_time = max(self._virtual_time, scheduled[0].when())
        return True


def _nothing() -> None:
    """A callback that only wakes the loop."""


class VirtualClock:
    """The clock of a :class:`VirtualLoop`, with a wall clock that can be set.

    ``now()`` is ``epoch`` plus virtual time plus all jumps.
    """

    def __init__(self, loop: VirtualLoop, *, epoch: float = 1_700_000_000.0) -> None:
        self._loop = loop
        self._epoch = epoch
        self._timers = _WallTimers(loop, self.now, math.inf)

    def now(self) -> float:
        return self._epoch + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; monotonic time does not move."""
        self._epoch += seconds
        self._timers.rearm()

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any
    ) -> TimerHandle:
        return self._timers.add(when, callback, args)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any
    ) -> TimerHandle:
        return self._loop.call_later(delay, callback, *args)

    def hold(self) -> None:
        self._loop.hold()

    def release(self) -> None:
        self._loop.release()


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a fresh :class:`VirtualLoop` and return its value."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
