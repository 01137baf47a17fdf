"""A coroutine program with interceptors around it, or values that need type hints.

Most runs have neither and are driven by `CoroutineProgram` itself. Here is what costs
more: every call of the code passes through the interceptors, and what a call returns
is decoded into the type that its target declares.
"""

from asyncio import _get_running_loop
from asyncio.events import _set_running_loop
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from everact.runtime.core.records import (
    Command,
    Event,
    RunTask,
    SignalReceived,
    SignalRun,
    StartChild,
    Started,
    UpdateAccepted,
)
from everact.runtime.definitions.interceptors import (
    NO_INTERCEPTORS,
    InterceptorChains,
    Invocation,
    chained,
)
from everact.runtime.definitions.signature import Signature
from everact.runtime.definitions.tasks import Task
from everact.runtime.definitions.workflows import (
    Handler,
    WorkflowDefinition,
    definition_of,
    name_of,
)
from everact.runtime.isolation import contained
from everact.runtime.programs import updating
from everact.runtime.programs.base import Query
from everact.runtime.programs.coroutine import CoroutineProgram, Loop
from everact.runtime.programs.loop import SLICE, CallFuture
from everact.runtime.programs.workflow_loop import decode_arguments
from everact.runtime.values.converter import DataConverter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def coroutine_program(
    definition: WorkflowDefinition,
    start: Started,
    generation: int,
    values: DataConverter,
    interceptors: InterceptorChains = NO_INTERCEPTORS,
) -> CoroutineProgram:
    """The program that runs the code of `definition`."""
    attended = interceptors is not NO_INTERCEPTORS and interceptors.programs
    if values.hinted or attended:
        return AttendedProgram(definition, start, generation, values, interceptors)
    return CoroutineProgram(definition, start, generation, values)


