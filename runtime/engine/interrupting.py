"""Interrupting the thread of a loop in the middle of a call.

On the main thread that is a signal whose handler raises: it comes through any system
call that Python waits in (PEP 475), and it is judged when it is delivered, so one that
comes too late does nothing. SIGURG is free for this: nobody sends it by chance, and
without a handler it is ignored. A handler that the program has for it stays in force
for all signals but ours.

On any other thread an exception is left for the interpreter to raise there. That is
done between two lines of Python, so a call that waits in the system is not ended.
"""

import ctypes
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

NUMBER: Final = signal.SIGURG


class ActivationOverrun(BaseException):
    """Raised in workflow code that ran longer than its limit."""


class _Interrupt:
    """One watchdog's way to the main thread. `due` says there whether to raise."""

    def __init__(self, due: Callable[[], bool]) -> None:
        self.due = due
        self.sent = False


_lock = threading.Lock()
_present: tuple[_Interrupt, ...] = ()
_before: Any = signal.SIG_DFL


class Interrupter:
    """Interrupts the thread that creates it. `due` is asked there, without a lock.

    It answers whether what is to be interrupted is still going on, and takes note.
    """

    def __init__(self, due: Callable[[], bool]) -> None:
        self.thread_id = threading.get_ident()
        self._own = _Interrupt(due)
        self._signals = _enter(self._own)

    @property
    def reaches_calls(self) -> bool:
        """Whether a call that waits in the system is ended too."""
        return self._signals and signal.getsignal(NUMBER) is _on_signal

    def signal(self) -> None:
        """Have the handler look, as soon as the main thread can."""
        self._own.sent = True
        signal.pthread_kill(self.thread_id, NUMBER)

    def leave_exception(self) -> None:
        """Have `ActivationOverrun` raised at the next line of Python; see `absorb`."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self.thread_id), ctypes.py_object(ActivationOverrun)
        )

    def absorb(self) -> None:
        """Take what `leave_exception` may have left, on the thread itself.

        Only a delivery makes the interpreter stop looking for more: an exception that
        is called back (set to null) leaves it looking at every call, for ever.
        """
        try:
            self.leave_exception()  # in place of the one that is pending
            while True:
                pass
        except ActivationOverrun:
            return

    def close(self) -> None:
        """Put back the handler that was there before, with the last of us."""
        if self._signals:
            self._signals = False
            _leave(self._own)


def _enter(interrupt: _Interrupt) -> bool:
    """Take part in the signal; False where that cannot be."""
    global _present, _before
    if threading.current_thread() is not threading.main_thread():
        return False
    with _lock:
        present = signal.getsignal(NUMBER)
        if present is None:  # not installed from Python: it could not be put back
            return False
        if present is not _on_signal:
            _before = present
            signal.signal(NUMBER, _on_signal)
        _present = (*_present, interrupt)
    return True


def _leave(interrupt: _Interrupt) -> None:
    global _present
    with _lock:
        _present = tuple(one for one in _present if one is not interrupt)
        last = not _present and signal.getsignal(NUMBER) is _on_signal
        if last and threading.current_thread() is threading.main_thread():
            signal.signal(NUMBER, _before)


def _on_signal(number: int, frame: FrameType | None) -> None:
    ours = False
    for interrupt in _present:
        if interrupt.sent:
            ours, interrupt.sent = True, False
            if interrupt.due():
                raise ActivationOverrun
    if not ours and callable(_before):
        _before(number, frame)
