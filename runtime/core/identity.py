"""Workflow ID policies: what a start does about a run that has its ID. Pure.

Two policies meet. `on_conflict` is about a run that is open; without one, a start with
a signal uses it and any other start fails. `on_reuse` is about the latest run if that
is closed and still retained; "terminate_if_running" is an older way to say
"terminate_existing", and stands alone.
"""

from enum import Enum, auto

from everact.runtime.core.statuses import RunStatus

CONFLICTS = ("fail", "use_existing", "attach", "terminate_existing")
REUSES = ("allow", "allow_failed_only", "reject", "terminate_if_running")

_NOT_SUCCESSFUL = (
    RunStatus.FAILED,
    RunStatus.CANCELLED,
    RunStatus.TERMINATED,
    RunStatus.TIMED_OUT,
)


class Verdict(Enum):
    """What a start does, given the latest run of its ID."""

    MAKE = auto()
    """Make a run."""
    USE = auto()
    """Take the run that is there."""
    REPLACE = auto()
    """Terminate the run that is open, and make another one."""
    REFUSE = auto()
    """The run is in the way."""


def mistake(on_conflict: str | None, on_reuse: str, signalled: bool) -> str | None:
    """What is wrong with a combination of policies; None if nothing is."""
    if on_reuse == "terminate_if_running" and on_conflict is not None:
        return "on_reuse='terminate_if_running' goes with no on_conflict"
    if on_reuse == "reject" and on_conflict == "terminate_existing":
        return (
            "on_reuse='reject' and on_conflict='terminate_existing' contradict each "
            "other: the run that was terminated would be in the way"
        )
    if signalled and on_conflict in ("fail", "attach"):
        return (
            f"start_signal is for an open run or a new one: on_conflict="
            f"{on_conflict!r} does not go with it"
        )
    return None


def verdict(
    latest: RunStatus, on_conflict: str | None, on_reuse: str, signalled: bool
) -> Verdict:
    """What to do if the latest run of the ID has the status `latest`."""
    if latest is RunStatus.RUNNING:
        if on_conflict == "terminate_existing" or on_reuse == "terminate_if_running":
            return Verdict.REPLACE
        if on_conflict is None:
            return Verdict.USE if signalled else Verdict.REFUSE
        return Verdict.REFUSE if on_conflict == "fail" else Verdict.USE
    if on_conflict == "attach":
        return Verdict.USE
    if on_reuse == "reject":
        return Verdict.REFUSE
    if on_reuse == "allow_failed_only" and latest not in _NOT_SUCCESSFUL:
        return Verdict.REFUSE
    return Verdict.MAKE
