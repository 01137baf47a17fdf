"""The time limits of an attempt, and what it tells of itself: heartbeats."""

from collections.abc import Callable
from typing import Protocol

from everact.actors import TimerHandle
from everact.runtime.core.failures import TimeoutKind
from everact.runtime.core.records import HeartbeatRecorded, RunTask
from everact.runtime.engine.host import Run

HEARTBEAT_INTERVAL = 1.0
"""Seconds at least between two recordings of heartbeat details of an attempt."""


class Limited(Protocol):
    """An attempt, as its limits know it."""

    settled: bool

    @property
    def run(self) -> Run: ...
    @property
    def command(self) -> RunTask: ...

    def exceeded(self, kind: TimeoutKind, limit: float) -> None:
        """A limit is over: the attempt has failed."""


class Limits:
    """The timers of one attempt that has limits or sends heartbeats."""

    def __init__(self, attempt: Limited) -> None:
        self._attempt = attempt
        self._clock = attempt.run.engine.clock
        self._handles: dict[TimeoutKind, TimerHandle] = {}
        self._timeout = 0.0
        self._deadline = 0.0
        self._silence = 0.0
        self._last_beat = 0.0
        self._recorded_at = float("-inf")
        self._details: tuple[bytes, ...] | None = None
        self._recorder: TimerHandle | None = None

    def start_queue(self, limit: float) -> None:
        self._arm(TimeoutKind.QUEUE, limit, self._attempt.exceeded, limit)

    def start_total(self, limit: float, left: float) -> None:
        """What is `left` of the time for all attempts together."""
        self._arm(TimeoutKind.TOTAL, left, self._attempt.exceeded, limit)

    def stop_queue(self) -> None:
        handle = self._handles.pop(TimeoutKind.QUEUE, None)
        if handle is not None:
            handle.cancel()

    def start(self, timeout: float | None, silence: float | None) -> None:
        now = self._last_beat = self._clock.monotonic()
        if timeout is not None:
            self._timeout, self._deadline = timeout, now + timeout
            self._arm(TimeoutKind.ATTEMPT, timeout, self._attempt.exceeded, timeout)
        if silence is not None:
            self._silence = silence
            self._arm(TimeoutKind.HEARTBEAT, silence, self._silent, silence)

    @property
    def silent_for(self) -> float:
        """Seconds since the attempt began, or was heard of."""
        return self._clock.monotonic() - self._last_beat

    @property
    def left(self) -> float | None:
        """Seconds until the attempt has taken too long; None without a limit."""
        if TimeoutKind.ATTEMPT not in self._handles:
            return None
        return max(0.0, self._deadline - self._clock.monotonic())

    def extend(self, increment: float) -> None:
        """Move the deadline of the attempt, if it has one."""
        handle = self._handles.get(TimeoutKind.ATTEMPT)
        if handle is None or self._attempt.settled:
            return
        handle.cancel()
        self._deadline += increment
        self._timeout += increment
        left = max(0.0, self._deadline - self._clock.monotonic())
        self._arm(TimeoutKind.ATTEMPT, left, self._attempt.exceeded, self._timeout)

    def beat(self, details: tuple[bytes, ...]) -> None:
        """Note a sign of life; record its details soon, the last of several."""
        if self._attempt.settled:
            return
        now = self._last_beat = self._clock.monotonic()
        if not details:
            return
        self._details = details
        if self._recorder is None:
            wait = max(0.0, self._recorded_at + HEARTBEAT_INTERVAL - now)
            if wait == 0:
                self._record()
            else:
                self._recorder = self._clock.call_later(wait, self._record)

    def stop(self) -> None:
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()
        if self._recorder is not None:
            self._recorder.cancel()
            self._recorder = None

    def put_back(self) -> HeartbeatRecorded | None:
        """The attempt has not begun after all; as `flush`."""
        self.stop()
        return self.flush()

    def flush(self) -> HeartbeatRecorded | None:
        """Details that were not recorded yet, as the event that records them."""
        details, self._details = self._details, None
        if details is None:
            return None
        return HeartbeatRecorded(self._attempt.command.call, details)

    def _record(self) -> None:
        self._recorder = None
        event = self.flush()
        if event is not None and not self._attempt.settled:
            self._recorded_at = self._clock.monotonic()
            self._attempt.run.post(event)

    def _silent(self, kind: TimeoutKind, limit: float) -> None:
        left = self._last_beat + limit - self._clock.monotonic()
        if left > 0:
            self._arm(kind, left, self._silent, limit)
        else:
            self._attempt.exceeded(kind, limit)

    def _arm(
        self,
        kind: TimeoutKind,
        delay: float,
        then: Callable[[TimeoutKind, float], None],
        limit: float,
    ) -> None:
        self._handles[kind] = self._clock.call_later(delay, then, kind, limit)
