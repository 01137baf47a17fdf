"""What a stranger sees between two lives: the file, the effects, what was said.

The witness shares nothing with the process that was killed. It reads the journal and
the append-only file of effects, keeps what the runtime acknowledged, and collects
every contradiction between them as a sentence.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path

from everact.runtime import RunStatus
from everact.runtime.core.records import RunTask, TaskCompleted, decode
from tests.kills.load import expected


class Witness:
    """Invariants of one load, looked at after each death and at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: list[str] = []
        self.started: set[str] = set()
        self.done: dict[str, str] = {}
        self.asked: set[str] = set()
        self.recorded: Counter[str] = Counter()
        self.executed: Counter[str] = Counter()
        self._seen_effects = 0
        self._first_open = 0
        self._seen_rows: set[tuple[int, int, int]] = set()

    def hear(self, lines: list[str]) -> None:
        """Take down what a life printed."""
        for line in lines:
            said, id, *rest = line.split(maxsplit=2)
            if said == "started":
                self.started.add(id)
            elif said == "done":
                before = self.done.setdefault(id, rest[0])
                if before != rest[0]:
                    self.problems.append(f"{id} ended twice: {before} and {rest[0]}")

    def look(self) -> None:
        """Compare file and effects while nobody runs."""
        recorded_before = set(self.recorded)
        known = self._read_journal()
        for id in sorted(self.started - known):
            self.problems.append(f"the acknowledged start of {id} is lost")
        for task in self._new_effects():
            self.executed[task] += 1
            if task in recorded_before:
                self.problems.append(f"the recorded step {task} was executed again")
            if task not in self.asked:
                self.problems.append(f"nothing durable asked for the effect of {task}")
        for task, times in self.recorded.items():
            if times > 1:
                self.problems.append(f"step {task} is recorded {times} times")

    def close(self) -> None:
        """After the last life: everything has ended, and rightly."""
        for id in sorted(self.started - set(self.done)):
            self.problems.append(f"{id} has no result")
        for id, result in self.done.items():
            if json.loads(result) != expected(id):
                self.problems.append(f"{id} gave {result}, not {expected(id)}")
        for task in sorted(self.asked - set(self.recorded)):
            self.problems.append(f"step {task} was asked for and never recorded")
        for task in sorted(set(self.recorded) - set(self.executed)):
            self.problems.append(f"step {task} is recorded and never ran")
        for id, chains in self._repeated():
            self.problems.append(f"{id} was started {chains} times")
        for status, count in self._statuses().items():
            if status not in (RunStatus.COMPLETED, RunStatus.CONTINUED_AS_NEW):
                self.problems.append(f"{count} runs are {status!s} in the end")

    def _read_journal(self) -> set[str]:
        """Take in new rows of runs that were open; returns all workflow IDs."""
        with self._database() as file:
            known = {id for (id,) in file.execute("select workflow_id from runs")}
            rows = file.execute(
                "select j.run_key, j.generation, j.seq, j.body, r.run_id "
                "from journal as j join runs as r on r.key = j.run_key "
                "where r.key >= ? order by r.key, j.seq",
                (self._first_open,),
            )
            for key, generation, seq, body, run_id in rows:
                if (key, generation, seq) not in self._seen_rows:
                    self._seen_rows.add((key, generation, seq))
                    self._take_row(f"{run_id}/{generation}", body)
            [(first,)] = file.execute("select min(key) from runs where status = 0")
            self._first_open = first or self._first_open
        file.close()
        return known

    def _take_row(self, run: str, body: bytes) -> None:
        transition = decode(body)
        for command in transition.commands:
            if isinstance(command, RunTask):
                self.asked.add(f"{run}/{command.call}")
        for event in transition.events:
            if isinstance(event, TaskCompleted):
                self.recorded[f"{run}/{event.call}"] += 1

    def _new_effects(self) -> list[str]:
        path = self._folder / "effects"
        lines = path.read_text().splitlines() if path.exists() else []
        new, self._seen_effects = lines[self._seen_effects :], len(lines)
        return new

    def _repeated(self) -> list[tuple[str, int]]:
        """Workflow IDs with more than one run; one continued as new is still one."""
        with self._database() as file:
            found = file.execute(
                "select workflow_id, count(distinct first_run_id) from runs "
                "group by workflow_id having count(distinct first_run_id) > 1"
            ).fetchall()
        file.close()
        return found

    def _statuses(self) -> Counter[RunStatus]:
        with self._database() as file:
            found = file.execute("select status from runs").fetchall()
        file.close()
        return Counter(RunStatus(status) for (status,) in found)

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self._folder / "load.db")
