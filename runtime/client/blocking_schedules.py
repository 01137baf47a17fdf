"""The blocking form of schedules; see `everact.runtime.client.blocking`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Unpack

from everact.runtime.client.rpc import RPC
from everact.runtime.client.schedules import (
    Creating,
    ScheduleHandle,
    Schedules,
    Update,
)
from everact.runtime.client.scheduling import (
    Schedule,
    ScheduleBackfill,
    ScheduleLine,
    ScheduleView,
)
from everact.runtime.core.schedules import OverlapPolicy

if TYPE_CHECKING:
    from everact.runtime.client.blocking import LoopThread


class BlockingSchedules:
    """The schedules of a namespace, for programs without a loop; see `Schedules`."""

    def __init__(self, schedules: Schedules, thread: "LoopThread") -> None:
        self._schedules = schedules
        self._loop_thread = thread

    def create(
        self, id: str, schedule: Schedule, **options: Unpack[Creating]
    ) -> "BlockingSchedule":
        """Create a schedule, durable when this returns; see `Schedules.create`."""
        made = self._loop_thread.wait(self._schedules.create(id, schedule, **options))
        return BlockingSchedule(made, self._loop_thread)

    def handle(self, id: str) -> "BlockingSchedule":
        """A handle to an existing schedule; asks nothing of the engine."""
        return BlockingSchedule(self._schedules.handle(id), self._loop_thread)

    def list(
        self,
        query: str = "",
        *,
        page_size: int = 1000,
        next_page_token: str | None = None,
        **rpc: Unpack[RPC],
    ) -> Iterator[ScheduleLine]:
        """Schedules by their IDs; makes requests only as it is iterated."""
        listed = self._loop_thread.wait(
            self._schedules.list(
                query, page_size=page_size, next_page_token=next_page_token, **rpc
            )
        )
        return self._loop_thread.iterate(listed)


class BlockingSchedule:
    """A schedule, for programs without a loop; see `ScheduleHandle`."""

    def __init__(self, handle: ScheduleHandle, thread: "LoopThread") -> None:
        self._handle = handle
        self._loop_thread = thread

    @property
    def id(self) -> str:
        """The schedule's ID."""
        return self._handle.id

    def describe(self, **rpc: Unpack[RPC]) -> ScheduleView:
        """What is known of the schedule now."""
        return self._loop_thread.wait(self._handle.describe(**rpc))

    def update(self, callback: Update, **rpc: Unpack[RPC]) -> None:
        """Replace the definition by what `callback` makes of it.

        It is called on the loop's thread; see `ScheduleHandle.update`.
        """
        self._loop_thread.wait(self._handle.update(callback, **rpc))

    def pause(self, note: str = "", **rpc: Unpack[RPC]) -> None:
        """Let it act only when it is triggered or backfilled."""
        self._loop_thread.wait(self._handle.pause(note, **rpc))

    def resume(self, note: str = "", **rpc: Unpack[RPC]) -> None:
        """Let it act by itself again."""
        self._loop_thread.wait(self._handle.resume(note, **rpc))

    def trigger(
        self,
        *,
        overlap: OverlapPolicy | None = None,
        request_id: str = "",
        **rpc: Unpack[RPC],
    ) -> None:
        """Take an action now; see `ScheduleHandle.trigger`."""
        self._loop_thread.wait(
            self._handle.trigger(overlap=overlap, request_id=request_id, **rpc)
        )

    def backfill(
        self, *backfill: ScheduleBackfill, request_id: str = "", **rpc: Unpack[RPC]
    ) -> None:
        """Take the actions of past times now; see `ScheduleHandle.backfill`."""
        self._loop_thread.wait(
            self._handle.backfill(*backfill, request_id=request_id, **rpc)
        )

    def delete(self, *, request_id: str = "", **rpc: Unpack[RPC]) -> None:
        """Forget the schedule; runs that it started go on."""
        self._loop_thread.wait(self._handle.delete(request_id=request_id, **rpc))

    def __repr__(self) -> str:
        return f"<BlockingSchedule {self.id!r}>"
