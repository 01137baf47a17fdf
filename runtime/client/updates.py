"""Updates, the client's side: sent to a run, waited for, and read later by their ID."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar, Unpack, cast
from uuid import uuid4

from everact.runtime.client.requester import Noun, Requester
from everact.runtime.client.rpc import RPC, checked_rpc
from everact.runtime.client.typed import decoded
from everact.runtime.core.durations import optional_seconds
from everact.runtime.core.keywords import closed
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.definitions.workflows import handler_name
from everact.runtime.errors import RPCError, UpdateFailed, UpdateTimedOutOrCancelled
from everact.runtime.operations import updates as requests
from everact.runtime.operations.runs import RunRef
from everact.runtime.programs.workflow_loop import encode_arguments
from everact.runtime.values.outcomes import cause_of
from everact.runtime.values.payloads import checked_text

R = TypeVar("R")


class Updating(RPC, total=False):
    """The keyword options of an update.

    `args` are several arguments, in place of positional ones. `id` tells the update
    apart from all others of its run (default: a new UUID); sent again under the same
    ID it joins the one that was sent before. `result_type` is the type of the answer,
    where the handler does not tell it. `rpc_timeout` limits the whole wait.
    """

    args: Sequence[Any] | None
    id: str | None
    result_type: Any


class UpdateHandle(Noun, Generic[R]):
    """An update of a run. Making a handle asks nothing of the engine.

    `run_id` is the run that accepted it; None if that is not known, and the open or
    latest one of the ID is asked.
    """

    def __init__(
        self,
        client: Requester,
        id: str,
        *,
        workflow_id: str,
        run_id: str | None = None,
        result_type: Any = None,
        target: Any = None,
        known: requests.UpdateState | None = None,
    ) -> None:
        super().__init__(client)
        self._id = id
        self._workflow_id = workflow_id
        self._run_id = run_id
        self._result_type = result_type
        self._target = target
        self._known = known if known and known.stage == requests.COMPLETED else None

    @property
    def id(self) -> str:
        """The update's ID, unique within its run."""
        return self._id

    @property
    def workflow_id(self) -> str:
        """The workflow ID of the run."""
        return self._workflow_id

    @property
    def run_id(self) -> str | None:
        """The run that accepted the update."""
        return self._run_id

    async def result(self, **rpc: Unpack[RPC]) -> R:
        """Wait for the answer and return it; once it is known no request is made.

        Raises UpdateFailed if the update was refused, if its handler raised, or if
        its run ended before the handler did; UpdateTimedOutOrCancelled if the wait is
        over first, which says nothing of the update (`rpc_timeout` limits it); and
        RPCError, NOT_FOUND for an update that the run does not know.
        """
        if self._known is None:
            ref = RunRef(
                workflow_id=self._workflow_id,
                run_id=self._run_id or "",
                workspace=self._client.namespace,
            )
            request = requests.AwaitUpdate(run=ref, update_id=self._id)
            checked_rpc(rpc)
            async with waiting(self._id, rpc) as carried:
                self._known = await self._ask(request, carried)
            self._run_id = self._known.run_id
        known, values = self._known, self._client.values
        if known.failure is not None:
            failure = known.failure
            text = f"update {self._id!r} of run {self._workflow_id!r} failed"
            raise UpdateFailed(
                f"{text}: {failure.type}: {failure.message}",
                cause_of(failure, values=values),
            )
        assert known.result is not None
        found = decoded(values, known.result, self._result_type, self._target)
        return cast("R", found)

    def __repr__(self) -> str:
        return f"<UpdateHandle {self._id!r} of {self._workflow_id!r}>"


def update_of(
    client: Requester, update: Any, positional: tuple[Any, ...], options: Updating
) -> requests.Update:
    """What is sent; ValueError, TypeError, ValueNotStorable for bad input."""
    closed(options, _KNOWN, "an update")
    name, args, update_id = handler_name(update, "update"), options.get("args"), None
    if positional and args is not None:
        raise ValueError("give positional arguments or args, not both")
    update_id = options.get("id")
    if update_id is not None and not update_id:
        raise ValueError("the id of an update must not be empty")
    given = positional if args is None else tuple(args)
    return requests.Update(
        update_id=checked_text(update_id or str(uuid4()), "the id of an update"),
        name=name,
        args=encode_arguments(client.values, given, {}, name)[0],
        identity=client.identity,
    )


def checked_stage(wait_for: str) -> str:
    """`wait_for` if one can wait for that stage, or else ValueError."""
    if wait_for == requests.ADMITTED:
        raise ValueError(
            "an update cannot be waited for until it is admitted, which is not "
            'durable: wait for "accepted" or "completed"'
        )
    if wait_for not in requests.STAGES:
        raise ValueError(f"wait_for must be one of {', '.join(requests.STAGES)}")
    return wait_for


def handle_of(
    client: Requester, state: requests.UpdateState, update: Any, options: Updating
) -> UpdateHandle[Any]:
    """The handle to an update that the engine has told of."""
    return UpdateHandle(
        client,
        state.update_id,
        workflow_id=state.workflow_id,
        run_id=state.run_id,
        result_type=options.get("result_type"),
        target=update,
        known=state,
    )


@asynccontextmanager
async def waiting(update_id: str, rpc: RPC) -> AsyncIterator[RPC]:
    """Requests about an update, under the limit of `rpc`; gives what each carries.

    However the wait is cut short, UpdateTimedOutOrCancelled says so.
    """
    limit = optional_seconds(rpc.get("rpc_timeout"), what="rpc_timeout")
    carried = RPC()
    if "rpc_metadata" in rpc:
        carried["rpc_metadata"] = rpc["rpc_metadata"]
    scope = asyncio.timeout(limit)
    try:
        async with scope:
            yield carried
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise UpdateTimedOutOrCancelled(update_id, f"after {limit:g} s") from error
    except asyncio.CancelledError as error:
        raise UpdateTimedOutOrCancelled(update_id, "by cancellation") from error
    except RPCError as error:
        if error.status not in _CUT_SHORT:
            raise
        raise UpdateTimedOutOrCancelled(update_id, f"({error})") from error


_CUT_SHORT: Final = (RPCStatus.CANCELLED, RPCStatus.DEADLINE_EXCEEDED)
_KNOWN: Final = frozenset(Updating.__annotations__)
