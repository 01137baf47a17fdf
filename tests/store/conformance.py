"""What every store promises: one suite over the port, for each adapter to run.

An adapter's tests derive from `StoreConformance` and say how a store is made; those
whose stores outlive their process derive from `DurableStoreConformance` as well.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest
import pytest_asyncio

from everact.runtime import RunStatus
from everact.runtime.errors import StoreError
from everact.runtime.filters.parsing import parse
from everact.runtime.operations.searching import Narrowed, narrowed
from everact.runtime.store.base import (
    CheckpointRow,
    IdTaken,
    InboxMoved,
    JournalRow,
    Refused,
    Remembered,
    RunRow,
    ScheduleMoved,
    Search,
    Store,
    Stored,
    Write,
    inbox_at,
    schedule_is,
)

NOW = 1_700_000_000.0
DAY = 24 * 3600.0


def run(key: int, **fields: Any) -> RunRow:
    """An open run's row; IDs are made of its key unless given."""
    given: dict[str, Any] = {
        "key": key,
        "workspace": "default",
        "workflow_id": f"wf-{key}",
        "run_id": f"run-{key}",
        "first_run_id": fields.get("run_id", f"run-{key}"),
        "root_run_id": f"run-{key}",
        "parent_key": None,
        "name": "order",
        "queue": "default",
        "started_at": NOW,
    }
    return RunRow(**{**given, **fields})


def row(key: int, seq: int = 0, generation: int = 0, body: bytes = b"") -> JournalRow:
    body = body or f"{key}/{generation}/{seq}".encode()
    return JournalRow(key, generation, seq, b"mac", body)


def put(journal: JournalRow, **fields: Any) -> Write:
    """A write whose `done` nobody calls: the tests look at the outcome."""
    return Write(journal, lambda *_: None, **fields)


def start(key: int, **fields: Any) -> Write:
    """The write that makes a run."""
    return put(row(key), insert=run(key, **fields))


def close(key: int, seq: int = 1, at: float = NOW, **fields: Any) -> Write:
    """The write that closes a run."""
    given = {"status": RunStatus.COMPLETED, "closed_at": at, "wake_at": None}
    return put(row(key, seq), change=run(key, **{**given, **fields}))


async def commit(store: Store, *writes: Write) -> list[BaseException | None]:
    """Commit one batch; per write None or why it was refused."""
    answer = asyncio.get_running_loop().create_future()
    store.commit(writes, answer.set_result)
    outcome = await answer
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome or [None] * len(writes)


def newest(text: str = "", workspace: str = "default", **by: Any) -> Search:
    """A search for the newest runs, narrowed."""
    chosen = narrowed(parse(text), Narrowed(**by))
    return Search(workspace, chosen, {}, newest=True)


async def keys_of(
    store: Store, after: int | None = None, limit: int = 9, **by: Any
) -> list[int]:
    """The keys of a page of the newest runs."""
    place = None if after is None else (after,)
    wanted = newest(**by)._replace(after=place, limit=limit)
    return [hit.run.key for hit in await store.reads.search(wanted)]


def as_stored(stored: Stored) -> Stored:
    return stored


