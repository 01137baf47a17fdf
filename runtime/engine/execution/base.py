"""The port to where attempts run: an executor is a start and a stop.

Nobody above it knows where an attempt runs. A new executor is one module of this
folder, which registers its name (`definitions/executors.py`); every module here is
imported with the engine, so what an executor needs of others it imports when it is
made.

Attempts come to an executor by admission (`core/admission.py`), in one of two ways, as
its `needs` say:

- *Pushed*: it needs a slot, or a slot and a thread, of a worker of this process, and is
  started when it has that.
- *Polled*: it needs a worker elsewhere, and is started when one asks, see `Polled`.

Until then it stands in line: it holds nothing, its time does not run, and an end of the
process is not charged to it.
"""

import asyncio
from typing import Any, Protocol

from everact.runtime.core.blame import Place
from everact.runtime.core.failures import Failure
from everact.runtime.definitions.context import Attempt
from everact.runtime.definitions.tasks import Task


class Job(Attempt, Protocol):
    """An attempt, as its executor knows it. All methods on the loop's thread."""

    kept: Any
    """What its executor keeps of it; None before it is started."""
    dispatch: int
    """What tells this dispatch of the attempt from others; 0 if it needs no telling."""
    settled: bool
    """Whether it has an outcome: none counts after it."""
    suspect: bool
    """Whether it is noted whenever its function is on the loop."""

    @property
    def task(self) -> Task[..., Any] | None:
        """What is called, if it is a function that is registered here."""

    @property
    def worker(self) -> Any:
        """The worker that has room for it: here, or the `Poll` of one elsewhere."""

    @property
    def details(self) -> tuple[bytes, ...]:
        """Those of the last heartbeat of an earlier attempt, as they are stored."""

    @property
    def silent_for(self) -> float:
        """Seconds since it began, or was heard of."""

    @property
    def place(self) -> Place:
        """What it is called where it is noted what executes."""

    def begins(self) -> None:
        """It is executed from now on, and its time runs."""

    def goes_on(self, *, threaded: bool) -> None:
        """Its function goes on beside the loop's other work."""

    def returned(self, value: Any, error: BaseException | None) -> None:
        """Its function has ended: the one outcome that counts, if none did before."""

    def stopped(self, error: BaseException) -> None:
        """Its function was cancelled."""

    def fail(self, failure: Failure) -> None:
        """It has failed, and its function is not running."""

    def hand_over(self, durable: "asyncio.Future[Any]") -> None:
        """It goes on elsewhere, as is recorded.

        `durable` is done when that is; cancelled if the attempt is not the current one.
        """

    def offer_again(self, *, lost: bool) -> None:
        """Who took it does not have it: it stands in line again, without a new number.

        One that was lost three times fails.
        """


class Executor(Protocol):
    """Where attempts run. All methods on the loop's thread."""

    name: str
    needs: str
    """`SLOT`, `THREAD`, or its own name if it is polled; see `core/admission.py`."""
    here: bool
    """Whether an attempt holds its slot until its function has ended, so that it ends
    by what the executor says. Else it is over with its outcome."""

    def start(self, job: Job) -> None:
        """Run an attempt: what it needs is there. It says how it ends to the job."""

    def stop(self, job: Job) -> None:
        """Tell its function to stop, if it can be told; nothing is waited for."""

    def close(self) -> None:
        """The engine closes: nobody is heard any more."""
