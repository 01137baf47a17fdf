"""A list of runs: pages as they are asked for, runs one after the other."""

from collections.abc import Sequence
from typing import Any, Self

from msgspec.structs import replace

from everact.runtime.client.requester import Requester
from everact.runtime.client.rpc import RPC, rpc_of
from everact.runtime.client.views import RunLine, run_line
from everact.runtime.core.bounds import whole
from everact.runtime.core.keywords import closed
from everact.runtime.core.statuses import RunStatus
from everact.runtime.definitions.workflows import name_of
from everact.runtime.errors import InvalidFilter
from everact.runtime.operations.runs import LARGEST_PAGE
from everact.runtime.operations.searching import PAGE, Narrowed, SearchRuns


class Filters(RPC, total=False):
    """What narrows a list or a count beside its query."""

    status: RunStatus | None
    workflow: Any
    queue: str | None
    id: str | None


class Listing(Filters, total=False):
    """The keyword options of `Client.search`."""

    limit: int | None
    page_size: int
    next_page_token: str | None


class RunIterator:
    """The runs of a list, fetched page by page; nothing is asked before the first.

    Iterate it with ``async for``, which ends after `limit` runs; or call
    `fetch_next_page` and look at `current_page`. `next_page_token` resumes the list
    where the page ends, in another iterator, process or day.

    A run that closes after it was given out is not given out again among the closed
    ones; it may be on a page again.
    """

    def __init__(self, client: Requester, query: str | None, options: Listing) -> None:
        request = SearchRuns(
            workspace=client.namespace,
            query=query or "",
            narrowed=narrowed(options),
            page_size=_size(options.get("page_size", PAGE)),
            next_page_token=options.get("next_page_token") or "",
        )
        self._client = client
        self._request = request
        self._rpc = rpc_of(options) or RPC()
        limit = options.get("limit")
        self._left = None if limit is None else whole(limit, "limit")
        self._asked = False
        self._seen_open: set[str] = set()
        self._page: Sequence[RunLine] | None = None
        self._index = 0
        self._token = request.next_page_token

    @property
    def current_page(self) -> Sequence[RunLine] | None:
        """The page that was fetched last; None before the first."""
        return self._page

    @property
    def current_page_index(self) -> int:
        """How many runs of the current page were given out."""
        return self._index

    @property
    def next_page_token(self) -> str | None:
        """What gives the page after the current one; None if there is none."""
        return self._token or None

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Fetch the page after the current one, which may be empty after the last.

        `page_size` is for this page; with a limit it is at most what remains of it.
        """
        size = self._request.page_size if page_size is None else _size(page_size)
        if self._left is not None:
            size = max(1, min(size, self._left))
        if self._asked and not self._token:
            self._page, self._index = (), 0
            return
        checked_query(self._request.query)
        request = replace(self._request, page_size=size, next_page_token=self._token)
        found = await self._client.transport.call(request, self._rpc)
        values = self._client.values
        self._page = tuple(run_line(run, values) for run in found.runs)
        self._index, self._token, self._asked = 0, found.next_page_token, True
        if self._left is not None:
            self._left = max(0, self._left - len(self._page))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RunLine:
        while True:
            page = self._page
            if page is not None and self._index < len(page):
                self._index += 1
                line = page[self._index - 1]
                if line.run_id not in self._seen_open:
                    if line.status is RunStatus.RUNNING:
                        self._seen_open.add(line.run_id)
                    return line
                if self._left is not None:
                    self._left += 1
                continue
            if self._left == 0 or (self._asked and not self._token):
                raise StopAsyncIteration
            await self.fetch_next_page()


_KNOWN = frozenset(Listing.__annotations__)


def narrowed(options: Filters) -> Narrowed:
    """What the filters beside a query say; TypeError for an unknown option."""
    closed(options, _KNOWN, "a list or a count")
    workflow = options.get("workflow")
    return Narrowed(
        status=options.get("status"),
        workflow=None if workflow is None else name_of(workflow),
        queue=options.get("queue"),
        workflow_id=options.get("id"),
    )


def checked_query(query: str | None) -> str:
    """A filter as it can be sent; InvalidFilter for what is no text."""
    try:
        (query or "").encode()
    except UnicodeEncodeError as error:
        raise InvalidFilter("half of a character", error.start) from None
    return query or ""


def _size(given: int) -> int:
    return whole(given, "page_size", 1, LARGEST_PAGE)