class StoreConformance:
    """The promises of the port."""

    @pytest.fixture
    def make(self) -> Callable[[], Store]:
        """Makes a store that is not open yet, on the test's own place."""
        raise NotImplementedError

    @pytest_asyncio.fixture
    async def store(self, make: Callable[[], Store]) -> AsyncIterator[Store]:
        made = make()
        made.open()
        yield made
        made.close(clean=True)

    # -- commits -------------------------------------------------------------------

    async def test_a_new_store_is_empty(self, make: Callable[[], Store]) -> None:
        made = make()
        assert made.open() == (0, True, 1, None)
        assert made.load(1) is None
        assert made.find("default", "wf-1") is None
        assert await made.reads.search(newest()) == []
        made.close(clean=True)

    async def test_what_was_committed_is_loaded(self, store: Store) -> None:
        made = run(
            7,
            workspace="team",
            parent_key=3,
            wake_at=NOW + 0.25,
            aside="why",
            generation=2,
            inbox_seq=9,
            attempt=4,
            priority=-1,
            run_name="nightly",
            identity="me",
            next_run_id="",
            execution_deadline=NOW + 9,
            owner="node",
            epoch=5,
            code="hash",
        )
        body = bytes(range(256))
        assert await commit(store, put(row(7, 0, 2, body), insert=made)) == [None]
        assert store.load(7) == Stored(made, None, [row(7, 0, 2, body)])

    async def test_an_empty_batch_is_answered(self, store: Store) -> None:
        assert await commit(store) == []

    async def test_batches_are_answered_in_order_on_the_loop(
        self, store: Store
    ) -> None:
        answers: list[tuple[int, int]] = []
        loop, last = (
            asyncio.get_running_loop(),
            asyncio.get_running_loop().create_future(),
        )

        def answered(number: int) -> Callable[[Any], None]:
            def done(_: Any) -> None:
                answers.append((number, threading.get_ident()))
                if number == 9:
                    loop.call_soon(last.set_result, None)

            return done

        for number in range(10):
            store.commit([start(number + 1)], answered(number))
        await last
        assert answers == [(n, threading.get_ident()) for n in range(10)]

    async def test_large_batches_and_large_bodies_are_taken(self, store: Store) -> None:
        writes = [start(key) for key in range(1, 2001)]
        writes += [put(row(1, 1, body=b"x" * 5_000_000))]
        assert await commit(store, *writes) == [None] * 2001
        found = store.load(1)
        assert found is not None
        assert [len(r.body) for r in found.rows] == [5, 5_000_000]
        assert store.select("count_open") == [2000]

    async def test_ids_are_any_text(self, store: Store) -> None:
        for key, name in enumerate(("", " ", "ä€😀", "a'b\"c", "a/b%_", "x" * 5000), 1):
            assert await commit(store, start(key, workflow_id=name)) == [None]
            found = store.find("default", name)
            assert found is not None
            assert (found.key, found.workflow_id) == (key, name)

    # -- refusals --------------------------------------------------------------------

    POISON: ClassVar[dict[str, Callable[[], Write]]] = {
        "text that cannot be encoded": lambda: start(2, workflow_id="\ud800"),
        "a number that is too large": lambda: put(row(2**70), insert=run(2)),
        "a body that is no bytes": lambda: put(
            JournalRow(2, 0, 0, b"mac", "text"),  # type: ignore[arg-type]
            insert=run(2),
        ),
        "nothing where something is needed": lambda: start(2, name=None),
        "an object": lambda: start(2, name=object()),
        "a key that is taken": lambda: start(1),
        "a row that is there": lambda: put(row(1)),
        "an ID that is taken by an open run": lambda: start(2, workflow_id="wf-1"),
    }

    @pytest.mark.parametrize("poison", sorted(POISON))
    async def test_a_poisoned_write_is_refused_alone(
        self, store: Store, poison: str
    ) -> None:
        await commit(store, start(1))
        outcome = await commit(store, start(10), self.POISON[poison](), start(11))
        taken = poison == "an ID that is taken by an open run"
        kinds = [type(None), IdTaken if taken else Refused, type(None)]
        assert [type(refusal) for refusal in outcome] == kinds
        assert outcome[1] is not None
        assert outcome[1].__cause__ is not None
        assert await keys_of(store) == [11, 10, 1]
        assert store.load(1) == Stored(run(1), None, [row(1)])
        assert await commit(store, start(12)) == [None]

    async def test_what_follows_a_refused_write_of_its_run_is_refused_too(
        self, store: Store
    ) -> None:
        await commit(store, start(1))
        outcome = await commit(
            store, put(row(1)), put(row(1, 1)), put(row(1, 2)), start(2)
        )
        assert [refusal is None for refusal in outcome] == [False, False, False, True]
        assert store.load(1) == Stored(run(1), None, [row(1)])

    async def test_what_belongs_to_a_refused_write_is_refused_with_it(
        self, store: Store
    ) -> None:
        await commit(store, start(1), start(2))
        parent = put(row(1, 0), change=run(1, aside="not to be seen"))
        child, other = start(3), start(4)
        child.within = parent
        grandchild = start(5)
        grandchild.within = child
        outcome = await commit(store, other, parent, child, grandchild)
        assert [refusal is None for refusal in outcome] == [True, False, False, False]
        assert [store.load(key) is None for key in (3, 4, 5)] == [True, False, True]
        found = store.load(1)
        assert found is not None
        assert found.run.aside == ""

    async def test_a_refused_write_leaves_nothing_behind(self, store: Store) -> None:
        await commit(store, start(1), start(2))
        bad = put(
            row(1, 1),
            change=run(1, aside="changed"),
            checkpoint=CheckpointRow(1, 0, 1, b"mac", b"state"),
            request=Remembered("default", "req", NOW),
            wake=2,
        )
        bad.checkpoint = CheckpointRow(1, 0, 1, b"mac", "no bytes")  # type: ignore[arg-type]
        (refusal,) = await commit(store, bad)
        assert isinstance(refusal, StoreError)
        assert store.load(1) == Stored(run(1), None, [row(1)])
        assert store.select("request", "default", "req") == []

    # -- what a write requires -----------------------------------------------------

    async def test_a_taken_id_is_refused_with_its_holder_and_alone(
        self, store: Store
    ) -> None:
        await commit(store, start(1, workflow_id="same", name="first"))
        one, two, three = await commit(
            store, start(2), start(3, workflow_id="same"), start(4)
        )
        assert (one, three) == (None, None)
        assert isinstance(two, IdTaken)
        assert two.holder == run(1, workflow_id="same", name="first")
        assert await keys_of(store) == [4, 2, 1]

    async def test_of_two_starts_of_an_id_in_one_batch_the_first_has_it(
        self, store: Store
    ) -> None:
        writes = [start(key, workflow_id="same") for key in (1, 2)]
        one, two, three = await commit(store, *writes, start(3))
        assert one is three is None
        assert isinstance(two, IdTaken)
        assert two.holder.key == 1
        assert await keys_of(store) == [3, 1]

    async def test_a_run_that_ended_at_once_needs_its_id_too(
        self, store: Store
    ) -> None:
        await commit(store, start(1, workflow_id="same"))
        late = start(2, workflow_id="same")
        ended = close(2, workflow_id="same")
        outcome = await commit(store, late, ended, start(3))
        assert [type(refusal) for refusal in outcome] == [IdTaken, IdTaken, type(None)]
        assert await keys_of(store) == [3, 1]
        one = [start(4, workflow_id="x"), close(4, workflow_id="x")]
        two = [start(5, workflow_id="x"), close(5, workflow_id="x")]
        last = start(6, workflow_id="x")
        assert await commit(store, *one, *two, last) == [None] * 5

    async def test_what_a_child_needs_refuses_its_parent_with_it(
        self, store: Store
    ) -> None:
        await commit(store, start(1), start(2, workflow_id="same"))
        parent, child = put(row(1, 1)), start(3, workflow_id="same", parent_key=1)
        child.within = parent
        outcome = await commit(store, parent, child, start(4))
        assert [type(refusal) for refusal in outcome] == [IdTaken, IdTaken, type(None)]
        assert store.load(1) == Stored(run(1), None, [row(1)])

    async def test_only_what_an_id_refuses_is_told_that_its_id_is_taken(
        self, store: Store
    ) -> None:
        await commit(store, start(1, workflow_id="same"))
        second = start(2, workflow_id="same", name=None)
        old, nameless, other = await commit(store, close(1), second, start(3))
        assert old is other is None
        assert type(nameless) is Refused

    async def test_a_successor_that_is_refused_does_not_find_its_own_run_in_the_way(
        self, store: Store
    ) -> None:
        await commit(store, start(1, workflow_id="same"))
        end = close(1, workflow_id="same", next_run_id="run-2")
        successor = start(2, workflow_id="same", name=None)
        successor.within = end
        outcome = await commit(store, end, successor, start(3))
        assert [type(one) for one in outcome] == [Refused, Refused, type(None)]
        assert store.load(1) == Stored(run(1, workflow_id="same"), None, [row(1)])

    async def test_the_holder_is_the_run_that_is_in_the_way(self, store: Store) -> None:
        """Not the run whose end, and successor, are refused with what was."""
        await commit(store, start(1, workflow_id="own"), start(2, workflow_id="same"))
        end = close(1, workflow_id="own", next_run_id="run-3")
        successor, child = start(3, workflow_id="own"), start(4, workflow_id="same")
        successor.within = child.within = end
        outcome = await commit(store, end, successor, child, start(5))
        assert outcome[3] is None
        for refusal in outcome[:3]:
            assert isinstance(refusal, IdTaken)
            assert refusal.holder == run(2, workflow_id="same")

    async def test_an_inbox_that_moved_refuses_the_write_and_no_other(
        self, store: Store
    ) -> None:
        await commit(store, start(1, inbox_seq=4), start(2, inbox_seq=4))
        moved, fits = close(1, inbox_seq=4), close(2, inbox_seq=4)
        moved.requires, fits.requires = (inbox_at(1, 3),), (inbox_at(2, 4),)
        outcome = await commit(store, moved, fits, start(3))
        assert [type(refusal) for refusal in outcome] == [
            InboxMoved,
            type(None),
            type(None),
        ]
        assert [hit.status for hit in await store.reads.runs((1, 2, 3))] == [0, 1, 0]

    async def test_a_requirement_sees_what_its_batch_has_changed(
        self, store: Store
    ) -> None:
        await commit(store, start(1, inbox_seq=4))
        writes = [put(row(1, seq), change=run(1, inbox_seq=5)) for seq in (1, 2)]
        for write in writes:
            write.requires = (inbox_at(1, 4),)
        outcome = await commit(store, *writes)
        assert isinstance(outcome[1], InboxMoved)

    async def test_a_schedule_is_changed_by_one_who_saw_it_as_it_is(
        self, store: Store
    ) -> None:
        def change(body: bytes, seen: bytes | None) -> Write:
            row = ("default", "s", NOW, 0, body)
            made = Write(None, lambda *_: None, statements=(("put_schedule", row),))
            made.requires = (schedule_is("default", "s", seen),)
            return made

        assert await commit(store, change(b"one", None)) == [None]
        again, right, late = await commit(
            store, change(b"other", None), change(b"two", b"one"), change(b"x", b"one")
        )
        assert isinstance(again, ScheduleMoved)
        assert right is None
        assert isinstance(late, ScheduleMoved)
        assert store.select("schedule", "default", "s") == [b"two"]

    async def test_one_schedule_fires_once_in_one_batch(self, store: Store) -> None:
        """Two engines that look at the same moment, and commit together."""
        writes: list[Write] = []
        for key in (1, 2):
            fired = ("put_schedule", ("default", "s", NOW + key, 1, b"%d" % key))
            change = Write(None, lambda *_: None, statements=(fired,))
            change.requires = (schedule_is("default", "s", None),)
            begun = start(key)
            begun.within = change
            writes += [change, begun]
        outcome = await commit(store, *writes)
        assert [type(refusal) for refusal in outcome] == [
            type(None),
            type(None),
            ScheduleMoved,
            ScheduleMoved,
        ]
        assert await keys_of(store) == [1]

    # -- reading -------------------------------------------------------------------

    async def test_what_is_awaited_is_what_is_asked_at_once(self, store: Store) -> None:
        rows = [put(row(1, seq)) for seq in range(1, 600)]
        await commit(store, start(1), start(2), *rows)
        reads = store.reads
        for key in (1, 2, 3):  # a large journal, a small one, none
            assert await reads.load(key, as_stored) == store.load(key)
            assert await reads.ending(key) == store.ending(key)
        assert store.ending(1) == Stored(run(1), None, [row(1, 599)])
        assert await reads.find("default", "wf-1") == run(1)
        assert await reads.find("default", "none") is None
        given = "default", "none"
        assert await reads.rows("request", *given) == store.rows("request", *given)
        assert await reads.rows("history_length", 1) == [(600,)]

    async def test_nothing_is_read_of_a_store_that_is_closed(
        self, make: Callable[[], Store]
    ) -> None:
        made = make()
        made.open()
        reading = asyncio.ensure_future(made.reads.history(1, (-1, -1), 9))
        await asyncio.sleep(0)
        made.close(clean=True)
        with suppress(StoreError):  # or it had been read
            assert await reading == []
        with pytest.raises(StoreError, match="closed"):
            await made.reads.count(newest())

    # -- identity --------------------------------------------------------------------

    async def test_one_open_run_of_an_id_in_a_workspace(self, store: Store) -> None:
        await commit(store, start(1, workflow_id="same"))
        one, two, three = await commit(
            store,
            start(2, workflow_id="same"),
            start(3, workflow_id="same", workspace="other"),
            start(5),
        )
        assert (one is None, two, three) == (False, None, None)
        assert await commit(store, close(1, workflow_id="same")) == [None]
        assert await commit(store, start(4, workflow_id="same")) == [None]

    async def test_an_id_given_up_is_free_within_the_same_batch(
        self, store: Store
    ) -> None:
        """Continuing: the end of one run and the start of the next."""
        await commit(store, start(1, workflow_id="same"))
        ending = close(1, workflow_id="same", next_run_id="run-2")
        beginning = start(2, workflow_id="same", first_run_id="run-1")
        beginning.within = ending
        assert await commit(store, ending, beginning) == [None, None]
        found = store.find("default", "same")
        assert found is not None
        assert found.key == 2

    async def test_a_run_made_and_closed_in_one_batch_is_closed(
        self, store: Store
    ) -> None:
        assert await commit(store, start(1), close(1)) == [None, None]
        found = store.load(1)
        assert found is not None
        assert (found.run.status, found.run.closed_at) == (RunStatus.COMPLETED, NOW)
        assert [r.seq for r in found.rows] == [0, 1]

    async def test_a_later_change_in_a_batch_wins(self, store: Store) -> None:
        await commit(store, start(1))
        await commit(
            store,
            put(row(1, 1), change=run(1, aside="first")),
            put(row(1, 2), change=run(1, aside="second", inbox_seq=2)),
        )
        found = store.load(1)
        assert found is not None
        assert (found.run.aside, found.run.inbox_seq) == ("second", 2)

    async def test_runs_are_found_by_their_ids(self, store: Store) -> None:
        chain: dict[str, Any] = {"workflow_id": "w", "first_run_id": "a"}
        await commit(
            store, start(1, **chain, run_id="a"), close(1, **chain, run_id="a")
        )
        await commit(store, start(2, **chain, run_id="b"))
        other: dict[str, Any] = {"workflow_id": "w", "first_run_id": "c", "run_id": "c"}
        await commit(store, close(2, **chain, run_id="b"), start(3, **other))

        def key(*args: str, **kwargs: str) -> int | None:
            found = store.find(*args, **kwargs)
            return found.key if found else None

        assert key("default", "w") == 3
        assert key("default", "w", "a") == 1
        assert key("default", "w", "nobody") is None
        assert key("default", "w", first="a") == 2
        assert key("default", "w", first="nobody") is None
        assert key("other", "w") is None
        await commit(store, close(3, **other))
        assert key("default", "w") == 3
        await commit(store, start(4, workflow_id="w"))
        assert key("default", "w") == 4

    # -- what lies behind a run --------------------------------------------------------

    async def test_a_checkpoint_stands_for_the_rows_before_it(
        self, store: Store
    ) -> None:
        await commit(store, start(1), put(row(1, 1)))
        saved = CheckpointRow(1, 0, 3, b"mac", b"state after three rows")
        await commit(store, put(row(1, 2), checkpoint=saved), put(row(1, 3)))
        found = store.load(1)
        assert found is not None
        assert (found.checkpoint, found.rows) == (saved, [row(1, 3)])
        later = CheckpointRow(1, 0, 5, b"mac2", b"after five")
        await commit(store, put(row(1, 4), checkpoint=later))
        found = store.load(1)
        assert found is not None
        assert (found.checkpoint, found.rows) == (later, [])
        assert len(await store.reads.history(1, (-1, -1), 99)) == 5

    async def test_runs_are_read_to_be_brought_back_with_all_their_rows(
        self, store: Store
    ) -> None:
        saved = CheckpointRow(1, 0, 1, b"mac", b"state")
        await commit(store, start(1), start(2), start(3))
        await commit(store, put(row(1, 1), checkpoint=saved), put(row(2, 1)))
        await commit(
            store, put(row(2, 0, 1), change=run(2, generation=1), drop_before=1)
        )
        found = store.recover([3, 1, 9, 2])
        assert [stored.run.key for stored in found] == [3, 1, 2]
        assert [stored.rows for stored in found] == [
            [row(3)],
            [row(1), row(1, 1)],
            [row(2, 0, 1)],
        ]
        assert [stored.checkpoint for stored in found] == [None, saved, None]
        assert store.recover([9]) == store.recover([]) == []

    async def test_a_new_generation_drops_the_ones_before(self, store: Store) -> None:
        saved = CheckpointRow(1, 0, 1, b"mac", b"old")
        await commit(store, start(1), put(row(1, 1), checkpoint=saved))
        await commit(
            store, put(row(1, 0, 1), drop_before=1, change=run(1, generation=1))
        )
        found = store.load(1)
        assert found == Stored(run(1, generation=1), None, [row(1, 0, 1)])
        assert await store.reads.history(1, (-1, -1), 9) == [row(1, 0, 1)]

    async def test_a_checkpoint_of_an_older_generation_is_not_used(
        self, store: Store
    ) -> None:
        saved = CheckpointRow(1, 0, 1, b"mac", b"old")
        await commit(store, put(row(1), insert=run(1), checkpoint=saved))
        await commit(store, put(row(1, 0, 1), change=run(1, generation=1)))
        found = store.load(1)
        assert found is not None
        assert (found.checkpoint, found.rows) == (None, [row(1, 0, 1)])

    async def test_history_comes_in_pages_over_generations(self, store: Store) -> None:
        rows = [row(1, seq, generation) for generation in (0, 1) for seq in range(3)]
        await commit(store, put(rows[0], insert=run(1)), *map(put, rows[1:]), start(2))
        seen: list[JournalRow] = []
        after = (-1, -1)
        while page := await store.reads.history(1, after, 2):
            assert len(page) <= 2
            seen += page
            after = (page[-1].generation, page[-1].seq)
        assert seen == rows
        assert store.select("history_length", 1) == [6]

    # -- what is due -------------------------------------------------------------------

    async def test_due_runs_come_earliest_first_in_pages(self, store: Store) -> None:
        times = {1: NOW + 5, 2: NOW + 1, 3: None, 4: 0.0, 5: NOW + 1, 6: NOW + 9}
        await commit(store, *(start(key, wake_at=at) for key, at in times.items()))
        await commit(store, start(7, wake_at=NOW), close(7))
        seen: list[tuple[float, int]] = []
        after: tuple[float, int] = (-1.0, 0)
        while page := await store.reads.rows("due", *after, NOW + 5, 2):
            seen += [(at, key) for at, key in page]
            after = (page[-1][0], page[-1][1])
        assert seen == [(0.0, 4), (NOW + 1, 2), (NOW + 1, 5), (NOW + 5, 1)]
        assert store.select("next_due", NOW + 5) == [NOW + 9]
        assert store.select("next_due", NOW + 9) == []

    async def test_a_sleeping_run_is_due_from_its_very_first_row(
        self, store: Store
    ) -> None:
        await commit(store, start(1, wake_at=NOW + 3600))
        assert await store.reads.rows("due", -1.0, 0, NOW, 9) == []
        assert [
            tuple(d) for d in await store.reads.rows("due", -1.0, 0, NOW + 3600, 9)
        ] == [(NOW + 3600, 1)]

    async def test_a_message_wakes_an_open_run_and_no_closed_one(
        self, store: Store
    ) -> None:
        await commit(store, start(1, wake_at=None), start(2), close(2), start(3))
        await commit(store, put(row(3, 1), wake=1), put(row(3, 2), wake=2))
        assert [key for _, key in await store.reads.rows("due", -1.0, 0, 0.0, 9)] == [
            1,
            3,
        ]

    async def test_named_questions_are_answered(self, store: Store) -> None:
        await commit(
            store,
            start(1, aside="no code"),
            start(2, parent_key=1),
            start(3, parent_key=1),
            close(3, parent_key=1),
            start(4),
            start(5, parent_key=4),
            close(4),
        )
        assert store.select("aside") == [1]
        assert store.select("orphans") == [5]
        assert store.select("count_open") == [3]

    # -- lists -------------------------------------------------------------------------

    async def test_lists_are_filtered_and_newest_first(self, store: Store) -> None:
        await commit(
            store,
            start(1, name="a", queue="q"),
            start(2, name="b", workspace="team"),
            start(3, name="b", parent_key=1),
            start(4, name="a"),
            close(4, name="a"),
        )

        async def keys(
            after: int | None = None, limit: int = 9, **chosen: Any
        ) -> list[int]:
            return await keys_of(store, after, limit, **chosen)

        assert await keys() == [4, 3, 1]
        assert await keys(workspace="team") == [2]
        assert await keys(workflow="a") == [4, 1]
        assert await keys(queue="q") == [1]
        assert await keys(status=RunStatus.COMPLETED) == [4]
        assert await keys(status=RunStatus.RUNNING) == [3, 1]
        assert await keys(workflow_id="wf-3") == [3]
        assert await keys(workflow="a", status=RunStatus.RUNNING) == [1]
        assert await keys(limit=2) == [4, 3]
        assert await keys(after=3) == [1]
        assert await keys(after=1) == []

    async def test_runs_are_read_by_their_keys(self, store: Store) -> None:
        await commit(store, start(1), start(2, name="b"), start(3))
        assert await store.reads.runs([3, 9, 2]) == [run(3), run(2, name="b")]
        assert await store.reads.runs([]) == []

    async def test_lists_are_filtered_by_what_an_id_begins_with(
        self, store: Store
    ) -> None:
        await commit(
            store,
            start(1, workflow_id="50%_a"),
            start(2, workflow_id="50%_b", aside="no code"),
            start(3, workflow_id="50xya"),
        )

        async def keys(**chosen: Any) -> list[int]:
            return await keys_of(store, **chosen)

        assert await keys(id_prefix="50%_") == [2, 1]
        assert await keys(id_prefix="50") == [3, 2, 1]
        assert await keys(id_prefix="") == [3, 2, 1]
        assert await keys(id_prefix="0%") == []
        assert await keys(put_aside=True) == [2]
        assert await keys(id_prefix="50x", put_aside=True) == []

    async def test_runs_are_counted_by_status(self, store: Store) -> None:
        await commit(
            store,
            start(1),
            start(2, aside="no code", name="b", workflow_id="b-2"),
            start(3, workspace="team"),
            start(4),
            close(4),
        )

        async def count(**by: Any) -> list[tuple[Any, int]]:
            return sorted(await store.reads.count(newest("GROUP BY status", **by)))

        assert await count() == [(0, 2), (1, 1)]
        assert await count(put_aside=True) == [(0, 1)]
        assert await count(workspace="team") == [(0, 1)]
        assert await count(workflow="b") == [(0, 1)]
        assert await count(id_prefix="b-", put_aside=True) == [(0, 1)]
        assert await count(workspace="nowhere") == []

    # -- request IDs -------------------------------------------------------------------

    async def test_what_is_written_beside_a_row_is_in_its_transaction(
        self, store: Store
    ) -> None:
        beside = put(row(1), insert=run(1), statements=(("put_meta", ("seen", "1")),))
        refused = put(
            row(2),
            insert=run(2, run_id="other"),
            statements=(("put_meta", (None, "2")),),
        )
        first, second = await commit(store, beside, refused)
        assert first is None
        assert isinstance(second, StoreError)
        assert store.rows("get_meta", "seen") == [("1",)]
        assert store.load(2) is None

    async def test_a_write_that_is_of_no_run_is_refused_alone(
        self, store: Store
    ) -> None:
        def beside(name: str | None, value: str) -> Write:
            return Write(
                None, lambda *_: None, statements=(("put_meta", (name, value)),)
            )

        outcome = await commit(
            store, beside("one", "1"), beside(None, "2"), start(3), beside("two", "3")
        )
        assert [error is None for error in outcome] == [True, False, True, True]
        assert store.select("get_meta", "one") == ["1"]
        assert store.select("get_meta", "two") == ["3"]
        assert store.load(3) is not None

    async def test_a_request_is_remembered_with_its_run(self, store: Store) -> None:
        first = start(1)
        first.request = Remembered("default", "req", NOW)
        await commit(store, first)
        again = start(2)
        again.request = Remembered("default", "req", NOW)
        elsewhere = start(3)
        elsewhere.request = Remembered("team", "req", NOW)
        await commit(store, again, elsewhere)
        assert store.select("request", "default", "req") == [1]
        assert store.select("request", "team", "req") == [3]
        assert store.select("request", "default", "other") == []

    # -- retention ---------------------------------------------------------------------

    async def test_runs_closed_long_ago_are_deleted_with_all_of_theirs(
        self, store: Store
    ) -> None:
        saved = CheckpointRow(1, 0, 1, b"mac", b"state")
        await commit(store, put(row(1), insert=run(1), checkpoint=saved))
        await commit(store, close(1, at=NOW - 10), start(2), close(2, at=NOW), start(3))
        assert await store.retire(NOW - 5, NOW, 99) == 1
        assert store.load(1) is None
        assert await store.reads.history(1, (-1, -1), 9) == []
        assert await keys_of(store) == [3, 2]
        assert await store.retire(NOW - 5, NOW, 99) == 0

    async def test_retention_takes_a_few_at_a_time_oldest_first(
        self, store: Store
    ) -> None:
        for key in range(1, 6):
            await commit(store, start(key), close(key, at=NOW - key))
        assert await store.retire(NOW, NOW, 2) == 2
        assert await keys_of(store) == [3, 2, 1]
        assert await store.retire(NOW, NOW, 9) == 3

    async def test_old_events_that_have_reached_everybody_are_deleted_too(
        self, store: Store
    ) -> None:
        for seq, (at, is_open) in enumerate(
            [(NOW - 9, 0), (NOW - 8, 1), (NOW - 7, 0), (NOW - 6, 0), (NOW, 0)], 1
        ):
            event = (seq, "default", f"e{seq}", "k", "", b"1", b"{}", at, b"", is_open)
            await commit(
                store,
                Write(None, lambda *_: None, statements=(("insert_event", event),)),
            )

        def left() -> list[Any]:
            return [
                row[2]
                for row in store.rows("list_events", "default", 99, None, None, 9)
            ]

        assert await store.retire(NOW - 5, NOW, 3) == 2
        assert left() == ["e5", "e4", "e2"]
        assert await store.retire(NOW - 5, NOW, 3) == 1
        assert left() == ["e5", "e2"]
        assert await store.retire(NOW - 5, NOW, 3) == 0

    async def test_a_child_is_kept_while_its_parent_is_open(self, store: Store) -> None:
        await commit(store, start(1), start(2, parent_key=1))
        await commit(store, close(2, at=NOW - 9, parent_key=1))
        assert await store.retire(NOW, NOW, 9) == 0
        await commit(store, close(1, at=NOW - 1))
        assert await store.retire(NOW, NOW, 9) == 2

    async def test_a_child_whose_parent_is_gone_is_deleted(self, store: Store) -> None:
        await commit(store, start(2, parent_key=1), close(2, at=NOW - 9, parent_key=1))
        assert await store.retire(NOW, NOW, 9) == 1

    async def test_a_run_is_kept_while_its_chain_is_open(self, store: Store) -> None:
        chain: dict[str, Any] = {"workflow_id": "w", "first_run_id": "a"}
        await commit(store, start(1, **chain), close(1, at=NOW - 9, **chain))
        await commit(store, start(2, **chain))
        assert await store.retire(NOW, NOW, 9) == 0
        await commit(store, close(2, at=NOW - 1, **chain))
        assert await store.retire(NOW, NOW, 9) == 2

    async def test_another_chain_of_the_id_keeps_nothing(self, store: Store) -> None:
        await commit(store, start(1, workflow_id="w"))
        await commit(store, close(1, at=NOW - 9, workflow_id="w"))
        await commit(store, start(2, workflow_id="w"))
        assert await store.retire(NOW, NOW, 9) == 1

    async def test_request_ids_are_kept_a_day_apart_from_their_runs(
        self, store: Store
    ) -> None:
        young, old = start(1), start(2)
        young.request = Remembered("default", "young", NOW - DAY + 1)
        old.request = Remembered("default", "old", NOW - DAY - 1)
        await commit(store, young, old)
        await commit(store, close(1, at=NOW - 9), close(2, at=NOW - 9))
        assert await store.retire(None, NOW, 9) == 1
        assert store.load(1) is not None
        assert store.select("request", "default", "young") == [1]
        assert store.select("request", "default", "old") == []

    async def test_request_ids_go_a_few_at_a_time_the_oldest_first(
        self, store: Store
    ) -> None:
        runs = [start(key) for key in (1, 2, 3)]
        for run, age in zip(runs, (3, 9, 6), strict=True):
            run.request = Remembered("default", f"{age}", NOW - DAY - age)
        await commit(store, *runs)
        assert await store.retire(None, NOW, 2) == 2
        assert store.select("request", "default", "3") == [1]
        assert await store.retire(None, NOW, 2) == 1

    async def test_an_expired_request_id_is_given_anew_and_no_other(
        self, store: Store
    ) -> None:
        old, young = start(1), start(2)
        old.request = Remembered("default", "old", NOW - DAY)
        young.request = Remembered("default", "young", NOW - DAY + 1)
        await commit(store, old, young)
        for id in ("old", "young"):
            again = start(3 if id == "old" else 4)
            again.request = Remembered("default", id, NOW, "what", b"answer")
            await commit(store, again)
        anew = (3, NOW, "what", b"answer")
        assert store.rows("request", "default", "old") == [anew]
        kept = (2, NOW - DAY + 1, "", b"")
        assert store.rows("request", "default", "young") == [kept]


