"""The client's schedules: create, find, list them, and act on one."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Self, TypeAlias, Unpack

from msgspec.structs import replace

from everact.runtime.client.callers import warn_caller
from everact.runtime.client.requester import Noun, Requester
from everact.runtime.client.rpc import RPC, rpc_of
from everact.runtime.client.scheduling import (
    Schedule,
    ScheduleBackfill,
    ScheduleLine,
    ScheduleUpdate,
    ScheduleView,
    backfills_of,
    definition_of,
    schedule_line,
    schedule_view,
)
from everact.runtime.core.bounds import whole
from everact.runtime.core.keywords import closed
from everact.runtime.core.schedules import OverlapPolicy, check, check_new
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.definitions.search_attributes import (
    SearchAttributes,
    attributes_of,
    old_form,
)
from everact.runtime.errors import RPCError
from everact.runtime.operations import schedules as requests
from everact.runtime.operations.runs import LARGEST_PAGE
from everact.runtime.values.payloads import checked_text

Updated: TypeAlias = Schedule | ScheduleUpdate | None
Update: TypeAlias = Callable[[ScheduleView], Updated | Awaitable[Updated]]
"""Makes a new definition of a description; None to leave it as it is."""


class Creating(RPC, total=False):
    """The keyword options of `Schedules.create`."""

    trigger_immediately: bool
    backfill: Sequence[ScheduleBackfill]
    memo: Mapping[str, Any] | None
    search_attributes: SearchAttributes | None
    static_summary: str
    static_details: str
    request_id: str


class Schedules(Noun):
    """The schedules of a client's namespace."""

    def create(
        self, id: str, schedule: Schedule, **options: Unpack[Creating]
    ) -> Coroutine[Any, Any, "ScheduleHandle"]:
        """Create a schedule; it is durable when this returns.

        `trigger_immediately` takes one action at once, `backfill` those of past times.
        `memo`, `search_attributes` and the static texts are of the schedule; runs have
        those of the action. A repetition with the same `request_id` within 24 hours
        makes no other. ScheduleAlreadyRunning if the ID is taken, ValueError and
        TypeError for what makes no sense; nothing is stored then.
        """
        said = old_form(options.get("search_attributes"))
        if said is not None:
            warn_caller(said)
        return self._create(id, schedule, options)

    async def _create(
        self, id: str, schedule: Schedule, options: Creating
    ) -> "ScheduleHandle":
        handle = self.handle(id)
        request = _creation(self._client, id, schedule, options)
        await self._ask(request, rpc_of(options) or RPC())
        return handle

    def handle(self, id: str) -> "ScheduleHandle":
        """A handle to an existing schedule; asks nothing of the engine."""
        if not id:
            raise ValueError("id must not be empty")
        return ScheduleHandle(self._client, id)

    async def list(
        self,
        query: str = "",
        *,
        page_size: int = 1000,
        next_page_token: str | None = None,
        **rpc: Unpack[RPC],
    ) -> "ScheduleIterator":
        """Schedules by their IDs, those that pass the filter `query`.

        Requests are made only as the iterator is iterated, so errors come then.
        """
        whole(page_size, "page_size", 1, LARGEST_PAGE)
        return ScheduleIterator(
            self._client,
            requests.ListSchedules(
                query=query, limit=page_size, next_page_token=next_page_token or ""
            ),
            rpc,
        )


def _creation(
    client: Requester, id: str, schedule: Schedule, options: Creating
) -> requests.CreateSchedule:
    """The request of a creation; ValueError, TypeError, ValueNotStorable."""
    closed(options, Creating.__annotations__, "a schedule")
    summary = options.get("static_summary", "")
    details = options.get("static_details", "")
    for what, text in (
        ("id", id),
        ("static_summary", summary),
        ("static_details", details),
    ):
        checked_text(text, what)
    definition = definition_of(client, schedule)
    check_new(definition)
    encode, memo = client.values.encode, options.get("memo") or {}
    return requests.CreateSchedule(
        id=id,
        schedule=definition,
        trigger_immediately=options.get("trigger_immediately", False),
        backfills=backfills_of(options.get("backfill", ())),
        memo={name: encode(value, f"memo {name!r}") for name, value in memo.items()},
        attributes=attributes_of(options.get("search_attributes")),
        static_summary=summary,
        static_details=details,
        request_id=options.get("request_id", ""),
    )


