"""Calls that are described first and made later, inside a run."""

from typing import TYPE_CHECKING, Any

from everact.runtime.core.statuses import RPCStatus
from everact.runtime.definitions.author import execute_child
from everact.runtime.definitions.durable import DurableLoop, required_loop
from everact.runtime.errors import ApplicationError, ChildFailure, RPCError
from everact.runtime.values.calls import original_of

if TYPE_CHECKING:
    from everact.runtime.values.calls import Call


async def call(call: "Call") -> Any:
    """Make the call that is described and return its value; inside a run only.

    A task becomes a durable call of the run, a workflow a child. An error of the
    function is raised as it was, RPCError NOT_FOUND for a name that is not registered
    beside the run's own code. ``await call`` is the same, also in combinators.
    """
    return await described(required_loop("call"), call)


async def described(loop: DurableLoop, call: "Call") -> Any:
    """See `call`."""
    given, known = call.arguments(), loop.registry
    task = known.tasks.get(call.function)
    if task is not None:
        return await loop.call_task(task, given.args, given.kwargs or {})
    if call.function not in known.workflows:
        raise RPCError(
            f"no function or workflow named {call.function!r} is registered here",
            RPCStatus.NOT_FOUND,
        )
    try:
        return await execute_child(
            call.function, args=given.args, kwargs=given.kwargs or {}
        )
    except ChildFailure as failure:
        cause = failure.__cause__
        if not isinstance(cause, ApplicationError):
            raise
        raise original_of(cause) from failure
