"""The harness runs: a process per sample, kills, tables, JSON. Never how fast."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.engines import packages
from benchmarks.engines.ceiling import Ceiling
from benchmarks.engines.limit import Limit
from benchmarks.measure import MeasurementFailed, measure
from benchmarks.protocol import Job
from benchmarks.session import Course, Plan
from benchmarks.works import WORKS
from everact.runtime import RunStatus, Runtime

SMALL = "0.01"


def job(work: str, directory: Path, *, size: int = 1, steps: int = 1) -> Job:
    return Job(
        work=work,
        engine="ceiling",
        concurrency=4,
        seconds=0.1,
        size=size,
        steps=steps,
        directory=str(directory),
    )


def test_a_sample_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    shares: list[float] = []
    metrics = measure(job("W10", tmp_path, steps=10), shares.append)
    assert metrics["steps_per_s"] == pytest.approx(10 * metrics["runs_per_s"])
    assert set(metrics) >= {"runs_per_s", "p50_ms", "p99_ms", "max_ms", "rss_mb"}
    assert shares == sorted(shares)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("work", "size", "steps"), [("R1000", 20, 10), ("H10k", 1, 99)]
)
def test_the_ceiling_recovers_killed_runs_from_its_memo(
    work: str, size: int, steps: int, tmp_path: Path
) -> None:
    metrics = measure(job(work, tmp_path, size=size, steps=steps), lambda share: None)
    assert metrics["recovery_s"] > 0
    assert metrics["steps_repeated"] == 0


def test_a_process_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    broken = replace(job("W1", tmp_path), stage="recover", work="C100", engine="none")
    with pytest.raises(MeasurementFailed, match="KeyError"):
        measure(broken, lambda share: None)


def test_a_process_that_hangs_is_ended(tmp_path: Path) -> None:
    endless = replace(job("W1", tmp_path), seconds=3_600)
    with pytest.raises(MeasurementFailed, match="not finished after"):
        measure(endless, lambda share: None, limit=0.2)


def test_engines_alternate_sample_by_sample(tmp_path: Path) -> None:
    class Other(Ceiling):
        name = "other"
        works = frozenset({"W1"})

    plan = Plan(
        works=[WORKS["W1"], WORKS["F100"]],
        engines=[Ceiling(), Other()],
        concurrency=[8],
        seconds=1,
        samples=2,
        scale=1,
        directory=str(tmp_path),
    )
    course = Course(plan)
    labels = [label for label, _ in course.measurements()]
    assert labels == [
        "raw",
        "W1 c=8 ceiling #1",
        "W1 c=8 other #1",
        "W1 c=8 ceiling #2",
        "W1 c=8 other #2",
        "raw",
        "F100 c=1 ceiling #1",
        "F100 c=1 ceiling #2",
    ]
    assert course.results()[-1] == {
        "work": "F100",
        "concurrency": 1,
        "engine": "other",
        "supported": False,
    }


def test_the_command_prints_tables_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    arguments = ["w1", "S100k", "sig", "--engine", "ceiling", "--concurrency", "2"]
    quick = ["--seconds", "0.1", "--samples", "1", "--scale", SMALL]
    assert main([*arguments, *quick, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "What the machine allows" in printed
    assert "not supported" in printed
    assert "update round trips come with updates" in printed
    content = json.loads(file.read_text())
    assert set(content) == {"machine", "commit", "versions", "raw", "results", "bars"}
    w1, sleepers, signals = content["results"]
    assert w1["work"] == "W1"
    assert w1["engine"] == "ceiling"
    assert w1["concurrency"] == 2
    assert w1["runs_per_s"] > 0
    assert sleepers["supported"] is False
    assert signals["signals_per_s"] > 0
    assert "steps_per_s" not in signals


def test_http_is_measured_with_the_engine_in_another_process(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    arguments = ["http", "--engine", "everact", "ceiling", "--concurrency", "2"]
    quick = ["--seconds", "0.1", "--samples", "1", "--directory", str(tmp_path)]
    assert main([*arguments, *quick, "--json", str(file)]) == 0
    ours, ceiling = json.loads(file.read_text())["results"]
    assert ours["runs_per_s"] > 0 and ours["p99_ms"] > 0, ours
    assert ceiling["supported"] is False


def test_the_limit_does_durable_work_and_measures_what_it_can(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    arguments = ["W1id", "sig", "--engine", "limit"]
    quick = ["--seconds", "0.1", "--samples", "1", "--concurrency", "2"]
    where = ["--directory", str(tmp_path), "--json", str(file)]
    assert main([*arguments, *quick, *where]) == 0
    runs, signals = json.loads(file.read_text())["results"]
    assert runs["runs_per_s"] > 0
    assert signals["supported"] is False


async def test_a_run_of_the_limit_is_the_row_and_the_journal_of_a_run(
    tmp_path: Path,
) -> None:
    limit = Limit()
    limit.load()
    async with limit.open(tmp_path) as session:
        await session.run("W10", 1)
        await session.run("F100", 1)
        twice = (session.run("W1id", 2) for _ in range(2))
        done, refused = await asyncio.gather(*twice, return_exceptions=True)
        assert done is None
        assert isinstance(refused, Exception), "the index decides whose ID it is"
    async with Runtime(str(tmp_path / "limit.db")) as runtime:
        handle = runtime.handle("run-2")
        assert await handle.result() == 2
        lines = [line async for line in runtime.list()]
        assert [line.status for line in lines] == [RunStatus.COMPLETED] * 3
        assert await runtime.handle(lines[-1].workflow_id).result() == 45


def test_bytecodes_are_counted_for_each_engine_that_can(
    capsys: pytest.CaptureFixture[str],
) -> None:
    engines = ["--engine", "limit", "ceiling"]
    assert main(["W1", "sig", "--bytecodes", *engines]) == 0
    printed = capsys.readouterr().out
    assert "3,500" in printed
    assert "signal" in printed
    assert main(["F100", "--bytecodes", *engines]) == 2


def test_growth_is_shown_as_how_many_times_the_first_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "growth.json"
    small = ["--scale", "0.02", "--directory", str(tmp_path), "--json", str(file)]
    assert main(["--growth", "gather", *small]) == 0
    assert "a task of the gather" in capsys.readouterr().out
    points = json.loads(file.read_text())["growth"]["gather"]
    assert list(points) == ["2", "20", "200"]
    one, many = (
        points[size]["a task of the gather/bytecodes"] for size in ("2", "200")
    )
    assert many < one, "a task of a larger gather has a smaller share of its run"


def test_an_unknown_work_is_refused_with_those_that_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["W2"])
    assert "W2 is none of W1, W10" in capsys.readouterr().err


def test_an_absent_peer_is_named_with_what_to_install() -> None:
    reason = packages.absent("no-such-distribution")
    assert reason is not None
    assert "no-such-distribution is not installed" in reason
    assert "requirements-peers.txt" in reason
