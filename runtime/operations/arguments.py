"""JSON arguments made the values that author code expects, by its type hints.

They are made here, by the type hints of the workflow, task or handler that they are
for, so that what does not fit is refused before anything is stored, and the engine
stores what it would store for a caller in its own process. Without a hint, and for
names that nothing here knows, a value stays the plain JSON that it is.

The operations' `typed` hooks are made of what is here, and stand beside them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec.structs import replace

from everact.runtime.core.failures import Failure
from everact.runtime.core.records import Extras, StartOptions
from everact.runtime.definitions.extras import PRIORITIES
from everact.runtime.definitions.signature import Signature
from everact.runtime.errors import invalid
from everact.runtime.isolation import text_of
from everact.runtime.values.coded import coded
from everact.runtime.values.json_payloads import JsonConverter
from everact.runtime.values.payloads import JSON_TAG, PickleConverter

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

M = TypeVar("M", bound=Any)

_READER = JsonConverter(otherwise=PickleConverter())
"""Reads what is harmless, and nothing else is given to it."""


class Target(NamedTuple):
    """What arguments are for."""

    name: str
    signature: Signature


def typed_start(engine: "Engine", request: M) -> M:
    """A start with what came as JSON as the engine stores values.

    RPCError INVALID_ARGUMENT names the argument that does not fit, here and below.
    """
    _check(request.options)
    target = _target(engine, request.workflow)
    if target is not None:
        try:
            target.signature.check(request.args, request.kwargs, target.name)
        except TypeError as error:
            raise invalid(str(error)) from None
    request = with_arguments(engine, target, request)
    signal = request.signal
    if signal is not None:
        handler = handler_of(engine, request.workflow, "signals", signal.name)
        signal = with_arguments(engine, handler, signal)
        request = replace(request, signal=signal)
    if request.options.memo:
        memo = memo_stored(engine, request.options.memo)
        request = replace(request, options=replace(request.options, memo=memo))
    return request


def _check(options: StartOptions) -> None:
    """Refuse what the client of this process would not have let through."""
    if not options.queue:
        raise invalid("options.queue must not be empty")
    for name in ("begin_at", "execution_deadline", "run_deadline"):
        if getattr(options, name) is not None:
            raise invalid(
                f"options.{name} is the engine's own: give start_delay, begin_at, "
                "execution_timeout or run_timeout"
            )
    if options.extras is not None:
        _check_extras(options.extras)


def _check_extras(extras: Extras) -> None:
    if extras.priority not in (0, *PRIORITIES):
        raise invalid("options.extras.priority must be 1, 2 or 3, or 0 for none")
    if len(extras.static_summary.splitlines()) > 1:
        raise invalid("options.extras.static_summary must be one line")
    for name in ("event_id", "event_key", "schedule_id", "nominal_time"):
        if getattr(extras, name) not in ("", None):
            raise invalid(f"options.extras.{name} is the engine's own")


def _target(engine: "Engine", name: str) -> Target | None:
    registry = engine.code_of(name)
    definition = registry.workflows.get(name)
    if definition is not None:
        return Target(name, definition.signature)
    task = registry.tasks.get(name)
    return None if task is None else Target(name, task.signature)


def handler_of(engine: "Engine", workflow: str, kind: str, name: str) -> Target | None:
    """What takes messages of a name: of the signals, queries or updates, as `kind`."""
    definition = engine.code_of(workflow).workflows.get(workflow)
    handler = None if definition is None else getattr(definition, kind).get(name)
    if handler is None:
        return None
    return Target(handler.function.__name__, handler.signature)


def with_arguments(engine: "Engine", target: Target | None, message: M) -> M:
    """A struct of `args` and `kwargs` with these as `target` takes them."""
    names: Iterable[Any] = range(1, len(message.args) + 1)
    label = "the arguments"
    hint: Callable[[str], Any] = _any
    if target is not None:
        names = target.signature.named(len(message.args))
        label, hint = target.name, target.signature.hint

    def typed(payload: bytes, name: Any) -> bytes:
        what = f"argument {name!r} of {label}"
        return stored(engine, payload, what, hint(name))

    return replace(
        message,
        args=tuple(map(typed, message.args, names)),
        kwargs={name: typed(value, name) for name, value in message.kwargs.items()},
    )


def _any(_: str) -> Any:
    """The hint of arguments for what nothing here knows."""
    return Any


def with_details(engine: "Engine", request: M) -> M:
    """A struct of `details` with these as they are stored."""
    return replace(request, details=_details(engine, request.details))


def memo_stored(engine: "Engine", memo: Mapping[str, bytes]) -> dict[str, bytes]:
    """A memo as it is stored."""
    return {k: stored(engine, v, f"memo {k!r}") for k, v in memo.items()}


def failure_stored(engine: "Engine", failure: Failure) -> Failure:
    """A failure that was reported, with its details as they are stored."""
    cause = failure.cause
    return replace(
        failure,
        details=_details(engine, failure.details),
        cause=None if cause is None else failure_stored(engine, cause),
    )


def result_stored(engine: "Engine", payload: bytes, task: str) -> bytes:
    """A result that was reported as what a task's function returns."""
    if not payload:
        return b""
    known = engine.code_of(task).tasks.get(task)
    none = payload == JSON_TAG + b"null"  # no result, which fits whatever the type
    kind = Any if known is None or none else known.signature.returned
    return stored(engine, payload, f"the result of {task}", kind)


def _details(engine: "Engine", details: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(stored(engine, detail, "a detail") for detail in details)


def stored(engine: "Engine", payload: bytes, what: str, kind: Any = Any) -> bytes:
    """A value that came over the network as the engine stores it.

    What it cannot read, for want of the codec, is stored as it came.
    """
    found = coded(payload)
    if found is None and payload[:1] != JSON_TAG:
        return payload  # of a client in this process
    if found is not None and not (found.foreign and engine.values.reads(payload)):
        return payload
    try:
        value = _READER.decode(engine.values.unwrap(payload), kind)
    except Exception as error:  # out of a class of the author's, perhaps
        raise invalid(f"{what}: {text_of(error)}") from None
    return engine.values.encode(value, what)
