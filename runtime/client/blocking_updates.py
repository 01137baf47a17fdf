"""The blocking form of updates; see `everact.runtime.client.blocking`."""

from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, overload

from everact.runtime.client.rpc import RPC
from everact.runtime.client.updates import UpdateHandle, Updating
from everact.runtime.client.with_start import StartOperation, Updates
from everact.runtime.definitions.updates import UpdateMethod

if TYPE_CHECKING:
    from everact.runtime.client.blocking import BlockingHandle, LoopThread

R = TypeVar("R")
T = TypeVar("T")


class BlockingUpdate(Generic[R]):
    """An update, for programs without a loop; see `UpdateHandle`."""

    def __init__(self, handle: UpdateHandle[R], thread: "LoopThread") -> None:
        self._handle = handle
        self._loop_thread = thread

    @property
    def id(self) -> str:
        """The update's ID, unique within its run."""
        return self._handle.id

    @property
    def workflow_id(self) -> str:
        """The workflow ID of the run."""
        return self._handle.workflow_id

    @property
    def run_id(self) -> str | None:
        """The run that accepted the update."""
        return self._handle.run_id

    def result(self, **rpc: Unpack[RPC]) -> R:
        """Wait for the answer and return it; see `UpdateHandle.result`."""
        return self._loop_thread.wait(self._handle.result(**rpc))

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._handle).removeprefix('<').replace('Handle', '')}"


class BlockingUpdates:
    """Updates that start their run, or find it; see `Client.updates`."""

    def __init__(self, updates: Updates, thread: "LoopThread") -> None:
        self._updates = updates
        self._loop_thread = thread

    @overload
    def execute_with(
        self,
        update: UpdateMethod[..., Any, T],
        *positional: Any,
        start: StartOperation[Any],
        **options: Unpack[Updating],
    ) -> T: ...
    @overload
    def execute_with(
        self,
        update: str,
        *positional: Any,
        start: StartOperation[Any],
        **options: Unpack[Updating],
    ) -> Any: ...
    def execute_with(
        self,
        update: Any,
        *positional: Any,
        start: StartOperation[Any],
        **options: Unpack[Updating],
    ) -> Any:
        """Start a run with an update, or update the open one; wait for its answer."""
        return self._loop_thread.wait(
            self._updates.execute_with(update, *positional, start=start, **options)
        )

    @overload
    def start_with(
        self,
        update: UpdateMethod[..., Any, T],
        *positional: Any,
        start: StartOperation[Any],
        wait_for: str,
        **options: Unpack[Updating],
    ) -> BlockingUpdate[T]: ...
    @overload
    def start_with(
        self,
        update: str,
        *positional: Any,
        start: StartOperation[Any],
        wait_for: str,
        **options: Unpack[Updating],
    ) -> BlockingUpdate[Any]: ...
    def start_with(
        self,
        update: Any,
        *positional: Any,
        start: StartOperation[Any],
        wait_for: str,
        **options: Unpack[Updating],
    ) -> BlockingUpdate[Any]:
        """Like `execute_with`, until the update is "accepted" or "completed"."""
        sending = self._updates.start_with(
            update, *positional, start=start, wait_for=wait_for, **options
        )
        return BlockingUpdate(self._loop_thread.wait(sending), self._loop_thread)

    def handle(self, start: StartOperation[R]) -> "BlockingHandle[R]":
        """The run that was started or found; see `StartOperation.handle`."""
        from everact.runtime.client.blocking import BlockingHandle

        found = self._loop_thread.wait(start.handle())
        return BlockingHandle(found, self._loop_thread)
