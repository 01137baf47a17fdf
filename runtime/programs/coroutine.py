"""The coroutine program: async functions and classes on the deterministic loop.

What the run is shown resolves futures; then the loop turns until nothing is ready,
and the commands issued on the way are the answer. Recovery shows the recorded
activations again and compares commands: by type, call and name, then by argument
bytes, then by decoded value where both sides are builtin values.
"""

import asyncio
import logging
import os
import pickle
from asyncio import _get_running_loop
from asyncio.events import _set_running_loop
from collections.abc import Callable
from contextvars import Context
from types import CodeType, FrameType
from typing import Any

from msgspec import json
from msgspec.structs import replace

from everact.runtime import errors
from everact.runtime.core import failures, records
from everact.runtime.core.durations import optional_seconds
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.records import (
    Began,
    CancelRequested,
    ChildClosed,
    ChildStarted,
    ClosingCommand,
    Command,
    Complete,
    Event,
    EventMatched,
    Fail,
    MessageSent,
    RunRenamed,
    SignalReceived,
    Started,
    TaskCompleted,
    TaskFailed,
    TimerFired,
    UpdateAccepted,
)
from everact.runtime.definitions.control import (
    ContinueAsNewError,
    TailCall,
    WorkflowControl,
)
from everact.runtime.definitions.registry import Registry, default_registry
from everact.runtime.definitions.search_attributes import attributes_of
from everact.runtime.definitions.waits import ReceivedEvent
from everact.runtime.definitions.workflows import (
    UNFINISHED,
    Handler,
    WorkflowDefinition,
    definition_of,
    name_of,
)
from everact.runtime.isolation import (
    contained,
    is_a,
    is_coroutine,
    read,
    text_of,
)
from everact.runtime.isolation import (
    shown as shown_value,
)
from everact.runtime.programs import ordered, updating
from everact.runtime.programs.base import Query, Replay, StateChanged
from everact.runtime.programs.compare import check
from everact.runtime.programs.loop import SLICE, OrderedTask, WaitedCall
from everact.runtime.programs.workflow_loop import WorkflowLoop, encode_arguments
from everact.runtime.values.outcomes import exception_of, failure_of
from everact.runtime.values.payloads import Converter

ordered.install()

_logger = logging.getLogger("everact.workflow")

_DEEPEST = 1000
"""Coroutines that await each other, of which a place is looked for."""

_ENDLESS = 50_000_000
"""Callbacks in one replayed activation after which the code is taken for changed."""


