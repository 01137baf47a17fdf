"""The default actor system: what `Actor.start()` uses, as pykka's users know it.

It is the system hosted on the running loop, the latest if there are several. Where no
loop is running, or it hosts none, it is the background system: one per process, on a
daemon thread, made at first use and stopped when the interpreter exits.
"""

from __future__ import annotations

import atexit
import os
import threading
from asyncio import _get_running_loop as running_loop

from everact.actors import hosting
from everact.actors.system import ActorSystem

__all__ = ["background_system", "current_system"]

#: Seconds that the actors of the background system get at the exit of the interpreter.
EXIT_TIMEOUT = 2.0

_lock = threading.Lock()
_background: ActorSystem | None = None


def current_system() -> ActorSystem:
    """The system of the running loop, else the background system."""
    found: ActorSystem | None = hosting.latest(running_loop())
    return found or background_system()


def background_system() -> ActorSystem:
    """The process-wide system on a daemon thread. Made anew if it was closed."""
    global _background
    with _lock:
        if _background is None or not _background.is_open:
            _background = ActorSystem.in_thread("background")
            atexit.register(_background.close, timeout=EXIT_TIMEOUT)
        return _background


def _forget() -> None:
    """After a fork the child has no such thread."""
    global _background, _lock
    _background, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
