"""Updates that start their run: one request made of an update and a start."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, Unpack, overload

from everact.runtime.client.callers import warn_of_options
from everact.runtime.client.handle import RunHandle, started_handle
from everact.runtime.client.requester import Noun, Requester
from everact.runtime.client.rpc import RPC, RPC_OPTIONS
from everact.runtime.client.starting import UNSET, Starting, start_request
from everact.runtime.client.updates import (
    UpdateHandle,
    Updating,
    checked_stage,
    handle_of,
    update_of,
    waiting,
)
from everact.runtime.core.keywords import closed
from everact.runtime.definitions.updates import UpdateMethod
from everact.runtime.operations import updates as requests
from everact.runtime.operations.runs import RunRef
from everact.runtime.operations.starting import StartedRun, StartRun

R = TypeVar("R")
T = TypeVar("T")


class StartOperation(Generic[R]):
    """A start that an update brings about; for one use.

    It takes what `Client.start` takes, but for a signal, an eager start and what
    concerns a request. `on_conflict` is required: "fail", "use_existing" (the update
    goes to the open run) or "terminate_existing". Raises ValueError and TypeError for
    bad options.
    """

    @overload
    def __init__(
        self,
        workflow: Callable[..., Coroutine[Any, Any, R]],
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> None: ...
    @overload
    def __init__(
        self: "StartOperation[Any]",
        workflow: str | type,
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> None: ...
    def __init__(
        self, workflow: Any, arg: Any = UNSET, **options: Unpack[Starting]
    ) -> None:
        closed(options, Starting.__annotations__, "a start")
        warn_of_options(options)
        if options.get("on_conflict") not in requests.CONFLICTS:
            raise ValueError(
                "a start with an update needs on_conflict: one of "
                + ", ".join(requests.CONFLICTS)
            )
        refused = options.keys() & _REFUSED
        if refused:
            raise TypeError(
                f"a start with an update takes no {', '.join(sorted(refused))}"
            )
        self._workflow = workflow
        self._arg = arg
        self._options = options
        self._used = False
        self._settled = asyncio.Event()
        self._found: RunHandle[R] | None = None
        self._error: BaseException | None = None

    async def handle(self) -> RunHandle[R]:
        """The run that was started or found, as soon as it is known.

        Raises what the call that used this raised, if the start failed.
        """
        await self._settled.wait()
        if self._found is not None:
            return self._found
        assert self._error is not None
        raise self._error

    def _use(self, client: Requester) -> StartRun:
        """The request; ValueError if it was made before."""
        if self._used:
            raise ValueError("this StartOperation was used before: make another one")
        request = start_request(client, self._workflow, self._arg, **self._options)
        self._used = True
        return request

    def _settle(self, client: Requester, found: StartedRun | BaseException) -> None:
        """The run is known, or will not be."""
        if isinstance(found, BaseException):
            self._error = self._error or found
        else:
            self._found = started_handle(client, found, self._workflow, self._options)
        self._settled.set()


_REFUSED = RPC_OPTIONS | {
    "start_signal",
    "start_signal_args",
    "request_eager_start",
}


class Updates(Noun):
    """Updates that start their run, or find it; see `Client.updates`."""

    @overload
    async def execute_with(
        self,
        update: UpdateMethod[..., Any, T],
        *positional: Any,
        start: StartOperation[Any],
        **options: Unpack[Updating],
    ) -> T: ...
    @overload
    async def execute_with(
        self,
        update: str,
        *positional: Any,
        start: StartOperation[Any],
        **options: Unpack[Updating],
    ) -> Any: ...
    async def execute_with(
        self,
        update: Any,
        *positional: Any,
        start: StartOperation[Any],
        **options: Unpack[Updating],
    ) -> Any:
        """Start a run with an update, or send it to the open one; wait for its answer.

        One atomic request. A new run of a class that declares the update takes it
        before its first step. Raises what `RunHandle.update` does, and
        WorkflowAlreadyStarted: then there is no update. If the update was refused, a
        run that was started goes on; `start.handle()` has it.
        """
        sent = await self._send(update, positional, start, "completed", options)
        return await sent.result()

    @overload
    async def start_with(
        self,
        update: UpdateMethod[..., Any, T],
        *positional: Any,
        start: StartOperation[Any],
        wait_for: str,
        **options: Unpack[Updating],
    ) -> UpdateHandle[T]: ...
    @overload
    async def start_with(
        self,
        update: str,
        *positional: Any,
        start: StartOperation[Any],
        wait_for: str,
        **options: Unpack[Updating],
    ) -> UpdateHandle[Any]: ...
    async def start_with(
        self,
        update: Any,
        *positional: Any,
        start: StartOperation[Any],
        wait_for: str,
        **options: Unpack[Updating],
    ) -> UpdateHandle[Any]:
        """Like `execute_with`, until the update is "accepted" or "completed"."""
        stage = checked_stage(wait_for)
        return await self._send(update, positional, start, stage, options)

    async def _send(
        self,
        update: Any,
        positional: tuple[Any, ...],
        start: StartOperation[Any],
        wait_for: str,
        options: Updating,
    ) -> UpdateHandle[Any]:
        client = self._client
        request_id = start._options.get("request_id")
        if request_id and "id" not in options:  # the same when it is repeated
            options = {**options, "id": request_id}
        sent = update_of(client, update, positional, options)
        asked = start._use(client)
        request = requests.SendWithStart(
            start=asked, update=sent, request_id=asked.request_id
        )
        try:
            async with waiting(sent.update_id, options) as rpc:
                found = await self._ask(request, rpc)
                start._settle(client, found.run)
                state = found.update
                if state.stage not in (wait_for, requests.COMPLETED):
                    state = await self._wait(found.update, sent, wait_for, rpc)
        except BaseException as error:
            start._settle(client, error)
            raise
        return handle_of(client, state, update, options)

    async def _wait(
        self, state: requests.UpdateState, sent: requests.Update, stage: str, rpc: RPC
    ) -> requests.UpdateState:
        """Wait for more of an update than that its run is known."""
        ref = RunRef(
            workflow_id=state.workflow_id,
            run_id=state.run_id,
            workspace=self._client.namespace,
        )
        again = requests.SendUpdate(run=ref, update=sent, wait_for=stage)
        return await self._ask(again, rpc)
