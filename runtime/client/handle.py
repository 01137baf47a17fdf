"""A handle: the client's side of one run. Making one asks nothing of the engine."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar, Unpack, cast, overload

import msgspec

from everact.runtime.client.requester import Noun, Requester
from everact.runtime.client.rpc import RPC
from everact.runtime.client.starting import Starting
from everact.runtime.client.typed import decoded
from everact.runtime.client.updates import (
    UpdateHandle,
    Updating,
    checked_stage,
    handle_of,
    update_of,
    waiting,
)
from everact.runtime.client.views import (
    HistoryItem,
    RunView,
    history_items,
    run_view,
)
from everact.runtime.core.bounds import whole
from everact.runtime.core.durations import Duration, seconds
from everact.runtime.core.failures import FailureKind
from everact.runtime.core.statuses import RunStatus
from everact.runtime.definitions.updates import UpdateMethod
from everact.runtime.definitions.workflows import handler_name
from everact.runtime.errors import (
    ApplicationError,
    ContinuedAsNew,
    WorkflowFailure,
)
from everact.runtime.operations import runs
from everact.runtime.operations.starting import StartedRun
from everact.runtime.operations.updates import SendUpdate
from everact.runtime.programs.workflow_loop import encode_arguments
from everact.runtime.values.calls import original_of
from everact.runtime.values.outcomes import cause_of
from everact.runtime.values.payloads import checked_text

R = TypeVar("R")
T = TypeVar("T")


class RunHandle(Noun, Generic[R]):
    """A run of workflow ID `id`.

    `run_id` narrows it to one run (None: the open or latest one of the ID),
    `first_execution_run_id` to one chain; `result_run_id` is the run whose result
    `result` waits for. A handle that a start gave cancels, terminates and waits for
    the chain that it started; signals, queries, updates and what is looked at reach
    the open or latest run of the ID. `result_type` is the type of the result, if
    `target`, the workflow, does not tell it. A wrong ID shows only on use, as an
    RPCError NOT_FOUND.
    """

    def __init__(
        self,
        client: Requester,
        id: str,
        *,
        run_id: str | None = None,
        result_run_id: str | None = None,
        first_execution_run_id: str | None = None,
        result_type: Any = None,
        target: Any = None,
        key: int = 0,
    ) -> None:
        super().__init__(client)
        self._id = id
        self._run_id = run_id
        self._result_run_id = result_run_id
        self._first = first_execution_run_id
        self._result_type = result_type
        self._target = target
        self._key = key

    @property
    def id(self) -> str:
        """The workflow ID."""
        return self._id

    @property
    def run_id(self) -> str | None:
        """The run that operations address; None: the open or latest one."""
        return self._run_id

    @property
    def result_run_id(self) -> str | None:
        """The run whose result is waited for."""
        return self._result_run_id

    @property
    def first_execution_run_id(self) -> str | None:
        """The first run of the chain that cancel and terminate are limited to."""
        return self._first

    async def result(
        self,
        *,
        follow_runs: bool = True,
        timeout: Duration | None = None,
        **rpc: Unpack[RPC],
    ) -> R:
        """Wait for the run's end and return its result.

        Follows retries and continue-as-new to the last run of the chain unless told
        otherwise. Raises WorkflowFailure (its cause tells the kind), ContinuedAsNew
        if not following, RunPutAside while the run's code cannot run, RPCError
        NOT_FOUND for an unknown run, TimeoutError if `timeout` is over first: the run
        goes on, and can be waited for again.
        """
        if timeout is not None:
            async with asyncio.timeout(seconds(timeout, what="timeout")):
                return await self.result(follow_runs=follow_runs, **rpc)
        ref = msgspec.structs.replace(
            self._ref(pinned=True),
            run_id=self._result_run_id or self._run_id or "",
            key=self._key,
        )
        closed = await self._ask(runs.AwaitRun(run=ref, follow=follow_runs), rpc)
        return self._outcome(closed, follow_runs)

    def _outcome(self, closed: runs.RunClosed, follow_runs: bool = True) -> R:
        """The result of a run that has ended, or the error that it ended with."""
        values = self._client.values
        if closed.result is not None:
            found = decoded(values, closed.result, self._result_type, self._target)
            return cast("R", found)
        if closed.next_run_id and not follow_runs:
            raise ContinuedAsNew(closed.next_run_id)
        failure = closed.failure
        assert failure is not None
        status = RunStatus(closed.status)
        text = f"run {self._id!r} ({closed.run_id}) {_ENDED[status]}"
        if failure.kind is not FailureKind.CANCELLED or failure.message:
            text += f": {failure.type}: {failure.message}"
        raise WorkflowFailure(text, cause_of(failure, values=values))

    async def value(self, *, timeout: Duration | None = None, **rpc: Unpack[RPC]) -> R:
        """Like `result`, but a failure raises the error of the code.

        The original one where it travelled, else one of a known type by its name, else
        a RuntimeError with its message. How else a run ended is raised as such, by
        RunCancelled, RunTerminated or RunTimedOut.
        """
        try:
            return await self.result(timeout=timeout, **rpc)
        except WorkflowFailure as failure:
            cause = failure.cause
            if isinstance(cause, ApplicationError):
                raise original_of(cause) from failure
            raise (cause or failure) from failure

    async def describe(self, *, values: bool = False, **rpc: Unpack[RPC]) -> RunView:
        """What is known of the run now; with `values` also what it was given and what
        came of it.
        """
        request = runs.DescribeRun(run=self._ref(), values=values)
        return run_view(await self._ask(request, rpc), self._client.values)

    async def history(self, **rpc: Unpack[RPC]) -> list[HistoryItem]:
        """All that happened to the run so far, in order."""
        return [item async for item in self.follow_history(wait=False, **rpc)]

    async def follow_history(
        self,
        *,
        wait: bool = True,
        closing_only: bool = False,
        page_size: int = 1000,
        **rpc: Unpack[RPC],
    ) -> AsyncIterator[HistoryItem]:
        """The run's history item by item; with `wait`, on to the run's end.

        It stays with the run that was addressed first, whatever follows that one.
        `closing_only` gives only the item that closes the run; `page_size` is how
        many journal rows are read at once.
        """
        whole(page_size, "page_size", 1, runs.LARGEST_PAGE)
        ref, after = self._ref(), (-1, -1)
        tasks: dict[tuple[int, int], str] = {}
        while True:
            request = runs.ReadHistory(
                run=ref, after=after, limit=page_size, follow=wait
            )
            entries = await self._ask(request, rpc)
            for item in history_items(entries, self._client.values, tasks):
                if not closing_only or item.kind in _CLOSING_KINDS:
                    yield item
            if not entries or (len(entries) < page_size and not wait):
                return
            after = (entries[-1].generation, entries[-1].seq)
            ref = msgspec.structs.replace(ref, run_id=entries[-1].run_id)

    async def signal(
        self,
        signal: Any,
        *positional: Any,
        args: tuple[Any, ...] | None = None,
        request_id: str = "",
        **rpc: Unpack[RPC],
    ) -> None:
        """Send a one-way message, by handler or name; durable when this returns.

        A repetition with the same `request_id` within 24 hours takes effect once.
        RPCError NOT_FOUND if the run is closed or unknown.
        """
        name = handler_name(signal, "signal")
        encoded = self._encode(positional, args, name)
        client = self._client
        request = runs.SignalRun(
            run=self._ref(),
            name=name,
            args=encoded,
            request_id=request_id,
            identity=client.identity,
        )
        await client.transport.call(request, rpc)  # not `_ask`: signals come in crowds

    async def query(
        self,
        query: Any,
        *positional: Any,
        args: tuple[Any, ...] | None = None,
        reject_condition: str | None = None,
        result_type: Any = None,
        **rpc: Unpack[RPC],
    ) -> Any:
        """Ask a read-only question, by handler or name; also of a closed run.

        The answer is of `result_type` (default: what the handler returns).
        `reject_condition` is "none", "not_open" or "not_completed_cleanly" (default:
        the client's). Raises QueryRejected, QueryFailed, RPCError NOT_FOUND, or
        RPCError DEADLINE_EXCEEDED if nothing here knows the workflow.
        """
        name = handler_name(query, "query")
        reject = reject_condition or self._client.default_query_reject_condition
        if reject not in runs.REJECTS:
            known = ", ".join(runs.REJECTS)
            raise ValueError(f"reject_condition must be one of {known}")
        encoded = self._encode(positional, args, name)
        request = runs.QueryRun(run=self._ref(), name=name, args=encoded, reject=reject)
        answer = await self._ask(request, rpc)
        return decoded(self._client.values, answer, result_type, query)

    @overload
    async def update(
        self,
        update: UpdateMethod[..., Any, T],
        *positional: Any,
        **options: Unpack[Updating],
    ) -> T: ...
    @overload
    async def update(
        self, update: str, *positional: Any, **options: Unpack[Updating]
    ) -> Any: ...
    async def update(
        self, update: Any, *positional: Any, **options: Unpack[Updating]
    ) -> Any:
        """Send an update, by handler or name, and wait for its answer.

        Sent again under the same `id` to the same run, it joins the update that was
        sent before. Raises what `UpdateHandle.result` does, and RPCError NOT_FOUND if
        the run is closed or unknown. While the run's code cannot take it (a start
        delay, no worker) it waits, and is not durable.
        """
        sent = await self._send(update, positional, "completed", options)
        return await sent.result()

    @overload
    async def start_update(
        self,
        update: UpdateMethod[..., Any, T],
        *positional: Any,
        wait_for: str,
        **options: Unpack[Updating],
    ) -> UpdateHandle[T]: ...
    @overload
    async def start_update(
        self,
        update: str,
        *positional: Any,
        wait_for: str,
        **options: Unpack[Updating],
    ) -> UpdateHandle[Any]: ...
    async def start_update(
        self,
        update: Any,
        *positional: Any,
        wait_for: str,
        **options: Unpack[Updating],
    ) -> UpdateHandle[Any]:
        """Send an update and wait until it is "accepted" or "completed".

        It is durable then, and completes whoever waits for it. One that was refused
        gives a handle all the same: its result raises UpdateFailed.
        """
        return await self._send(update, positional, checked_stage(wait_for), options)

    @overload
    def update_handle(
        self, id: str, *, update: UpdateMethod[..., Any, T], result_type: Any = None
    ) -> UpdateHandle[T]: ...
    @overload
    def update_handle(
        self, id: str, *, update: str | None = None, result_type: Any = None
    ) -> UpdateHandle[Any]: ...
    def update_handle(
        self, id: str, *, update: Any = None, result_type: Any = None
    ) -> UpdateHandle[Any]:
        """A handle to an update that was sent before; asks nothing of the engine.

        `update`, its handler, or `result_type` tell the type of the answer.
        """
        if not id:
            raise ValueError("the id of an update must not be empty")
        return UpdateHandle(
            self._client,
            id,
            workflow_id=self._id,
            run_id=self._run_id,
            result_type=result_type,
            target=update,
        )

    async def cancel(
        self, *, reason: str = "", request_id: str = "", **rpc: Unpack[RPC]
    ) -> None:
        """Ask the run to stop; the request is durable when this returns.

        Asking an open run again changes nothing. RPCError NOT_FOUND if the run is
        closed or unknown, or of another chain than the handle's.
        """
        request = runs.CancelRun(
            run=self._ref(pinned=True),
            reason=checked_text(reason, "reason"),
            request_id=request_id,
        )
        await self._ask(request, rpc)

    async def terminate(
        self,
        *details: Any,
        reason: str = "",
        request_id: str = "",
        **rpc: Unpack[RPC],
    ) -> None:
        """End the run at once, without running its code; durable when this returns.

        RPCError NOT_FOUND if the run is closed or unknown, or of another chain than
        the handle's, unless this is a repetition with the same `request_id` within 24
        hours.
        """
        request = runs.TerminateRun(
            run=self._ref(pinned=True),
            reason=checked_text(reason, "reason"),
            details=self._details(details),
            request_id=request_id,
        )
        await self._ask(request, rpc)

    async def _send(
        self,
        update: Any,
        positional: tuple[Any, ...],
        wait_for: str,
        options: Updating,
    ) -> UpdateHandle[Any]:
        client = self._client
        sent = update_of(client, update, positional, options)
        request = SendUpdate(run=self._ref(), update=sent, wait_for=wait_for)
        async with waiting(sent.update_id, options) as rpc:
            state = await self._ask(request, rpc)
        return handle_of(client, state, update, options)

    def __repr__(self) -> str:
        return f"<RunHandle {self._id!r} run_id={self._run_id or self._result_run_id}>"

    def _encode(
        self, positional: tuple[Any, ...], args: tuple[Any, ...] | None, name: str
    ) -> tuple[bytes, ...]:
        if positional and args is not None:
            raise ValueError("give positional arguments or args, not both")
        given = positional if args is None else tuple(args)
        return encode_arguments(self._client.values, given, {}, name)[0]

    def _ref(self, *, pinned: bool = False) -> runs.RunRef:
        """The run that is meant; `pinned` to the chain that the handle is of."""
        started = self._result_run_id is not None and self._run_id is None
        return runs.RunRef(
            workflow_id=self._id,
            run_id=self._run_id or "",
            first_run_id=(self._first or "") if pinned or not started else "",
            workspace=self._client.namespace,
        )


def started_handle(
    client: Requester, started: StartedRun, target: Any, options: Starting
) -> RunHandle[Any]:
    """The handle to a run that a start with these options made or found."""
    signalled = options.get("start_signal") is not None
    return RunHandle(
        client,
        started.workflow_id,
        result_run_id=started.run_id,
        first_execution_run_id=None if signalled else started.first_run_id,
        target=target,
        result_type=options.get("result_type"),
        key=started.key,
    )


_CLOSING_KINDS = ("Complete", "Fail", "ContinueAsNew")
_ENDED = {
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "was cancelled",
    RunStatus.TERMINATED: "was terminated",
    RunStatus.TIMED_OUT: "timed out",
}
