"""Commands on a database that no engine has: nothing of the author's runs."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from everact.runtime.cli.exits import Exit
from tests.cli.conftest import SECONDS, Shell

pytestmark = pytest.mark.real_time

FLOWS = """
import asyncio
from pathlib import Path
from everact.runtime import task, workflow

Path("ran").write_text("module")

@task
async def hangs() -> None:
    Path("ran").write_text("task")
    await asyncio.sleep(600)

@workflow
async def parent() -> str:
    Path("ran").write_text("workflow")
    try:
        await hangs()
    except asyncio.CancelledError:
        return "cleaned up"
    return "done"
"""


def killed(shell: Shell, *workflow_ids: str) -> None:
    """Serve, start runs that wait for a task, and kill the engine."""
    (shell.folder / "flows.py").write_text(FLOWS)
    with shell.begin("serve", "flows.py", "--address", "127.0.0.1:0", "--json") as up:
        try:
            assert up.stdout is not None
            address = json.loads(up.stdout.readline())["address"]
            there = shell.within(EVERACT_ADDRESS=address)
            for workflow_id in workflow_ids:
                there.json("start", "parent", "--id", workflow_id)
        finally:
            up.kill()
            up.communicate(timeout=SECONDS)


def ended_cleanly(folder: Path) -> str:
    with sqlite3.connect(folder / "everact.db") as database:
        ((found,),) = database.execute("select value from meta where name = 'clean'")
    return str(found)


def test_runs_are_looked_at_and_ended_without_an_engine(shell: Shell) -> None:
    killed(shell, "a", "b", "c")
    (shell.folder / "ran").unlink()
    here = ("--database", "everact.db")

    listed = shell.json("list", *here)["runs"]
    assert {(run["workflow_id"], run["status"]) for run in listed} == {
        ("a", "running"),
        ("b", "running"),
        ("c", "running"),
    }
    assert shell.json("count", *here)["count"] == 3
    seen = shell.json("describe", "a", *here)
    assert [task["name"] for task in seen["pending_tasks"]] == ["hangs"]
    assert shell.json("terminate", "a", "--reason", "wrong", *here)["terminated"]
    assert shell.json("describe", "a", *here)["status"] == "terminated"
    assert shell.json("cancel", "b", *here)["cancel_requested"]
    assert shell.json("describe", "b", *here)["status"] == "running"
    assert not (shell.folder / "ran").exists()  # no code of the author's ran
    assert ended_cleanly(shell.folder) == "0"  # the next engine is told of the kill

    with shell.serving("flows.py", "--address", "127.0.0.1:0") as ready:
        there = shell.within(EVERACT_ADDRESS=ready["address"])
        assert there.json("result", "b")["result"] == "cleaned up"
        assert there.json("describe", "a")["status"] == "terminated"
        assert there.json("describe", "c")["status"] == "running"
        there.json("terminate", "c")
    assert ended_cleanly(shell.folder) == "1"


def test_a_file_that_an_engine_has_is_refused(shell: Shell) -> None:
    (shell.folder / "flows.py").write_text(FLOWS)
    with shell.serving("flows.py", "--address", "127.0.0.1:0"):
        done = shell("terminate", "a", "--database", "everact.db")
    assert done.code == Exit.SETUP
    assert "Without --database the command asks the engine that has it" in " ".join(
        done.err.split()
    )


def test_a_file_that_is_not_there_is_not_made(shell: Shell) -> None:
    done = shell("list", "--database", "nothing.db")
    assert done.code == Exit.USAGE
    assert not (shell.folder / "nothing.db").exists()


def test_a_file_and_an_address_exclude_each_other(shell: Shell) -> None:
    (shell.folder / "some.db").touch()
    done = shell("list", "--database", "some.db", "--address", "127.0.0.1:1")
    assert done.code == Exit.USAGE
    assert "exclude each other" in done.err
