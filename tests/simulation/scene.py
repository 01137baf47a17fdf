"""A client's script, which survives the engine.

A script is run again from its beginning in every life of the engine. What was
acknowledged is remembered and not asked again; what was not is repeated with the same
request ID, as any careful client would. Every answer is checked against the ledger
at the moment when it is given.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from everact.runtime.client.handle import RunHandle
from everact.runtime.client.updates import UpdateHandle
from everact.runtime.client.with_start import StartOperation
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.definitions.search_attributes import SearchAttributeKey
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import (
    AsyncTaskCancelled,
    EveractError,
    RPCError,
    RunPutAside,
    RuntimeStateError,
    StoreError,
    UpdateFailed,
    UpdateTimedOutOrCancelled,
    WorkflowFailure,
)
from everact.runtime.operations.tasks import (
    CompleteTask,
    FailTask,
    HeartbeatTask,
    ReportCancelled,
    TaskRef,
)
from everact.runtime.testing.ledger import Broken
from everact.runtime.values.outcomes import failure_of

if TYPE_CHECKING:
    from everact.runtime import Runtime
    from tests.simulation.world import World

PATIENCE = 0.7
"""Seconds before a client repeats a request that the store did not take."""


class Scene:
    """What one script sees of the world; `name` keeps its workflow IDs apart."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.runtime: Runtime
        self.answers: dict[str, Any] = {}
        self.done = False

    def id(self, name: str) -> str:
        """The workflow ID of this scene's run `name`."""
        return f"{self.name}.{name}"

    # -- requests ------------------------------------------------------------------

    async def start(
        self, workflow: Any, *args: Any, id: str, key: str = "", **options: Any
    ) -> str:
        """Start a run once; its run ID. `key` tells starts of one ID apart."""
        about = f"{options.get('on_conflict', '')}{key}"

        async def attempt() -> str:
            handle: RunHandle[Any] = await self.runtime.start(
                workflow,
                args=args,
                id=self.id(id),
                request_id=f"start {self.id(id)} {about}",
                **options,
            )
            run_id = handle.result_run_id or ""
            if run_id not in self.world.ledger.run_ids.values():
                raise Broken(f"start of {self.id(id)} acknowledged, and nothing stored")
            return run_id

        started: str = await self._once(f"start {id} {about}", attempt)
        return started

    async def declare(self, *keys: SearchAttributeKey[Any]) -> None:
        """Declare keys of search attributes."""

        async def attempt() -> None:
            await self.runtime.search_attributes.add(*keys)

        await self._patiently("declare", attempt)

    async def signal(self, id: str, name: str, *args: Any, key: str = "") -> bool:
        """Send a signal once; False if the run was closed."""
        request_id = f"{self.id(id)} {name} {key or args}"

        async def attempt() -> None:
            await self._handle(id).signal(name, args=args, request_id=request_id)
            if self.world.ledger.signals[request_id] != 1:
                raise Broken(f"signal {request_id} acknowledged, and not stored once")

        return await self._told(f"signal {request_id}", attempt)

    async def push(
        self, key: str, payload: Any, *, scope: str | None = None, again: bool = False
    ) -> str:
        """Push an event once, or with `again` once more; its ID."""
        turn = self.answers.get(f"pushes of {key} {payload}", 0) if again else 0
        if again:
            self.answers[f"pushes of {key} {payload}"] = turn + 1
        request_id = f"push {self.name} {key} {payload} {turn}"

        async def attempt() -> str:
            event_id = await self.runtime.events.push(
                key, payload, scope=scope, request_id=request_id
            )
            if self.world.ledger.events[event_id] != 1:
                raise Broken(f"event {request_id} acknowledged, and not stored once")
            return event_id

        pushed: str = await self._once(request_id, attempt)
        return pushed

    async def cancel(self, id: str) -> bool:
        """Ask a run to stop, once; False if it was closed."""

        async def attempt() -> None:
            await self._handle(id).cancel(
                reason="simulated", request_id=f"cancel {self.id(id)}"
            )

        return await self._told(f"cancel {id}", attempt)

    async def terminate(self, id: str) -> bool:
        """End a run; False if it was closed."""

        async def attempt() -> None:
            await self._handle(id).terminate(reason="simulated")

        return await self._told(f"terminate {id}", attempt)

    async def report(self, id: str, call: int, verb: str, *given: Any) -> bool:
        """Tell of a task from outside, once; False if its attempt is not under way."""
        key = f"{verb} {call} of {self.id(id)} {given}"
        row = next(
            row
            for row in self.world.image.runs.values()
            if row.workflow_id == self.id(id)
        )
        ref = TaskRef(
            workflow_id=self.id(id), task_id=f"{row.run_id}/{row.generation}/{call}"
        )
        encode = self.runtime.values.encode
        request: Any
        match verb:
            case "complete":
                result = encode(given[0], "the result")
                request = CompleteTask(task=ref, result=result, request_id=key)
            case "fail":
                failure = failure_of(given[0], values=self.runtime.values)
                request = FailTask(task=ref, failure=failure, request_id=key)
            case "heartbeat":
                request = HeartbeatTask(task=ref)
            case _:
                request = ReportCancelled(task=ref, request_id=key)

        async def attempt() -> bool:
            try:
                await self.runtime.transport.call(request)
            except AsyncTaskCancelled:
                return False
            except RPCError as error:
                if error.status is not RPCStatus.NOT_FOUND:
                    raise
                return False
            return True

        if key in self.answers:
            return True
        taken: bool = await self._patiently(key, attempt)
        if taken and verb != "heartbeat":
            self.answers[key] = taken
        return taken

    async def query(self, id: str, name: str, *args: Any) -> Any:
        """Ask a run; the answer, not remembered."""

        async def attempt() -> Any:
            return await self._handle(id).query(name, args=args)

        return await self._patiently(f"query {id} {name}", attempt)

    async def update(
        self, id: str, name: str, *args: Any, key: str, traceless: bool = False
    ) -> Any:
        """Send an update until it is answered; see `_answer`.

        It is sent anew in every life, unless it leaves no trace, and the answer must
        always be the same. False if the run was closed before it came.
        """

        async def attempt() -> Any:
            return await self._answer(
                self._handle(id).start_update(
                    name, args=args, id=key, wait_for="accepted"
                )
            )

        asked = f"update {id} {key}"
        if traceless:
            return await self._once(asked, attempt)
        try:
            found = await self._patiently(asked, attempt)
        except RPCError as error:
            if error.status is not RPCStatus.NOT_FOUND:
                raise
            found = False
        return self._same(asked, found)

    async def update_with_start(
        self, workflow: Any, *, id: str, name: str, args: tuple[Any, ...], key: str
    ) -> Any:
        """Start a run with an update, or update the open one; see `update`."""

        async def attempt() -> Any:
            start = StartOperation(
                workflow,
                id=self.id(id),
                on_conflict="use_existing",
                request_id=f"update {self.id(id)} {key}",
            )
            return await self._answer(
                self.runtime.updates.start_with(
                    name, args=args, id=key, start=start, wait_for="accepted"
                )
            )

        found = await self._patiently(f"update {id} {key}", attempt)
        return self._same(f"update {id} {key}", found)

    async def _answer(self, sending: Awaitable[UpdateHandle[Any]]) -> Any:
        """An update's answer, or the class name of the cause of its failure."""
        try:
            sent = await sending
            found = await sent.result()
        except UpdateTimedOutOrCancelled as gave_up:  # nothing limits the wait
            raise asyncio.CancelledError from gave_up
        except UpdateFailed as failure:
            cause = failure.cause
            return getattr(cause, "type", type(cause).__name__)
        if sent.id not in self.world.ledger.answered[sent.run_id or ""]:
            raise Broken(f"update {sent.id} is answered, and no answer is stored")
        return found

    def _same(self, key: str, found: Any) -> Any:
        kept = self.answers.setdefault(key, found)
        if kept != found:
            raise Broken(f"{self.name}: {key} gave {kept!r}, and now {found!r}")
        return found

    async def run_name(self, id: str) -> str:
        """The name that a run has now."""

        async def attempt() -> str:
            return (await self._handle(id).describe()).run_name

        name: str = await self._patiently(f"name {id}", attempt)
        return name

    async def outcome(
        self, id: str, *, run_id: str | None = None, workflow_id: str = ""
    ) -> Any:
        """How a run ended: its result, or the class name of the cause of its failure.

        It is waited for anew in every life, and must always be the same. `workflow_id`
        is of a run that is not of the scene's own making.
        """
        workflow_id = workflow_id or self.id(id)

        async def attempt() -> Any:
            handle = self.runtime.handle(workflow_id, run_id=run_id)
            try:
                found: Any = await handle.result()
            except WorkflowFailure as failure:
                return type(failure.cause).__name__
            return found

        found = await self._patiently(f"result {workflow_id}", attempt)
        return self._same(f"outcome {workflow_id} {run_id}", found)

    async def pause(self, longest: float = 4.0) -> None:
        """Let some time pass."""
        await asyncio.sleep(self.world.chance.between(0.0, longest))

    async def serve(self, queue: str) -> None:
        """Add a worker for `queue` to this life of the engine."""
        self.runtime.add_worker(Worker((queue,)))

    # -- repetition ----------------------------------------------------------------

    def _handle(self, id: str) -> RunHandle[Any]:
        return self.runtime.handle(self.id(id))

    async def _told(self, key: str, attempt: Callable[[], Awaitable[None]]) -> bool:
        async def accepted() -> bool:
            try:
                await attempt()
            except RPCError as error:
                if error.status is not RPCStatus.NOT_FOUND:
                    raise
                return False
            return True

        told: bool = await self._once(key, accepted)
        return told

    async def _once(self, key: str, attempt: Callable[[], Awaitable[Any]]) -> Any:
        if key not in self.answers:
            try:
                self.answers[key] = await self._patiently(key, attempt)
            except EveractError as refusal:
                self.answers[key] = refusal
        answer = self.answers[key]
        if isinstance(answer, EveractError):
            raise answer
        return answer

    async def _patiently(self, key: str, attempt: Callable[[], Awaitable[Any]]) -> Any:
        world = self.world
        while True:
            try:
                answer = await attempt()
            except (StoreError, RuntimeStateError) as error:
                world.trace("asks again", self.name, key, str(error))
            except RPCError as error:
                if error.status is not RPCStatus.RESOURCE_EXHAUSTED:
                    raise
                world.trace("asks again", self.name, key, str(error))
            except RunPutAside as error:
                if "refused by the database" not in error.reason:
                    raise
                world.trace("asks again", self.name, key, str(error))
            except EveractError as error:
                await self._only_alive()
                world.trace("refused", self.name, key, repr(error))
                raise
            else:
                await self._only_alive()
                world.trace("answer", self.name, key, repr(answer))
                return answer
            await self._only_alive()
            await asyncio.sleep(PATIENCE)

    async def _only_alive(self) -> None:
        """Nothing that a crashed process computes is seen by anybody."""
        if self.world.crashed:
            await asyncio.get_running_loop().create_future()
