"""A thread that sees author code block the loop, names it, and interrupts it.

The engine says when an activation begins and ends. One that takes longer than its
limit is reported with run and line, and interrupted; see `interrupting` for how far
that reaches. What cannot be interrupted is told to the observer: a loop that does not
turn serves nobody.

Tasks may take as long as they like, but not without awaiting. Nobody says when a step
of one begins: the thread notices by itself that the loop does not turn, and finds on
the loop's stack whose code it is.
"""

import asyncio
import logging
import threading
import time
from asyncio.events import _set_running_loop
from collections.abc import Callable
from contextlib import suppress
from types import CodeType
from typing import Final, Protocol, TypeVar

from everact.actors import VirtualLoop
from everact.runtime.engine.interrupting import ActivationOverrun, Interrupter
from everact.runtime.engine.stacks import line_of, local_of
from everact.runtime.isolation import is_a

T = TypeVar("T")

logger = logging.getLogger("everact.engine")

POLL = 0.05
"""Seconds between two looks."""

TURN: Final = 0.5
"""Seconds between two looks whether the loop turns."""

BLOCKED: Final = 1.0
"""Seconds without a turn of the loop after which a task is named."""

OVERRUNS: Final = 3
"""Limits of an activation after which it is given up, if it is not interrupted."""


class Observer(Protocol):
    """Is told of a loop that does not turn, on the watchdog's thread."""

    def blocked(self, what: str) -> None:
        """An activation goes on although it was interrupted."""

    def turning(self) -> None:
        """It has come to its end after all."""

    def hopeless(self, what: str) -> None:
        """It went on for a long time: nothing that this process does will end it."""


class Overran(Exception):
    """Author code did not come to an end in its time; the text says where it was."""


class Watchdog:
    """Watches the thread and the loop that create it.

    `attempts` is the code object in whose frame a task's attempt runs.
    """

    def __init__(self, attempts: CodeType | None = None) -> None:
        self.serial = 0
        self.run: object | None = None
        self.limit = 0.0
        self.armed = False
        self.observer: Observer | None = None
        self.place = ""
        """Where the last activation that was interrupted stood."""
        self._lock = threading.Lock()
        self._interrupted = -1
        self._raised = False
        self._pending = False
        self._seen = -1
        self._began = self._since = 0.0
        self._reported = 0
        self._interrupter = Interrupter(self._due)
        self._attempts = attempts
        self._loop = asyncio._get_running_loop()
        self._turns = _Turns(self._loop, self._name)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="everact-watchdog", daemon=True
        )
        self._thread.start()

    def enter(self, run: object, limit: float) -> None:
        """An activation of `run` begins; it may take `limit` seconds.

        The commonest caller does this, and what `leave` does first, in its own frame.
        """
        self.serial += 1
        self.limit = limit
        self.run = run

    def leave(self) -> bool:
        """The activation ended; whether it ran over its limit."""
        self.run = None
        if not self.armed:  # set before the run is looked at: one sees the other
            return False
        _set_running_loop(self._loop)  # what would have done so may be interrupted
        with self._lock:
            raised, self._raised, self.armed = self._raised, False, False
            pending, self._pending = self._pending, False
            if pending:
                self._interrupter.absorb()
        return raised

    def within(self, run: object, limit: float, look: Callable[[], T]) -> T:
        """What `look`, code of `run`, returns; Overran if it takes longer."""
        over = False
        try:
            self.enter(run, limit)
            try:
                return look()
            finally:
                over = self.leave()
        except BaseException as error:
            if over or self.leave() or is_a(error, ActivationOverrun):
                raise Overran(
                    f"its code did not come to an end within {limit:g} s, at "
                    f"{self.place}; do long or blocking work in a @task"
                ) from error
            raise

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()
        self._interrupter.close()

    # -- on the watchdog's thread ----------------------------------------------------

    def _watch(self) -> None:
        while not self._stop.wait(POLL):
            now = time.monotonic()
            self._turns.look(now)
            run, serial = self.run, self.serial
            if run is None or serial != self._seen:
                self._seen, self._began, self._since = serial, now, now
                self._ended()
                continue
            took = now - self._began
            if now - self._since >= self.limit:
                self._interrupt(run, serial, took)
                self._since = now  # code that swallows it is interrupted again
            if took >= self.limit + BLOCKED:
                self._tell(run, took)

    def _interrupt(self, run: object, serial: int, took: float) -> None:
        place = line_of(self._interrupter.thread_id)
        if self._interrupter.reaches_calls:
            self.place = place
            self._interrupted = serial
            self._interrupter.signal()
        else:
            with self._lock:
                self.armed = True
                if self.run is None or self.serial != serial:
                    self.armed = self._raised
                    return
                self.place = place
                self._raised = self._pending = True
                self._interrupter.leave_exception()
        logger.error(
            "%s blocks the event loop for %.1f s, at %s: workflow code must await; "
            "do blocking work in a @task",
            run,
            took,
            place,
        )

    def _tell(self, run: object, took: float) -> None:
        """The activation goes on all the same: it is not to be interrupted there."""
        if self._reported > 1 or (self._reported and took < OVERRUNS * self.limit):
            return
        self._reported += 1
        what = (
            f"{run} blocks the event loop for {took:.0f} s, at "
            f"{line_of(self._interrupter.thread_id)}, and cannot be interrupted there"
        )
        observer = self.observer
        if self._reported == 1:
            logger.error("%s: nothing else goes on in this process", what)
            if observer is not None:
                observer.blocked(what)
        elif observer is not None:
            observer.hopeless(what)
        else:
            logger.error("%s: end the process; at the next start it goes on", what)

    def _ended(self) -> None:
        if self._reported:
            self._reported = 0
            if self.observer is not None:
                self.observer.turning()

    def _name(self, took: float) -> None:
        """Say whose code keeps the loop from turning, if it is an author's."""
        run, attempt = self.run, None
        thread_id = self._interrupter.thread_id
        if run is None and self._attempts is not None:
            attempt = local_of(thread_id, self._attempts, "attempt")
        if run is not None:
            who = f"the code of {run}"
        elif attempt is not None:
            who = f"task {attempt.command.name!r} of {attempt.run}"
        else:
            return
        logger.warning(
            "%s blocks the event loop for %.1f s, at %s: nothing else goes on in this "
            "process; await there, or do it in a task that is a plain function, which "
            "has a thread of its own",
            who,
            took,
            line_of(thread_id),
        )

    # -- on the loop's thread ----------------------------------------------------------

    def _due(self) -> bool:
        """On the loop's thread: whether the activation that was signalled goes on."""
        if self.run is None or self.serial != self._interrupted:
            return False
        self.armed = self._raised = True
        return True


class _Turns:
    """Whether a loop turns: asked on the watchdog's thread, answered on the loop's.

    A loop whose time is virtual is not asked: what it does must not depend on how long
    it really takes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None,
        blocked: Callable[[float], None],
    ) -> None:
        self._loop = loop
        self._blocked = blocked
        self._asked: float | None = None
        self._next = 0.0
        self._patience = BLOCKED

    def look(self, now: float) -> None:
        """Ask, or say how long there is no answer: each time after twice as long."""
        asked = self._asked
        if isinstance(self._loop, VirtualLoop):  # a loop may become one later
            self._asked = None
        elif asked is not None:
            if now - asked >= self._patience:
                self._patience *= 2
                self._blocked(now - asked)
        elif self._loop is not None and now >= self._next:
            self._asked = now
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._turned)

    def _turned(self) -> None:
        self._patience = BLOCKED
        self._next = time.monotonic() + TURN
        self._asked = None