class DurableStoreConformance(StoreConformance):
    """The promises of stores that outlive their process."""

    async def test_everything_is_there_after_opening_again(
        self, make: Callable[[], Store]
    ) -> None:
        one = make()
        one.open()
        saved = CheckpointRow(1, 0, 2, b"mac", b"state")
        await commit(one, start(1), put(row(1, 1), checkpoint=saved), start(5))
        before, key = one.load(1), one.key()
        one.close(clean=True)
        two = make()
        opened = two.open()
        assert (opened.last_key, opened.clean, opened.epoch) == (5, True, 2)
        assert (two.load(1), two.key()) == (before, key)
        two.close(clean=True)

    @pytest.mark.parametrize("clean", [True, False])
    async def test_the_next_engine_knows_how_the_last_one_ended(
        self, make: Callable[[], Store], clean: bool
    ) -> None:
        one = make()
        one.open()
        one.close(clean=clean)
        two = make()
        assert two.open().clean is clean
        two.close(clean=True)

    async def test_each_opening_is_an_epoch_of_its_own(
        self, make: Callable[[], Store]
    ) -> None:
        epochs = []
        for _ in range(3):
            made = make()
            epochs.append(made.open().epoch)
            made.close(clean=True)
        assert epochs == [1, 2, 3]

    async def test_closing_waits_for_what_was_given_to_commit(
        self, make: Callable[[], Store]
    ) -> None:
        one = make()
        one.open()
        for key in range(1, 51):
            one.commit([start(key)], lambda _: None)
        one.close(clean=True)
        two = make()
        assert two.open().last_key == 50
        two.close(clean=True)

    async def test_closing_twice_is_harmless(self, make: Callable[[], Store]) -> None:
        made = make()
        made.open()
        made.close(clean=True)
        made.close(clean=True)
