"""Reports of tasks and operations on builds travel as they are."""

from __future__ import annotations

import msgspec
import pytest

from everact.runtime import wire
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.records import (
    CancelTask,
    RunTask,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
    TaskOptions,
    TaskReported,
)
from everact.runtime.core.versions import (
    AddCompatible,
    AddNewDefault,
    MergeSets,
    PromoteBuildId,
    PromoteSet,
    VersionSets,
)
from everact.runtime.operations.base import Request
from everact.runtime.operations.runs import HistoryEntry, ReadHistory
from everact.runtime.operations.tasks import (
    CompleteTask,
    FailTask,
    HeartbeatTask,
    ReportCancelled,
    TaskRef,
)
from everact.runtime.operations.versions import (
    Reachability,
    ReadReachability,
    ReadVersions,
    UpdateVersions,
)
from everact.runtime.values.converter import DataConverter

VALUES = DataConverter.default
TOKEN = TaskRef(token="AAEC")
IDS = TaskRef(workflow_id="w", run_id="r", task_id="r/0/1", workspace="a")
FAILURE = Failure(FailureKind.APPLICATION, "Oops", "no", details=(b"j1",))
OPERATIONS = (
    AddNewDefault("1"),
    AddCompatible("2", "1", True),
    PromoteSet("1"),
    PromoteBuildId("1"),
    MergeSets("1", "2"),
)


@pytest.mark.parametrize(
    "request_sent",
    [
        CompleteTask(task=TOKEN, result=b"j[1]", identity="me", request_id="q"),
        CompleteTask(task=IDS),
        FailTask(task=IDS, failure=FAILURE, details=(b"j2",)),
        HeartbeatTask(task=TOKEN, details=(b"j1", b"jnull")),
        ReportCancelled(task=IDS),
        *(UpdateVersions(queue="q", operation=one) for one in OPERATIONS),
        ReadVersions(queue="q", max_sets=1),
        ReadReachability(build_ids=("", "1"), queues=("q",), kind="open"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_request_comes_in_as_it_went_out(request_sent: Request[object]) -> None:
    kind = type(request_sent)
    body = wire.encode_request(request_sent)
    assert wire.decode_request(kind, body).request == request_sent


def test_an_answer_comes_in_as_it_went_out() -> None:
    sets = VersionSets((("1", "2"), ("3",)))
    for kind in (UpdateVersions, ReadVersions):
        body = wire.encode_answer(kind, sets, VALUES)
        assert wire.decode_answer(kind, body) == sets
    found = Reachability(
        reachable={"1": {"q": ("new", "open"), "r": ()}}, unretrieved={"1": ("s",)}
    )
    body = wire.encode_answer(ReadReachability, found, VALUES)
    assert wire.decode_answer(ReadReachability, body) == found


def test_the_history_of_a_task_that_others_complete_comes_in_as_it_is() -> None:
    entry = HistoryEntry(
        generation=0,
        seq=1,
        time=1.5,
        events=(
            TaskHandedOver(1, 2, 9.5),
            TaskReported(1, 0, 2, TaskCompleted(1, b"j1"), (b"j2",), "me"),
            TaskReported(2, 0, 1, TaskFailed(2, FAILURE)),
            TaskReported(2, 0, 1),
        ),
        commands=(
            RunTask(1, "t", options=TaskOptions(await_cancelled=True)),
            CancelTask(1),
        ),
        run_id="r",
    )
    body = wire.encode_answer(ReadHistory, (entry,), VALUES)
    assert wire.decode_answer(ReadHistory, body) == (entry,)


@pytest.mark.parametrize(
    "body",
    [
        b'{"queue": "", "operation": {"type": "PromoteSet", "build_id": "1"}}',
        b'{"queue": "q", "operation": {"type": "PromoteSet", "build_id": ""}}',
        b'{"queue": "q", "operation": {"type": "Forget", "build_id": "1"}}',
        b'{"queue": "q"}',
    ],
)
def test_an_operation_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode_request(UpdateVersions, body)
