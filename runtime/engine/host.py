"""What everything inside the engine is given: `Host`, and how a `Run` looks to others.

A module of the engine asks these protocols and never the classes behind them, so none
of them has to know how the engine is composed. What is not here has no business with
the engine. Only what is given to nobody but a few is handed to those by hand; see
`engine.py`, where all of it is put together.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeAlias

from everact.actors import ActorSystem, Clock
from everact.runtime.core.admission import Admission
from everact.runtime.core.records import Event, RunTask, Started, Transition
from everact.runtime.core.state import RunState
from everact.runtime.definitions.context import EndpointAccess
from everact.runtime.definitions.interceptors import InterceptorChains
from everact.runtime.definitions.registry import Registry
from everact.runtime.definitions.tasks import Task
from everact.runtime.engine.commits import GroupCommit
from everact.runtime.engine.execution.base import Executor
from everact.runtime.engine.messages import Envelope, Question
from everact.runtime.engine.requests import Requests
from everact.runtime.engine.seal import Seal
from everact.runtime.engine.stage import Stage
from everact.runtime.engine.timers import TimerActor
from everact.runtime.engine.waiting import Waiting
from everact.runtime.engine.watchdog import Watchdog
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import StoreError
from everact.runtime.programs.base import Program, Query
from everact.runtime.store.base import Remembered, RunRow, Statement, Store, Write
from everact.runtime.values.converter import DataConverter


class Attempt(Protocol):
    """An attempt of a task, as others know it."""

    @property
    def command(self) -> RunTask: ...
    @property
    def number(self) -> int: ...
    @property
    def dispatch(self) -> int: ...
    @property
    def run(self) -> "Run": ...

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        """A sign of life of it."""

    def ask_to_stop(self) -> None:
        """Tell the function to stop; what becomes of it still counts."""

    def stop_now(self) -> None:
        """Nobody waits for the outcome any more."""


class RunCode(Protocol):
    """The code of a run, as others know it."""

    @property
    def program(self) -> Program | None:
        """What runs it; None if it is not begun, or cannot be run here."""

    @property
    def paused(self) -> object | None:
        """The activation that was interrupted to give others a turn."""

    @property
    def stuck(self) -> str | None:
        """Where the code waits for what cannot come."""

    def drive(self, program: Program | None) -> str | None:
        """Run `program` from now on; why it does not fit the history, or None."""

    def rebuild(self) -> str | None:
        """Make the program anew from what is recorded; why that cannot be, or None."""

    def drop(self) -> None:
        """Forget the code's frames; the state stays."""

    def answer(self, question: Question) -> None:
        """Answer a query, from the state as it is when that is durable."""


class RunJournal(Protocol):
    """The journal of a run, as others know it."""

    @property
    def size(self) -> int:
        """Bytes of all rows of its generation."""

    @property
    def in_flight(self) -> int:
        """How many of its transitions are not durable yet."""

    def when_durable(self, reply: "asyncio.Future[Any]", answer: Any) -> None:
        """Answer once everything that the answer was computed from is durable."""

    async def durable(self) -> None:
        """Wait until what the run's memory shows now is durable."""

    def fail_replies(self, error: BaseException) -> None:
        """What it was asked, and did not answer, is answered with `error`."""


class Run(Protocol):
    """One open run in memory; what it has is changed by it alone."""

    @property
    def engine(self) -> "Host": ...
    @property
    def row(self) -> RunRow: ...
    @property
    def state(self) -> RunState: ...
    @property
    def code(self) -> RunCode: ...
    @property
    def journal(self) -> RunJournal: ...
    @property
    def attempts(self) -> Mapping[int, Attempt]: ...
    @property
    def successor(self) -> "Run | None": ...
    @property
    def dropped(self) -> bool:
        """Whether it has left memory: who still holds it holds nothing."""

    @property
    def has_mail(self) -> bool:
        """Whether anything waits in line before what might be taken at once."""

    def post(self, message: Any) -> None:
        """Give it an event, or an `Envelope`, in its turn."""

    def report(self, message: Any) -> None:
        """The same, for what it set off itself: after the effects under way."""

    def take(
        self, event: Event, envelope: Envelope | None, within: Write | None = None
    ) -> None:
        """Give it an event now, in the transaction of `within`."""

    def refuse(self, event: Event, envelope: Envelope | None) -> None:
        """The event does not fit: forward, answer, or ignore it."""

    def sent(self, call: int, failure: Any) -> None:
        """A message to another run is durable there, or refused."""

    def begin(self) -> None:
        """Show the program what is kept for it, if there is a program and a worker."""

    def begin_new(
        self, envelope: Envelope | None, within: Write | None, *, hold: str | None
    ) -> None:
        """Record the first transition of a run or generation that was just made."""

    def renew(self) -> None:
        """Be in the next generation from now on, as a tail call asked for."""

    def bind(self, build_id: str) -> None:
        """Be of the code of `build_id` from now on."""

    def rest(self) -> None:
        """If it only waits now, it may be put away."""

    def leave(self) -> tuple[Any, ...]:
        """Leave memory; the messages that it has not read."""

    def untie(self) -> None:
        """It has left memory, and nothing of it is under way: be no cycle any more."""