class AttendedProgram(CoroutineProgram):
    """See the module."""

    __slots__ = ("interceptors",)

    loop: "AttendedLoop"

    def __init__(
        self,
        definition: WorkflowDefinition,
        start: Started,
        generation: int,
        values: DataConverter,
        interceptors: InterceptorChains,
    ) -> None:
        super().__init__(definition, start, generation, values)
        self.interceptors = interceptors
        self.loop = AttendedLoop(start, generation, values, self)  # type: ignore[abstract]

    def activate(self, events: tuple[Event, ...], now: float) -> list[Command] | None:
        outer, self.loop.now = _get_running_loop(), now
        _set_running_loop(self.loop)
        try:
            for event in events:
                self.show(event)
            return self._turn(SLICE)
        finally:
            _set_running_loop(outer)

    def invocation(
        self,
        kind: str,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: dict[str, str],
    ) -> Invocation:
        """What interceptors are shown."""
        return Invocation(kind, name, args, kwargs, dict(headers), self.replaying)

    def _coroutine(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        methods = self.interceptors.workflows
        if not methods:
            return super()._coroutine(args, kwargs)
        function = self.definition.function
        bound = () if self._instance is None else (self._instance,)

        def run(call: Invocation) -> Any:
            return function(*bound, *call.args, **call.kwargs)

        headers = self.loop.start.options.headers
        given = args[len(bound) :]
        call = self.invocation("workflow", self.definition.name, given, kwargs, headers)
        return chained(methods, run)(call)

    def _value(self, call: int, payload: bytes) -> Any:
        values: Any = self.values
        return values.decode_as(payload, self.loop.returned.pop(call, Any))

    def _handle_signal(
        self,
        event: SignalReceived,
        handler: Handler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        def handle(call: Invocation) -> Any:
            return handler.function(*call.args, **call.kwargs)

        call = self.invocation("signal", event.name, args, kwargs, event.headers)
        proceed = chained(self.interceptors.signals, handle)
        self.loop.run_handler(handler._replace(function=proceed), (call,), {})

    def handle_update(
        self,
        event: UpdateAccepted,
        handler: Handler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        def handle(call: Invocation) -> Any:
            return handler.function(*call.args, **call.kwargs)

        call = self.invocation("update", event.name, args, kwargs, event.headers)
        return chained(self.interceptors.updates, handle)(call)

    def _offer(self, event: SignalReceived) -> None:
        methods = self.interceptors.signals
        if not methods:
            super()._offer(event)
            return
        args, kwargs = self.loop.decode(event.args, event.kwargs)
        call = self.invocation("signal", event.name, args, kwargs, event.headers)

        def offer(call: Invocation) -> None:
            given = event
            if call.args is not args or call.kwargs is not kwargs:
                encoded = self.loop.encode(call.args, call.kwargs, call.name)
                given = replace(event, args=encoded[0], kwargs=encoded[1])
            self.loop.offer(given)

        chain = Handler(event.name, chained(methods, offer), updating.ANY_ARGUMENTS)
        try:
            self.loop.run_handler(chain, (call,), {})
        except BaseException as error:
            self.fail(contained(error))

    def _ask(self, query: Query) -> Any:
        def ask(call: Invocation) -> Any:
            return self._query_handler(call.name)(*call.args, **call.kwargs)

        call = self.invocation("query", *query)
        return chained(self.interceptors.queries, ask)(call)


class AttendedLoop(Loop):
    """The loop of an attended program."""

    __slots__ = ("headers", "returned")

    _program: "AttendedProgram | None"

    def __init__(
        self,
        start: Started,
        generation: int,
        values: DataConverter,
        program: AttendedProgram,
    ) -> None:
        super().__init__(start, generation, values, program)
        self.headers: dict[str, str] = {}
        self.returned: dict[int, Any] = {}

    def decode(
        self,
        args: tuple[bytes, ...],
        kwargs: dict[str, bytes],
        signature: Signature | None = None,
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return decode_arguments(self.values, args, kwargs, signature)

    def call_task(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> "asyncio.Future[Any]":
        def start(call: Invocation) -> Any:
            future = super(AttendedLoop, self).call_task(task, call.args, call.kwargs)
            self._returns(future, task.signature)
            return future

        found: asyncio.Future[Any] = self._intercepted(
            "task", task.everact_name, args, kwargs, start
        )
        return found

    def start_child(
        self,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
        announce: bool,
    ) -> "tuple[str, str, asyncio.Future[Any] | None, asyncio.Future[Any]]":
        definition = definition_of(target)

        def start(call: Invocation) -> Any:
            made = super(AttendedLoop, self).start_child(
                target, call.args, call.kwargs, options, announce
            )
            if definition is not None:
                self._returns(made[-1], definition.signature)
            return made

        found: tuple[str, str, asyncio.Future[Any] | None, asyncio.Future[Any]]
        found = self._intercepted("child", name_of(target), args, kwargs, start)
        return found

    def send(
        self, workflow_id: str, run_id: str, name: str | None, args: tuple[Any, ...]
    ) -> "asyncio.Future[None]":
        if name is None:
            return super().send(workflow_id, run_id, name, args)

        def start(call: Invocation) -> Any:
            return super(AttendedLoop, self).send(workflow_id, run_id, name, call.args)

        found: asyncio.Future[None] = self._intercepted("signal", name, args, {}, start)
        return found

    def open(self, command: Any, kind: type[CallFuture] = CallFuture) -> CallFuture:
        if self.headers:
            if type(command) is StartChild:
                options = replace(command.options, headers=self.headers)
                command = replace(command, options=options)
            elif type(command) is RunTask or type(command) is SignalRun:
                command = replace(command, headers=self.headers)
        return super().open(command, kind)

    def drop(self, call: int) -> None:
        self.returned.pop(call, None)
        super().drop(call)

    def _intercepted(
        self,
        kind: str,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        start: "Callable[[Invocation], Any]",
    ) -> Any:
        program = self._program
        assert program is not None

        def innermost(call: Invocation) -> Any:
            self.headers = call.headers
            try:
                return start(call)
            finally:
                self.headers = {}

        call = program.invocation(kind, name, args, kwargs, {})
        return chained(program.interceptors.calls, innermost)(call)

    def _returns(self, future: Any, signature: Signature) -> None:
        if signature.returned is not Any:
            self.returned[future.call] = signature.returned
