"""What workflow code can ask for beside its tasks and plain asyncio.

Everything here is deterministic: it gives the same on every replay. Outside of a
workflow `now`, `random`, `uuid4` and `sleep` do what their plain namesakes do.
"""

import asyncio
import random as _random
import uuid
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, Unpack, overload

from everact.runtime.core.durations import Duration, seconds
from everact.runtime.core.identity import REUSES
from everact.runtime.core.keywords import closed, suggesting
from everact.runtime.core.records import (
    ABANDON,
    REQUEST_CANCEL,
    TERMINATE,
    RenameRun,
    SetDetails,
    UpsertAttributes,
)
from everact.runtime.definitions.context import current_attempt
from everact.runtime.definitions.durable import (
    RunInfo,
    durable_loop,
    new_uuid,
    required_loop,
)
from everact.runtime.definitions.extras import StartingAnyRun
from everact.runtime.definitions.search_attributes import (
    SearchAttributePair,
    SearchAttributeUpdate,
    attribute_of,
)
from everact.runtime.definitions.workflows import (
    UNFINISHED,
    handler_name,
)
from everact.runtime.values.json_payloads import of_type
from everact.runtime.values.payloads import checked_text

R = TypeVar("R")

_outside = _random.SystemRandom()
_MISSING: Any = object()

ON_PARENT_CLOSE = {
    "terminate": TERMINATE,
    "cancel": REQUEST_CANCEL,
    "abandon": ABANDON,
}


def now() -> datetime:
    """The current time, aware and in UTC; in a workflow the run's own."""
    loop = durable_loop()
    if loop is None:
        return datetime.now(UTC)
    return datetime.fromtimestamp(loop.wall_time(), UTC)


def random() -> _random.Random:
    """A generator of random numbers; in a workflow one seeded by the run."""
    loop = durable_loop()
    return _outside if loop is None else loop.random


def uuid4() -> uuid.UUID:
    """A random UUID; in a workflow out of the run's own generator."""
    loop = durable_loop()
    return uuid.uuid4() if loop is None else new_uuid(loop.random)


async def sleep(duration: Duration) -> timedelta:
    """Sleep durably; returns the time slept.

    The moment of waking is fixed when the sleep is recorded; after a crash only the
    rest is waited. Holds no slot and no thread. ValueError for a negative duration.
    """
    wait = seconds(duration, what="sleep")
    before = now()
    await asyncio.sleep(wait)
    return now() - before


async def wait_condition(
    predicate: Callable[[], bool], *, timeout: Duration | None = None
) -> None:
    """Wait until `predicate()` holds; TimeoutError when `timeout` is over first.

    It is evaluated at once and after each message and step of the run; it must be
    quick and must change nothing.
    """
    loop = required_loop("wait_condition")
    if predicate():
        return
    future = loop.wait_until(predicate)
    if timeout is None:
        await future
        return
    async with asyncio.timeout(seconds(timeout, what="timeout")):
        await future


async def receive(name: str, *, timeout: Duration | None = None) -> Any:
    """The argument of the next signal `name` that no handler took, oldest first.

    None for a signal without argument, a tuple for one with several. TimeoutError
    when `timeout` is over first; the signal then stays for the next receiver.
    """
    future = required_loop("receive").receive(name)
    if timeout is None:
        return await future
    async with asyncio.timeout(seconds(timeout, what="timeout")):
        return await future


@suggesting
def on_signal(
    name: str, handler: Callable[..., Any], *, unfinished: str = UNFINISHED[0]
) -> None:
    """Let `handler` (async or not) take the signals `name`, those waiting first.

    `unfinished` as for `@workflow.signal`.
    """
    loop = required_loop("on_signal")
    loop.handle("signal", name, handler, unfinished=unfinished)


def on_query(name: str, handler: Callable[..., Any]) -> None:
    """Let `handler` answer the queries `name`; it must change nothing."""
    required_loop("on_query").handle("query", name, handler)


@suggesting
def on_update(
    name: str,
    handler: Callable[..., Any],
    *,
    validator: Callable[..., Any] | None = None,
    unfinished: str = UNFINISHED[0],
) -> None:
    """Let `handler` (async or not) answer the updates `name` from now on.

    `validator` sees the arguments first and raises to refuse them; it must change
    nothing. `unfinished` as for `@workflow.update`. Updates that come before this was
    called are refused.
    """
    loop = required_loop("on_update")
    loop.handle("update", name, handler, validator, unfinished)


