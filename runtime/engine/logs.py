"""What the log says of runs and attempts: failures as warnings, the rest to debug.

Starts and ends are for debugging. Whether they are logged is looked up once, when the
engine opens: then attempts take the slow path, which passes here. Else nothing is paid.
"""

import logging

from everact.runtime.core.failures import FailureKind
from everact.runtime.core.records import Fail, TaskFailed
from everact.runtime.core.statuses import RunStatus
from everact.runtime.engine.host import Attempt, Host, Run

logger = logging.getLogger("everact.engine")

_WARNED = frozenset({RunStatus.FAILED, RunStatus.TIMED_OUT})


def debugs() -> bool:
    """Whether starts and ends are told."""
    return logger.isEnabledFor(logging.DEBUG)


def run_began(run: Run) -> None:
    """The start of a run is durable, and starts and ends are told."""
    logger.debug("%s was started", run)


def run_ended(run: Run) -> None:
    """The end of a run is durable."""
    status, closing = run.state.status, run.state.closing
    if status not in _WARNED:
        logger.debug("%s ended: %s", run, status)
        return
    reason = f": {closing.failure.title}" if type(closing) is Fail else ""
    following = f"; run {run.row.next_run_id} follows it" if run.row.next_run_id else ""
    logger.warning("%s %s%s%s", run, _ENDED[RunStatus(status)], reason, following)


_ENDED = {RunStatus.FAILED: "failed", RunStatus.TIMED_OUT: "timed out"}


def goes_on(run: Run, reason: str) -> None:
    """The code of a run that was put aside is run again."""
    logger.warning("%s goes on; it was put aside: %s", run, reason)


def attempt_began(attempt: Attempt) -> None:
    """The function of an attempt is called, and starts and ends are told."""
    logger.debug("%s begins", _named(attempt))


def attempt_ended(attempt: Attempt, event: object) -> None:
    """An attempt reported, and its run has taken note."""
    run = attempt.run
    if type(event) is not TaskFailed:
        if run.engine.debugs:
            logger.debug("%s ended: %s", _named(attempt), type(event).__name__)
        return
    failure = event.failure
    if failure.kind is FailureKind.CANCELLED:
        return
    tries = run.state.calls.tried(event.call)
    if tries is None or tries.due is None:
        then = "it is not tried again"
    else:
        delay = max(0.0, tries.due - run.engine.clock.now())
        then = f"it is tried again in {delay:.3g} s"
    logger.warning("%s failed: %s; %s", _named(attempt), failure.title, then)


def _named(attempt: Attempt) -> str:
    name = attempt.command.name
    return f"task {name!r} of {attempt.run}, attempt {attempt.number},"


def background(host: Host, error: Exception, what: str, *args: object) -> None:
    """Log that work which nobody awaits failed, with its error.

    While the engine closes nothing is logged: the store may be closed before a read.
    """
    if not host.stopping:
        logger.error(what, *args, exc_info=error)
