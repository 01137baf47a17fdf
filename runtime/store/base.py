"""The store port: what the engine needs of a database, and the rows it speaks in.

A `Write` is all that one transition changes: it is committed whole or refused whole.
A commit takes many writes in one transaction and answers once they are durable.
Bodies are opaque here; the engine seals and verifies them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from everact.runtime.core.records import AttributeKind
from everact.runtime.core.requests import KEPT
from everact.runtime.errors import StoreError
from everact.runtime.filters.tree import Filter
from everact.runtime.store.scratch import Scratch

T = TypeVar("T")


class RunRow(msgspec.Struct, kw_only=True):
    """One run's index row. Moments are epoch seconds.

    `wake_at` is when the run must be in memory: 0 at once, None only for a message.
    `aside` is why its code does not run, empty if it does. `owner` and `epoch` name
    the node and lease that may write it. `build_id` is the build it is bound to, empty
    if to none.
    """

    key: int
    workspace: str
    workflow_id: str
    run_id: str
    first_run_id: str
    root_run_id: str
    parent_key: int | None
    name: str
    queue: str
    kind: str = "coroutine"
    code: str = ""
    status: int = 0
    wake_at: float | None = 0.0
    aside: str = ""
    generation: int = 0
    inbox_seq: int = 0
    attempt: int = 1
    priority: int = 0
    run_name: str = ""
    identity: str = ""
    started_at: float = 0.0
    closed_at: float | None = None
    next_run_id: str = ""
    execution_deadline: float | None = None
    owner: str = ""
    epoch: int = 0
    build_id: str = ""


class JournalRow(NamedTuple):
    """One transition of one run, sealed."""

    run_key: int
    generation: int
    seq: int
    mac: bytes
    body: bytes


class CheckpointRow(NamedTuple):
    """The state of one run after `seq` rows of `generation`, sealed."""

    run_key: int
    generation: int
    seq: int
    mac: bytes
    body: bytes


class Remembered(NamedTuple):
    """A request ID, with what was asked and answered under it.

    `at` is epoch seconds, `what` is as `RequestName` has it, `answer` is JSON, empty if
    "done" was all.
    """

    workspace: str
    request_id: str
    at: float
    what: str = ""
    answer: bytes = b""

    def parameters(self, run_key: int) -> tuple[Any, ...]:
        """Those of the statement `insert_request`: an expired ID is given anew."""
        workspace, request_id, at, *asked = self
        return (workspace, request_id, run_key, at, *asked, at - KEPT)


Statement: TypeAlias = tuple[str, tuple[str | int | float | bytes | None, ...]]
"""A statement of the adapter's catalogue by name, and its parameters."""


class Refused(StoreError):
    """One write was refused, with all that must not be without it; no other was."""


class IdTaken(Refused):
    """A run that is to be made has the workflow ID of one that is open, `holder`."""

    def __init__(self, holder: RunRow) -> None:
        super().__init__(
            f"workflow ID {holder.workflow_id!r} is taken by run {holder.run_id}"
        )
        self.holder = holder


class InboxMoved(Refused):
    """The inbox of a run is not where it was when it was read."""


class ScheduleMoved(Refused):
    """A schedule is not what it was when it was read."""


class Requirement(NamedTuple):
    """What must still be so when a write comes: a query of the catalogue that gives a
    row then, its parameters, and what the write is refused with if it gives none.
    """

    query: str
    given: tuple[str | int | bytes, ...]
    refusal: type[Refused]


def inbox_at(key: int, inbox_seq: int) -> Requirement:
    """The inbox of the run is at this number."""
    return Requirement("inbox_at", (key, inbox_seq), InboxMoved)


def schedule_is(workspace: str, schedule_id: str, body: bytes | None) -> Requirement:
    """The schedule is stored with this body; with None, it is not there."""
    place = (workspace, schedule_id)
    if body is None:
        return Requirement("schedule_is_free", place, ScheduleMoved)
    return Requirement("schedule_is", (*place, body), ScheduleMoved)


