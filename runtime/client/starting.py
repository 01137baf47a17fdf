"""What a start takes, checked before anything is sent."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Unpack

from msgspec.structs import replace

from everact.runtime.client.callers import OLD_FORMS
from everact.runtime.client.requester import Requester
from everact.runtime.client.rpc import RPC, RPC_OPTIONS
from everact.runtime.core.bounds import epoch_of
from everact.runtime.core.durations import Duration, optional_seconds, seconds
from everact.runtime.core.identity import CONFLICTS, REUSES, mistake
from everact.runtime.core.keywords import closed
from everact.runtime.core.records import StartOptions
from everact.runtime.core.retry import checked_policy
from everact.runtime.definitions.extras import StartingAnyRun, extras_of, json_object
from everact.runtime.definitions.search_attributes import old_form
from everact.runtime.definitions.tasks import Task
from everact.runtime.definitions.workflows import (
    definition_of,
    handler_name,
    name_of,
)
from everact.runtime.operations.starting import StartRun, StartSignal
from everact.runtime.programs.workflow_loop import encode_arguments
from everact.runtime.values.calls import Call
from everact.runtime.values.json_payloads import as_type
from everact.runtime.values.payloads import checked_text


class _Unset:
    def __repr__(self) -> str:
        return "<no argument>"


UNSET: Any = _Unset()
"""Stands for an argument that was not given; an explicit None is an argument."""

TASK_TIMEOUT = timedelta(seconds=10)


class Starting(StartingAnyRun, RPC, total=False):
    """The keyword options of `Client.start` and `Client.execute`."""

    args: Sequence[Any] | None
    queue: str
    on_conflict: str | None
    start_signal: Any
    start_signal_args: Sequence[Any]
    scheduled_start_time: datetime | None
    static_summary: str | None
    static_details: str | None
    request_eager_start: bool
    task_timeout: Duration
    start_delay: Duration | None
    cron_schedule: str
    run_name: str | None
    headers: dict[str, str] | None
    request_id: str
    correlation_id: int | None
    result_type: Any


_ELSEWHERE = RPC_OPTIONS | {
    "args",
    "kwargs",
    "id",
    "queue",
    "on_conflict",
    "on_reuse",
    "start_delay",
    "start_signal",
    "start_signal_args",
    "scheduled_start_time",
    "request_eager_start",
    "request_id",
    "result_type",
}
OLD_FORMS["search_attributes"] = old_form
_KNOWN = frozenset(Starting.__annotations__)


def start_request(
    client: Requester, workflow: Any, arg: Any, **options: Unpack[Starting]
) -> StartRun:
    """The request of a start; ValueError, TypeError, ValueNotStorable for bad input."""
    name = workflow.everact_name if isinstance(workflow, Task) else name_of(workflow)
    if not options:  # nothing to check but the argument
        args = () if arg is UNSET else (arg,)
        args, _ = _fitted(workflow, args, {}, name)
        return StartRun(
            workflow=name,
            args=encode_arguments(client.values, args, {}, name)[0],
            options=_plain_options("default", client.identity),
            workspace=client.namespace,
        )
    closed(options, _KNOWN, "a start")
    args = _arguments(arg, options.get("args"))
    kwargs = options.get("kwargs") or {}
    args, kwargs = _fitted(workflow, args, kwargs, name)
    workflow_id, queue = options.get("id"), options.get("queue", "default")
    if workflow_id is not None and not workflow_id:
        raise ValueError("id must not be empty")
    if not queue:
        raise ValueError("queue must not be empty")
    for what in ("id", "queue", "run_name", "request_id"):
        checked_text(options.get(what) or "", what)  # type: ignore[arg-type]
    signal = _signal(client, options)
    encoded, encoded_named = encode_arguments(client.values, args, kwargs, name)
    return StartRun(
        workflow=name,
        workflow_id=workflow_id or "",
        args=encoded,
        kwargs=encoded_named,
        options=_options(client, queue, options),
        start_delay=optional_seconds(options.get("start_delay"), what="start_delay"),
        begin_at=_scheduled(options),
        **_policies(options),
        signal=signal,
        request_id=options.get("request_id", ""),
        workspace=client.namespace,
    )


def _scheduled(options: Starting) -> float | None:
    """The scheduled start time as epoch seconds; one before 1970 is that moment."""
    given = options.get("scheduled_start_time")
    if given is None:
        return None
    if not isinstance(given, datetime):
        raise TypeError(
            f"scheduled_start_time must be a datetime, not {type(given).__name__}"
        )
    if options.get("start_delay") is not None:
        raise ValueError("give scheduled_start_time or start_delay, not both")
    return epoch_of(given, "scheduled_start_time")


def _policies(options: Starting) -> dict[str, Any]:
    """What the start does about a run that has its ID."""
    conflict, reuse = options.get("on_conflict"), options.get("on_reuse", "allow")
    for what, given, known in (
        ("on_conflict", conflict, CONFLICTS),
        ("on_reuse", reuse, REUSES),
    ):
        if given is not None and given not in known:
            raise ValueError(f"{what} must be one of {', '.join(known)}")
    wrong = mistake(conflict, reuse, options.get("start_signal") is not None)
    if wrong is not None:
        raise ValueError(wrong)
    return {"on_conflict": conflict, "on_reuse": reuse}


def _signal(client: Requester, options: Starting) -> StartSignal | None:
    """The signal that the start brings along."""
    signal, args = options.get("start_signal"), options.get("start_signal_args", ())
    if signal is None:
        if args:
            raise ValueError("start_signal_args are for a start_signal")
        return None
    name = handler_name(signal, "signal")
    return StartSignal(
        name=name, args=encode_arguments(client.values, tuple(args), {}, name)[0]
    )


def dispatch_request(client: Requester, call: Call) -> StartRun:
    """The request of a dispatched call; TypeError for what is none."""
    if not isinstance(call, Call):
        raise TypeError(f"dispatch takes calls, as build_call makes them, not {call!r}")
    given = call.arguments()
    request = start_request(
        client,
        call.function,
        UNSET,
        args=given.args,
        kwargs=given.kwargs,
        correlation_id=call.correlation_id,
    )
    return replace(request, must_be_known=True)


@lru_cache(maxsize=256)
def _plain_options(queue: str, identity: str) -> StartOptions:
    """The options of a start that gives none: one object for all that are alike."""
    return StartOptions(queue=queue, identity=identity)


def _options(client: Requester, queue: str, options: Starting) -> StartOptions:
    if not options.keys() - _ELSEWHERE:
        return _plain_options(queue, client.identity)
    memo, retry = options.get("memo") or {}, options.get("retry")
    return StartOptions(
        queue=queue,
        retry=None if retry is None else checked_policy(retry),
        run_timeout=optional_seconds(options.get("run_timeout"), what="run_timeout"),
        execution_timeout=optional_seconds(
            options.get("execution_timeout"), what="execution_timeout"
        ),
        task_timeout=seconds(
            options.get("task_timeout", TASK_TIMEOUT), what="task_timeout"
        ),
        parameters=json_object(options.get("parameters"), "parameters"),
        context=json_object(options.get("context"), "context"),
        run_name=options.get("run_name") or "",
        memo={k: client.values.encode(v, f"memo {k!r}") for k, v in memo.items()},
        headers=options.get("headers") or {},
        identity=client.identity,
        correlation_id=options.get("correlation_id"),
        extras=extras_of(options),
    )


def _arguments(arg: Any, args: Sequence[Any] | None) -> tuple[Any, ...]:
    if args is None:
        return () if arg is UNSET else (arg,)
    if arg is not UNSET:
        raise ValueError("give arg or args, not both")
    return tuple(args)


def _fitted(
    workflow: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as what they are started with takes them; TypeError if they do
    not fit it.
    """
    target = workflow if isinstance(workflow, Task) else definition_of(workflow)
    if target is None:
        return args, kwargs
    signature = target.signature
    signature.check(args, kwargs, name)
    models = signature.models
    if not models:
        return args, kwargs

    def fitted(value: Any, parameter: str) -> Any:
        model = models.get(parameter)
        if model is None or model.takes(value):
            return value
        try:
            made = as_type(value, model.hint)
        except Exception as error:
            raise TypeError(
                f"argument {parameter!r} of {name} does not fit its type hint, and is "
                f"of type {type(value).__name__}: {error}"
            ) from None
        return made if model.takes(made) else value

    places = zip(args, signature.named(len(args)), strict=True)
    return tuple(fitted(value, parameter) for value, parameter in places), {
        parameter: fitted(value, parameter) for parameter, value in kwargs.items()
    }
