"""How a coroutine program takes an update: let in, handled, answered.

A validator runs before anything is recorded, and not on replay. What is recorded is
shown: the handler runs, and its end is the command that answers.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from everact.runtime import errors
from everact.runtime.core import failures
from everact.runtime.core.failures import Failure
from everact.runtime.core.records import CompleteUpdate, UpdateAccepted
from everact.runtime.definitions.control import WorkflowControl
from everact.runtime.definitions.signature import Signature
from everact.runtime.definitions.workflows import Handler, WorkflowDefinition
from everact.runtime.isolation import contained, is_a, is_coroutine, shown
from everact.runtime.programs.base import StateChanged
from everact.runtime.programs.workflow_loop import WorkflowLoop
from everact.runtime.values.outcomes import failure_of
from everact.runtime.values.payloads import Converter


class Updated(Protocol):
    """What takes updates: the program."""

    definition: WorkflowDefinition
    values: Converter

    @property
    def loop(self) -> WorkflowLoop: ...

    def instance(self) -> Any: ...

    def looking(self, look: Callable[[], Any]) -> Any: ...

    def fail(self, error: BaseException) -> None: ...

    def handle_update(
        self,
        event: UpdateAccepted,
        handler: Handler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any: ...


ANY_ARGUMENTS = Signature(lambda *_: None)


def validate(program: Updated, event: UpdateAccepted) -> None:
    """Raise what the update is to be refused with; see `Program.validate`."""
    handler = _handler(program, event.name)
    args, kwargs = program.loop.decode(event.args, event.kwargs, handler.signature)
    handler.signature.check(args, kwargs, event.name)
    if handler.validator is None:
        return
    try:
        outcome = program.looking(partial(handler.validator, *args, **kwargs))
    except StateChanged as changed:
        raise errors.ReadOnlyError(
            f"the validator of update {event.name!r} changed the run's state"
        ) from changed.__cause__
    except (WorkflowControl, asyncio.CancelledError) as ended:
        raise errors.ReadOnlyError(
            f"the validator of update {event.name!r} tried to end its run: "
            f"{shown(ended)}"
        ) from ended
    if is_coroutine(outcome):
        outcome.close()
        raise TypeError(f"the validator of update {event.name!r} must not be async")


def show(program: Updated, event: UpdateAccepted) -> None:
    """Run the handler: a sync one at once, an async one as a task of the run."""
    loop = program.loop
    try:
        handler = _handler(program, event.name)
    except BaseException as error:  # it knows none, or its object cannot be made
        _answer(program, event, _failure(program, contained(error)))
        return
    args, kwargs = loop.decode(event.args, event.kwargs, handler.signature)
    try:
        handler.signature.check(args, kwargs, event.name)
        outcome = program.handle_update(event, handler, args, kwargs)
    except WorkflowControl as control:
        program.fail(control)
    except asyncio.CancelledError:
        _answer(program, event, _cancelled(event))
    except BaseException as error:
        _answer(program, event, _failure(program, contained(error)))
    else:
        if is_coroutine(outcome):
            task = loop.begin_handler("update", handler, outcome)
            task.add_done_callback(partial(_done, program, event))
        else:
            _succeed(program, event, outcome)


def _done(program: Updated, event: UpdateAccepted, task: asyncio.Task[Any]) -> None:
    program.loop.end_handler(task)
    error = None if task.cancelled() else task.exception()
    if task.cancelled():
        _answer(program, event, _cancelled(event))
    elif error is None:
        _succeed(program, event, task.result())
    elif is_a(error, WorkflowControl):
        program.fail(error)
    else:
        _answer(program, event, _failure(program, error))


def _succeed(program: Updated, event: UpdateAccepted, value: Any) -> None:
    try:
        payload = program.values.encode(value, f"the answer to update {event.name!r}")
    except errors.ValueNotStorable as unstorable:
        _answer(program, event, _failure(program, unstorable))
    else:
        program.loop.commands.append(CompleteUpdate(event.update_id, payload))


def _cancelled(event: UpdateAccepted) -> Failure:
    return failures.cancelled(f"the handler of update {event.name!r} was cancelled")


def _failure(program: Updated, error: BaseException) -> Failure:
    return failure_of(error, values=program.values)


def _answer(program: Updated, event: UpdateAccepted, failure: Failure) -> None:
    program.loop.commands.append(CompleteUpdate(event.update_id, failure=failure))


def _handler(program: Updated, name: str) -> Handler:
    """Whoever takes update `name`: set at run time, of the class, or its catch-all."""
    own, definition = program.loop.updates or {}, program.definition
    if name in own:
        return own[name]
    if definition.cls is not None:
        found = definition.updates.get(name)
        if found is not None:
            return found.of(program.instance())
        if definition.any_update is not None:
            return named(definition.any_update.of(program.instance()), name)
    known = ", ".join(sorted({*definition.updates, *own})) or "none"
    raise LookupError(
        f"{definition.name!r} takes no update {name!r}; it takes: {known}"
    )


def named(catch_all: Handler, name: str) -> Handler:
    """A catch-all handler as the handler of message `name`."""
    check = catch_all.validator

    def of_name(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: function(name, args)

    return Handler(
        name,
        of_name(catch_all.function),
        ANY_ARGUMENTS,
        None if check is None else of_name(check),
        catch_all.unfinished,
    )
