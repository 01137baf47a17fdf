"""The life of a schedule: what happened in, orders and the whole state out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from everact.runtime.core.calendars import Interval, Spec
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.records import (
    Complete,
    Extras,
    Fail,
    Previous,
    StartOptions,
)
from everact.runtime.core.schedules import (
    BATCH,
    LONGEST_BUFFER,
    Action,
    Backfill,
    Begin,
    Definition,
    Order,
    OverlapPolicy,
    Policy,
    Present,
    Schedule,
    Stop,
    check_new,
    decode,
    encode,
)

FAILURE = Failure(FailureKind.APPLICATION, "ValueError", "no")


class Names:
    """Names for runs, one after the other."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, wanted: str) -> tuple[str, str]:
        self.number += 1
        return wanted, f"r{self.number}"


class Life:
    """A schedule of each tenth second from 0 on, and its clock."""

    def __init__(self, overlap: OverlapPolicy, **given: Any) -> None:
        policy = given.pop("policy", Policy(overlap))
        spec = given.pop("spec", Spec(intervals=(Interval(10),)))
        self.names = Names()
        self.schedule = Schedule(
            workspace="default",
            id="s",
            definition=Definition(
                action=Action("work"), spec=spec, policy=policy, **given
            ),
            created_at=0.0,
            updated_at=0.0,
            until=0.0,
        )

    def at(self, now: float) -> list[Order]:
        return self.schedule.advance(self.present(now))

    def present(self, now: float) -> Present:
        return Present(now, self.names)

    def end(self, run_id: str, now: float, closing: Any = None) -> list[Order]:
        closing = Complete(b"result") if closing is None else closing
        return self.schedule.closed(run_id, closing, self.present(now))

    @property
    def running(self) -> list[str]:
        return [taken.run_id for taken in self.schedule.running]


@pytest.mark.feature("SC-13")
def test_each_time_leads_to_one_order() -> None:
    life = Life(OverlapPolicy.ALLOW_ALL)
    assert life.at(9.9) == []
    (begin,) = life.at(10.0)
    assert isinstance(begin, Begin)
    assert (begin.taken.nominal_time, begin.taken.workflow_id) == (
        10.0,
        "s-1970-01-01T00:00:10Z",
    )
    assert life.at(19.0) == []
    assert [o.taken.nominal_time for o in life.at(45.0)] == [20.0, 30.0, 40.0]
    assert life.schedule.next_at() == 50.0
    assert life.running == ["r1", "r2", "r3", "r4"]


@pytest.mark.feature("SC-13")
@pytest.mark.parametrize(
    ("overlap", "orders", "waiting", "skipped"),
    [
        (OverlapPolicy.SKIP, [], 0, 3),
        (OverlapPolicy.BUFFER_ONE, [], 1, 2),
        (OverlapPolicy.BUFFER_ALL, [], 3, 0),
        (OverlapPolicy.CANCEL_OTHER, [Stop] * 3, 1, 2),
        (OverlapPolicy.TERMINATE_OTHER, [Stop, Begin] * 3, 0, 0),
        (OverlapPolicy.ALLOW_ALL, [Begin] * 3, 0, 0),
    ],
)
def test_what_becomes_of_actions_that_would_overlap(
    overlap: OverlapPolicy, orders: list[type], waiting: int, skipped: int
) -> None:
    life = Life(overlap)
    life.at(10.0)
    found = [type(order) for order in life.at(40.0)]
    schedule = life.schedule
    assert (found, len(schedule.waiting), schedule.skipped) == (
        orders,
        waiting,
        skipped,
    )


@pytest.mark.feature("SC-13")
def test_what_waits_begins_one_by_one_as_runs_end() -> None:
    life = Life(OverlapPolicy.BUFFER_ALL)
    life.at(35.0)
    (second,) = life.end("r1", 36.0)
    assert isinstance(second, Begin)
    assert (second.taken.nominal_time, second.taken.taken_at) == (20.0, 36.0)
    assert second.previous == Previous(b"result")
    assert life.end("r1", 37.0) == []  # known already
    assert len(life.end("r2", 37.0)) == 1
    assert life.end("r3", 37.0) == []
    assert life.running == []


@pytest.mark.feature("SC-13")
def test_too_long_a_queue_is_skipped() -> None:
    life = Life(OverlapPolicy.BUFFER_ALL)
    life.at(10.0)
    for _ in range(LONGEST_BUFFER + 5):
        life.schedule.trigger(None, life.present(11.0))
    assert len(life.schedule.waiting) == LONGEST_BUFFER
    assert life.schedule.skipped == 5


@pytest.mark.feature("SC-16")
def test_what_waits_for_a_paused_schedule_is_skipped_unless_somebody_asked() -> None:
    life = Life(OverlapPolicy.BUFFER_ALL)
    life.at(20.0)
    life.schedule.trigger(None, life.present(21.0))
    life.schedule.pause("enough")
    (begin,) = life.end("r1", 22.0)
    assert isinstance(begin, Begin)
    assert begin.taken.nominal_time == 21.0
    assert life.schedule.skipped == 1


@pytest.mark.feature("SC-14")
def test_times_before_the_catch_up_window_are_missed() -> None:
    life = Life(OverlapPolicy.ALLOW_ALL, policy=Policy(OverlapPolicy.ALLOW_ALL, 30.0))
    assert [o.taken.nominal_time for o in life.at(100.0)] == [70.0, 80.0, 90.0, 100.0]
    assert life.schedule.missed == 6