class Write(msgspec.Struct, eq=False):
    """All that one transition changes.

    `insert` is a new run's row, `change` an existing run's row as it is from now on;
    `row` the transition itself; `drop_before` removes the journal of generations
    before it; `wake` names another run to be loaded at the next start; `request`
    remembers a request ID; `within` is the write without which this one must not be.
    `requires` is what was read and must still be so; that the ID of a new run is free
    need not be said.
    `also` are further statements of the adapter's catalogue, by name and with their
    parameters, in order. `effects` and `common` are the engine's own, for `done`.

    A write that is not of a run has no row.
    """

    row: JournalRow | None
    done: Callable[["Write", BaseException | None], None]
    insert: RunRow | None = None
    change: RunRow | None = None
    checkpoint: CheckpointRow | None = None
    drop_before: int | None = None
    wake: int | None = None
    request: Remembered | None = None
    within: "Write | None" = None
    effects: Any = None
    common: bool = False
    statements: tuple[Statement, ...] = ()
    requires: tuple[Requirement, ...] = ()

    @property
    def subject(self) -> int:
        """The key of the run that it is of; negative, its own, if it is of none."""
        return -id(self) if self.row is None else self.row.run_key


class Stored(NamedTuple):
    """A run as it is on disk: its row, its last checkpoint, the rows after that."""

    run: RunRow
    checkpoint: CheckpointRow | None
    rows: list[JournalRow]
    unreadable: StoreError | None = None
    """Why the rest could not be read."""


class Opened(NamedTuple):
    """What opening found: the last run key given out, and how the last engine ended.

    `unsigned` if an earlier version stored user events, which carry no code: what is
    to be written when all of them have got one.
    """

    last_key: int
    clean: bool
    epoch: int
    unsigned: Statement | None = None


class Search(NamedTuple):
    """Which runs are wanted of a workspace: those of a filter, after a place in its
    order (None: from the beginning), so many at most.

    `declared` are the search attributes that the filter may name. `newest` orders by
    the keys, the highest first, unless the filter says an order.
    """

    workspace: str
    filter: Filter
    declared: Mapping[str, AttributeKind]
    after: tuple[Any, ...] | None = None
    limit: int = 1000
    newest: bool = False


class Hit(NamedTuple):
    """A run that was found, and its place in the order of the search."""

    run: RunRow
    place: tuple[Any, ...]


Hits: TypeAlias = list[Hit]
Groups: TypeAlias = list[tuple[Any, int]]
"""Values and how many runs have each."""

Outcome: TypeAlias = list[BaseException | None] | BaseException
"""Of a commit: per write None or why it was refused; or why none is known durable."""


class Reads(Protocol):
    """What is read, awaited: on the engine's loop, and never in its way.

    An adapter answers at once what is small; lists, counts, histories and large
    journals it reads elsewhere. What was read may be old when a write comes: a write
    says what it `requires`.
    """

    async def load(self, key: int, make: Callable[[Stored], T]) -> T | None:
        """What `make` makes of a run where it is read; None if it is unknown.

        It is read with what is needed to recover it; see `Lookups.load`.
        """

    async def recover(
        self,
        keys: Sequence[int],
        make: Callable[[Stored], T],
        *,
        closed: bool = False,
    ) -> list[T]:
        """What `make` makes of runs where they are read; see `Lookups.recover`."""

    async def ending(self, key: int) -> Stored | None:
        """A run with the last row of its journal only, which says how it ended."""

    async def find(
        self, workspace: str, workflow_id: str, run_id: str = "", first: str = ""
    ) -> RunRow | None:
        """A run by its IDs; without a run ID the open or else the latest one."""

    async def rows(self, what: str, *args: Any) -> list[Any]:
        """Whole rows, as tuples, by a named query of the adapter's catalogue."""

    async def history(
        self, key: int, after: tuple[int, int], limit: int
    ) -> list[JournalRow]:
        """Journal rows of a run after (generation, seq), oldest first."""

    async def runs(self, keys: Sequence[int]) -> list[RunRow]:
        """The runs of these keys that there are, in the order of the keys."""

    async def search(self, wanted: Search) -> Hits:
        """A page of the runs that match, in the order of the filter; InvalidFilter.

        If it says none, the open ones come first, then those closed last; ties go by
        the latest start.
        """

    async def count(self, wanted: Search) -> Groups:
        """How many match, for each value of the field that the filter groups by, most
        first; one line for None if it groups by none. InvalidFilter.
        """


