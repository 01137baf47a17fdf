"""The writer: takes whole batches, one transaction each, one at a time.

It is a thread, and under load a process, which takes nothing from the loop's thread;
the thread still does what needs judgement. A batch that the database refuses for one
write's sake (a broken constraint) is done again write by write, so that only the
guilty one is refused. Any other error leaves the outcome unknown: the connection is
opened anew and the engine reloads what it cannot be sure of.
"""

import asyncio
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from everact.runtime.errors import StoreError
from everact.runtime.store.base import IdTaken, Outcome, Refused, Write
from everact.runtime.store.sqlite.custody import WATCH
from everact.runtime.store.sqlite.database import PRAGMAS, Database
from everact.runtime.store.sqlite.process import Fate, WriterProcess
from everact.runtime.store.sqlite.questions import run_of
from everact.runtime.store.sqlite.statements import Statements, groups
from everact.runtime.store.sqlite.telling import POISONED

logger = logging.getLogger("everact.store")

CROWD = 64
"""Writes in one batch that show a load worth a process of its own."""

_RESCUE = object()
"""Tells the thread to save what a lost database held."""

TAKEN = (
    "UNIQUE constraint failed: runs.workspace, runs.workflow_id",
    "NOT NULL constraint failed: meta.value",
)
"""How the index of open IDs refuses a run, and how `require_free` does."""