@pytest.mark.feature("SC-14")
def test_a_long_outage_is_dealt_with_in_batches() -> None:
    life = Life(OverlapPolicy.ALLOW_ALL, spec=Spec(intervals=(Interval(1),)))
    looked = []
    while life.schedule.next_at() <= 250.0:  # type: ignore[operator]
        looked.append(len(life.at(250.0)))
    assert looked == [BATCH, BATCH, 250 - 2 * BATCH]


@pytest.mark.feature("SC-15")
@pytest.mark.parametrize("kind", FailureKind)
def test_failures_pause_and_ends_that_were_asked_for_do_not(kind: FailureKind) -> None:
    policy = Policy(OverlapPolicy.SKIP, pause_on_failure=True)
    life = Life(OverlapPolicy.SKIP, policy=policy)
    life.at(10.0)
    life.end("r1", 11.0, Fail(replace(FAILURE, kind=kind)))
    asked = kind in (FailureKind.CANCELLED, FailureKind.TERMINATED)
    assert life.schedule.definition.paused is not asked
    assert (life.at(20.0) == []) is not asked


@pytest.mark.feature("SC-16")
def test_only_actions_that_are_taken_count_down() -> None:
    life = Life(OverlapPolicy.SKIP, limited_actions=True, remaining_actions=2)
    life.at(30.0)  # one is taken, two are skipped
    assert life.schedule.definition.remaining_actions == 1
    life.end("r1", 31.0)
    life.at(40.0)
    assert life.schedule.definition.remaining_actions == 0
    assert life.schedule.next_at() is None
    life.end("r2", 41.0)
    assert life.at(100.0) == []
    assert (life.schedule.taken, life.schedule.skipped) == (2, 2)


@pytest.mark.feature("SC-23")
def test_a_failure_is_told_to_the_next_run_and_the_last_result_stays() -> None:
    life = Life(OverlapPolicy.SKIP)
    told = []
    for number, closing in enumerate([Complete(b"1"), Fail(FAILURE), None, None], 1):
        (begin,) = life.at(10.0 * number)
        assert isinstance(begin, Begin)
        told.append(begin.previous)
        life.end(f"r{number}", 10.0 * number + 1, closing)
    assert told == [None, Previous(b"1"), Previous(b"1", FAILURE), Previous(b"result")]


@pytest.mark.feature("SC-18")
def test_a_backfill_excludes_its_start_and_includes_its_end() -> None:
    life = Life(OverlapPolicy.ALLOW_ALL, paused=True)
    life.schedule.backfills = (Backfill(10.0, 30.0), Backfill(0.0, 9.0))
    assert life.schedule.next_at() == 0.0
    assert [o.taken.nominal_time for o in life.at(100.0)] == [20.0, 30.0]
    assert not life.schedule.backfills
    assert life.schedule.next_at() is None


@pytest.mark.feature("SC-19")
def test_another_specification_is_not_applied_to_the_past() -> None:
    life = Life(OverlapPolicy.ALLOW_ALL, spec=Spec(intervals=(Interval(3600),)))
    definition = life.schedule.definition
    life.schedule.redefine(replace(definition, note="the same times"), 1000.0)
    assert life.schedule.next_at() == 3600.0
    faster = replace(definition, spec=Spec(crons=("@every 1m",)))
    life.schedule.redefine(faster, 2000.0)
    assert life.schedule.next_at() == 2040.0
    life.schedule.until = 1980.0
    compiled_ = replace(definition, spec=Spec(intervals=(Interval(60),)))
    life.schedule.redefine(compiled_, 2070.0)  # a description says the same so
    assert life.schedule.next_at() == 2040.0


@pytest.mark.feature("SC-12")
def test_jitter_is_the_same_whenever_it_is_asked() -> None:
    spec = Spec(intervals=(Interval(10),), jitter=5.0)
    life, other = (Life(OverlapPolicy.ALLOW_ALL, spec=spec) for _ in range(2))
    due = life.schedule.next_at()
    assert due is not None
    assert 10.0 <= due <= 15.0
    assert due == other.schedule.next_at()
    assert life.at(due - 0.001) == []
    assert len(life.at(due)) == 1


def test_a_schedule_is_stored_whole() -> None:
    life = Life(OverlapPolicy.BUFFER_ALL, note="n", remaining_actions=0)
    life.at(30.0)
    life.end("r1", 31.0, Fail(FAILURE))
    assert decode(encode(life.schedule)) == life.schedule


@pytest.mark.feature("SC-01")
def test_what_cannot_begin_is_refused() -> None:
    definition = Life(OverlapPolicy.SKIP).schedule.definition
    check_new(definition)
    for wrong in (
        replace(definition, limited_actions=True),
        replace(definition, remaining_actions=1),
        replace(definition, policy=Policy(catchup_window=9.0)),
        replace(definition, spec=Spec(jitter=-1.0)),
        replace(definition, spec=Spec(crons=("nonsense",))),
        replace(
            definition,
            action=Action("work", options=StartOptions(extras=Extras(cron="@daily"))),
        ),
    ):
        with pytest.raises(ValueError):
            check_new(wrong)
