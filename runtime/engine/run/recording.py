"""The journal of a run: how it is written, and what waits until that is durable.

Events and commands together become one journal row. With it, in one transaction, go the
run's row in the index, what the parts write, messages to other runs, and a successor.
"""

import asyncio
from functools import partial
from typing import Any

from msgspec.structs import replace

from everact.runtime.core import chain, records
from everact.runtime.core.records import (
    CancelCall,
    CancelRun,
    CancelTask,
    Command,
    Complete,
    ContinueAsNew,
    Event,
    Fail,
    SignalRun,
    StartChild,
    TailCall,
    Transition,
)
from everact.runtime.core.state import ACTIVE
from everact.runtime.engine.loading import Loaded
from everact.runtime.engine.run import steps
from everact.runtime.engine.run.host import OwnRun
from everact.runtime.engine.run.turn import Turn
from everact.runtime.engine.waiting import copy_of, fail
from everact.runtime.isolation import shown
from everact.runtime.store.base import Statement, Write

CHECKPOINT_BYTES = 16 * 1024
"""Bytes of rows since the last checkpoint below which none is worth being written."""

OUTWEIGHS = 2
"""How many times as large as a checkpoint the rows are that it is written for.

Written earlier, it would cost more than it saves whoever reads the run.
"""

CLOSING = frozenset({Complete, Fail, ContinueAsNew, TailCall})
"""Commands that end a run, or a generation of it."""

MESSAGES = frozenset({StartChild, SignalRun, CancelRun})
"""Commands that concern another run: done in the same transaction."""


class Unrecordable(Exception):
    """Commands hold a name or an option of the author's that no row can have."""