class Writer:
    """Commits the batches of one open database.

    A batch of `crowd` writes starts the process that commits from then on.
    """

    def __init__(self, database: Database, crowd: int = CROWD) -> None:
        self._database = database
        self._statements = Statements(database.sql)
        self._crowd = crowd
        self._thread: threading.Thread | None = None
        self.process: WriterProcess | None = None
        # A program frozen into one file has itself as its interpreter.
        frozen = not sys.executable or getattr(sys, "frozen", False)
        self.may_spawn = not (database.in_memory or frozen)
        self._waiting: deque[Any] = deque()
        self._busy = False
        self._batches: SimpleQueue[Any] = SimpleQueue()
        database.on_loss = lambda: self._batches.put(_RESCUE)

    @property
    def begun(self) -> bool:
        """Whether it takes batches."""
        return self._thread is not None

    def begin(self) -> None:
        """Take batches from now on."""
        self._thread = threading.Thread(
            target=self._write, name="everact-writer", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Commit what was given, and then no more. Blocks for that."""
        if self.process is not None:
            self.process.close()
            self.process = None
        self.may_spawn = False
        if self._thread is not None:
            self._database.look()
            while self._waiting:
                self._batches.put(self._waiting.popleft())
            self._batches.put(None)
            self._thread.join()
            self._thread = None

    # -- batches, on the loop --------------------------------------------------------

    def commit(
        self, writes: Sequence[Write], done: Callable[[Outcome], object]
    ) -> None:
        """See `Store.commit`."""
        self._waiting.append((writes, asyncio.get_running_loop(), done))
        if not self._busy:
            self.next()

    def next(self) -> None:
        """Give the oldest batch to the thread or the process."""
        batch = self._waiting.popleft()
        writes, _, done = batch
        self._busy = True
        process = self.process
        if process is not None and process.lost:
            if process.useless:
                self._no_process("it ended before it was ready")
            process = self.process = None
        if process is None:
            if self.may_spawn and len(writes) >= self._crowd:
                self.spawn()
        elif process.ready and not any(write.requires for write in writes):

            def tell(fate: Fate, why: str) -> None:
                if fate is Fate.COMMITTED:
                    self._answered(done, [])
                elif fate is Fate.ROLLED_BACK:  # the thread finds out for whose sake
                    self._batches.put(batch)
                else:
                    self.process = None
                    self._answered(done, StoreError(f"{self._database.path}: {why}"))

            fence = (self._database.sql["fence"], [self._database.epoch])
            if process.commit([fence, *self._statements.of(writes)], tell):
                return
        self._batches.put(batch)

    def _answered(self, done: Callable[[Outcome], object], outcome: Outcome) -> None:
        self._busy = False
        lost = self._database.look()
        if lost is not None:  # it may be durable, and nobody will find it
            outcome = lost
        if self._waiting:
            self.next()
        done(outcome)

    def spawn(self) -> None:
        """Start the process that commits from now on, once it is ready."""
        database = self._database
        assert database.lock is not None
        try:
            self.process = WriterProcess(
                database.path, PRAGMAS, database.lock.descriptor
            )
        except (OSError, NotImplementedError) as error:
            self._no_process(str(error))

    def _no_process(self, why: str) -> None:
        self.may_spawn = False
        path = self._database.path
        logger.warning("%s: no writer process, a thread does: %s", path, why)

    # -- transactions, on the thread -------------------------------------------------

    def _write(self) -> None:
        database = self._database
        while True:
            try:
                batch = self._batches.get(timeout=WATCH)
            except Empty:
                database.look()
                continue
            if batch is None:
                return
            if batch is _RESCUE:
                database.rescue()
                continue
            writes, loop, done = batch
            outcome = self.commit_now(writes)
            try:
                loop.call_soon_threadsafe(self._answered, done, outcome)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def commit_now(self, writes: Sequence[Write]) -> Outcome:
        """Commit on this thread."""
        with self._database.guard:
            if self._database.lost is not None:
                return self._database.lost
            try:
                try:
                    if not any(write.requires for write in writes):
                        self._transact(writes)
                        return []
                except POISONED:
                    pass
                return self._commit_singly(writes)
            except Exception as error:
                return self._database.failed(error)

    def _transact(self, writes: Sequence[Write]) -> None:
        connection = self._database.writing
        connection.execute("begin immediate")
        try:
            self._database.fence()
            self._put(writes)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise

    def _put(self, writes: Sequence[Write]) -> None:
        connection = self._database.writing
        for statement, parameters in self._statements.of(writes):
            connection.execute(statement, parameters)

    def _commit_singly(self, writes: Sequence[Write]) -> Outcome:
        """One transaction all the same, so that a full disk refuses the batch whole.

        What belongs together (a write and those within it, and all of the runs that
        they change) is put in, or refused, together.
        """
        connection = self._database.writing
        refused: dict[int, BaseException] = {}
        connection.execute("begin immediate")
        try:
            self._database.fence()
            for group in groups(writes):
                found = self._try(group)
                if found is not None:
                    refused.update((id(write), found) for write in group)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        return [refused.get(id(write)) for write in writes]

    def _try(self, group: Sequence[Write]) -> BaseException | None:
        """Put writes into the open transaction; why they were refused, or None."""
        connection = self._database.writing
        connection.execute("savepoint one")
        try:
            if any(write.requires for write in group):
                for write in group:  # each sees what those before it have changed
                    self._check(write)
                    self._put((write,))
            else:
                self._put(group)
        except (*POISONED, Refused) as why:
            refusal = self._refusal(group, why)  # of what the write found
            connection.execute("rollback to one")
            return refusal
        finally:
            if connection.in_transaction:
                connection.execute("release one")
        return None

    def _check(self, write: Write) -> None:
        """Raise if something is not so that the write requires."""
        database = self._database
        for query, given, refusal in write.requires:
            if not database.writing.execute(database.sql[query], given).fetchone():
                raise refusal(
                    f"{database.path}: what the write requires is not so any more: "
                    f"{query} {given[:2]}"
                )

    def _refusal(self, group: Sequence[Write], why: Exception) -> StoreError:
        if isinstance(why, Refused):
            return why
        database = self._database
        for write in group if str(why) in TAKEN else ():
            row = write.insert
            if row is None:
                continue
            place = row.workspace, row.workflow_id
            latest = database.writing.execute(database.sql["latest_run"], place)
            holders = [run_of(found) for found in latest]
            if holders and not holders[0].status and holders[0].key != row.key:
                taken = IdTaken(holders[0])
                taken.__cause__ = why
                return taken
        refused = Refused(f"{database.path}: a transition was refused: {why}")
        refused.__cause__ = why
        return refused