class CoroutineProgram:
    """One generation of one run of a coroutine workflow; see `base.Program`."""

    __slots__ = (
        "_failure",
        "_finished",
        "_instance",
        "_outer",
        "_root",
        "definition",
        "loop",
        "replaying",
        "values",
    )

    def __init__(
        self,
        definition: WorkflowDefinition,
        start: Started,
        generation: int,
        values: Converter,
    ) -> None:
        self.definition = definition
        self.values = values
        self.loop: Loop = Loop(start, generation, values, self)  # type: ignore[abstract]
        self.replaying = False
        self._outer = _get_running_loop()
        self._instance: Any = None
        self._root: OrderedTask | None = None
        self._failure: BaseException | None = None
        self._finished = False

    # -- driving -------------------------------------------------------------------

    def activate(self, events: tuple[Event, ...], now: float) -> list[Command] | None:
        loop = self.loop
        loop.now = now
        _set_running_loop(loop)
        try:
            for event in events:
                if type(event) is TaskCompleted:
                    # A task is a future, whatever else a call may be.
                    waiting: Any = loop.calls.pop(event.call, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(self.values.decode(event.result))
                else:
                    _SHOW[type(event)](self, event)
            loop.opening = False
            return self._answer() if loop.turn(SLICE) else None
        finally:
            _set_running_loop(self._outer)

    def show(self, event: Event) -> None:
        """Resolve what an event is about; the running loop is the run's."""
        _SHOW[type(event)](self, event)

    def resume(self) -> list[Command] | None:
        outer = self._outer
        _set_running_loop(self.loop)
        try:
            return self._turn(SLICE)
        finally:
            _set_running_loop(outer)

    def replay(self, script: Replay) -> None:
        self.replaying = True
        outer, loop, number = _get_running_loop(), self.loop, 0
        value, calls, turn = self._value, loop.calls, loop.turn
        _set_running_loop(loop)
        try:
            for row in script:
                number += 1
                loop.now = row.time
                for event in row.events:
                    if type(event) is TaskCompleted:
                        # A task is a future, whatever else a call may be.
                        waiting: Any = calls.pop(event.call, None)
                        if waiting is not None and not waiting.done():
                            waiting.set_result(value(event.call, event.result))
                    else:
                        _SHOW[type(event)](self, event)
                loop.opening = False
                produced = self._answer() if turn(_ENDLESS) else None
                if produced is None or tuple(produced) != row.commands:
                    check(
                        self.definition.name,
                        number,
                        row.commands,
                        produced,
                        self.values,
                    )
        finally:
            _set_running_loop(outer)
            self.replaying = False

    def _turn(self, limit: int) -> list[Command] | None:
        """Let the code run; the commonest callers do it in their own frames."""
        self.loop.opening = False
        return self._answer() if self.loop.turn(limit) else None

    def _answer(self) -> list[Command]:
        """What the code asked for until nothing was ready; how it ended, if it did."""
        loop, root = self.loop, self._root
        if self._failure is not None or (root is not None and root.done()):
            self._end()
        commands = loop.commands
        if commands:
            loop.commands = []
            return commands
        return []

    def _end(self) -> None:
        """The code has ended: its last command says how."""
        if not self._finished:
            self._finished = True
            self.loop.commands.append(self._closing())
            if self.loop.running:
                self._warn_of_unfinished()

    # -- what is shown -------------------------------------------------------------

    def _started(self, event: Started) -> None:
        loop, definition = self.loop, self.definition
        try:
            args, kwargs = self._arguments(event)
        except TypeError as error:
            self._failure = error
            return
        context = Context()
        if definition.cls is not None:
            try:
                self._instance = context.run(definition.cls)
            except BaseException as error:
                self._failure = contained(error)
                return
            args = (self._instance, *args)
        try:
            coroutine = self._coroutine(args, kwargs)
            loop.opening = loop.rules != 0
            self._root = loop.create_task(
                coroutine, name=definition.name, context=context
            )
        except BaseException as error:
            self._failure = contained(error)

    def _coroutine(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.definition.function(*args, **kwargs)

    def _value(self, call: int, payload: bytes) -> Any:
        """What `call` returned."""
        return self.values.decode(payload)

    def _arguments(self, start: Started) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a start; TypeError for an event whose payload misfits."""
        extras = start.options.extras
        begun_by_event = self.loop.generation == start.restarts
        if extras is not None and extras.event_id and begun_by_event:
            (payload,) = start.args
            return (self.definition.received(json.decode(payload[1:])),), {}
        signature = self.definition.signature
        return self.loop.decode(start.args, start.kwargs, signature)

    def _began(self, event: Began) -> None:
        """In a script: the run's own `Started`, which is not kept twice."""
        self.loop.rules = event.rules
        self._started(self.loop.start)

    def _task_completed(self, event: TaskCompleted) -> None:
        """In a script; `activate` does the same in its own frame."""
        self.loop.resolve(event.call, self._value(event.call, event.result), None)

    def _task_failed(self, event: TaskFailed) -> None:
        error = self._heeded(event.call, event.failure)
        if error is None:
            error = exception_of(event.failure, values=self.values)
        self.loop.resolve(event.call, None, error)

    def _heeded(self, call: int, failure: Failure | None) -> BaseException | None:
        """What a cancelled call raises whose task or child stopped as it was asked to.

        `failure` is how that ended.
        """
        if failure is None or failure.kind is not FailureKind.CANCELLED:
            return None
        waited = self.loop.calls.get(call)
        if type(waited) is not WaitedCall or not waited.asked:
            return None
        return asyncio.CancelledError(*map(self.values.decode, failure.details))

    def _timer_fired(self, event: TimerFired) -> None:
        self.loop.resolve(event.call, None, None)

    def _announced(self, call: int) -> "asyncio.Future[Any] | None":
        """The future of a child's start, if somebody still waits for it."""
        announced = self.loop.announced
        started = announced.pop(call, None) if announced else None
        return None if started is None or started.done() else started

    def _child_started(self, event: ChildStarted) -> None:
        started = self._announced(event.call)
        if started is not None:
            started.set_result(None)

    def _child_closed(self, event: ChildClosed) -> None:
        started = self._announced(event.call)
        if event.failure is None:
            if started is not None:
                started.set_result(None)
            value = self._value(event.call, event.result)
            self.loop.resolve(event.call, value, None)
            return
        error = self._heeded(event.call, event.failure.cause)
        if error is None:
            error = exception_of(event.failure, values=self.values)
        if started is not None:
            self.loop.calls.pop(event.call, None)
            started.set_exception(error)
        else:
            self.loop.resolve(event.call, None, error)

    def _message_sent(self, event: MessageSent) -> None:
        error = None
        if event.failure is not None:
            error = exception_of(event.failure, values=self.values)
        self.loop.resolve(event.call, None, error)

    def _event_matched(self, event: EventMatched) -> None:
        payload = json.decode(event.payload[1:])
        found = ReceivedEvent(event_id=event.event_id, key=event.key, payload=payload)
        self.loop.resolve(event.call, found, None)

    def _renamed(self, event: RunRenamed) -> None:
        self.loop.labels = replace(self.loop.labels, name=event.name)

    def _cancel(self, event: CancelRequested) -> None:
        self.loop.reason = event.reason
        if self._root is not None:
            self._root.cancel(event.reason or None)

    def _signal(self, event: SignalReceived) -> None:
        found = self._signal_handler(event.name)
        if found is None:
            self._offer(event)
            return
        args, kwargs = self.loop.decode(event.args, event.kwargs, found.signature)
        try:
            found.signature.check(args, kwargs, event.name)
        except TypeError as error:
            self._warn(f"signal {event.name!r} dropped, its arguments misfit: {error}")
            return
        try:
            self._handle_signal(event, found, args, kwargs)
        except BaseException as error:
            self.fail(contained(error))

    def _offer(self, event: SignalReceived) -> None:
        """A signal that no handler takes."""
        self.loop.offer(event)

    def _handle_signal(
        self,
        event: SignalReceived,
        handler: Handler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """A signal that `handler` takes."""
        self.loop.run_handler(handler, args, kwargs)

    def handle_update(
        self,
        event: UpdateAccepted,
        handler: Handler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """What the handler of an update gives: its answer, or a coroutine."""
        return handler.function(*args, **kwargs)

    def _signal_handler(self, name: str) -> Handler | None:
        own = self.loop.handlers.get(name) if self.loop.handlers else None
        if own is not None or self._instance is None:
            return own
        found = self.definition.signals.get(name)
        if found is not None:
            return found.of(self._instance)
        catch_all = self.definition.any_signal
        if catch_all is None:
            return None
        return updating.named(catch_all.of(self._instance), name)

    def _update(self, event: UpdateAccepted) -> None:
        updating.show(self, event)

    def fail(self, error: BaseException) -> None:
        """A handler raised: the run fails with it, its code is not asked further."""
        if self._failure is None:
            self._failure = error

    def _warn(self, text: str) -> None:
        if not self.replaying:
            start = self.loop.start
            _logger.warning("run %s (%s): %s", start.workflow_id, start.run_id, text)

    # -- the end -------------------------------------------------------------------

    def _warn_of_unfinished(self) -> None:
        """Name the handlers that are abandoned, but for those that asked not to be."""
        names = [
            f"{kind} {handler.name!r}"
            for kind, handler in (self.loop.running or {}).values()
            if handler.unfinished == UNFINISHED[0]
        ]
        if names:
            self._warn(
                f"it ended while handlers were still running ({', '.join(names)}), "
                "which are abandoned: wait for all_handlers_finished() before "
                'returning, or mark them unfinished="abandon"'
            )

    def _closing(self) -> ClosingCommand:
        error, root = self._failure, self._root
        try:
            if error is None:
                assert root is not None
                error = self._root_error(root)
                if error is None:
                    name = f"the result of {self.definition.name}"
                    return Complete(self.values.encode(root.result(), name))
            control = _control(error)
            if control is not None:
                command = self._control_command(control)
                records.check(command)
                return command
        except BaseException as misuse:  # a value or an option that is none
            error = contained(misuse)
        try:
            return Fail(self._failed_with(error))
        except BaseException as unstorable:
            return Fail(failure_of(contained(unstorable), values=self.values))

    @staticmethod
    def _root_error(root: OrderedTask) -> BaseException | None:
        if root.cancelled():
            try:
                root.result()
            except asyncio.CancelledError as error:
                return error
        return root.exception()

    def _failed_with(self, error: BaseException) -> failures.Failure:
        reason = self.loop.reason
        if reason is not None:
            if is_a(error, errors.RunCancelled):
                ended: Any = error
                details = self.loop.encode(ended.details, {}, "details")[0]
                return failures.cancelled(ended.reason or reason, details)
            if is_a(error, asyncio.CancelledError):
                supplied = () if error.args == (reason,) else error.args
                details = self.loop.encode(supplied, {}, "details")[0]
                return failures.cancelled(reason, details)
        return failure_of(_reworded(error), values=self.values)

    def _control_command(self, control: WorkflowControl) -> ClosingCommand:
        unread = tuple(self.loop.unread or ())
        if isinstance(control, ContinueAsNewError):
            target, options = control.target, control.options
            definition = self.definition if target is None else definition_of(target)
            name = self.definition.name if target is None else name_of(target)
            kind = "" if definition is None else definition.kind
            if definition is not None:
                definition.signature.check(control.args_given, {}, name)
            args, kwargs = self.loop.encode(control.args_given, {}, name)
            memo, attributes = options["memo"], options["search_attributes"]
            return records.ContinueAsNew(
                name,
                args,
                kwargs,
                options["queue"],
                optional_seconds(options["run_timeout"], what="run_timeout"),
                optional_seconds(options["task_timeout"], what="task_timeout"),
                None
                if memo is None
                else {k: self.values.encode(v, f"memo {k!r}") for k, v in memo.items()},
                unread,
                None if attributes is None else attributes_of(attributes),
                kind,
            )
        assert isinstance(control, TailCall)
        call = control.call
        given = call.arguments()
        args, kwargs = encode_arguments(
            self.values, given.args, given.kwargs or {}, call.function
        )
        kind = self.loop.registry.kind_of(call.function)
        return records.TailCall(call.function, args, kwargs, unread, kind=kind)

    # -- looking in ------------------------------------------------------------------

    @property
    def stuck(self) -> str | None:
        loop = self.loop
        if self._finished or loop.calls or loop.waits or loop.has_receivers():
            return None
        definition = self.definition
        if definition.signals or definition.updates:
            return None
        if definition.any_signal or definition.any_update:
            return None
        if loop.handlers or loop.updates or loop.commands:
            return None
        return (
            f"nothing is open that could wake it, and it waits at {self.where()}; "
            "something awaits a future or an event that nobody will set"
        )

    def where(self) -> str:
        if self._root is None:
            return "its start"
        return _deepest(self._root.get_coro())

    def query(self, query: Query) -> Any:
        name = query.name
        try:
            answer = self.looking(lambda: self._ask(query))
        except StateChanged as changed:
            raise errors.QueryFailed(
                f"query handler {name!r} changed the run's state"
            ) from changed.__cause__
        except BaseException as error:
            if type(error) is errors.QueryFailed:
                raise
            text = f"query {name!r} failed: {shown_value(contained(error))}"
            raise errors.QueryFailed(text) from error
        if is_coroutine(answer):
            answer.close()
            raise errors.QueryFailed(f"query handler {name!r} must not be async")
        return answer

    def takes(self, update: str) -> bool:
        return self.definition.takes(update)

    def validate(self, event: UpdateAccepted) -> None:
        outer = _get_running_loop()
        _set_running_loop(self.loop)
        self.loop.read_only = True
        try:
            updating.validate(self, event)
        finally:
            self.loop.read_only = False
            _set_running_loop(outer)

    def looking(self, look: Callable[[], Any]) -> Any:
        """What `look` gives where nothing may be changed; StateChanged if it was."""
        before = self._fingerprint()
        loop, outer = self.loop, _get_running_loop()
        answer, error = None, None
        loop.read_only = True
        _set_running_loop(loop)
        try:
            answer = look()
        except BaseException as raised:
            error = contained(raised)
        finally:
            _set_running_loop(outer)
            loop.read_only = False
        if self._fingerprint() != before:
            raise StateChanged from error
        if error is not None:
            raise error
        return answer

    def instance(self) -> Any:
        """The object whose methods the handlers are; of a run not begun, a new one."""
        if self._instance is None:
            assert self.definition.cls is not None
            self._instance = self.definition.cls()
        return self._instance

    def _ask(self, query: Query) -> Any:
        return self._query_handler(query.name)(*query.args, **query.kwargs)

    def _query_handler(self, name: str) -> Callable[..., Any]:
        if self.loop.queries and name in self.loop.queries:
            return self.loop.queries[name]
        found = self.definition.queries.get(name)
        if found is not None:
            instance = self._instance
            if instance is None:  # not begun: asked of one that is thrown away
                assert self.definition.cls is not None
                instance = self.definition.cls()
            method: Callable[..., Any] = found.function.__get__(instance)
            return method
        known = sorted({*self.definition.queries, *(self.loop.queries or ())})
        raise errors.QueryFailed(
            f"{self.definition.name!r} answers no query {name!r}; it answers: "
            + (", ".join(known) or "none")
        )

    def _fingerprint(self) -> tuple[Any, ...]:
        def prints() -> dict[str, bytes | int]:
            attributes = getattr(self._instance, "__dict__", None) or {}
            return {name: _print_of(value) for name, value in attributes.items()}

        return (read(prints, {}), *self.loop.pulse())

    @property
    def finished(self) -> bool:
        return self._finished and self.loop.at_rest()

    def close(self) -> None:
        self.replaying = True  # whatever its code does now is no step of the run
        self.loop.closing = True
        if not self.finished:
            outer = _get_running_loop()
            _set_running_loop(self.loop)
            try:
                self.loop.close()
            finally:
                _set_running_loop(outer)
        # Nothing of a run is left to the garbage collector.
        self._root = None
        self.loop.let_go()


class Loop(WorkflowLoop):
    """The loop that tells its program how async signal handlers end."""

    __slots__ = ("_program",)

    def __init__(
        self,
        start: Started,
        generation: int,
        values: Converter,
        program: CoroutineProgram,
    ) -> None:
        super().__init__(start, generation, values)
        self._program: CoroutineProgram | None = program

    @property
    def registry(self) -> Registry:
        assert self._program is not None
        return self._program.definition.registry or default_registry()

    @property
    def replaying(self) -> bool:
        program = self._program
        return program is None or program.replaying

    def let_go(self) -> None:
        """Forget everything that leads back to the loop."""
        self._tasks = []
        self._ready = []
        self.calls = {}
        if self.waits is not None:
            self.waits = None
        if self.running is not None:
            self.running = None
        self._program = None

    def fail(self, error: BaseException) -> None:
        if self._program is not None:
            self._program.fail(error)

    def handler_done(self, task: asyncio.Task[Any]) -> None:
        if self._program is None:
            return
        self.end_handler(task)
        if not task.cancelled() and task.exception() is not None:
            self._program.fail(task.exception())  # type: ignore[arg-type]


_EXCEPTIONS: Any = BaseExceptionGroup.__dict__["exceptions"]


def _control(error: BaseException | None) -> WorkflowControl | None:
    """The way to end the run that `error` is, or that is in a group of errors."""
    waiting = [] if error is None else [error]
    while waiting:
        one: Any = waiting.pop()
        if is_a(one, WorkflowControl):
            return one  # type: ignore[no-any-return]
        if is_a(one, BaseExceptionGroup):
            waiting += reversed(_EXCEPTIONS.__get__(one))
    return None


_FOREIGN = (
    "attached to a different loop",
    "got bad yield",
    "await wasn't used with future",
)


def _reworded(error: BaseException) -> BaseException:
    """Name what asyncio reports in its own terms when something foreign is awaited."""
    text = text_of(error)
    if type(error) is not RuntimeError or not any(p in text for p in _FOREIGN):
        return error
    made = errors.ForeignAwait(
        f"workflow code awaited something that is not durable, at "
        f"{_raised_at(error)}: {text}; do it in a @task and await the task"
    )
    made.__cause__ = error
    return made


def _raised_at(error: BaseException) -> str:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame.f_code, trace.tb_lineno))
        trace = trace.tb_next
    return _place(frames)


def _deepest(coroutine: Any) -> str:
    frames: list[tuple[CodeType, int]] = []

    def look() -> None:
        awaiting = coroutine
        while awaiting is not None and len(frames) < _DEEPEST:
            frame = getattr(awaiting, "cr_frame", None)
            frame = frame or getattr(awaiting, "ag_frame", None)
            if type(frame) is not FrameType:
                return
            frames.append((frame.f_code, frame.f_lineno))
            awaiting = getattr(awaiting, "cr_await", None)

    read(look, None)  # the last may be an object of the author's
    return _place(frames)


def _place(frames: list[tuple[CodeType, int]]) -> str:
    """The innermost line that is the author's own, rather than a library's."""
    ours = [f for f in frames if not _of_library(f[0].co_filename)]
    for code, line in reversed(ours or frames):
        return f"{code.co_filename}:{line} in {code.co_name}"
    return "an unknown line"


def _of_library(file: str) -> bool:
    return any(os.sep + part + os.sep in file for part in ("asyncio", "site-packages"))


def _print_of(value: Any) -> bytes | int:
    return read(lambda: pickle.dumps(value, 5), id(value))


_SHOW: dict[type, Callable[[CoroutineProgram, Any], None]] = {
    Started: CoroutineProgram._started,
    Began: CoroutineProgram._began,
    TaskCompleted: CoroutineProgram._task_completed,
    TaskFailed: CoroutineProgram._task_failed,
    TimerFired: CoroutineProgram._timer_fired,
    SignalReceived: CoroutineProgram._signal,
    CancelRequested: CoroutineProgram._cancel,
    ChildStarted: CoroutineProgram._child_started,
    ChildClosed: CoroutineProgram._child_closed,
    MessageSent: CoroutineProgram._message_sent,
    EventMatched: CoroutineProgram._event_matched,
    RunRenamed: CoroutineProgram._renamed,
    UpdateAccepted: CoroutineProgram._update,
}
