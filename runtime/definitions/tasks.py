"""`@task`: functions whose calls are recorded, retried and never repeated once done.

Where a call is made decides what it is: in a workflow a durable call, in a task a
plain one, elsewhere a run of its own on the active runtime.
"""

import asyncio
import functools
import inspect
import sys
from asyncio import _get_running_loop
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from msgspec.structs import replace

from everact.runtime.core.bounds import ATTEMPTS, whole
from everact.runtime.core.durations import Duration, optional_seconds
from everact.runtime.core.keywords import closed
from everact.runtime.core.records import DEFAULT_TASK, TaskOptions
from everact.runtime.core.retry import RetryPolicy, checked_policy
from everact.runtime.definitions.active import active
from everact.runtime.definitions.context import TaskContext, current_attempt
from everact.runtime.definitions.context import context as _context
from everact.runtime.definitions.durable import DurableLoop
from everact.runtime.definitions.executors import LOOP, THREAD, executor_named
from everact.runtime.definitions.registry import Registry, default_registry
from everact.runtime.definitions.signature import Signature
from everact.runtime.values.calls import Arguments, Call

P = ParamSpec("P")
R = TypeVar("R")
Q = ParamSpec("Q")
S = TypeVar("S")

FUNCTION_RETRY = RetryPolicy(1.0, 2.0, 100.0, 10, (), True)
"""What called functions of a registry get without a policy: ten attempts, 1 s
doubling to 100 s, temporary statuses only."""

CANCELLATIONS = ("abandon", "wait")
HEARTBEATS = ("auto", "manual")


class CallOptions(TypedDict, total=False):
    """What may be said of the calls of a task; `task` explains it."""

    retries: int | None
    retry: RetryPolicy | None
    timeout: Duration | None
    heartbeat_timeout: Duration | None
    heartbeat: str | None
    queue_timeout: Duration | None
    total_timeout: Duration | None
    queue: str | None
    cancellation: str | None


class Defining(CallOptions, total=False):
    """The keyword options of `@task`."""

    name: str | None
    executor: str | None
    registry: Registry | None