def all_handlers_finished() -> bool:
    """Whether no async handler of a signal or an update is running.

    ``await wait_condition(all_handlers_finished)`` before returning abandons none.
    """
    return required_loop("all_handlers_finished").handlers_finished


def run_info() -> RunInfo:
    """Who the current run is: IDs, attempt, parameters, context."""
    return required_loop("run_info").info


@overload
def last_result(kind: type[R]) -> R | None: ...
@overload
def last_result() -> Any: ...
def last_result(kind: Any = Any) -> Any:  # noqa: ARG001 (for type checkers)
    """The last result of the runs before this one; None if there is none.

    Those of its cron chain are meant, or those of its schedule (but not where its
    runs may overlap each other). `kind` is the type that the caller knows it to be.
    """
    return required_loop("last_result").last_result


def last_failure() -> BaseException | None:
    """How a run before this one failed; None if none did.

    In a cron chain it is the last failure that there was, of a schedule the failure
    of the run before, if that one failed.
    """
    return required_loop("last_failure").last_failure


def upsert_search_attributes(*changes: SearchAttributeUpdate) -> None:
    """Change search attributes of the current run: `key.value_set(…)` sets one,
    `key.value_unset()` takes it away. Lists see it once the step is durable.

    A key that is not declared is kept with the run, which is found by it once it is
    declared, or at once if the runtime declares keys by itself. ValueError if a key
    is given twice.
    """
    loop = required_loop("upsert_search_attributes")
    if len({change.key.name for change in changes}) < len(changes):
        raise ValueError("a search attribute is given twice")
    loop.info.search_attributes.updated(*changes)  # refuses too many
    attributes = {
        change.key.name: attribute_of(change)
        if isinstance(change, SearchAttributePair)
        else None
        for change in changes
    }
    loop.label(UpsertAttributes(attributes))


def upsert_memo(changes: Mapping[str, Any]) -> None:
    """Set entries of the current run's memo, and take those away that are None.

    `run_info().memo` has them at once, `describe` and lists once the step is durable.
    A tail call and the next run of the chain keep the memo as it is then.
    """
    required_loop("upsert_memo").remember(dict(changes))


def set_current_details(text: str) -> None:
    """Say where the current run stands; `describe` shows it. The last text counts.

    A tail call begins without one.
    """
    loop = required_loop("set_current_details")
    if not isinstance(text, str):
        raise TypeError(f"the details are text, not {type(text).__name__}")
    loop.label(SetDetails(checked_text(text, "the details")))


def current_details() -> str:
    """Where the current run said last that it stands; empty if it did not."""
    return required_loop("current_details").labels.details


def memo_value(name: str, default: Any = _MISSING, *, type_hint: Any = None) -> Any:
    """One value of the current run's memo, made a `type_hint` if it is not one.

    KeyError if there is none of that name and no default.
    """
    memo = required_loop("memo_value").info.memo
    if name not in memo and default is not _MISSING:
        return default
    return of_type(memo[name], type_hint)


def rename_current_execution(name: str) -> None:
    """Give the run that is executing another display name; IDs stay what they are.

    In workflow code, and in a task for the run that it belongs to; from any thread
    of the task. The last name counts. It is durable with the step that gives it, from
    a task no later than the task's outcome. Elsewhere nothing happens. ValueError for
    an empty name.
    """
    loop, attempt = durable_loop(), current_attempt.get()
    if loop is None and attempt is None:
        return
    if not name:
        raise ValueError("the name of a run must not be empty")
    checked_text(name, "the name of a run")
    if loop is not None:
        loop.label(RenameRun(name))
    elif attempt is not None:
        attempt.rename_run(name)


def cancel_reason() -> str | None:
    """Why the current run was asked to stop; None if it was not."""
    return required_loop("cancel_reason").cancel_reason


class ChildHandle(Generic[R]):
    """A child run, for its parent: await it for the result.

    `workflow_id` and `run_id` name it. It can be signalled and cancelled.
    """

    def __init__(
        self, workflow_id: str, run_id: str, result: "asyncio.Future[R]"
    ) -> None:
        self.workflow_id = workflow_id
        self.run_id = run_id
        self._result = result

    def __await__(self) -> Generator[Any, None, R]:
        return self._result.__await__()

    async def result(self) -> R:
        """The child's result; `ChildFailure` if it did not succeed."""
        return await self._result

    def cancel(self) -> bool:
        """Ask the child to stop and stop waiting for it."""
        return self._result.cancel()

    async def signal(self, signal: Any, *args: Any) -> None:
        """Send the child a signal; returns when it is stored."""
        loop = required_loop("a child's signal")
        name = handler_name(signal, "signal")
        await loop.send(self.workflow_id, self.run_id, name, args)


