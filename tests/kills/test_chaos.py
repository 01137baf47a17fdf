"""SIGKILL at random moments: nothing acknowledged is lost, nothing recorded repeated.

`EVERACT_LONG=1` asks for 200 kills in place of 25 and for a thousand clients over HTTP,
`EVERACT_KILLS` for another number of kills, `EVERACT_SEED` for those of an earlier run;
`python -m tests.kills` is the same without pytest, with `--http` for clients in another
process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from everact.runtime import Runtime
from tests.kills import load
from tests.kills.chaos import PHASES, Report, run_chaos
from tests.kills.http_chaos import run_http_chaos
from tests.kills.marks import Phase
from tests.kills.witness import Witness

LONG = bool(os.environ.get("EVERACT_LONG"))
KILLS = int(os.environ.get("EVERACT_KILLS", "200" if LONG else "25"))


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.real_time
@pytest.mark.feature("RC-02", "RC-03")
def test_kill_after_kill_everything_acknowledged_ends_rightly(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    report = run_chaos(tmp_path, KILLS, os.environ.get("EVERACT_SEED", ""))
    print(report)
    record_property("chaos", str(report))
    assert not report.problems, str(report)


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.real_time
@pytest.mark.feature("RC-03", "ID-11")
def test_kills_under_clients_over_http_lose_and_repeat_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    report = run_http_chaos(tmp_path, 5, 100, os.environ.get("EVERACT_SEED", ""))
    print(report)
    record_property("chaos", str(report))
    assert not report.problems, str(report)


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.real_time
@pytest.mark.skipif(not LONG, reason="EVERACT_LONG=1 asks for it")
def test_kills_under_a_thousand_clients_over_http_lose_and_repeat_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    kills = min(max(KILLS, 10), 25)
    report = run_http_chaos(tmp_path, kills, 1_000, os.environ.get("EVERACT_SEED", ""))
    print(report)
    record_property("chaos", str(report))
    assert not report.problems, str(report)


def test_a_chaos_with_too_few_kills_or_successes_fails() -> None:
    report = Report("seed", 4)
    report.kills.update([Phase.COMMIT, Phase.COMMIT, Phase.IDLE])
    report.completed_between = 7
    report.judge()
    assert report.problems == [
        "3 kills, not 4",
        "no kill hit the phase recovery",
        "only 7 runs completed between 4 kills",
    ]


def test_a_chaos_that_hit_everything_passes() -> None:
    report = Report("seed", 3, completed_between=100)
    report.kills.update(PHASES)
    report.judge()
    assert report.problems == []


async def witnessed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *ids: str
) -> Witness:
    """A witness that has seen these runs, undisturbed."""
    monkeypatch.setenv("EVERACT_EFFECTS", str(folder / "effects"))
    witness = Witness(folder)
    async with Runtime(folder / "load.db", registry=load.registry) as runtime:
        for id in ids:
            kind, _, number = id.split(":")
            handle = await runtime.start(load.KINDS[kind][0], int(number), id=id)
            witness.hear([f"started {id}"])
            if kind == "listening":
                for place in range(load.SIGNALS):
                    await handle.signal("number", place)
            witness.hear([f"done {id} {json.dumps(await handle.result())}"])
    witness.look()
    return witness


@pytest.mark.real_time
async def test_the_witness_finds_nothing_where_nothing_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_kind = [f"{kind}:0:{n}" for n, kind in enumerate(load.KINDS)]
    witness = await witnessed(tmp_path, monkeypatch, *every_kind)
    witness.look()
    witness.close()
    assert witness.problems == []
    assert len(witness.recorded) > 30


@pytest.mark.real_time
async def test_the_witness_finds_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = await witnessed(tmp_path, monkeypatch, "sequence:0:7")
    recorded = next(iter(witness.recorded))
    with (tmp_path / "effects").open("a") as effects:
        effects.write(f"{recorded}\nsomebody/0/1\n")
    witness.hear(["started fan:0:1", "done sequence:0:7 5"])
    witness.look()
    witness.close()
    assert witness.problems == [
        "sequence:0:7 ended twice: 286 and 5",
        "the acknowledged start of fan:0:1 is lost",
        f"the recorded step {recorded} was executed again",
        "nothing durable asked for the effect of somebody/0/1",
        "fan:0:1 has no result",
    ]
