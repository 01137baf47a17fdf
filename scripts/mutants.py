"""Plant bugs, one at a time, and see that the suite finds each of them.

usage: mutants.py [--list] [--seconds N] [NAME ...]

A mutant replaces a text of one file by another, in a copy of this checkout; the tests
that must find it run there under a time limit. "killed" is what is wanted: a test
fails, by itself too, and passes without the bug. "SURVIVED" means that a promise has
no test, "UNDECIDED" that the limit was too short, "DOUBTFUL" that something else was
the matter. A text that is not there exactly once is an error: the code has moved on,
and its mutant must follow. Prints a table for docs/testing-of-everact.md. Run it with
the Python of the environment `dev`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
NOTHING = 'if "":'
"""A condition that never holds, and that no checker folds away."""


class Mutant(NamedTuple):
    """A bug: what it is, where, which text becomes which, and who must find it."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant(
        "effects before durability, in the common case",
        "runtime/engine/run/steps.py",
        "        state.append()\n        journal.size = size",
        "        state.append()\n        for command in commands:\n"
        "            if type(command) is RunTask:\n"
        "                start(run, command)\n"
        "        journal.size = size",
        "tests/features/test_durability.py",
    ),
    Mutant(
        "effects before durability, where a turn is not of the common case",
        "runtime/engine/run/recording.py",
        "        engine.commits.add(write)\n        if commands:\n",
        "        engine.commits.add(write)\n        for command in commands:\n"
        "            if type(command) is records.RunTask:\n"
        "                run.work.dispatch(command)\n"
        "        if commands:\n",
        "tests/simulation/test_simulation.py tests/features/test_durability.py",
    ),
    Mutant(
        "an answer before durability",
        "runtime/engine/run/recording.py",
        "        engine.commits.add(write)\n        if commands:\n",
        "        engine.commits.add(write)\n"
        "        if envelope is not None:\n"
        "            envelope.settle(run)\n"
        "        if commands:\n",
        "tests/simulation/test_simulation.py tests/features/test_durability.py",
    ),
    Mutant(
        "a dropped event at recovery",
        "runtime/core/state.py",
        "        for event in events:\n            answer = self.apply",
        "        for event in events[:1]:\n            answer = self.apply",
        "tests/core tests/features/test_durability.py",
    ),
    Mutant(
        "a gap in the journal is not seen",
        "runtime/engine/loading.py",
        "        if seq != state.seq:\n",
        f"        {NOTHING}\n",
        "tests/store/test_engine.py tests/engine",
    ),
    Mutant(
        "an outcome for a call that is over is accepted",
        "runtime/core/calls.py",
        "        if type(self.get(event.call)) not in _OF[kind]:\n"
        "            return None\n",
        "        if event.call not in self and kind is not TimerFired:\n"
        "            return None\n",
        "tests/core",
    ),
    Mutant(
        "an older attempt's outcome is accepted",
        "runtime/engine/run/releasing.py",
        "        if self.attempts.get(call) is not attempt:\n",
        "        if call not in self.attempts:\n",
        "tests/engine/test_seams.py tests/features/test_outside.py",
    ),
    Mutant(
        "a generation that does not rise",
        "runtime/core/chain.py",
        "    return RunState(start, state.generation + 1)\n",
        "    return RunState(start, state.generation)\n",
        "tests/core tests/features/test_children.py",
    ),
    Mutant(
        "the code of a journal row is not checked",
        "runtime/engine/seal.py",
        "        if not hmac.compare_digest(found.digest(), mac):\n",
        f"        {NOTHING}\n",
        "tests/store/test_engine.py tests/testing/test_replay.py",
    ),
    Mutant(
        "the code of a schedule is not checked",
        "runtime/engine/seal.py",
        "hmac.compare_digest(self._of_schedule(workspace, id, body), mac)",
        "True",
        "tests/store/test_engine.py tests/features/test_schedules.py",
    ),
    Mutant(
        "the code of a task's token is not checked",
        "runtime/engine/seal.py",
        "body if hmac.compare_digest(self._token_mac(body), mac) else None",
        "body",
        "tests/features/test_outside.py tests/wire",
    ),
    Mutant(
        "a failed commit of the writer process counts as rolled back",
        "runtime/store/sqlite/child.py",
        "        if ends and not full:\n",
        f"        {NOTHING}\n",
        "tests/store/test_writer_process.py",
    ),
    Mutant(
        "what follows a refused transition is stored",
        "runtime/engine/commits.py",
        "            if refusal is None:\n                continue\n",
        "            if refusal is None or refused:\n                continue\n",
        "tests/engine/test_commits.py",
    ),
    Mutant(
        "one poisoned transition refuses its whole batch",
        "runtime/store/sqlite/writing.py",
        "                except POISONED:\n                    pass\n",
        "                except POISONED:\n                    raise\n",
        "tests/store/test_sqlite.py tests/store/test_engine.py",
    ),
    Mutant(
        "the thread that commits does not look who owns the database",
        "runtime/store/sqlite/writing.py",
        "            self._database.fence()\n            self._put(writes)\n",
        "            self._put(writes)\n",
        "tests/store/test_custody.py",
    ),
    Mutant(
        "the process that commits does not look who owns the database",
        "runtime/store/sqlite/writing.py",
        "process.commit([fence, *self._statements.of(writes)], tell)",
        "process.commit(self._statements.of(writes), tell)",
        "tests/store/test_custody.py",
    ),
    Mutant(
        "a task in its first step is not noted as on the loop",
        "runtime/engine/run/starting.py",
        "    on_loop[0] = row.key\n    on_loop[1] = call\n",
        "",
        "tests/engine/test_suspects.py",
    ),
    Mutant(
        "a task that awaits a run keeps its slot",
        "runtime/engine/lending.py",
        "    if not attempt.awaits and attempt.worker is not None:\n"
        "        host.admission.leave(attempt.worker, attempt.needs)\n",
        "",
        "tests/features/test_workers.py::"
        "test_a_task_that_ends_while_it_awaits_leaves_no_slot_behind",
    ),
    Mutant(
        "a lent slot is not taken back",
        "runtime/engine/lending.py",
        "            host.admission.take_back(attempt.worker, attempt.needs)\n",
        "            pass\n",
        "tests/features/test_workers.py",
    ),
    Mutant(
        "a schedule outside the transaction of its runs",
        "runtime/engine/parts/schedules.py",
        "engine.make(replace(started, kind=kind), None, write)",
        "engine.make(replace(started, kind=kind), None, None)",
        "tests/engine/test_seams.py tests/features/test_schedules.py",
    ),
    Mutant(
        "attributes of a schedule are copied onto its runs",
        "runtime/core/schedules.py",
        "            schedule_id=self.id,\n            nominal_time",
        "            attributes=self.attributes,\n"
        "            schedule_id=self.id,\n            nominal_time",
        "tests/features/test_schedules.py",
    ),
    Mutant(
        "a signal does not count in the inbox",
        "runtime/core/state.py",
        "        self.inbox_seq += 1\n        return self._show((event,))\n",
        "        return self._show((event,))\n",
        "tests/core/test_state.py",
    ),
    Mutant(
        "a signal that is shown at once does not count in the inbox",
        "runtime/core/state.py",
        "            self.inbox_seq += 1\n            return True\n",
        "            return True\n",
        "tests/core/test_state.py",
    ),
    Mutant(
        "the count of the inbox begins anew at a tail call",
        "runtime/core/chain.py",
        "        inbox_seq=state.inbox_seq,\n",
        "        inbox_seq=0,\n",
        "tests/core/test_chain.py",
    ),
    Mutant(
        "cancel_losers is ignored",
        "runtime/definitions/combinators.py",
        "        if cancel_losers:\n",
        f"        {NOTHING}\n",
        "tests/features/test_combinators.py",
    ),
    Mutant(
        "losers are always cancelled",
        "runtime/definitions/combinators.py",
        "        if cancel_losers:\n",
        "        if branches:\n",
        "tests/features/test_combinators.py",
    ),
    Mutant(
        "retry_after 0 is taken for none",
        "runtime/core/retry.py",
        "        if failure.retry_after is not None:\n",
        "        if failure.retry_after:\n",
        "tests/core/test_retry.py tests/features/test_retries.py",
    ),
    Mutant(
        "one attempt too many",
        "runtime/core/retry.py",
        "self.attempts and attempt >= self.attempts",
        "self.attempts and attempt > self.attempts",
        "tests/core/test_retry.py tests/features/test_retries.py",
    ),
    Mutant(
        "unread signals are lost when a run continues",
        "runtime/core/chain.py",
        "            carried=(*command.unread, *carried),\n            inbox_seq=0,\n",
        "            carried=tuple(command.unread),\n            inbox_seq=0,\n",
        "tests/core tests/features/test_children.py",
    ),
    Mutant(
        "unread signals are lost at a tail call",
        "runtime/core/chain.py",
        "        carried=(*command.unread, *unread(state)),\n",
        "        carried=tuple(command.unread),\n",
        "tests/core tests/features/test_children.py",
    ),
    Mutant(
        "the time of a workflow goes back with the clock, in the common case",
        "runtime/engine/run/steps.py",
        "    now = max(now, state.time)\n    events = (event,)\n",
        "    events = (event,)\n",
        "tests/engine/test_moments.py",
    ),
    Mutant(
        "the time of a workflow goes back with the clock",
        "runtime/engine/run/actor.py",
        "        now = max(now, state.time)\n        if type(event) is TaskReported:\n",
        "        if type(event) is TaskReported:\n",
        "tests/engine/test_moments.py",
    ),
    Mutant(
        "a second cancellation is delivered too",
        "runtime/core/state.py",
        "        if self.cancel_reason is not None:\n"
        "            return None\n"
        "        self.cancel_reason = event.reason\n",
        "        self.cancel_reason = event.reason\n",
        "tests/core tests/features/test_cancellation.py",
    ),
    Mutant(
        "replay does not compare arguments",
        "runtime/programs/compare.py",
        "    ) and _same_arguments(recorded, produced, values)\n",
        "    )\n",
        "tests/programs tests/testing/test_replay.py",
    ),
    Mutant(
        "replay does not compare the moment of a timer",
        "runtime/programs/compare.py",
        "    if isinstance(recorded, (StartTimer, CancelCall, AwaitEvent)):\n"
        "        return False\n",
        "    if isinstance(recorded, (StartTimer, CancelCall, AwaitEvent)):\n"
        "        return True\n",
        "tests/programs tests/testing/test_replay.py",
    ),
    Mutant(
        "a closed run is deleted under an open parent",
        "runtime/store/sql/sqlite/queries.sql",
        "where parent.key = run.parent_key and parent.status = 0",
        "where parent.key = run.parent_key and parent.status = 99",
        "tests/store/test_sqlite.py tests/store/test_engine.py",
    ),
    Mutant(
        "runs are found in every workspace",
        "runtime/store/sql/sqlite/queries.sql",
        "select * from runs where workspace = ? and workflow_id = ?\n",
        "select * from runs where ? <> '' and workflow_id = ?\n",
        "tests/store/test_sqlite.py tests/client/test_remote.py",
    ),
    Mutant(
        "a request ID that was used finds its answer, whatever is asked",
        "runtime/engine/requests.py",
        '        if what not in ("", name.what):',
        f"        {NOTHING}",
        "tests/features/test_requests.py",
    ),
    Mutant(
        "a request ID is remembered for ever",
        "runtime/engine/requests.py",
        "found is None or found[1] <= self._clock.now() - KEPT",
        "found is None",
        "tests/features/test_requests.py",
    ),
    Mutant(
        "the origin of a request is not checked",
        "runtime/control/guard.py",
        "        self._check_origin(request)\n",
        "",
        "tests/control/safety",
    ),
    Mutant(
        "the scope of a token is not checked",
        "runtime/door/rights.py",
        "not in caller.scope.allows",
        "not in Access",
        "tests/control/safety",
    ),
    Mutant(
        "an expired token goes on counting",
        "runtime/door/tokens.py",
        "(self.expires is None or now < self.expires)",
        "True",
        "tests/door tests/control/safety",
    ),
    Mutant(
        "the API key replaces a header that was given",
        "runtime/client/remote.py",
        '            merged.setdefault("authorization", f"Bearer {self._api_key}")\n',
        '            merged["authorization"] = f"Bearer {self._api_key}"\n',
        "tests/client/test_remote.py",
    ),
    Mutant(
        "a definite answer is asked for again",
        "runtime/client/remote.py",
        "    if status not in TRANSIENT:\n        return False\n",
        "",
        "tests/client/test_remote.py",
    ),
    Mutant(
        "a call's headers do not reach the engine",
        "runtime/client/remote.py",
        "        merged |= {name.lower(): value for name, value in given.items()}\n",
        "",
        "tests/client/test_every_verb.py",
    ),
)


