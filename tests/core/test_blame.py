"""Who is to blame for ends of a process, from what was executing at each."""

from __future__ import annotations

import pytest

from everact.runtime.core.blame import (
    CHARGES,
    ENDS,
    LONGEST_TRIAL,
    MOST,
    PAUSE,
    SILENCE,
    TRIAL,
    Begun,
    Noted,
    Place,
    Record,
    Records,
    executing,
    judge,
    plan_of,
)

GUILTY, OTHER, THIRD = (7, 1), (8, 1), (9, 4)
CODE = (7, 0)


def waiting(*places: Place) -> tuple[Begun, ...]:
    return tuple(Begun(place, threaded=False) for place in places)


def end(
    *begun: Begun, on_loop: Place | None = None, alone: Place | None = None
) -> Noted:
    return Noted(on_loop, begun, acting=True, alone=alone)


def after(*ends: Noted) -> Records:
    records: Records = {}
    for noted in ends:
        records = judge(records, noted)
    return records


TOGETHER = end(*waiting(OTHER, GUILTY))
ALONE = end(*waiting(GUILTY), alone=GUILTY)
NOTHING = end()


def test_what_is_on_the_loop_was_executing_and_what_waits_was_not() -> None:
    assert executing(end(*waiting(OTHER, THIRD), on_loop=GUILTY)) == [GUILTY]


def test_a_thread_executes_beside_the_loop() -> None:
    threaded = Begun(OTHER, threaded=True)
    assert executing(end(threaded, *waiting(THIRD), on_loop=GUILTY)) == [GUILTY, OTHER]


def test_with_nothing_on_the_loop_all_that_began_are_suspects_the_last_one_first() -> (
    None
):
    threaded = Begun((5, 5), threaded=True)
    found = executing(end(threaded, *waiting(OTHER, GUILTY)))
    assert found == [(5, 5), GUILTY, OTHER]


def test_one_end_puts_no_attempt_on_trial() -> None:
    plan = plan_of(after(TOGETHER))
    assert not plan.trials
    assert not plan.guilty


def test_two_ends_in_a_row_do_and_nobody_is_charged_for_them() -> None:
    records = after(TOGETHER, TOGETHER)
    assert set(records.values()) == {Record(ENDS, 0)}
    assert [group for group, _ in plan_of(records).trials] == [(GUILTY,), (OTHER,)]


def test_whoever_did_not_execute_at_an_end_is_no_suspect_any_more() -> None:
    assert after(TOGETHER, end(*waiting(GUILTY))) == {GUILTY: Record(2, 0)}
    assert after(TOGETHER, TOGETHER, NOTHING) == {}


def test_only_what_was_tried_alone_is_charged() -> None:
    assert after(TOGETHER, TOGETHER, ALONE) == {GUILTY: Record(3, 1)}


@pytest.mark.parametrize(
    "noted",
    [
        pytest.param(end(*waiting(GUILTY)), id="alone by chance"),
        pytest.param(end(*waiting(OTHER, GUILTY), alone=GUILTY), id="not alone"),
        pytest.param(
            end(*waiting(GUILTY), Begun(OTHER, threaded=True), alone=GUILTY),
            id="a thread that outlasted its trial",
        ),
        pytest.param(
            end(*waiting(GUILTY), on_loop=(8, 0), alone=GUILTY), id="another's code"
        ),
    ],
)
def test_an_end_with_others_or_outside_of_a_trial_is_charged_to_no_attempt(
    noted: Noted,
) -> None:
    records = after(TOGETHER, TOGETHER, noted)
    assert not any(record.charges for place, record in records.items() if place[1])


def test_after_the_third_charge_it_is_guilty_and_tried_no_more() -> None:
    records = after(TOGETHER, TOGETHER, *[ALONE] * CHARGES)
    plan = plan_of(records)
    assert plan.guilty == {GUILTY: 3}
    assert not plan.trials
    assert judge(records, NOTHING) == records, "its failure was not durable yet"


def test_whoever_was_charged_is_tried_again_after_a_silence_only() -> None:
    assert plan_of(after(TOGETHER, TOGETHER)).silence == 0
    plan = plan_of(after(TOGETHER, TOGETHER, ALONE))
    assert plan.silence == SILENCE * TRIAL
    assert plan.trials[0] == ((GUILTY,), TRIAL)


def test_an_end_in_the_silence_drops_all_charges() -> None:
    assert after(TOGETHER, TOGETHER, ALONE, ALONE, NOTHING) == {}


def test_kills_at_regular_intervals_hit_a_silence_or_spare_the_first_trial() -> None:
    """However long lives are: an innocent task that takes for ever is not convicted."""
    for tenths in range(1, 200):
        life, records = tenths / 10, Records()
        for _ in range(120):
            plan = plan_of(records)
            assert not plan.guilty, life
            records = judge(records, killed_after(life, plan.silence, plan.trials))


