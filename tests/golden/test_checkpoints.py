"""The state in a checkpoint that an earlier version wrote is read as it was."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path

from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.records import (
    CancelCall,
    CancelRequested,
    RenameRun,
    RunTask,
    SetDetails,
    SignalRun,
    StartChild,
    StartOptions,
    StartTimer,
    TaskFailed,
    TaskHandedOver,
    TaskOptions,
    UpdateAccepted,
    UpsertAttributes,
    UpsertMemo,
)
from everact.runtime.core.retry import RetryPolicy
from everact.runtime.core.state import RunState
from tests.core.states import NOW, after, open_run, whole

_LINES = Path(__file__).with_name("state-1.txt").read_text(encoding="ascii")
WRITTEN = bytes.fromhex("".join(_LINES.splitlines()[1:]))


def before() -> RunState:
    """A run in the middle of everything, as it was when that file was written."""
    failure = Failure(FailureKind.APPLICATION, "Boom", "it broke")
    retried = TaskOptions(RetryPolicy(first=5.0, attempts=3))
    state = after(
        open_run(
            RunTask(1, "t", options=retried),
            StartTimer(2, NOW + 9),
            StartChild(3, "child", "c", "cr", announce=True),
            RunTask(4, "t", options=TaskOptions(heartbeat_timeout=10.0)),
            UpsertAttributes({}),
            UpsertMemo({"for": b"ada"}),
            SetDetails("half way"),
            RenameRun("named"),
            SignalRun(5, "o", "or", "s"),
            options=StartOptions(run_timeout=60.0, execution_deadline=NOW + 90),
        ),
        (TaskFailed(1, failure), NOW + 1),
        (TaskHandedOver(4, 1, NOW + 50), NOW + 2),
        (UpdateAccepted("u", "set", (), {}), NOW + 2),
        (CancelRequested("enough"), NOW + 3),
    )
    state.issue((CancelCall(4),))
    return state


def test_a_state_that_an_earlier_version_wrote_is_read() -> None:
    read = pickle.loads(WRITTEN)
    assert isinstance(read, RunState)
    assert whole(read) == whole(before())
    assert read.moments() == before().moments()
    assert read.wake() == before().wake()


def test_what_is_written_now_has_the_names_that_it_had() -> None:
    """So the version before reads it too; names are added, and none is taken away."""
    strings = {argument for _, argument, _ in pickletools.genops(WRITTEN)}
    assert before().__getstate__().keys() <= strings
