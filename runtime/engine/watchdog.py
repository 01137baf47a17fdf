"""A thread that sees workflow code block the loop, names it, and interrupts it.

The engine says when an activation begins and ends. One that takes longer than its
limit is reported with run and line; if it is in Python code it is interrupted there,
otherwise as soon as it returns to Python code. Only the thread of the loop can be
interrupted, and only while an activation is on it.
"""

import ctypes
import logging
import sys
import threading
import time

logger = logging.getLogger("everact.engine")

POLL = 0.05
"""Seconds between two looks."""


class ActivationOverrun(BaseException):
    """Raised in workflow code that ran longer than its limit."""


class Watchdog:
    """Watches the thread that creates it."""

    def __init__(self) -> None:
        self._thread_id = threading.get_ident()
        self._lock = threading.Lock()
        self.serial = 0
        self.run: object | None = None
        self.limit = 0.0
        self._seen = -1
        self._since = 0.0
        self.armed = False
        self._raised = False
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
        with self._lock:
            raised, self._raised, self.armed = self._raised, False, False
            if raised:
                _absorb(self._thread_id)
        return raised

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(POLL):
            run, serial = self.run, self.serial
            if run is None:
                continue
            now = time.monotonic()
            if serial != self._seen:
                self._seen, self._since = serial, now
                continue
            if now - self._since >= self.limit:
                self._interrupt(run, serial, now - self._since)
                self._since = now  # code that swallows it is interrupted again

    def _interrupt(self, run: object, serial: int, took: float) -> None:
        place = _line_of(self._thread_id)
        with self._lock:
            self.armed = True
            if self.run is None or self.serial != serial:
                self.armed = self._raised
                return
            self._raised = True
            _raise(self._thread_id, ActivationOverrun)
        logger.error(
            "%s blocks the event loop for %.1f s, at %s: workflow code must await; "
            "do blocking work in a @task",
            run,
            took,
            place,
        )


def _line_of(thread_id: int) -> str:
    frame = sys._current_frames().get(thread_id)
    if frame is None:
        return "an unknown line"
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"


def _raise(thread_id: int, kind: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(kind)
    )


def _absorb(thread_id: int) -> None:
    """Take what may be pending for this thread, so that nothing is pending after.

    Only a delivery makes the interpreter stop looking for more: an exception that is
    called back (set to null) leaves it looking at every call, for ever.
    """
    try:
        _raise(thread_id, ActivationOverrun)  # in place of the one that is pending
        while True:
            pass
    except ActivationOverrun:
        return
