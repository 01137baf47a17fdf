"""A handle to a task that is completed from outside of its function."""

from collections.abc import Sequence
from typing import Any, Unpack

from everact.runtime.client.requester import Noun, Requester
from everact.runtime.client.rpc import RPC
from everact.runtime.operations import tasks
from everact.runtime.values.outcomes import failure_of
from everact.runtime.values.payloads import checked_text


def task_ref(
    namespace: str,
    token: bytes | None,
    workflow_id: str | None,
    run_id: str | None,
    task_id: str | None,
) -> tasks.TaskRef:
    """How a task is addressed; ValueError for a mix that names none."""
    by_id = {"workflow_id": workflow_id, "run_id": run_id, "task_id": task_id}
    for what, given in by_id.items():
        checked_text(given or "", what)
    if token is not None:
        if any(given is not None for given in by_id.values()):
            raise ValueError("give a token or IDs, not both: a token names one attempt")
        if not token:
            raise ValueError("token must not be empty")
        return tasks.TaskRef(token=tasks.text_of(token), workspace=namespace)
    if not workflow_id or not task_id:
        raise ValueError("give a token, or else a workflow_id with a task_id")
    return tasks.TaskRef(
        workflow_id=workflow_id,
        run_id=run_id or "",
        task_id=task_id,
        workspace=namespace,
    )


class TaskHandle(Noun):
    """A task of a run: one attempt of it, or whichever is under way.

    Every verb is durable when it returns, and raises RPCError NOT_FOUND for what is
    over: a settled or retried attempt, a closed run.
    """

    def __init__(self, client: Requester, ref: tasks.TaskRef) -> None:
        super().__init__(client)
        self._ref = ref

    async def complete(self, result: Any = None, **rpc: Unpack[RPC]) -> None:
        """Complete the task with `result`: its call returns that."""
        encoded = self._client.values.encode(result, "the result")
        request = tasks.CompleteTask(task=self._ref, result=encoded)
        await self._ask(request, rpc)

    async def fail(
        self,
        error: BaseException,
        *,
        heartbeat_details: Sequence[Any] = (),
        **rpc: Unpack[RPC],
    ) -> None:
        """Fail the attempt as if its function had raised `error`.

        The task's policy decides whether another follows; it finds `heartbeat_details`.
        """
        failure = failure_of(error, values=self._client.values)
        details = self._details(heartbeat_details)
        request = tasks.FailTask(task=self._ref, failure=failure, details=details)
        await self._ask(request, rpc)

    async def heartbeat(self, *details: Any, **rpc: Unpack[RPC]) -> None:
        """Say that the attempt lives, with details for a later attempt.

        AsyncTaskCancelled, with the reason, if the task was asked to stop.
        """
        request = tasks.HeartbeatTask(task=self._ref, details=self._details(details))
        await self._ask(request, rpc)

    async def report_cancellation(self, *details: Any, **rpc: Unpack[RPC]) -> None:
        """Say that the task stopped because it was asked to.

        A call that waits for that (``cancellation="wait"``) ends as cancelled, with
        `details`. RPCError FAILED_PRECONDITION if nobody asked the task to stop.
        """
        request = tasks.ReportCancelled(task=self._ref, details=self._details(details))
        await self._ask(request, rpc)

    def __repr__(self) -> str:
        ref = self._ref
        which = "by token" if ref.token else f"{ref.task_id!r} of {ref.workflow_id!r}"
        return f"<TaskHandle {which}>"