class ScheduleIterator(Noun):
    """Schedules page by page.

    `current_page` is the page that is being given out, `next_page_token` what `list`
    takes to go on after it: None if nothing follows.
    """

    def __init__(
        self, client: Requester, request: requests.ListSchedules, rpc: RPC
    ) -> None:
        super().__init__(client)
        self._request = request
        self._rpc = rpc
        self._index = 0
        self._ended = False
        self._page: Sequence[ScheduleLine] = ()

    @property
    def current_page(self) -> Sequence[ScheduleLine]:
        """The page that is being given out; empty before the first."""
        return self._page

    @property
    def next_page_token(self) -> str | None:
        """What goes on after the current page; None if nothing follows."""
        return self._request.next_page_token or None

    async def fetch_next_page(self) -> None:
        """Make the next page the current one; an empty one if there is none."""
        if self._ended:
            self._page, self._index = (), 0
            return
        found = await self._ask(self._request, self._rpc)
        values = self._client.values
        self._page = [schedule_line(one, values) for one in found.schedules]
        self._index = 0
        token = found.next_page_token
        self._ended = not token
        self._request = replace(self._request, next_page_token=token)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ScheduleLine:
        while self._index >= len(self.current_page):
            if self._ended:
                raise StopAsyncIteration
            await self.fetch_next_page()
        self._index += 1
        return self.current_page[self._index - 1]


class ScheduleHandle(Noun):
    """The schedule of ID `id`. A wrong one shows on use, as an RPCError NOT_FOUND.

    Every change is durable when its method returns.
    """

    def __init__(self, client: Requester, id: str) -> None:
        super().__init__(client)
        self._id = id

    @property
    def id(self) -> str:
        """The schedule's ID."""
        return self._id

    async def describe(self, **rpc: Unpack[RPC]) -> ScheduleView:
        """What is known of the schedule now."""
        return schedule_view(await self._described(rpc), self._client.values)

    async def update(self, callback: Update, **rpc: Unpack[RPC]) -> None:
        """Replace the definition by what `callback`, async or not, makes of it.

        It is called again, with what is known then, if the schedule has changed
        meanwhile. It may return a `ScheduleUpdate` to replace the schedule's search
        attributes as well, or None to change nothing.
        """
        while True:
            found = await self._described(rpc)
            view = schedule_view(found, self._client.values)
            made: Any = callback(view)
            if inspect.isawaitable(made):
                made = await made
            if made is None:
                return
            request = self._update(view, made, found.serial)
            try:
                await self._ask(request, rpc)
            except RPCError as error:
                if error.status is not RPCStatus.ABORTED:
                    raise
            else:
                return

    async def pause(self, note: str = "", **rpc: Unpack[RPC]) -> None:
        """Let it act only when it is triggered or backfilled."""
        request = requests.PauseSchedule(id=self._id, note=checked_text(note, "note"))
        await self._ask(request, rpc)

    async def resume(self, note: str = "", **rpc: Unpack[RPC]) -> None:
        """Let it act by itself again; times that passed meanwhile are left out."""
        request = requests.ResumeSchedule(id=self._id, note=checked_text(note, "note"))
        await self._ask(request, rpc)

    async def trigger(
        self,
        *,
        overlap: OverlapPolicy | None = None,
        request_id: str = "",
        **rpc: Unpack[RPC],
    ) -> None:
        """Take an action now, by `overlap` in place of the schedule's own policy.

        A repetition with the same `request_id` within 24 hours takes none.
        """
        request = requests.TriggerSchedule(
            id=self._id, overlap=overlap, request_id=request_id
        )
        await self._ask(request, rpc)

    async def backfill(
        self, *backfill: ScheduleBackfill, request_id: str = "", **rpc: Unpack[RPC]
    ) -> None:
        """Take the actions of past times now; ValueError without any.

        A repetition with the same `request_id` within 24 hours takes none.
        """
        if not backfill:
            raise ValueError("give one backfill or more")
        request = requests.BackfillSchedule(
            id=self._id, backfills=backfills_of(backfill), request_id=request_id
        )
        await self._ask(request, rpc)

    async def delete(self, *, request_id: str = "", **rpc: Unpack[RPC]) -> None:
        """Forget the schedule; runs that it started go on.

        A repetition with the same `request_id` within 24 hours is no error.
        """
        request = requests.DeleteSchedule(id=self._id, request_id=request_id)
        await self._ask(request, rpc)

    def __repr__(self) -> str:
        return f"<ScheduleHandle {self._id!r}>"

    async def _described(self, rpc: RPC) -> requests.ScheduleDescription:
        return await self._ask(requests.DescribeSchedule(id=self._id), rpc)

    def _update(
        self, view: ScheduleView, made: Any, serial: int
    ) -> requests.UpdateSchedule:
        schedule, attributes = made, None
        if isinstance(made, ScheduleUpdate):
            schedule, attributes = made.schedule, made.search_attributes
        if not isinstance(schedule, Schedule):
            raise TypeError(
                "an update returns a Schedule, a ScheduleUpdate or None, not "
                f"{type(made).__name__}"
            )
        definition = definition_of(self._client, schedule)
        check(definition)
        return requests.UpdateSchedule(
            id=self._id,
            schedule=definition,
            serial=serial,
            keep_action=schedule.action is view.schedule.action,
            attributes=None if attributes is None else attributes_of(attributes),
        )
