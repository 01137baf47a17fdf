"""A deterministic event loop: plain asyncio whose every wait is recorded.

The loop never blocks and never looks at a clock. Time is the time of the current
activation; a timer is a command; a call is a future that an event resolves. Tasks
and futures are hashed by a number of the run's own, because asyncio iterates over
sets of them and an order by memory address would differ on replay.
"""

import asyncio
import contextvars
import logging
import math
import random as _random
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import msgspec

from everact.runtime.core.bounds import LAST_MOMENT, LONGEST
from everact.runtime.core.records import CancelCall, CancelTask, Command, StartTimer
from everact.runtime.errors import ForeignAwait, ReadOnlyError
from everact.runtime.isolation import (
    contained,
    for_future,
    is_a,
    log,
    read,
    shown,
    untraced,
)

logger = logging.getLogger("everact.workflow")

_wake_sleeper = asyncio.futures._set_result_unless_cancelled  # type: ignore[attr-defined]
_NO_CONTEXT = contextvars.Context()
"""For the timers of `asyncio.sleep`, whose callback looks at none."""

_future, _task = asyncio.Future.__init__, asyncio.Task.__init__
_ORDERS = 0x7FFFFFFFFFFFFFF

SLICE = 20_000
"""Callbacks run in one go before others get a turn."""

_REFUSED = (
    "workflow code cannot {what}: that is not recorded and would not survive a crash; "
    "do it in a @task and await the task"
)


class ReadyHandle(msgspec.Struct, eq=False):
    """A callback in the ready queue; the part of asyncio.Handle that is used."""

    _callback: Callable[..., Any]
    _args: tuple[Any, ...]
    _context: contextvars.Context
    _cancelled: bool = False

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled


class DurableTimer(ReadyHandle):
    """A timer that fires by an event; cancelling it is a command."""

    call: int = 0
    _when: float = 0.0
    _loop: "DeterministicLoop | None" = None

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            assert self._loop is not None
            self._loop.drop(self.call)


class OrderedFuture(asyncio.Future[Any]):
    """A future with a place in its run's order."""

    __slots__ = ("order",)

    def __init__(self, *, loop: "DeterministicLoop") -> None:
        self.order = loop.next_order()
        _future(self, loop=loop)

    def __hash__(self) -> int:
        return self.order


class CallFuture(asyncio.Future[Any]):
    """The outcome of a durable call; cancelling it drops the call."""

    __slots__ = ("call", "order")

    call: int
    order: int

    def __hash__(self) -> int:
        return self.order

    def cancel(self, msg: Any = None) -> bool:
        if not super().cancel(msg):
            return False
        loop = self.get_loop()
        assert isinstance(loop, DeterministicLoop)
        loop.drop(self.call)
        return True


class WaitedCall(CallFuture):
    """A call that, when it is cancelled, waits for what becomes of its task or child.

    `asked` is whether that was asked to stop.
    """

    __slots__ = ("asked",)

    def __init__(self, *, loop: "DeterministicLoop") -> None:
        super().__init__(loop=loop)
        self.asked = False

    def cancel(self, msg: Any = None) -> bool:
        loop = self.get_loop()
        assert isinstance(loop, DeterministicLoop)
        if self.done() or loop.closing:
            return super().cancel(msg)
        if not self.asked:
            if not loop.is_recorded(self.call):
                return super().cancel(msg)  # there is nothing to wait for
            self.asked = True
            loop.commands.append(CancelTask(self.call))
        return True


