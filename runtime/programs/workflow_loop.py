"""The loop of a coroutine workflow: the deterministic loop with the author's calls."""

import asyncio
import random as _random
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

import msgspec
from msgspec.structs import replace

from everact.runtime.core.chain import child_run_id
from everact.runtime.core.durations import optional_seconds
from everact.runtime.core.labels import AS_STARTED
from everact.runtime.core.naming import generated_name
from everact.runtime.core.records import (
    NO_EXTRAS,
    RULES,
    TERMINATE,
    AwaitEvent,
    CancelRun,
    Notice,
    RunTask,
    SignalReceived,
    SignalRun,
    StartChild,
    Started,
    StartOptions,
    UpsertMemo,
)
from everact.runtime.core.retry import checked_policy
from everact.runtime.definitions.durable import DurableLoop, RunInfo
from everact.runtime.definitions.extras import extras_of, json_object
from everact.runtime.definitions.search_attributes import typed_attributes
from everact.runtime.definitions.signature import Signature
from everact.runtime.definitions.tasks import Task
from everact.runtime.definitions.workflows import (
    UNFINISHED,
    Handler,
    checked_unfinished,
    definition_of,
    name_of,
)
from everact.runtime.errors import ValueNotStorable
from everact.runtime.isolation import is_coroutine
from everact.runtime.programs.loop import (
    CallFuture,
    DeterministicLoop,
    OrderedFuture,
    WaitedCall,
    seeded,
)
from everact.runtime.values.converter import DataConverter
from everact.runtime.values.outcomes import cause_of
from everact.runtime.values.payloads import Converter, checked_text

_ELSEWHERE = frozenset({"id", "on_parent_close", "on_reuse"})
"""Options of a child that are not among its `StartOptions`."""


class Receiver(OrderedFuture):
    """Somebody waiting for a signal; a cancelled one takes none."""


