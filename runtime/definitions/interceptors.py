"""Worker interceptors: code around workflows, handlers, calls and tasks.

An interceptor overrides the methods that it needs. Each is given what is about to
happen, as an `Invocation`, and `proceed`, which lets it happen: it may change the one
before, the answer after, or not proceed at all. Of several the first is outermost.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TypeAlias

Proceed: TypeAlias = Callable[["Invocation"], Any]
Method: TypeAlias = Callable[["Invocation", Proceed], Any]


@dataclass(frozen=True, slots=True)
class Invocation:
    """Code that is about to be called, by name and with its arguments.

    `kind` is "workflow", "signal", "query", "update", "task" or "child". `headers` are
    those that came with it, or that go with it. `replaying` says that this happened
    before, and that the code is only re-executed.
    """

    kind: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    replaying: bool = False

    def replace(self, **changes: Any) -> Self:
        """This with other fields."""
        return dataclasses.replace(self, **changes)

    def with_headers(self, headers: dict[str, str]) -> Self:
        """This with further headers."""
        return dataclasses.replace(self, headers=self.headers | headers)


class WorkerInterceptor:
    """Stands around what workers execute; pass it to `Runtime(interceptors=[…])`.

    All but `execute_task` runs inside the workflow, on every replay again, and must be
    as deterministic as the workflow is.
    """

    async def execute_workflow(
        self, call: Invocation, proceed: Callable[[Invocation], Awaitable[Any]]
    ) -> Any:
        """Around the code of a run, from its first step to its end."""
        return await proceed(call)

    def handle_signal(self, call: Invocation, proceed: Proceed) -> Any:
        """Around the arrival of a signal.

        `proceed` gives what the handler does: a coroutine of an async one, else None.
        """
        return proceed(call)

    def handle_query(self, call: Invocation, proceed: Proceed) -> Any:
        """Around the answer to a query; it must change nothing."""
        return proceed(call)

    def handle_update(self, call: Invocation, proceed: Proceed) -> Any:
        """Around the handler of an update, once the update is accepted.

        `proceed` gives what the handler does: a coroutine of an async one, else its
        answer.
        """
        return proceed(call)

    def start_call(self, call: Invocation, proceed: Proceed) -> Any:
        """Around what workflow code asks for: a "task", a "child", a "signal".

        Headers are not passed on unless they are given here. Returns what `proceed`
        gives, which is not the outcome yet.
        """
        return proceed(call)

    async def execute_task(
        self, call: Invocation, proceed: Callable[[Invocation], Awaitable[Any]]
    ) -> Any:
        """Around an attempt of a task, also of one that runs in a thread."""
        return await proceed(call)


class InterceptorChains(NamedTuple):
    """The methods that some interceptors override, outermost first."""

    workflows: tuple[Method, ...] = ()
    signals: tuple[Method, ...] = ()
    queries: tuple[Method, ...] = ()
    updates: tuple[Method, ...] = ()
    calls: tuple[Method, ...] = ()
    tasks: tuple[Method, ...] = ()

    @property
    def programs(self) -> bool:
        """Whether anything stands around workflow code."""
        return any(self[:-1])


NO_INTERCEPTORS = InterceptorChains()


def chains_of(interceptors: Iterable[object]) -> InterceptorChains:
    """What the worker's interceptors among `interceptors` stand around."""
    found = [i for i in interceptors if isinstance(i, WorkerInterceptor)]

    def overriding(name: str) -> tuple[Method, ...]:
        plain = getattr(WorkerInterceptor, name)
        return tuple(
            getattr(one, name) for one in found if getattr(type(one), name) is not plain
        )

    made = InterceptorChains(
        overriding("execute_workflow"),
        overriding("handle_signal"),
        overriding("handle_query"),
        overriding("handle_update"),
        overriding("start_call"),
        overriding("execute_task"),
    )
    return NO_INTERCEPTORS if made == NO_INTERCEPTORS else made


def chained(methods: tuple[Method, ...], innermost: Proceed) -> Proceed:
    """`innermost` with `methods` around it, the first outermost."""

    def step(method: Method, inner: Proceed) -> Proceed:
        return lambda call: method(call, inner)

    proceed = innermost
    for method in reversed(methods):
        proceed = step(method, proceed)
    return proceed