def main() -> int:
    """Try the mutants that are named, or all; 1 unless every one was killed."""
    parser = argparse.ArgumentParser(description="Plant bugs; see them found.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts of names")
    parser.add_argument("--list", action="store_true", help="only check that they fit")
    parser.add_argument("--seconds", type=float, default=600, help="limit for each")
    given = parser.parse_args()
    chosen = [
        m for m in MUTANTS if not given.names or any(n in m.name for n in given.names)
    ]
    misfits = [m.name for m in chosen if _count(ROOT, m) != 1]
    for name in misfits:
        print(f"the text of {name!r} is not there exactly once: follow the code")
    if misfits or given.list:
        print(f"{len(chosen)} mutants, {len(misfits)} do not fit")
        return 1 if misfits else 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "checkout"
        _copy(ROOT, copy)
        return _table(copy, chosen, given.seconds)


def _table(copy: Path, chosen: Iterable[Mutant], seconds: float) -> int:
    survived = 0
    print("| planted bug | looked for in | outcome | seconds | found by |", flush=True)
    print("|---|---|---|---|---|", flush=True)
    for mutant in chosen:
        begun = time.monotonic()
        outcome, finder = _try(copy, mutant, seconds)
        survived += outcome != "killed"
        took = time.monotonic() - begun
        print(
            f"| {mutant.name} | {mutant.tests} | {outcome} | {took:.0f} | {finder} |",
            flush=True,
        )
    return 1 if survived else 0


