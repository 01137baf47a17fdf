"""Which event loop, and which process, a client belongs to.

A client may be used on one loop only, and not in a child that was forked while it was
in use: its sockets, threads and database are the parent's there.
"""

import asyncio
import os
from asyncio import _get_running_loop
from weakref import WeakSet

from everact.runtime.definitions.durable import DurableLoop
from everact.runtime.errors import RuntimeStateError


class Affinity:
    """The loop that something belongs to; None while it belongs to none.

    ``_get_running_loop() is affinity.loop`` is the whole check where calls are fast;
    `refusal` is what to raise if it does not hold.
    """

    __slots__ = ("__weakref__", "_ended", "_of", "loop")

    def __init__(self, of: str, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop
        self._of = of
        self._ended = ""
        _known.add(self)

    def enter(self) -> asyncio.AbstractEventLoop:
        """Bind to the running loop if bound to none yet; refuse any other."""
        loop = _get_running_loop()
        if self.loop is None and not self._ended and not isinstance(loop, DurableLoop):
            self.loop = loop
        if loop is None or loop is not self.loop:
            raise self.refusal()
        return loop

    def end(self, why: str) -> None:
        """Refuse everything from now on; the first reason stays."""
        self.loop, self._ended = None, self._ended or why

    @property
    def ended(self) -> bool:
        """Whether everything is refused."""
        return bool(self._ended)

    def refusal(self) -> RuntimeStateError:
        """Why a call is refused here."""
        if isinstance(_get_running_loop(), DurableLoop):
            return RuntimeStateError(
                "workflow code cannot use a client, what it does would not be "
                "durable: use start_child, execute_child, signal_run or cancel_run, "
                "or a @task"
            )
        if self._ended:
            return RuntimeStateError(f"the {self._of} {self._ended}")
        return RuntimeStateError(
            f"the {self._of} belongs to another event loop: await its methods on the "
            "loop that it was opened on (from another thread with "
            "asyncio.run_coroutine_threadsafe), or use the blocking form"
        )


_known: WeakSet[Affinity] = WeakSet()


def _forked() -> None:
    """In a forked child: what was bound to a loop stays the parent's for good."""
    for affinity in _known:
        if affinity.loop is not None:
            affinity.end(
                "was opened before a fork and belongs to the parent process: open "
                "another one in this process"
            )


os.register_at_fork(after_in_child=_forked)