def killed_after(
    life: float, silence: float, trials: tuple[tuple[tuple[Place, ...], float], ...]
) -> Noted:
    """What executes after so many seconds, if all tasks go on for ever."""
    if life < silence:
        return NOTHING
    begun: list[Place] = []
    at = silence
    for group, longest in trials:
        begun += group
        if life < at + longest:
            alone = group[0] if len(group) == 1 else None
            return end(*waiting(*begun), alone=alone)
        at += longest
    return TOGETHER


def test_a_life_that_ended_before_anybody_could_act_changes_nothing() -> None:
    records = after(TOGETHER, TOGETHER, ALONE)
    assert judge(records, Noted()) == records


def test_in_such_a_life_only_what_was_on_the_loop_is_a_suspect_more() -> None:
    records = after(TOGETHER)
    assert judge(records, Noted(on_loop=CODE)) == {**records, CODE: Record(1, 1)}


def test_a_run_whose_code_was_on_the_loop_is_paused_then_put_aside() -> None:
    once, twice = after(end(on_loop=CODE)), after(*[end(on_loop=CODE)] * 2)
    assert plan_of(once).paused == (7,)
    assert plan_of(once).aside == {}
    assert plan_of(twice).paused == ()
    assert plan_of(twice).aside == {7: 2}
    assert PAUSE < TRIAL


def test_a_run_that_got_further_between_the_ends_was_there_by_chance() -> None:
    records: Records = {}
    for place in range(MOST - 1):
        records = judge(records, end(on_loop=CODE), {7: place}.__getitem__)
        assert plan_of(records).paused == (7,)
    assert plan_of(judge(records, end(on_loop=CODE), lambda _: 99)).aside == {7: MOST}
    stands = judge(records, end(on_loop=CODE), lambda _: MOST - 2)
    assert plan_of(stands).aside == {7: MOST}


def test_a_run_that_stands_still_is_put_aside_although_it_got_further_before() -> None:
    records: Records = {}
    for place in (3, 4, 4):
        records = judge(records, end(on_loop=CODE), {7: place}.__getitem__)
    assert records == {CODE: Record(3, 2, 4)}
    assert plan_of(records).aside == {7: 3}


def test_a_run_put_aside_stays_so_whatever_ends_the_process_then() -> None:
    twice = after(*[end(on_loop=CODE)] * 2)
    assert judge(twice, NOTHING) == twice
    assert judge(twice, TOGETHER)[CODE] == Record(2, 2)
    assert judge(after(end(on_loop=CODE)), NOTHING) == {}


def test_many_suspects_are_tried_in_groups_that_grow() -> None:
    many = [(key, 1) for key in range(1, 1001)]
    plan = plan_of(after(*[end(*waiting(*many))] * 2))
    sizes = [len(group) for group, _ in plan.trials]
    assert sizes[:6] == [1, 1, 2, 4, 8, 16]
    assert sum(sizes) == 1000
    assert len(sizes) <= 12
    tried = [place for group, _ in plan.trials for place in group]
    assert tried == many[::-1]


def test_an_end_leaves_only_the_group_on_trial_suspect() -> None:
    many = waiting(*((key, 1) for key in range(1, 51)))
    group = many[3:7]
    assert list(after(end(*many), end(*many), end(*group))) == [
        begun.place for begun in group[::-1]
    ]


def test_a_trial_takes_longer_each_time_that_it_did_not_settle_it() -> None:
    def longest(ends: int) -> float:
        ((_, seconds), *_) = plan_of({GUILTY: Record(ends, 0)}).trials
        return seconds

    assert [longest(ends) for ends in (2, 3, 4)] == [TRIAL, 2 * TRIAL, 4 * TRIAL]
    assert longest(1000) == LONGEST_TRIAL
    ((_, charged), *_) = plan_of({GUILTY: Record(4, 2)}).trials
    assert charged == TRIAL


def test_guilty_ones_that_hide_among_fifty_are_all_found() -> None:
    """Each ends the process whenever it executes; whoever fails leaves the others."""
    many = [(key, 1) for key in range(1, 51)]
    killers = {many[3], many[17], many[40]}
    records, failed, ends = Records(), set[Place](), 0
    while killers - failed:
        ends += 1
        assert ends < 60
        plan = plan_of(records)
        failed |= set(plan.guilty)
        left = [place for place in many if place not in failed]
        noted = NOTHING
        for group, _ in plan.trials:
            alone = group[0] if len(group) == 1 else None
            noted = end(*waiting(*group), alone=alone)
            if killers & set(group):
                break
        else:
            noted = end(*waiting(*left))
        records = judge(records, noted)
    assert failed == killers