class Task(Generic[P, R]):
    """A task: awaiting a call of it gives its function's value.

    `function` is the plain function. Tasks are made by `@task`, which documents the
    options. As a value a task travels by its place in its module, like a function.
    """

    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[P, Any],
        *,
        name: str,
        options: TaskOptions,
        executor: str,
        registry: Registry,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.everact_name = name
        self.argument_label = f"an argument of {name}"
        self.result_label = f"the result of {name}"
        self.options = options
        self.recorded_options = None if options == DEFAULT_TASK else options
        self.executor = executor
        self.is_async = inspect.iscoroutinefunction(function)
        self.signature = Signature(function, inject=TaskContext)
        self.simple = self.is_async and self.signature.injected is None
        self.registry = registry
        _mark_coroutine_function(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        loop = _get_running_loop()
        value: R
        if isinstance(loop, DurableLoop):
            value = await loop.call_task(self, args, kwargs)
        elif current_attempt.get() is not None:
            value = await self._plainly(args, kwargs)
        else:
            value = await active().call(self, args, kwargs)
        return value

    def with_options(self, **options: Unpack[CallOptions]) -> "Task[P, R]":
        """This task with other options for the calls made through the answer."""
        closed(options, CallOptions.__annotations__, "Task.with_options")
        made = task_options(self.options, options)
        return _with_options(self, made)

    def blocking(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call from a thread that may block; not from a running loop.

        In a task a plain call, elsewhere a run of its own on the active runtime.
        """
        if _get_running_loop() is not None:
            raise RuntimeError(
                f"{self.everact_name}.blocking() would block the event loop: await "
                "the task instead"
            )
        value: R
        if current_attempt.get() is not None:
            given, named = self.signature.inject(_context(), args, kwargs)
            value = self.function(*given, **named)
            if inspect.isawaitable(value):
                return asyncio.run(_awaited(value))  # type: ignore[no-any-return]
            return value
        caller = active()
        value = caller.blocking(lambda: caller.call(self, args, kwargs))
        return value

    async def dispatch(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Start a call as a run of its own; returns its identifier at once.

        The start is durable when this returns. The identifier is text without
        structure, good for result, describe and cancel.
        """
        return await active().dispatch(self.build_call(*args, **kwargs))

    def build_call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """A description of the call, nothing sent. TypeError if arguments misfit."""
        self.signature.check(args, kwargs, self.everact_name)
        return Call(self.everact_name, Arguments(args, kwargs), self.registry.endpoint)

    def __repr__(self) -> str:
        return f"<task {self.everact_name}>"

    def __reduce__(self) -> Any:
        registered = self.registry.tasks.get(self.everact_name, self)
        if registered is self:
            return self.__qualname__
        return (_with_options, (registered, self.options))

    async def _plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        args, kwargs = self.signature.inject(_context(), args, kwargs)
        if self.is_async:
            return await self.function(*args, **kwargs)  # type: ignore[no-any-return]
        return await asyncio.to_thread(self.function, *args, **kwargs)


@overload
def task(function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**given: Unpack[Defining]) -> "_TaskDecorator": ...
def task(function: Any = None, /, **given: Any) -> Any:
    """Make a function a task.

    Options: `name` (default: the qualified name without the module); `retries`, how
    often a failed attempt is repeated (default 0), or `retry`, a policy made by
    `retry(…)`; `timeout`, how long an attempt may run (default: no limit);
    `heartbeat_timeout`, after how long a silent attempt is taken for lost; `heartbeat`,
    who gives the signs of life: "auto", the default, the process that it runs in, or
    "manual", the function by `context().heartbeat()`; `queue_timeout`, how long it may
    wait for a slot; `total_timeout`, how long the call may take with all its attempts
    and the waits before and between them; `queue` (default: the run's own);
    `cancellation`, whether a call that is cancelled raises at once ("abandon", the
    default) or waits for what becomes of the task, which is told to stop ("wait");
    `executor`, "loop" for async functions and "thread" for the others.

    Async functions run on the event loop, others in a thread each. The call's value
    is durable before the workflow goes on. Raises ValueError for bad options or a
    name that is taken.
    """
    closed(given, _OPTIONS, "@task")
    decorator = _TaskDecorator(given)
    return decorator if function is None else decorator(function)


_OPTIONS = frozenset(Defining.__annotations__)


class _TaskDecorator:
    """`@task(…)` with its options, waiting for the function."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given

    @overload
    def __call__(self, function: Callable[Q, Coroutine[Any, Any, S]]) -> Task[Q, S]: ...
    @overload
    def __call__(self, function: Callable[Q, S]) -> Task[Q, S]: ...
    def __call__(self, function: Callable[..., Any]) -> Task[..., Any]:
        return make_task(function, **self._given)


def make_task(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    executor: str | None = None,
    registry: Registry | None = None,
    base: TaskOptions = DEFAULT_TASK,
    **options: Unpack[CallOptions],
) -> Task[..., Any]:
    """Make a task and register it; see `task` for the options."""
    if not callable(function):
        raise TypeError(f"a task is a function, not {function!r}")
    usual = LOOP if inspect.iscoroutinefunction(function) else THREAD
    chosen = usual if executor is None else executor
    recorded = "" if chosen == usual else chosen
    if executor is not None:
        refused = executor_named(executor).refuses(function)
        if refused is not None:
            raise ValueError(refused)
    for what, text in (("name", name), ("queue", options.get("queue"))):
        if text is not None and not (isinstance(text, str) and text):
            raise ValueError(f"the {what} of a task is text, not {text!r}")
    if registry is not None and not isinstance(registry, Registry):
        raise TypeError(f"registry takes a Registry, not {registry!r}")
    home = default_registry() if registry is None else registry
    made: Task[..., Any] = Task(
        function,
        name=name or function.__qualname__,
        options=task_options(replace(base, executor=recorded), options),
        executor=chosen,
        registry=home,
    )
    home.add_task(made)
    return made


def task_options(base: TaskOptions, given: CallOptions) -> TaskOptions:
    """`base` with the given options checked and put in."""
    retries, retry = given.get("retries"), given.get("retry")
    cancellation, heartbeat = given.get("cancellation"), given.get("heartbeat")
    queue = given.get("queue")
    if retries is not None and retry is not None:
        raise ValueError("give retries or retry, not both")
    policy = base.retry if retry is None else checked_policy(retry)
    if retries is not None:
        whole(retries, "retries", most=ATTEMPTS[1] - 1)
        policy = RetryPolicy(attempts=retries + 1)
    if cancellation is not None and cancellation not in CANCELLATIONS:
        raise ValueError(
            f"cancellation must be one of {CANCELLATIONS}, not {cancellation!r}"
        )
    if heartbeat is not None and heartbeat not in HEARTBEATS:
        raise ValueError(f"heartbeat must be one of {HEARTBEATS}, not {heartbeat!r}")

    def limit(what: str) -> float | None:
        duration: Any = given.get(what)
        kept: float | None = getattr(base, what)
        return kept if duration is None else optional_seconds(duration, what=what)

    return TaskOptions(
        policy,
        limit("timeout"),
        limit("heartbeat_timeout"),
        limit("queue_timeout"),
        base.queue if queue is None else queue,
        base.await_cancelled if cancellation is None else cancellation == "wait",
        base.manual_heartbeat if heartbeat is None else heartbeat == "manual",
        base.executor,
        limit("total_timeout"),
    )


@overload
def function(registry: Callable[Q, Coroutine[Any, Any, S]], /) -> Task[Q, S]: ...
@overload
def function(registry: Callable[Q, S], /) -> Task[Q, S]: ...
@overload
def function(registry: Registry | None = None, **options: Any) -> _TaskDecorator: ...
def function(registry: Any = None, **options: Any) -> Any:
    """Register a function for calls from anywhere, retried on temporary statuses.

    Like `task`, with or without parentheses, but without a policy a call gets
    `FUNCTION_RETRY`.
    """
    closed(options, _OPTIONS - {"registry"}, "@function")
    base = TaskOptions(retry=FUNCTION_RETRY)
    if registry is None or isinstance(registry, Registry):
        return _TaskDecorator({"registry": registry, "base": base, **options})
    if options:
        raise TypeError(f"@function takes a registry, not {registry!r}")
    return make_task(registry, base=base)


def _with_options(made: Task[P, R], options: TaskOptions) -> Task[P, R]:
    return Task(
        made.function,
        name=made.everact_name,
        options=options,
        executor=made.executor,
        registry=made.registry,
    )


async def _awaited(value: Any) -> Any:
    return await value


def _mark_coroutine_function(made: Any) -> None:
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(made)
    else:
        made._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