class Lookups(Protocol):
    """What a transition in the making asks: a look by one key, answered at once.

    What it finds must still hold when the transition is added to the next commit, so
    nothing may come between. Whoever can wait asks `Reads`. Who cannot:

    - A start, and the making of a child: whether an ID has an open run, and a request
      ID its answer, is true for the moment in which the new run is entered in memory;
      another start of the same ID would come between.
    - A message from run to run, and the end of a child: they are written with the
      transition of their sender, which is being recorded.
    - Whoever begins to wait for the end of a run: it would end between the look and the
      waiting, and nobody be told.
    - A run that is read back after a failure, or that goes on after it was held: its
      mail waits in line, and is given to it before anything newer is.
    - An event that looks for its waits, and a wait that looks back for its event: what
      came between would be seen by neither.
    - The tail of a script that is in flight: what becomes durable while the rest is
      read would be in neither.
    - Opening, before the loop serves anybody; and what a description says of the runs
      that an attempt waits for, which is of one moment with all the rest.
    """

    def load(self, key: int) -> Stored | None:
        """A run with what is needed to recover it; None if it is unknown."""

    def recover(self, keys: Sequence[int], *, closed: bool = False) -> list[Stored]:
        """Open runs with all rows of their generations, in the order of the keys; if
        asked for, closed ones as well.

        Those that there are; and not more of them, but for the first, than can be
        held at once: ask for those after the last again.
        """

    def ending(self, key: int) -> Stored | None:
        """A run with the last row of its journal only, which says how it ended."""

    def find(
        self, workspace: str, workflow_id: str, run_id: str = "", first: str = ""
    ) -> RunRow | None:
        """A run by its IDs; without a run ID the open or else the latest one."""

    def select(self, what: str, *args: Any) -> list[Any]:
        """The first column of a named query of the adapter's catalogue."""

    def rows(self, what: str, *args: Any) -> list[Any]:
        """Whole rows, as tuples, by a named query of the adapter's catalogue."""


class Store(Lookups, Protocol):
    """A database of runs. What blocks is called on the engine's thread and must be
    quick; `commit` works elsewhere and answers on the engine's loop.
    """

    @property
    def reads(self) -> Reads:
        """What is awaited; once it is open."""

    def open(self) -> Opened:
        """Open and migrate; StoreInUse, StoreTooNew or StoreKeyError if refused."""

    def watch(self, lost: Callable[[StoreError], object]) -> None:
        """Have `lost` told on this loop, once, when the database is no longer the one
        that was opened, or is damaged: every commit is answered with that then.
        """

    def key(self) -> bytes:
        """The secret that rows are sealed with."""

    def scratch(self) -> Scratch:
        """Memory beside the database that survives the process, not more; once open."""

    def commit(
        self, writes: Sequence[Write], done: Callable[[Outcome], object]
    ) -> None:
        """Make writes durable, all in one transaction where possible, then `done`.

        A write whose ID is taken, or that requires what is not so, is `Refused` alone.
        """

    async def retire(self, closed_before: float | None, now: float, limit: int) -> int:
        """Delete up to `limit` runs closed before a moment (None: no runs), as many
        user events stored before it, and as many request IDs a day old; how many were,
        of the most numerous.
        """

    def close(self, *, clean: bool) -> None:
        """Close; `clean` says that no attempt was under way."""
