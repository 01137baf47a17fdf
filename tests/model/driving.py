"""From operations to requests, and from what came of them to answers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from everact.runtime import Client, WorkflowFailure
from everact.runtime.errors import RPCError, UpdateFailed, WorkflowAlreadyStarted
from everact.runtime.statuses import RPCStatus
from tests.model.account import Account
from tests.model.model import (
    NOT_FOUND,
    OK,
    REJECTED,
    Again,
    Answer,
    Balance,
    Cancel,
    Deposit,
    Describe,
    Described,
    Model,
    One,
    Operation,
    Refused,
    Result,
    Settle,
    Signal,
    Start,
    Started,
    Terminate,
    Together,
)

IDS = ("a", "b")
AMOUNTS = (1, 10, 100)

POLICIES: tuple[tuple[str | None, str], ...] = (
    (None, "allow"),
    ("fail", "allow"),
    ("use_existing", "allow"),
    ("attach", "allow"),
    ("terminate_existing", "allow"),
    (None, "allow_failed_only"),
    (None, "reject"),
    ("use_existing", "reject"),
    (None, "terminate_if_running"),
    ("terminate_existing", "allow_failed_only"),
)
"""What a start may say about an open run, and about a closed one."""


async def perform(
    client: Client, operation: One, request_id: str, prefix: str = ""
) -> Answer:
    """Ask for one thing; `request_id` makes a repetition harmless."""
    handle = client.handle(prefix + operation.id)
    try:
        match operation:
            case Start():
                started = await client.start(
                    Account.run,
                    operation.amount,
                    id=prefix + operation.id,
                    on_conflict=operation.conflict,
                    on_reuse=operation.reuse,
                    request_id=request_id,
                )
                return Started(started.result_run_id or "")
            case Signal(what="add" | "work" as what, amount=amount):
                await handle.signal(what, amount, request_id=request_id)
            case Signal(what=what):
                await handle.signal("close", what, request_id=request_id)
            case Deposit():
                total = await handle.update(
                    Account.deposit, operation.amount, id=request_id
                )
                return int(total)
            case Balance():
                return int(await handle.query(Account.balance))
            case Cancel():
                await handle.cancel(request_id=request_id)
            case Terminate():
                await handle.terminate(request_id=request_id)
            case Describe():
                found = await handle.describe()
                return Described(str(found.status), found.run_id)
            case Result():
                return "completed", int(await handle.result())
    except WorkflowAlreadyStarted as taken:
        return Refused(taken.run_id)
    except UpdateFailed:
        return REJECTED
    except WorkflowFailure as failure:
        return _ENDS[type(failure.cause).__name__], 0
    except RPCError as error:
        if error.status is not RPCStatus.NOT_FOUND:
            raise
        return NOT_FOUND
    return OK


_ENDS = {
    "ApplicationError": "failed",
    "RunCancelled": "cancelled",
    "RunTerminated": "terminated",
}


class Story:
    """Operations and their answers so far, against the model."""

    def __init__(self) -> None:
        self.model = Model()
        self.lines: list[str] = []
        self.effective: list[tuple[int, One, Answer]] = []

    def told(self, number: int, operation: Operation, answer: object) -> None:
        """Take in an answer; Impossible, with the whole story, if it cannot be."""
        self.lines.append(f"{number:3} {operation} -> {answer}")
        known = {run for state in self.model.states for run in state.seen}
        try:
            self.model.explain(operation, answer)
        except AssertionError as error:
            error.add_note("the whole story:\n" + "\n".join(self.lines))
            raise
        if isinstance(operation, Start):
            if isinstance(answer, Started) and answer.run_id not in known:
                self.effective.append((number, operation, answer))
        elif isinstance(operation, (Signal, Cancel, Terminate)) and answer == OK:
            self.effective.append((number, operation, OK))

    def repeated(self, again: Again) -> tuple[int, One, Answer] | None:
        """What is sent once more; None if nothing has taken effect yet."""
        if not self.effective:
            return None
        return self.effective[-1 - again.back % len(self.effective)]

    def agree(self, number: int, first: Answer, answer: Answer) -> None:
        """A repeated request is answered as it was at first."""
        self.lines.append(f"    {number} again -> {answer}")
        if answer != first:
            error = AssertionError(f"{number} again: {answer!r}, not {first!r}")
            error.add_note("the whole story:\n" + "\n".join(self.lines))
            raise error


# -- what is asked for -----------------------------------------------------------------

_id = st.sampled_from(IDS)
_amount = st.sampled_from(AMOUNTS)
_starts = st.builds(
    lambda id, amount, policy: Start(id, amount, *policy),
    _id,
    _amount,
    st.sampled_from(POLICIES),
)
_adds = st.builds(Signal, _id, st.sampled_from(["add", "work"]), _amount)
_ends = st.builds(Signal, _id, st.sampled_from(["finish", "fail", "renew"]))
_deposits = st.builds(Deposit, _id, st.sampled_from((*AMOUNTS, -1)))
_others = st.one_of(
    *(st.builds(kind, _id) for kind in (Balance, Describe, Cancel, Terminate))
)
_messages = st.one_of(_adds, _adds, _deposits, _others)
_together = st.lists(st.one_of(_starts, _messages), min_size=2, max_size=3)
_next = st.one_of(
    _starts,
    _messages,
    _messages,
    _messages,
    _ends,
    st.builds(Result, _id),
    st.builds(Again, st.integers(0, 5)),
    st.just(Settle()),
    st.builds(lambda chosen: Together(tuple(chosen)), _together),
)
operations = st.builds(
    lambda first, *rest: [*first, *itertools.chain(*rest)],
    st.sampled_from([[], [Start("a", 1)], [Start("a", 1), Start("b", 10)]]),
    *[st.lists(_next, max_size=10)] * 4,  # one long list would be a short one
)
"""Sequences that hypothesis makes, and makes smaller."""


def drawn(seed: int, length: int) -> Sequence[Operation]:
    """A sequence out of a seed, for those that cannot be made smaller."""
    chance = random.Random(seed)

    def one(*kinds: str) -> One:
        id, amount = chance.choice(IDS), chance.choice(AMOUNTS)
        others = (Balance, Describe, Cancel, Terminate)
        match chance.choice(kinds):
            case "start":
                return Start(id, amount, *chance.choice(POLICIES))
            case "add":
                return Signal(id, chance.choice(("add", "work")), amount)
            case "end":
                return Signal(id, chance.choice(("finish", "fail", "renew")))
            case "deposit":
                return Deposit(id, chance.choice((*AMOUNTS, -1)))
            case _:
                other: Any = chance.choice(others)
                made: One = other(id)
                return made

    def next_one() -> Operation:
        kinds = ("start", "add", "add", "deposit", "other")
        match chance.randrange(10):
            case 0:
                return Together(tuple(one(*kinds) for _ in range(3)))
            case 1:
                return Again(chance.randrange(5))
            case 2:
                return chance.choice((Settle(), Result(chance.choice(IDS))))
            case _:
                return one(*kinds, "end")

    return [Start("a", 1), Start("b", 10), *(next_one() for _ in range(length))]