Writes: TypeAlias = Callable[[Run, Any], tuple[Statement, ...]]
"""What is written with an event or command of a run, in its transaction."""

Acts: TypeAlias = Callable[[Run, Any], None]
"""What is done for a command of a run."""


class Host(Protocol):
    """The engine, as what is inside it knows it. All methods on its loop."""

    store: Store
    clock: Clock
    now: Callable[[], float]
    loop: asyncio.AbstractEventLoop
    system: ActorSystem
    new_id: Callable[[], str]
    registry: Registry
    values: DataConverter
    interceptors: InterceptorChains
    seal: Seal
    stage: Stage
    on_loop: "memoryview[int]"
    commits: GroupCommit
    requests: Requests
    waiting: Waiting
    admission: Admission[Worker]
    timers: TimerActor
    watchdog: Watchdog
    endpoint: Callable[[str], EndpointAccess] | None
    opened_at: float
    epoch: int
    stopping: bool
    lost: StoreError | None
    recovers: bool
    debugs: bool
    slow_path: bool
    steps: list[Any]
    """Taken, and recorded before the turn of the loop is over; see `run/steps.py`."""
    draining: set[int]
    """Runs that were dropped, and whose last transitions are not durable yet."""
    refusals: dict[int, int]
    """How many transitions of a run were refused in a row."""

    def start_task(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a task with its first step run at once, if that can be."""

    def executor(self, command: RunTask, task: Task[..., Any] | None) -> Executor:
        """Where attempts of `command` run, which calls `task` if that is known."""

    def check_open(self) -> None:
        """Raise what tells a caller that no new work is taken."""

    # -- runs in memory --------------------------------------------------------------

    @property
    def runs(self) -> Mapping[int, Run]:
        """The runs in memory, by their keys."""

    async def loaded(self, key: int) -> Run | None:
        """The run in memory, as it is durable; None if it is closed or unknown."""

    def resident(self, key: int, *, begin: bool = True) -> Run | None:
        """The run, loaded if need be; None if it is closed or unknown."""

    def present(self, workspace: str, workflow_id: str) -> Run | None:
        """The open run of an ID, if it is in memory; None says nothing."""

    def idle(self, run: Run) -> None:
        """The run only waits: it may be put away when memory is short."""

    def forget(self, run: Run) -> None:
        """Take the run out of memory; nothing is written."""

    # -- new runs --------------------------------------------------------------------

    def make(
        self, started: Started, envelope: Envelope | None, within: Write | None
    ) -> Run:
        """A new run, which begins in the transaction of `within` if there is one."""

    def open_run(self, workspace: str, workflow_id: str) -> Run | RunRow | None:
        """The open run of an ID: in memory, durable or not; else its row; else None."""

    # -- their code ------------------------------------------------------------------

    def code(self, row: RunRow, state: RunState) -> Registry | str:
        """The code for a run; why there is none here and now, as text."""

    def code_of(self, name: str) -> Registry:
        """The registry that knows `name`: the engine's own, or that of a worker."""

    def kind_of(self, name: str) -> str:
        """Of what kind the runs of `name` are; empty if it is not known here."""

    def unfit(self, started: Started) -> str | None:
        """Why the code for a start is not here, whatever its version; None if it is."""

    def program(
        self, start: Started, generation: int, code: Registry | None = None
    ) -> Program | None:
        """A new program for a run; None if its code is not known here."""

    def build(self, run: Run) -> str | None:
        """Give the run a program that fits its history; why not, or None."""

    def script(self, run: Run) -> list[Transition]:
        """What the run's code was shown so far, read again; it is not kept."""

    def obstacle(self, run: Run) -> str | None:
        """Why the run's code cannot be run here and now; None if it can."""

    def listen(self, registry: Registry) -> None:
        """Look again whether runs can go on whenever `registry` grows."""

    # -- runs that cannot go on ------------------------------------------------------

    def put_aside(self, run: Run, reason: str) -> None:
        """The run is held with `reason`: remember it, and tell who waits."""

    def not_held(self, key: int) -> None:
        """The run is held no more: it is closed, or is to be tried."""

    def quarantine(self, row: RunRow, error: Exception) -> None:
        """A run that cannot be read: it alone is set apart, and says why."""

    def hold_loaded(self, run: Run, reason: str) -> bool:
        """Hold a run whose code cannot go on; whether it begins anew instead."""

    def go_on(self, key: int) -> None:
        """Let a run that was held go on, if it can."""

    def look_again(self) -> None:
        """Look again whether runs that were held can go on, in turn."""

    # -- when something does not go well ---------------------------------------------

    def discard(self, run: Run, error: BaseException | None) -> None:
        """Drop a run whose memory is not to be trusted, and load it again."""

    # -- what is asked from outside --------------------------------------------------

    async def deliver(
        self,
        key: int,
        event: Any,
        request: Remembered | None = None,
        *,
        follow: bool = False,
    ) -> Any:
        """Give an event to a run; returns when it is durable."""

    async def ask(self, key: int, query: Query) -> Any:
        """Put a query to an open run in memory or not."""