def _count(root: Path, mutant: Mutant) -> int:
    return (root / mutant.file).read_text("utf-8").count(mutant.old)


def _copy(root: Path, copy: Path) -> None:
    """What git knows or would add, and the link through which it is imported."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)
    (copy / "build" / "src").mkdir(parents=True)
    (copy / "build" / "src" / "everact").symlink_to("../..", target_is_directory=True)


def _try(copy: Path, mutant: Mutant, seconds: float) -> tuple[str, str]:
    """The outcome of a mutant, and the first test that failed for it."""
    file = copy / mutant.file
    sound = file.read_text("utf-8")
    file.write_text(sound.replace(mutant.old, mutant.new), "utf-8")
    try:
        done = _run(copy, mutant.tests.split(), seconds)
        if done.returncode == 0:
            return "SURVIVED", ""
        finder = _first_failure(done.stdout)
        if finder is None:
            return "DOUBTFUL", f"pytest ended with {done.returncode}"
        again = _run(copy, [finder], seconds)
        file.write_text(sound, "utf-8")
        if again.returncode == 0 or _run(copy, [finder], seconds).returncode:
            return "DOUBTFUL", f"by itself `{finder}` does not tell them apart"
    except subprocess.TimeoutExpired:
        return "UNDECIDED", "the time limit came first: give more --seconds"
    finally:
        file.write_text(sound, "utf-8")
    return "killed", f"`{finder}`"


def _run(
    copy: Path, tests: list[str], seconds: float
) -> subprocess.CompletedProcess[str]:
    surroundings = os.environ | {
        "PYTHONPATH": str(copy / "build" / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no"]
    command += ["-p", "no:cacheprovider", "-o", "timeout=60", *tests]
    return subprocess.run(
        command,
        cwd=copy,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _first_failure(told: str) -> str | None:
    for line in told.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" - ")[0].partition(" ")[2]
    return None


if __name__ == "__main__":
    sys.exit(main())