class OrderedTask(asyncio.Task[Any]):
    """A task with a place in its run's order."""

    __slots__ = ("order",)

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        *,
        loop: "DeterministicLoop",
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> None:
        self.order = loop.next_order()
        _task(self, coroutine, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.order


class DeterministicLoop(asyncio.AbstractEventLoop):
    """The event loop of one run; driven by `turn`, fed by `resolve`."""

    __slots__ = (
        "_orders",
        "_ready",
        "_tasks",
        "calls",
        "closing",
        "commands",
        "last_call",
        "now",
        "salt",
    )

    # Most runs have none of these: an instance has only those that are not this.
    waits: list[tuple[Callable[[], bool], asyncio.Future[None]]] | None = None
    read_only = False
    _named = 0
    _generators: list[Any] | None = None

    def __init__(self, salt: int) -> None:
        self.salt = salt
        self.now = 0.0
        self.last_call = 0
        self.commands: list[Command] = []
        self.calls: dict[int, CallFuture | DurableTimer] = {}
        self.closing = False
        self._orders = 0
        self._ready: list[ReadyHandle] = []
        self._tasks: list[OrderedTask] = []

    # -- driving -------------------------------------------------------------------

    def turn(self, limit: int) -> bool:
        """Run callbacks until none is ready; False if `limit` of them were not enough.

        Must be called with this loop set as the running one. Only what came from
        outside passes through: see `isolation`.
        """
        ready, left = self._ready, limit
        while True:
            before = left
            for handle in ready:  # and what they add to it
                left -= 1
                if not handle._cancelled:
                    try:
                        handle._context.run(handle._callback, *handle._args)
                    except BaseException as error:
                        self._escaped(handle._callback, contained(error))
                if left < 0:
                    del ready[: before - left]
                    return False
            ready.clear()
            if self.waits is None or not self._settle_waits():
                return True

    def step_now(self) -> None:
        """Run the first step of the task that was made last, before all that is ready.

        Only where no task runs.
        """
        step = self._ready.pop()
        try:
            step._context.run(step._callback, *step._args)
        except BaseException as error:
            self._escaped(step._callback, contained(error))

    def _escaped(self, callback: object, error: BaseException) -> None:
        """A callback raised `error`; what asyncio would end its loop for ends the run.

        A task that raised such a thing has ended with it: whoever awaits it is told.
        """
        if is_a(read(lambda: callback.__self__, None), OrderedTask):  # type: ignore[attr-defined]
            return
        if is_a(error, Exception):
            self.call_exception_handler(
                {"message": "a callback raised", "exception": error}
            )
        else:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Overridden by the program: its code has failed, whatever else it does."""

    def resolve(self, call: int, value: Any, error: BaseException | None) -> None:
        """Settle the future or fire the timer of `call`, if anyone still waits."""
        waiting = self.calls.pop(call, None)
        if waiting is None:
            return
        if isinstance(waiting, DurableTimer):
            if not waiting._cancelled:
                self._ready.append(waiting)
        elif not waiting.done():
            if error is None:
                waiting.set_result(value)
            else:
                waiting.set_exception(for_future(error))
                untraced(error)

    def next_order(self) -> int:
        self._orders += 1
        return (self.salt + self._orders) & _ORDERS

    def next_call(self) -> int:
        """The number of a new durable call; refused where calls may not be made."""
        self.refuse_if_over()
        self.last_call += 1
        return self.last_call

    def refuse_if_over(self) -> None:
        """Raise where nothing may be asked for: in queries, and on the way out."""
        if self.read_only:
            raise ReadOnlyError(
                "a query handler or validator must not change or start anything"
            )
        if self.closing:
            raise RuntimeError("the run is being put away: clean-up must not call out")

    def open(self, command: Any, kind: type[CallFuture] = CallFuture) -> CallFuture:
        """Issue a call command; returns the future of its outcome."""
        future = kind(loop=self)
        self._orders = orders = self._orders + 1
        future.order = (self.salt + orders) & _ORDERS
        future.call = call = command.call
        self.calls[call] = future
        self.commands.append(command)
        return future

    def is_recorded(self, call: int) -> bool:
        """Whether `call` was issued in an earlier activation."""
        return all(getattr(command, "call", None) != call for command in self.commands)

    def drop(self, call: int) -> None:
        """Nobody waits for `call` any more."""
        if self.closing or self.calls.pop(call, None) is None:
            return
        for position in range(len(self.commands) - 1, -1, -1):
            if getattr(self.commands[position], "call", None) == call:
                del self.commands[position]  # it was never recorded
                return
        self.commands.append(CancelCall(call))

    def wait_until(self, predicate: Callable[[], bool]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self.create_future()
        if self.waits is None:
            self.waits = []
        self.waits.append((predicate, future))
        return future

    def _settle_waits(self) -> bool:
        """Resolve the waits whose predicate holds now; whether there were any."""
        waits, kept, settled = self.waits or [], [], False
        self.waits = None
        for predicate, future in waits:
            if future.done():
                continue
            try:
                holds = bool(predicate())
            except BaseException as error:
                future.set_exception(for_future(contained(error)))
                settled = True
                continue
            if holds:
                future.set_result(None)
                settled = True
            else:
                kept.append((predicate, future))
        if kept:
            self.waits = kept + (self.waits or [])
        return settled

    def pulse(self) -> tuple[int, ...]:
        """Numbers that differ once anything was asked for, dropped or made ready."""
        return (
            len(self._ready),
            len(self.commands),
            len(self.calls),
            self.last_call,
            self._orders,
        )

    def keep_generator(self, generator: Any) -> None:
        """Remember an async generator, to close it in order with the run."""
        if self._generators is None:
            self._generators = []
        self._generators.append(generator)

    def at_rest(self) -> bool:
        """Whether no coroutine is left in the middle: there is nothing to close."""
        if self._generators:
            return False
        for task in self._tasks:  # noqa: SIM110 (a generator costs more than the loop)
            if not task.done():
                return False
        return True

    def close(self) -> None:
        """Drop every coroutine; what their clean-up asks for is refused."""
        self.closing = True
        self._ready.clear()
        tasks, self._tasks = self._tasks, []
        for task in reversed(tasks):
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine = task.get_coro()
                try:
                    coroutine.close()
                except BaseException as error:
                    what = shown(contained(error))
                    logger.debug("clean-up of a dropped coroutine: %s", what)
                waited = task._fut_waiter  # type: ignore[attr-defined]
                if waited is not None:  # which holds the task, which holds it
                    waited.cancel()
        for generator in self._generators or ():
            closing = generator.aclose()
            try:
                closing.send(None)
                closing.close()
            except (StopIteration, StopAsyncIteration):
                pass
            except BaseException as error:
                what = shown(contained(error))
                logger.debug("clean-up of a dropped generator: %s", what)
        self._generators = None
        self.calls.clear()
        self.waits = None

    # -- what asyncio uses -----------------------------------------------------------

    def time(self) -> float:
        return self.now

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> ReadyHandle:
        # An empty context is false, and a context all the same: a run's own.
        if context is None:
            context = contextvars.copy_context()
        handle = ReadyHandle(callback, args, context)
        if not self.closing:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> ReadyHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> ReadyHandle:
        if when <= self.now:
            return self.call_soon(callback, *args, context=context)
        if not when - self.now <= LONGEST:  # NaN is not either
            when = _for_ever(when - self.now)
        call = self.next_call()
        if context is None:
            sleeps = callback is _wake_sleeper
            context = _NO_CONTEXT if sleeps else contextvars.copy_context()
        timer = DurableTimer(callback, args, context, False, call, when, self)
        self.calls[call] = timer
        self.commands.append(StartTimer(call, when))
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        return OrderedFuture(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **options: Any,
    ) -> OrderedTask:
        if self.read_only:
            coro.close()
            raise ReadOnlyError("a query handler or validator must not start anything")
        if options.get("eager_start"):
            coro.close()
            raise ForeignAwait(_REFUSED.format(what="start tasks eagerly"))
        if name is None:  # asyncio would count through all runs of the process
            self._named += 1
            name = f"Task-{self._named}"
        task = OrderedTask(coro, loop=self, name=name, context=context)
        tasks = self._tasks
        tasks.append(task)
        if len(tasks) > 64 and len(tasks) & (len(tasks) - 1) == 0:
            self._tasks = [t for t in tasks if not t.done()]
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.closing:
            error, text = context.get("exception"), "in workflow code: %s"
            log(logger, logging.WARNING, error, text, context["message"])

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    async def shutdown_asyncgens(self) -> None:
        return None

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        return None

    def get_task_factory(self) -> None:
        return None

    def get_exception_handler(self) -> None:
        return None


def _for_ever(delay: float) -> float:
    """The moment of a timer that never fires; ValueError if it is a slip, or none."""
    if math.isnan(delay):  # it has no place in any order of moments
        raise ValueError("a delay must be a number, not NaN")
    if delay != math.inf:
        raise ValueError(f"a delay must be a century at most, or infinite: {delay} s")
    return LAST_MOMENT


def _refuse(method: str, what: str) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise ForeignAwait(_REFUSED.format(what=what))

    refuse.__name__ = method
    return refuse


_FOREIGN = {
    "run_in_executor": "use threads or executors",
    "set_default_executor": "use threads or executors",
    "call_soon_threadsafe": "be called from other threads",
    "getaddrinfo": "look up hosts",
    "getnameinfo": "look up hosts",
    "create_connection": "open connections",
    "create_server": "serve connections",
    "create_unix_connection": "open connections",
    "create_unix_server": "serve connections",
    "create_datagram_endpoint": "use sockets",
    "connect_accepted_socket": "use sockets",
    "start_tls": "use sockets",
    "sendfile": "use sockets",
    "sock_sendfile": "use sockets",
    "sock_recv": "use sockets",
    "sock_recv_into": "use sockets",
    "sock_recvfrom": "use sockets",
    "sock_recvfrom_into": "use sockets",
    "sock_sendall": "use sockets",
    "sock_sendto": "use sockets",
    "sock_connect": "use sockets",
    "sock_accept": "use sockets",
    "add_reader": "watch file descriptors",
    "remove_reader": "watch file descriptors",
    "add_writer": "watch file descriptors",
    "remove_writer": "watch file descriptors",
    "connect_read_pipe": "use pipes",
    "connect_write_pipe": "use pipes",
    "subprocess_exec": "start processes",
    "subprocess_shell": "start processes",
    "add_signal_handler": "handle operating system signals",
    "remove_signal_handler": "handle operating system signals",
    "set_task_factory": "change how tasks are made",
    "set_exception_handler": "change how errors are handled",
    "set_debug": "change the loop",
    "run_forever": "run the loop",
    "run_until_complete": "run the loop",
    "stop": "stop the loop",
}
for _method, _what in _FOREIGN.items():
    setattr(DeterministicLoop, _method, _refuse(_method, _what))
# All that is abstract and not above is refused.
DeterministicLoop.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


def seeded(run_id: str, generation: int) -> _random.Random:
    """The generator of random numbers of one generation of a run."""
    return _random.Random(f"{run_id}/{generation}")


class GeneratorHooks:
    """Async generator hooks that give generators of workflow code to their run.

    Installed on the thread of the engine's loop while it runs; generators of other
    code go to the hooks that were there before.
    """

    def install(self) -> None:
        """Put the hooks in front of the present ones."""
        self._before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._first, finalizer=self._final)

    def remove(self) -> None:
        """Put back what was there before, unless other hooks have taken their place.

        A loop puts its own away when it stops, and these may be removed after that.
        """
        if sys.get_asyncgen_hooks().firstiter == self._first:
            sys.set_asyncgen_hooks(*self._before)

    def _first(self, generator: Any) -> None:
        loop = asyncio._get_running_loop()
        if isinstance(loop, DeterministicLoop):
            loop.keep_generator(generator)
        elif self._before.firstiter is not None:
            self._before.firstiter(generator)

    def _final(self, generator: Any) -> None:
        loop = asyncio._get_running_loop()
        if not isinstance(loop, DeterministicLoop) and self._before.finalizer:
            self._before.finalizer(generator)