class ChildOptions(StartingAnyRun, total=False):
    """The keyword options of a child run."""

    args: tuple[Any, ...] | None
    on_parent_close: str
    queue: str | None
    run_name: str


@overload
async def start_child(
    workflow: Callable[..., Coroutine[Any, Any, R]],
    /,
    *positional: Any,
    **options: Unpack[ChildOptions],
) -> ChildHandle[R]: ...
@overload
async def start_child(
    workflow: str | type, /, *positional: Any, **options: Unpack[ChildOptions]
) -> ChildHandle[Any]: ...
async def start_child(
    workflow: Any, /, *positional: Any, **options: Unpack[ChildOptions]
) -> ChildHandle[Any]:
    """Start a child run; returns its handle once the child is durably there.

    `id` defaults to one derived from the parent; `on_parent_close` is "terminate",
    "cancel" or "abandon". `additional_metadata` is added to the parent's, over it.
    `on_reuse` is what a closed run of that ID means: "allow", "allow_failed_only" or
    "reject". `ChildFailure` if the ID is taken by an open run, or kept by a closed one.
    """
    child, started = _child(workflow, positional, options, announce=True)
    assert started is not None
    await started
    return child


@overload
async def execute_child(
    workflow: Callable[..., Coroutine[Any, Any, R]],
    /,
    *positional: Any,
    **options: Unpack[ChildOptions],
) -> R: ...
@overload
async def execute_child(
    workflow: str | type, /, *positional: Any, **options: Unpack[ChildOptions]
) -> Any: ...
async def execute_child(
    workflow: Any, /, *positional: Any, **options: Unpack[ChildOptions]
) -> Any:
    """Run a workflow as a child and return its result; options as `start_child`.

    Calling the workflow, ``await other(argument)``, is the same without options.
    """
    child, _ = _child(workflow, positional, options, announce=False)
    try:
        return await child
    except asyncio.CancelledError:
        with suppress(asyncio.InvalidStateError):
            child.cancel()
        raise


async def signal_run(
    workflow_id: str, signal: Any, *args: Any, run_id: str = ""
) -> None:
    """Send a signal to another run from workflow code; returns when it is stored.

    `RPCError` with status NOT_FOUND if there is no open run of that ID.
    """
    loop = required_loop("signal_run")
    await loop.send(workflow_id, run_id, handler_name(signal, "signal"), args)


async def cancel_run(workflow_id: str, *, run_id: str = "") -> None:
    """Ask another run to stop from workflow code; returns when that is stored."""
    await required_loop("cancel_run").send(workflow_id, run_id, None, ())


def _child(
    workflow: Any, positional: tuple[Any, ...], given: ChildOptions, *, announce: bool
) -> tuple[ChildHandle[Any], asyncio.Future[Any] | None]:
    options: dict[str, Any] = dict(given)
    args = kwargs = None
    if options:
        closed(options, ChildOptions.__annotations__, "a child run")
        args, kwargs = options.pop("args", None), options.pop("kwargs", None)
        on_close = options.get("on_parent_close", "terminate")
        options["on_parent_close"] = _on_close(on_close)
        if "on_reuse" in options:
            _check_reuse(options["on_reuse"])
    loop = required_loop("a child run")
    workflow_id, run_id, started, result = loop.start_child(
        workflow,
        positional if args is None else tuple(args),
        kwargs or {},
        options,
        announce,
    )
    return ChildHandle(workflow_id, run_id, result), started


def _check_reuse(given: str) -> None:
    if given not in REUSES[:3]:
        raise ValueError(
            f"on_reuse must be one of {', '.join(REUSES[:3])}, not {given!r}"
        )


def _on_close(given: str) -> int:
    if given not in ON_PARENT_CLOSE:
        raise ValueError(
            f"on_parent_close must be one of {', '.join(ON_PARENT_CLOSE)}, "
            f"not {given!r}"
        )
    return ON_PARENT_CLOSE[given]