class WorkflowLoop(DeterministicLoop, DurableLoop):
    """What author code finds as the running loop."""

    __slots__ = ("_receivers", "generation", "opening", "rules", "start", "values")

    # Most runs have none of these: an instance has only those that are not this.
    labels = AS_STARTED
    reason: str | None = None
    announced: dict[int, OrderedFuture] | None = None
    unread: deque[SignalReceived] | None = None
    handlers: dict[str, Handler] | None = None
    updates: dict[str, Handler] | None = None
    running: dict[asyncio.Task[Any], tuple[str, Handler]] | None = None
    queries: dict[str, Callable[..., Any]] | None = None
    _seeded: _random.Random | None = None
    _waits: dict[str, Any] | None = None

    def __init__(self, start: Started, generation: int, values: Converter) -> None:
        super().__init__(int(start.run_id[-12:], 16) << 12)
        self.start = start
        self.generation = generation
        self.rules = RULES
        self.opening = False
        """Whether messages are shown that came before the code, which begins next."""
        self.values = values
        self._receivers: dict[str, deque[OrderedFuture]] | None = None

    # -- the author's calls ----------------------------------------------------------

    def call_task(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> asyncio.Future[Any]:
        name, signature = task.everact_name, task.signature
        if kwargs or not signature.fewest <= len(args) <= signature.most:
            signature.check(args, kwargs, name)
        encode, label = self.values.encode, task.argument_label
        try:
            if len(args) == 1:
                encoded: tuple[bytes, ...] = (encode(args[0], label),)
            else:
                encoded = tuple([encode(a, label) for a in args])
        except ValueNotStorable:
            encode_arguments(self.values, args, {}, name)  # names which one it is
            raise
        named = {}
        if kwargs:
            named = encode_arguments(self.values, (), kwargs, name)[1]
        if self.read_only or self.closing:
            self.next_call()  # which refuses it
        self.last_call = call = self.last_call + 1
        options = task.recorded_options
        command = RunTask(call, name, encoded, named, options)
        if options is None:
            return self.open(command)
        if options.total_timeout is not None:
            command = replace(command, deadline=self.time() + options.total_timeout)
        waits = options.await_cancelled
        return self.open(command, WaitedCall) if waits else self.open(command)

    def start_child(
        self,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
        announce: bool,
    ) -> tuple[str, str, asyncio.Future[Any] | None, asyncio.Future[Any]]:
        name, definition = name_of(target), definition_of(target)
        if definition is not None:
            definition.signature.check(args, kwargs, name)
        encoded = self.encode(args, kwargs, name)
        child = self._child_options(options)
        workflow_id, on_close = None, TERMINATE
        if options:
            for what in ("id", "queue", "run_name"):
                checked_text(options.get(what) or "", what)
            workflow_id = options.get("id")
            on_close = options.get("on_parent_close", TERMINATE)
        call = self.next_call()
        run_id = child_run_id(self.start.run_id, self.generation, call)
        command = StartChild(
            call,
            name,
            workflow_id or f"{self.start.run_id}/{self.generation}/{call}",
            run_id,
            *encoded,
            child,
            on_close,
            announce,
            "" if definition is None else definition.kind,
            options.get("on_reuse", "allow"),
        )
        started = OrderedFuture(loop=self) if announce else None
        result = self.open(command, WaitedCall if self.rules else CallFuture)
        if started is not None:
            if self.announced is None:
                self.announced = {}
            self.announced[call] = started
        return command.workflow_id, run_id, started, result

    def send(
        self, workflow_id: str, run_id: str, name: str | None, args: tuple[Any, ...]
    ) -> asyncio.Future[None]:
        checked_text(workflow_id, "the workflow ID")
        if name is None:
            return self.open(CancelRun(self.next_call(), workflow_id, run_id))
        encoded = self.encode(args, {}, name)
        return self.open(
            SignalRun(self.next_call(), workflow_id, run_id, name, *encoded)
        )

    def await_event(
        self,
        key: str,
        *,
        scope: str | None,
        filter: str,
        since: float | None,
        wait: str,
    ) -> asyncio.Future[Any]:
        call = self.next_call()
        return self.open(AwaitEvent(call, key, scope, filter, since, wait))

    @property
    def named_waits(self) -> dict[str, Any]:
        if self._waits is None:
            self._waits = {}
        return self._waits

    def label(self, notice: Notice) -> None:
        self.refuse_if_over()
        self.labels = self.labels.changed(notice, self.start.options)
        self.commands.append(notice)

    def remember(self, changes: dict[str, Any]) -> None:
        encoded = {
            checked_text(key, "the name of a memo"): None
            if value is None
            else self.values.encode(value, f"memo {key!r}")
            for key, value in changes.items()
        }
        self.label(UpsertMemo(encoded))

    def receive(self, name: str) -> asyncio.Future[Any]:
        future = Receiver(loop=self)
        found = self.take_unread(name)
        if found is not None:
            future.set_result(self.argument(found))
            return future
        if self._receivers is None:
            self._receivers = {}
        self._receivers.setdefault(name, deque()).append(future)
        return future

    def handle(
        self,
        kind: str,
        name: str,
        handler: Callable[..., Any],
        validator: Callable[..., Any] | None = None,
        unfinished: str = UNFINISHED[0],
    ) -> None:
        if kind == "query":
            if self.queries is None:
                self.queries = {}
            self.queries[name] = handler
            return
        checked_unfinished(unfinished)
        made = Handler(name, handler, Signature(handler), validator, unfinished)
        if kind == "update":
            if self.updates is None:
                self.updates = {}
            self.updates[name] = made
            return
        if self.handlers is None:
            self.handlers = {}
        self.handlers[name] = made
        while (found := self.take_unread(name)) is not None:
            args, kwargs = self.decode(found.args, found.kwargs, made.signature)
            self.call_soon(partial(self.run_handler, made, args, kwargs))

    def run_handler(
        self, handler: Handler, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Run a signal handler: a sync one at once, an async one as a task."""
        outcome = handler.function(*args, **kwargs)
        if is_coroutine(outcome):
            task = self.begin_handler("signal", handler, outcome)
            task.add_done_callback(self.handler_done)

    def begin_handler(
        self, kind: str, handler: Handler, coroutine: Coroutine[Any, Any, Any]
    ) -> asyncio.Task[Any]:
        """Run an async handler as a task; whose end is to be told by `end_handler`."""
        task = self.create_task(coroutine)
        if self.running is None:
            self.running = {}
        self.running[task] = kind, handler
        if self.opening:
            self.step_now()
        return task

    def end_handler(self, task: asyncio.Task[Any]) -> None:
        """An async handler has ended."""
        if self.running is not None:
            self.running.pop(task, None)

    @property
    def handlers_finished(self) -> bool:
        return not self.running

    def handler_done(self, task: asyncio.Task[Any]) -> None:
        """Overridden by the program: what an async handler's end means."""

    # -- what the program uses -------------------------------------------------------

    def offer(self, signal: SignalReceived) -> None:
        """Give a signal that no handler takes to a receiver, or keep it."""
        waiting = self._receivers.get(signal.name) if self._receivers else None
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(self.argument(signal))
                return
        if self.unread is None:
            self.unread = deque()
        self.unread.append(signal)

    def take_unread(self, name: str) -> SignalReceived | None:
        """The oldest kept signal of that name, no longer kept."""
        for signal in self.unread or ():
            if signal.name == name:
                self.unread.remove(signal)  # type: ignore[union-attr]
                return signal
        return None

    def has_receivers(self) -> bool:
        """Whether anybody waits for a signal by name."""
        for waiting in (self._receivers or {}).values():
            for future in waiting:
                if not future.done():
                    return True
        return False

    def argument(self, signal: SignalReceived) -> Any:
        """What a receiver gets of a signal: nothing, its argument, or a tuple."""
        args, _ = self.decode(signal.args, signal.kwargs)
        return args[0] if len(args) == 1 else (args or None)

    def encode(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], name: str
    ) -> tuple[tuple[bytes, ...], dict[str, bytes]]:
        """Arguments as payloads; an error names the argument."""
        return encode_arguments(self.values, args, kwargs, name)

    def decode(
        self,
        args: tuple[bytes, ...],
        kwargs: dict[str, bytes],
        signature: Signature | None = None,
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Payloads as arguments; `signature` is of what they are for."""
        return decode_arguments(self.values, args, kwargs)

    def _child_options(self, options: dict[str, Any]) -> StartOptions:
        extras = self.start.options.extras
        inherited = extras.metadata if extras is not None else b""
        if options.keys() <= _ELSEWHERE and not inherited:
            return _plain_options(self.start.options.queue)

        def limit(name: str) -> float | None:
            return optional_seconds(options.get(name), what=name)

        retry = options.get("retry")
        return StartOptions(
            queue=options.get("queue") or self.start.options.queue,
            retry=None if retry is None else checked_policy(retry),
            run_timeout=limit("run_timeout"),
            execution_timeout=limit("execution_timeout"),
            parameters=json_object(options.get("parameters"), "parameters"),
            context=json_object(options.get("context"), "context"),
            run_name=options.get("run_name") or "",
            memo={
                key: self.values.encode(value, f"memo {key!r}")
                for key, value in (options.get("memo") or {}).items()
            },
            extras=extras_of(options, inherited),
        )

    # -- facts -----------------------------------------------------------------------

    @property
    def random(self) -> _random.Random:
        if self.read_only:
            return seeded(self.start.run_id, -1)
        if self._seeded is None:
            self._seeded = seeded(self.start.run_id, self.generation)
        return self._seeded

    @property
    def cancel_reason(self) -> str | None:
        return self.reason

    @property
    def last_result(self) -> Any:
        payload = self.start.previous.result if self.start.previous else b""
        return self.values.decode(payload) if payload else None

    @property
    def last_failure(self) -> BaseException | None:
        failure = self.start.previous.failure if self.start.previous else None
        return cause_of(failure, values=self.values) if failure else None

    def wall_time(self) -> float:
        return self.now

    @property
    def info(self) -> RunInfo:
        start = self.start
        parent, options = start.parent, self.labels.on(start.options)
        extras = options.extras or NO_EXTRAS
        return RunInfo(
            workflow_id=start.workflow_id,
            run_id=start.run_id,
            first_run_id=start.first_run_id,
            root_run_id=start.root_run_id,
            name=start.name,
            queue=options.queue,
            attempt=start.attempt,
            generation=self.generation,
            started_at=datetime.fromtimestamp(self.now, UTC),
            parent_workflow_id=parent.workflow_id if parent else None,
            parent_run_id=parent.run_id if parent else None,
            run_name=options.run_name or generated_name(start.run_id),
            parameters=msgspec.json.decode(options.parameters or b"{}"),
            context=msgspec.json.decode(options.context or b"{}"),
            search_attributes=typed_attributes(extras.attributes),
            memo={k: self.values.decode(v) for k, v in options.memo.items()},
            headers=dict(options.headers),
            additional_metadata=msgspec.json.decode(extras.metadata)
            if extras.metadata
            else None,
            event_id=extras.event_id or None,
            event_key=extras.event_key or None,
            schedule_id=extras.schedule_id or None,
            nominal_time=None
            if extras.nominal_time is None
            else datetime.fromtimestamp(extras.nominal_time, UTC),
        )


@lru_cache(maxsize=256)
def _plain_options(queue: str) -> StartOptions:
    """The options of a child that is given none: one object for all that are alike."""
    return StartOptions(queue=queue)


def encode_arguments(
    values: Converter, args: tuple[Any, ...], kwargs: dict[str, Any], name: str
) -> tuple[tuple[bytes, ...], dict[str, bytes]]:
    """Arguments as payloads; ValueNotStorable names the one that cannot be."""
    return (
        tuple(
            [values.encode(a, f"argument {n} of {name}") for n, a in enumerate(args, 1)]
        ),
        {
            checked_text(k, f"the name of argument {k!r} of {name}"): values.encode(
                a, f"argument {k!r} of {name}"
            )
            for k, a in kwargs.items()
        },
    )


def decode_arguments(
    values: Converter,
    args: tuple[bytes, ...],
    kwargs: dict[str, bytes],
    signature: Signature | None = None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Payloads as arguments; of the types in `signature`, if values need to be told."""
    if signature is not None and getattr(values, "hinted", False):
        return _decode_typed(values, args, kwargs, signature)  # type: ignore[arg-type]
    decode = values.decode
    return (
        tuple([decode(a) for a in args]),
        {k: decode(a) for k, a in kwargs.items()} if kwargs else {},
    )


def _decode_typed(
    values: DataConverter,
    args: tuple[bytes, ...],
    kwargs: dict[str, bytes],
    signature: Signature,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    given = zip(args, signature.named(len(args)), strict=True)
    return (
        tuple(values.decode_as(a, signature.hint(n)) for a, n in given),
        {k: values.decode_as(a, signature.hint(k)) for k, a in kwargs.items()},
    )
