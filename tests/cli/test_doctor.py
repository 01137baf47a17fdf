"""The doctor on good and bad files: what it finds, and what it says to do."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from everact.runtime import Registry, Runtime, workflow
from everact.runtime.cli.checks import check_database, check_tokens
from everact.runtime.cli.exits import Exit
from everact.runtime.cli.findings import Finding, Level
from everact.runtime.cli.versions import check_versions
from everact.runtime.door.tokens import TokenFile
from tests.cli.conftest import Shell

Spoil = Callable[[Path], object]


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """A closed database with one run in it."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    path = folder / "shop.db"
    registry = Registry()

    @workflow(registry=registry)
    async def nothing() -> None:
        pass

    async with Runtime(path, registry=registry) as runtime:
        await (await runtime.start(nothing, id="one")).result()
    return path


def judged(findings: Iterator[Finding]) -> dict[str, Level]:
    worst: dict[str, Level] = {}
    for found in findings:
        assert found.level is Level.OK or found.advice
        if worst.get(found.check, Level.OK) is Level.OK:
            worst[found.check] = found.level
    return worst


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def test_all_is_well_with_a_good_database(database: Path) -> None:
    before = content(database)
    found = judged(check_database(str(database), thorough=True))
    bad = {check: level for check, level in found.items() if level is not Level.OK}
    assert set(bad) <= {"durability"}  # a test's folder may be in memory
    assert {"schema", "key", "clock", "integrity", "journal", "lock", "disk"} <= set(
        found
    )
    assert content(database) == before


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("spoil", "check", "level"),
    [
        (lambda p: Path(f"{p}.key").unlink(), "key", Level.PROBLEM),
        (lambda p: Path(f"{p}.key").write_text("00" * 32), "key", Level.PROBLEM),
        (lambda p: Path(f"{p}.key").write_text("what"), "key", Level.PROBLEM),
        (lambda p: Path(f"{p}.key").chmod(0o644), "key", Level.PROBLEM),
        (lambda p: execute(p, "pragma user_version = 999"), "schema", Level.PROBLEM),
        (lambda p: execute(p, "drop table journal"), "schema", Level.PROBLEM),
        (
            lambda p: execute(p, "pragma journal_mode = delete"),
            "journal",
            Level.WARNING,
        ),
        (
            lambda p: execute(p, f"update runs set started_at = {time.time() + 3600}"),
            "clock",
            Level.PROBLEM,
        ),
        (
            lambda p: execute(p, "update runs set aside = 'why', status = 0"),
            "runs",
            Level.WARNING,
        ),
        (lambda p: p.write_bytes(b"not a database" * 99), "database", Level.PROBLEM),
        (lambda p: p.unlink(), "database", Level.PROBLEM),
        (lambda p: p.write_bytes(b""), "database", Level.PROBLEM),
        (
            lambda p: [file.unlink() for file in (p, Path(f"{p}.key"))],
            "database",
            Level.WARNING,
        ),
        (lambda p: p.parent.chmod(0o755), "database", Level.WARNING),
        (lambda p: (p.parent.chmod(0o755), p.chmod(0o666)), "database", Level.PROBLEM),
    ],
)
def test_what_is_wrong_is_found(
    database: Path, spoil: Spoil, check: str, level: Level
) -> None:
    database.chmod(0o644)
    spoil(database)
    assert judged(check_database(str(database)))[check] is level


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    found = judged(check_database(str(tmp_path / "nowhere" / "shop.db")))
    assert found == {"folder": Level.PROBLEM}


def test_tokens_are_judged(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    assert judged(check_tokens(str(path))) == {"tokens": Level.OK}
    tokens = TokenFile.for_database(path)
    tokens.create("one")
    assert judged(check_tokens(str(path))) == {"tokens": Level.OK}
    tokens.revoke("one")
    assert judged(check_tokens(str(path))) == {"tokens": Level.WARNING}
    tokens.path.chmod(0o644)
    assert judged(check_tokens(str(path))) == {"tokens": Level.PROBLEM}


def test_this_machine_is_fit() -> None:
    assert set(judged(check_versions()).values()) == {Level.OK}


@pytest.mark.real_time
def test_the_doctor_looks_at_a_running_engine(engine: Shell) -> None:
    found = engine.json("doctor", "--thorough")
    assert found["problems"] == 0
    by_check = {item["check"]: item for item in found["findings"]}
    assert by_check["engine"]["level"] == "ok"
    assert "in use by process" in by_check["lock"]["message"]


@pytest.mark.real_time
def test_a_problem_is_the_exit_code(shell: Shell) -> None:
    (shell.folder / "everact.db").write_bytes(b"nonsense" * 999)
    done = shell("doctor", "--json")
    assert (done.code, done.data["problems"], done.err) == (Exit.FAILED, 1, "")
    away = shell("doctor", "--database", "no.db", "--address", "127.0.0.1:1")
    assert away.code == Exit.FAILED
    assert "everact serve" in away.out
