"""Who may have a workflow ID: the table of policies, whole."""

from __future__ import annotations

import pytest

from everact.runtime.core.identity import CONFLICTS, REUSES, Verdict, mistake, verdict
from everact.runtime.core.statuses import RunStatus

OPEN, GOOD, BAD = RunStatus.RUNNING, RunStatus.COMPLETED, RunStatus.FAILED
MAKE, USE, REPLACE, REFUSE = Verdict


@pytest.mark.parametrize(
    ("on_conflict", "on_reuse", "open_run", "good", "bad"),
    [
        (None, "allow", REFUSE, MAKE, MAKE),
        ("fail", "allow", REFUSE, MAKE, MAKE),
        ("use_existing", "allow", USE, MAKE, MAKE),
        ("attach", "allow", USE, USE, USE),
        ("terminate_existing", "allow", REPLACE, MAKE, MAKE),
        (None, "allow_failed_only", REFUSE, REFUSE, MAKE),
        ("fail", "allow_failed_only", REFUSE, REFUSE, MAKE),
        ("use_existing", "allow_failed_only", USE, REFUSE, MAKE),
        ("attach", "allow_failed_only", USE, USE, USE),
        ("terminate_existing", "allow_failed_only", REPLACE, REFUSE, MAKE),
        (None, "reject", REFUSE, REFUSE, REFUSE),
        ("fail", "reject", REFUSE, REFUSE, REFUSE),
        ("use_existing", "reject", USE, REFUSE, REFUSE),
        ("attach", "reject", USE, USE, USE),
        (None, "terminate_if_running", REPLACE, MAKE, MAKE),
    ],
)
def test_what_a_start_does_about_the_latest_run(
    on_conflict: str | None,
    on_reuse: str,
    open_run: Verdict,
    good: Verdict,
    bad: Verdict,
) -> None:
    assert mistake(on_conflict, on_reuse, False) is None
    found = [verdict(s, on_conflict, on_reuse, False) for s in (OPEN, GOOD, BAD)]
    assert found == [open_run, good, bad]


@pytest.mark.parametrize("on_reuse", ["allow", "allow_failed_only", "reject"])
def test_a_start_with_a_signal_uses_the_open_run_unless_told_otherwise(
    on_reuse: str,
) -> None:
    assert verdict(OPEN, None, on_reuse, True) is USE
    assert verdict(OPEN, "use_existing", on_reuse, True) is USE
    assert verdict(OPEN, "terminate_existing", "allow", True) is REPLACE
    for closed in (GOOD, BAD):
        plain = verdict(closed, None, on_reuse, False)
        assert verdict(closed, None, on_reuse, True) is plain


@pytest.mark.parametrize("status", list(RunStatus)[1:])
def test_only_a_run_that_did_not_succeed_may_be_followed_after_failure_only(
    status: RunStatus,
) -> None:
    succeeded = status in (RunStatus.COMPLETED, RunStatus.CONTINUED_AS_NEW)
    found = verdict(status, None, "allow_failed_only", False)
    assert found is (REFUSE if succeeded else MAKE)


def test_policies_that_contradict_each_other_are_named() -> None:
    wrong = {
        (conflict, reuse, signalled)
        for conflict in (None, *CONFLICTS)
        for reuse in REUSES
        for signalled in (False, True)
        if mistake(conflict, reuse, signalled)
    }
    assert wrong == {
        *((c, "terminate_if_running", s) for c in CONFLICTS for s in (False, True)),
        *(("terminate_existing", "reject", s) for s in (False, True)),
        *((c, r, True) for c in ("fail", "attach") for r in REUSES),
    }