class Recording:
    """The journal of one run, and what of it is durable."""

    __slots__ = ("__dict__", "_run", "in_flight", "size")

    # Most runs have none: they are in an instance only where they are not this.
    checkpointed = 0
    """The size at which the last checkpoint was written."""
    outgrown = CHECKPOINT_BYTES
    """The size above which another one is tried."""
    replies: "list[tuple[asyncio.Future[Any], Any]] | None" = None
    """Answers that wait until nothing is in flight."""

    def __init__(self, run: OwnRun) -> None:
        self._run = run
        self.in_flight = 0
        """Transitions that are not durable yet."""
        self.size = 0
        """Bytes of all rows of this generation."""

    def untie(self) -> None:
        """The run is gone, and nothing of it is under way."""
        self._run = None  # type: ignore[assignment]

    def restore(self, loaded: Loaded) -> None:
        """The run was read back."""
        self.size, self.checkpointed = loaded.size, loaded.checkpointed
        self.outgrown = self.checkpointed + _outweighs(loaded.checkpoint_bytes)

    def renew(self) -> None:
        """The rows of earlier generations do not count any more."""
        self.size, self.checkpointed, self.outgrown = 0, 0, CHECKPOINT_BYTES

    def record(self, turn: Turn, commands: tuple[Command, ...] = ()) -> None:
        events, now, envelope = turn.events, turn.now, turn.envelope
        insert, within = turn.insert, turn.within
        run = self._run
        engine, state, row = run.engine, run.state, run.row
        if engine.steps:
            steps.record(engine, run)
        transition = Transition(now, events, commands)
        try:
            body = records.encode(transition)
        except Exception as error:
            raise Unrecordable(shown(error)) from error
        seq = state.seq
        closes = bool(commands) and type(commands[-1]) in CLOSING
        children = self._left_children(commands, closes) if state.calls.children else ()
        statements = self._written(events, commands)
        state.issue(commands)
        state.record(turn.shown, now)
        sealed = engine.seal.row(
            row.key, state.start.run_id, state.generation, seq, body
        )
        write = Write(sealed, self.committed, effects=(run, turn, commands))
        write.statements = statements
        write.within = within
        self.in_flight += 1
        if envelope is not None:
            write.request = envelope.request
        wake = None if state.status else self.wake()
        aside = "" if state.status else (state.held or "")
        if state.status and not row.status:
            self._close_row(write, now)
        name = state.labels.name
        renamed = name is not None and self._rename(name)
        if insert and not state.generation:
            row.wake_at, row.aside = wake, aside
            write.insert = replace(row)
        elif closes or renamed or wake != row.wake_at or aside != row.aside or insert:
            row.wake_at, row.aside = wake, aside
            row.generation, row.inbox_seq = state.generation, state.inbox_seq
            write.change = replace(row)
        write.drop_before = (state.generation or None) if insert else None
        self.size = size = self.size + len(body)
        if size > self.outgrown:
            self.save(write)
        engine.commits.add(write)
        if commands:
            self._send(write, commands, begins=insert and not closes)
        for child, cancel_only in children:
            engine.relations.leave_child(child, cancel_only, write)
        if closes:
            self._succeed(write, now)

    def _written(
        self, events: tuple[Event, ...], commands: tuple[Command, ...]
    ) -> tuple[Statement, ...]:
        """What parts write with the records, made before the commands are folded."""
        run = self._run
        writes = run.engine.writes
        found: tuple[Statement, ...] = ()
        for record in events + commands:
            if type(record) in writes:
                found += writes[type(record)](run, record)
        return found

    def begin(self, write: Write, turn: Turn) -> None:
        """Write the run's row with its first transition, if that is a common one."""
        write.within, write.change = turn.within, None
        write.statements = self._written(turn.events, ())
        write.insert = replace(self._run.row)

    def wake(self) -> float | None:
        """When it must be in memory: at once if a child's end is on its way to it."""
        run = self._run
        due = run.engine.relations.ends_due
        if due and run.row.key in due:
            return ACTIVE
        return run.state.wake()

    def _rename(self, name: str) -> bool:
        """Put the run's name into its row; whether that changes it."""
        before, self._run.row.run_name = self._run.row.run_name, name
        return before != name

    def _close_row(self, write: Write, now: float) -> None:
        state, row = self._run.state, self._run.row
        row.status, row.closed_at = int(state.status), now
        self.tell_parent(write)

    def tell_parent(self, write: Write) -> None:
        """The run closes with `write`: its parent must not sleep till it is told."""
        parent = self._run.state.start.parent
        if parent is not None:
            write.wake = parent.key
            self._run.engine.relations.expect_end(parent.key, parent.call)

    def _succeed(self, write: Write, now: float) -> None:
        """Start the successor of a closed run in the same transaction."""
        engine, state = self._run.engine, self._run.state
        if not state.status:
            return
        if type(state.closing) is Complete and not chain.cron_of(state.start.options):
            return
        carried = chain.unread(state)
        run_id = chain.next_run_id(state.start.run_id, state.generation)
        started = chain.successor(state, carried, run_id, now)
        if started is None:
            return
        assert write.change is not None or write.insert is not None
        row = write.change or write.insert
        assert row is not None
        self._run.row.next_run_id = row.next_run_id = started.run_id
        self._run.successor = engine.make(started, None, write)

    def save(self, write: Write) -> None:
        """Write a checkpoint, if the rows since the last one outweigh it."""
        run = self._run
        if run.state.status:
            return
        checkpoint = run.engine.seal.checkpoint(run.row.key, run.state)
        outweighs = _outweighs(len(checkpoint.body))
        if self.size > self.checkpointed + outweighs:
            write.checkpoint = checkpoint
            self.checkpointed = self.size
        self.outgrown = self.checkpointed + outweighs

    def _left_children(
        self, commands: tuple[Command, ...], closes: bool
    ) -> list[tuple[StartChild, bool]]:
        """The children that `commands` leave: all open ones, or those asked to stop."""
        calls = self._run.state.calls
        left: list[tuple[Command | None, bool]]
        if closes:
            left = [(c, False) for c in (*calls.values(), *commands)]
        else:
            left = [
                (calls.get(c.call), True)
                for c in commands
                if isinstance(c, (CancelCall, CancelTask))
            ]
        return [(c, cancel) for c, cancel in left if type(c) is StartChild]

    def _send(
        self, write: Write, commands: tuple[Command, ...], *, begins: bool
    ) -> None:
        """Send what `commands` say to other runs, in the transaction of `write`.

        If it is that of a start whose ID an open run seems to have, when it is durable:
        it will be refused, and whoever was sent something would be with it.
        """
        messages = [command for command in commands if type(command) in MESSAGES]
        if begins and messages and self._id_seems_taken():
            write.done = partial(self._committed_first, messages)
            return
        for command in messages:
            self._run.engine.relations.send(self._run, command, write)

    def _id_seems_taken(self) -> bool:
        row = self._run.row
        if row.parent_key is not None or row.workflow_id == row.run_id:
            return False  # it was looked up, or is nobody's
        found = self._run.engine.store.find(row.workspace, row.workflow_id)
        if found is None or found.status:
            return False
        return found.first_run_id != row.first_run_id

    def _committed_first(
        self, messages: list[Any], write: Write, error: BaseException | None
    ) -> None:
        """A start is durable, or refused: only now its messages, as if read back."""
        run = self._run
        self.committed(write, error)
        if error is None and not run.dropped:
            for command in messages:  # not those of rows that came after it
                if run.state.calls.get(command.call) is command:
                    run.engine.relations.send(run, command, None)

    def committed(self, write: Write, error: BaseException | None) -> None:
        """The transition is durable, or refused: release its effects, or drop all."""
        self.in_flight -= 1
        run = self._run
        engine = run.engine
        turn: Turn
        _, turn, commands = write.effects
        envelope = turn.envelope
        if run.dropped and not self.in_flight:
            engine.drained(run)
        if error is not None:
            engine.refused(run, write, error)
            return
        if engine.refusals:
            engine.refusals.pop(run.row.key, None)
        early = None if run.dropped else run.work.release(turn.events, commands)
        if envelope is not None:
            envelope.settle(run)
        if engine.waiting.followers:
            engine.waiting.transitioned(run.row.key)
        if engine.updates.admitted and not run.dropped:
            engine.updates.go_on(run)
        if self.replies and not self.in_flight:
            self._reply_all()
        if early:
            run.work.settle_early(early)
        elif not run.dropped:
            run.rest()
        if run.dropped and not self.in_flight:
            run.untie()
        engine.on_loop[0] = 0

    def _reply_all(self) -> None:
        replies, self.replies = self.replies, None
        for reply, answer in replies or ():
            _reply(reply, answer)

    def when_durable(self, reply: "asyncio.Future[Any]", answer: Any) -> None:
        """Answer once everything that the answer was computed from is durable."""
        if not self.in_flight or self._run.dropped:
            _reply(reply, answer)
            return
        if self.replies is None:
            self.replies = []
        self.replies.append((reply, answer))

    async def durable(self) -> None:
        """Wait until what the run's memory shows now is durable."""
        if self.in_flight:
            reply: asyncio.Future[Any] = self._run.engine.loop.create_future()
            self.when_durable(reply, None)
            await reply

    def fail_replies(self, error: BaseException) -> None:
        """Who waits for something to be durable is told `error`."""
        for reply, _ in self.replies or ():
            fail(reply, copy_of(error))
        self.replies = None


def _outweighs(checkpoint: int) -> int:
    """How many bytes of rows outweigh a checkpoint of so many."""
    return max(CHECKPOINT_BYTES, OUTWEIGHS * checkpoint)


def _reply(reply: "asyncio.Future[Any]", answer: Any) -> None:
    if reply.done():
        return
    if isinstance(answer, BaseException):
        reply.set_exception(answer)
    else:
        reply.set_result(answer)
