"""Kill a process again and again, at random moments, and look what is left.

Every life starts where the last one was cut off. A kill aims at a phase (a commit on
its way to the disk, the recovery, idleness) or at any moment; what it hit is read from
the mark that the dead process left. One seed decides everything that is ours to decide.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.kills.marks import Marks, Phase
from tests.kills.witness import Witness

ROOT = Path(__file__).resolve().parents[2]
LOAD = "tests.kills.load"
PHASES = (Phase.COMMIT, Phase.RECOVERY, Phase.IDLE)
PATIENCE = 10.0
"""Seconds to wait for the phase that a kill aims at, before any phase will do."""
LAST_LIFE = 60.0
"""Seconds that the last life may take to bring everything to its end."""
RUNS_PER_KILL = 2
RECOVERY_SECONDS = 0.02
"""How deep into a recovery a kill goes; most recoveries take about as long."""


class LifeEnded(Exception):
    """A process that should have gone on until it was killed."""


@dataclass
class Report:
    """What came of it; `problems` must be empty."""

    seed: str
    asked_kills: int
    kills: Counter[Phase] = field(default_factory=Counter)
    runs: int = 0
    completed_between: int = 0
    steps: int = 0
    executions: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def judge(self) -> None:
        """A chaos that hit too little, or let too little happen, proves nothing."""
        if self.kills.total() != self.asked_kills:
            self.problems.append(f"{self.kills.total()} kills, not {self.asked_kills}")
        for phase in PHASES:
            if self.asked_kills >= len(PHASES) and not self.kills[phase]:
                self.problems.append(f"no kill hit the phase {phase.name.lower()}")
        if self.completed_between < RUNS_PER_KILL * self.asked_kills:
            self.problems.append(
                f"only {self.completed_between} runs completed between "
                f"{self.asked_kills} kills"
            )

    def conclude(self, witness: Witness, seconds: float) -> Report:
        """Take over what the witness found, and judge."""
        self.runs = len(witness.started)
        self.steps, self.executions = len(witness.recorded), witness.executed.total()
        self.seconds, self.problems = seconds, witness.problems
        self.judge()
        return self

    def __str__(self) -> str:
        phases = ", ".join(f"{p.name.lower()} {self.kills[p]}" for p in PHASES)
        kills = f"{self.kills.total()} kills ({phases}) in {self.seconds:.0f} s"
        runs = f"{self.runs} runs acknowledged, {self.completed_between} ended between"
        steps = f"{self.steps} steps recorded, {self.executions} executions"
        found = f"{len(self.problems)} problems, seed {self.seed}"
        return "\n".join((kills, runs, steps, found, *self.problems[:20]))


class Life:
    """One process, ready to go; what it prints is collected until its end."""

    def __init__(self, module: str, *arguments: object) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("begin\n")
        self.process.stdin.close()

    def end(self, timeout: float | None = None) -> int:
        """Wait for the process's end, and for the last of what it printed."""
        try:
            return self.process.wait(timeout)
        finally:
            self._reader.join(timeout=1)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):  # a line that was cut off was not said
                self.lines.append(line.rstrip("\n"))


def run_chaos(folder: Path, kills: int = 25, seed: str = "") -> Report:
    """Kill `kills` lives, let the last one end, and report."""
    seed = seed or f"{random.SystemRandom().getrandbits(32):x}"
    chance, began = random.Random(seed), time.monotonic()
    report, witness = Report(seed, kills), Witness(folder)
    marks = Marks(folder / "marks")
    coming = Life(LOAD, folder, 0, seed)
    try:
        for number in range(kills):
            life = coming
            finish = ["finish"] if number == kills - 1 else []
            coming = Life(LOAD, folder, number + 1, seed, *finish)
            report.kills[live_and_die(life, marks, chance, number)] += 1
            witness.hear(life.lines)
            witness.look()
        report.completed_between = len(witness.done)
        coming.begin()
        if coming.end(LAST_LIFE) != 0:
            witness.problems.append("the last life failed")
        witness.hear(coming.lines)
    except LifeEnded as error:
        witness.problems.append(str(error))
    except subprocess.TimeoutExpired:
        witness.problems.append(f"the last life did not end within {LAST_LIFE:g} s")
    finally:
        coming.kill()
    witness.look()
    witness.close()
    return report.conclude(witness, time.monotonic() - began)


def live_and_die(
    life: Life,
    marks: Marks,
    chance: random.Random,
    number: int,
    enough: Callable[[], bool] = lambda: True,
) -> Phase:
    """Let it live for a while; returns the phase in which it was killed.

    What is not killed while it recovers lives until it has done `enough`.
    """
    aims = (*PHASES, None)
    aim = aims[number % len(aims)] if number < len(aims) else chance.choice(aims)
    marks.forget()
    try:
        life.begin()
        _wait(marks, life, lambda phase: phase is not Phase.STARTING)
        if aim is Phase.RECOVERY:
            time.sleep(chance.uniform(0, RECOVERY_SECONDS))
        else:
            _wait(marks, life, lambda phase: phase is not Phase.RECOVERY)
            _wait(marks, life, lambda _: enough())
            time.sleep(chance.uniform(0, 0.6))
            if aim is not None:
                _wait(marks, life, lambda phase: phase is aim)
    finally:
        life.kill()
    return marks.phase


def _wait(marks: Marks, life: Life, fits: Callable[[Phase], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fits(marks.phase):
        if time.monotonic() > deadline:
            return
        if life.process.poll() is not None:
            raise LifeEnded(f"a life ended by itself, with {life.process.returncode}")
        time.sleep(0.0002)
