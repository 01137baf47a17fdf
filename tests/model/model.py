"""What a client may be answered: a model of workflow IDs, pure and small.

Nothing in it knows of crashes, commits or messages: whatever happens below, each
operation takes effect once, at one moment between its request and its answer. Where
that leaves several ways open (tasks end when they end, operations run at the same time)
the model holds every state that is possible; an answer that fits none of them is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

RUNNING, COMPLETED, FAILED = "running", "completed", "failed"
CANCELLED, TERMINATED = "cancelled", "terminated"


# -- operations ------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    id: str
    amount: int
    conflict: str | None = None
    reuse: str = "allow"


@dataclass(frozen=True)
class Signal:
    """`what` is "add" or "work" with an amount, "finish", "fail" or "renew"."""

    id: str
    what: str
    amount: int = 0


@dataclass(frozen=True)
class Deposit:
    """An update; of a negative amount it is refused."""

    id: str
    amount: int


@dataclass(frozen=True)
class Balance:
    """A query."""

    id: str


@dataclass(frozen=True)
class Cancel:
    id: str


@dataclass(frozen=True)
class Terminate:
    id: str


@dataclass(frozen=True)
class Describe:
    id: str


@dataclass(frozen=True)
class Result:
    """How the latest run ended; asked only when it must have."""

    id: str


@dataclass(frozen=True)
class Again:
    """The request of an earlier operation that took effect, sent once more."""

    back: int


@dataclass(frozen=True)
class Settle:
    """Time passes: every task is done."""


@dataclass(frozen=True)
class Together:
    """Operations that are under way at the same time."""

    operations: tuple[One, ...]


One: TypeAlias = (
    Start | Signal | Deposit | Balance | Cancel | Terminate | Describe | Result
)
Operation: TypeAlias = One | Again | Settle | Together


# -- answers ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Started:
    """A start gave this run, new or not."""

    run_id: str


@dataclass(frozen=True)
class Refused:
    """A start met this run."""

    run_id: str


@dataclass(frozen=True)
class Described:
    status: str
    run_id: str


OK, NOT_FOUND, REJECTED = "ok", "not found", "rejected"
Answer: TypeAlias = Started | Refused | Described | str | int | tuple[str, int]


# -- states ----------------------------------------------------------------------------


class Run(NamedTuple):
    """The latest run of an ID. `run_id` is empty until somebody has seen it."""

    run_id: str
    status: str
    total: int
    earning: tuple[int, ...] = ()


class State(NamedTuple):
    """The latest runs by ID, and all run IDs that were seen."""

    latest: frozenset[tuple[str, Run]] = frozenset()
    seen: frozenset[str] = frozenset()

    def run(self, id: str) -> Run | None:
        """The latest run of an ID."""
        return next((run for name, run in self.latest if name == id), None)

    def put(self, id: str, run: Run) -> State:
        """The state with another latest run of an ID."""
        others = frozenset(pair for pair in self.latest if pair[0] != id)
        seen = self.seen | {run.run_id} if run.run_id else self.seen
        return State(others | {(id, run)}, seen)


class Impossible(AssertionError):
    """No order of things explains an answer."""


class Model:
    """All states that the answers so far leave possible."""

    def __init__(self) -> None:
        self.states: frozenset[State] = frozenset({State()})

    def explain(self, operation: Operation, answer: object) -> None:
        """Take in an answer; Impossible if there is no way that it came about."""
        if isinstance(operation, Together):
            assert isinstance(answer, (list, tuple))
            pairs = list(zip(operation.operations, answer, strict=True))
            left = {
                state
                for order in itertools.permutations(pairs)
                for state in _all(self.states, order)
            }
        elif isinstance(operation, Settle):
            left = {_settled(state) for state in self.states}
        else:
            assert not isinstance(operation, Again)
            left = set(_all(self.states, [(operation, answer)]))
        if not left:
            expected = " or ".join(sorted(map(_shown, self.states)))
            raise Impossible(f"{operation} was answered {answer!r}; it was {expected}")
        self.states = frozenset(left)

    def closed(self, id: str) -> bool:
        """Whether the latest run of an ID has ended in any case."""
        runs = [state.run(id) for state in self.states]
        return all(run is not None and run.status != RUNNING for run in runs)


def _all(
    states: Iterable[State], pairs: Sequence[tuple[One, object]]
) -> Iterable[State]:
    for operation, answer in pairs:
        states = {
            after
            for state in _earned(states)
            for after in _after(state, operation, answer)
        }
    return _earned(states)


def _earned(states: Iterable[State]) -> set[State]:
    """These states, and those in which tasks that are under way have been done."""
    found = set(states)
    pending = list(found)
    while pending:
        state = pending.pop()
        for id, run in state.latest:
            for amount in set(run.earning):
                rest = list(run.earning)
                rest.remove(amount)
                done = run._replace(total=run.total + amount, earning=tuple(rest))
                made = state.put(id, done)
                if made not in found:
                    found.add(made)
                    pending.append(made)
    return found


def _settled(state: State) -> State:
    for id, run in state.latest:
        done = run._replace(total=run.total + sum(run.earning), earning=())
        state = state.put(id, done)
    return state


def _after(state: State, operation: One, answer: object) -> Iterator[State]:
    """The state after an operation, if it may be answered so in this one."""
    run = state.run(operation.id)
    if isinstance(operation, Start):
        yield from _started(state, run, operation, answer)
        return
    if isinstance(operation, Describe):
        if run is None:
            yield from _if(answer == NOT_FOUND, state)
        elif isinstance(answer, Described) and answer.status == run.status:
            yield from _met(state, operation.id, run, answer.run_id)
        return
    if isinstance(operation, Balance):
        expected = NOT_FOUND if run is None else run.total
        yield from _if(answer == expected, state)
        return
    if isinstance(operation, Result):
        assert run is not None
        ended = (run.status, run.total if run.status == COMPLETED else 0)
        yield from _if(answer == ended, state)
        return
    if run is None or run.status != RUNNING:
        yield from _if(answer == NOT_FOUND, state)
        return
    if isinstance(operation, Deposit):
        if operation.amount < 0:
            yield from _if(answer == REJECTED, state)
            return
        total = run.total + operation.amount
        after = state.put(operation.id, run._replace(total=total))
        yield from _if(answer == total, after)
        return
    yield from _if(answer == OK, state.put(operation.id, _told(run, operation)))


def _told(run: Run, operation: One) -> Run:
    """What a one-way message makes of an open run."""
    if isinstance(operation, Cancel):
        return run._replace(status=CANCELLED, earning=())
    if isinstance(operation, Terminate):
        return run._replace(status=TERMINATED, earning=())
    assert isinstance(operation, Signal)
    match operation.what:
        case "add":
            return run._replace(total=run.total + operation.amount)
        case "work":
            earning = tuple(sorted((*run.earning, operation.amount)))
            return run._replace(earning=earning)
        case "finish":
            return run._replace(status=COMPLETED, earning=())
        case "fail":
            return run._replace(status=FAILED, earning=())
        case _:
            return Run("", RUNNING, run.total)


def _started(
    state: State, run: Run | None, operation: Start, answer: object
) -> Iterator[State]:
    verdict = _verdict(run, operation)
    if verdict == "new":
        if isinstance(answer, Started) and answer.run_id not in state.seen:
            made = Run(answer.run_id, RUNNING, operation.amount)
            yield state.put(operation.id, made)
        return
    assert run is not None
    kind = Started if verdict == "found" else Refused
    if isinstance(answer, kind):
        yield from _met(state, operation.id, run, answer.run_id)


def _verdict(run: Run | None, operation: Start) -> str:
    if run is None:
        return "new"
    conflict, reuse = operation.conflict, operation.reuse
    if run.status == RUNNING:
        if conflict == "terminate_existing" or reuse == "terminate_if_running":
            return "new"
        return "found" if conflict in ("use_existing", "attach") else "refused"
    if conflict == "attach":
        return "found"
    successful = run.status == COMPLETED
    if reuse == "reject" or (reuse == "allow_failed_only" and successful):
        return "refused"
    return "new"


def _met(state: State, id: str, run: Run, run_id: str) -> Iterator[State]:
    """The latest run was named: it is that one, or is seen for the first time."""
    if run.run_id == run_id:
        yield state
    elif not run.run_id and run_id not in state.seen:
        yield state.put(id, run._replace(run_id=run_id))


def _if(fits: bool, state: State) -> Iterator[State]:
    if fits:
        yield state


def _shown(state: State) -> str:
    runs = [
        f"{id}: {run.status} {run.total}{list(run.earning) or ''} ({run.run_id})"
        for id, run in sorted(state.latest)
    ]
    return "{" + ", ".join(runs) + "}"
