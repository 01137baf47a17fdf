"""Tokens: shown once, kept as hashes, and only in a file that is the owner's alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from everact.runtime.door.tokens import PREFIX, Scope, TokenFile
from everact.runtime.errors import SecretFileError
from everact.runtime.operations.access import Access


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def tokens(tmp_path: Path, clock: Hands) -> TokenFile:
    return TokenFile(tmp_path / "flows.db.tokens", clock=clock)


def test_the_file_lies_beside_the_database(tmp_path: Path) -> None:
    assert TokenFile.for_database(tmp_path / "a.db").path == tmp_path / "a.db.tokens"


@pytest.mark.feature("AU-01")
def test_a_token_is_found_by_its_text_and_by_nothing_else(tokens: TokenFile) -> None:
    made, text = tokens.create("laptop")
    assert text.startswith(PREFIX)
    assert len(text) == len(PREFIX) + 12 + 1 + 43  # 256 bits in base 64
    assert tokens.find(text) == made
    other = text[:-1] + ("A" if text[-1] != "A" else "B")
    wrong = ["", PREFIX, made.id, other, text + "x", text.upper(), text[:-1], "\udcff"]
    assert [tokens.find(given) for given in wrong] == [None] * len(wrong)


@pytest.mark.feature("AU-01")
def test_the_file_holds_no_token(tokens: TokenFile) -> None:
    made, text = tokens.create("laptop")
    stored = tokens.path.read_text()
    assert text not in stored
    assert text.removeprefix(f"{PREFIX}{made.id}_") not in stored
    assert hashlib.sha256(text.encode()).hexdigest() in stored
    assert text not in repr(tokens.list())


def test_the_file_is_for_its_owner_only(tokens: TokenFile) -> None:
    old = os.umask(0)
    try:
        tokens.create("laptop")
    finally:
        os.umask(old)
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    assert [path.name for path in tokens.path.parent.glob(".*")] == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o610])
def test_a_file_that_others_can_open_is_refused(tokens: TokenFile, mode: int) -> None:
    _, text = tokens.create("laptop")
    assert tokens.find(text)
    tokens.path.chmod(mode)
    for attempt in (
        lambda: tokens.find(text),
        tokens.list,
        tokens.any,
        lambda: tokens.create("other"),
        lambda: tokens.revoke("laptop"),
    ):
        with pytest.raises(SecretFileError, match="chmod 600"):
            attempt()
    tokens.path.chmod(0o600)
    assert tokens.find(text)


def test_a_damaged_file_lets_nobody_in(tokens: TokenFile) -> None:
    _, text = tokens.create("laptop")
    tokens.path.write_bytes(tokens.path.read_bytes()[:-20])
    with pytest.raises(SecretFileError, match="damaged"):
        tokens.find(text)


def test_a_file_of_a_newer_version_is_not_guessed_at(tokens: TokenFile) -> None:
    tokens.create("laptop")
    stored = json.loads(tokens.path.read_text())
    tokens.path.write_text(json.dumps(stored | {"version": 2}))
    with pytest.raises(SecretFileError, match="newer"):
        tokens.list()


def test_a_pipe_in_place_of_the_file_blocks_nobody(tokens: TokenFile) -> None:
    os.mkfifo(tokens.path, 0o600)
    with pytest.raises(SecretFileError, match="regular file"):
        tokens.any()


def test_an_expired_token_no_longer_counts(tokens: TokenFile, clock: Hands) -> None:
    made, text = tokens.create("laptop", expires_in="1h")
    assert made.expires == 4_600.0
    clock.now = 4_599.9
    assert tokens.find(text)
    clock.now = 4_600.0
    assert tokens.find(text) is None


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_revoked_token_no_longer_counts(tokens: TokenFile, by: str) -> None:
    made, text = tokens.create("laptop")
    _, kept = tokens.create("desk")
    assert tokens.revoke(getattr(made, by)).revoked == 1_000.0
    assert tokens.find(text) is None
    assert tokens.find(kept)
    assert [token.revoked for token in tokens.list()] == [1_000.0, None]
    with pytest.raises(LookupError):
        tokens.revoke(getattr(made, by))


def test_a_name_can_be_used_again_once_its_token_is_revoked(tokens: TokenFile) -> None:
    tokens.create("laptop")
    with pytest.raises(ValueError, match="exists"):
        tokens.create("laptop")
    tokens.revoke("laptop")
    _, text = tokens.create("laptop")
    assert tokens.find(text)


def test_what_another_process_makes_and_revokes_counts_here(tokens: TokenFile) -> None:
    script = (
        "import sys; from everact.runtime.door.tokens import TokenFile\n"
        "tokens = TokenFile(sys.argv[1])\n"
        "print(tokens.create('there')[1] if sys.argv[2] == 'create' "
        "else tokens.revoke('there').id)"
    )

    def run(what: str) -> str:
        command = [sys.executable, "-c", script, str(tokens.path), what]
        return subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.strip()

    assert not tokens.any()
    text = run("create")
    found = TokenFile(tokens.path).find(text)
    assert found is not None
    assert tokens.find(text) == found
    assert run("revoke") == found.id
    assert tokens.find(text) is None


def test_tokens_made_at_the_same_time_by_processes_are_all_kept(
    tokens: TokenFile,
) -> None:
    script = (
        "import sys; from everact.runtime.door.tokens import TokenFile\n"
        "for n in range(5): TokenFile(sys.argv[1]).create(f'{sys.argv[2]}-{n}')"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tokens.path), str(n)])
        for n in range(4)
    ]
    assert [process.wait(30) for process in running] == [0] * 4
    assert len(tokens.list()) == 20


@pytest.mark.feature("AU-01", "AU-10")
def test_scopes_allow_what_they_are_for() -> None:
    assert Scope.USER.allows == {Access.INFO, Access.READ, Access.WRITE}
    assert Scope.RUNNER.allows == {Access.INFO, Access.READ, Access.WORK}
    assert Scope.ADMIN.allows == set(Access)


@pytest.mark.feature("AU-01")
def test_a_token_reaches_the_workspaces_it_was_made_for(tokens: TokenFile) -> None:
    made = {
        "plain": tokens.create("plain")[0],
        "two": tokens.create("two", workspaces=("a", "b"))[0],
        "all": tokens.create("all", scope=Scope.ADMIN)[0],
        "one": tokens.create("one", scope=Scope.ADMIN, workspaces=("a",))[0],
    }
    reached = {
        name: [place for place in ("default", "a", "b") if token.reaches(place)]
        for name, token in made.items()
    }
    assert reached == {
        "plain": ["default"],
        "two": ["a", "b"],
        "all": ["default", "a", "b"],
        "one": ["a"],
    }


@pytest.mark.feature("AU-01")
@pytest.mark.parametrize("workspaces", [("a", "b"), ("*",)])
def test_a_runner_works_in_one_workspace(
    tokens: TokenFile, workspaces: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        tokens.create("worker", scope=Scope.RUNNER, workspaces=workspaces)
    assert not tokens.path.exists()


def test_a_token_without_a_name_is_refused(tokens: TokenFile) -> None:
    with pytest.raises(ValueError, match="name"):
        tokens.create(" ")
    assert not tokens.path.exists()


def test_secrets_are_compared_in_constant_time_for_unknown_tokens_too(
    tokens: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, text = tokens.create("laptop")
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watched(left: Any, right: Any) -> bool:
        compared.append((len(left), len(right)))
        return real(left, right)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    unknown = text.replace(made.id, "0" * 12)
    for given in (text, unknown, "nonsense", text[:-1] + "A"):
        tokens.find(given)
    assert compared == [(64, 64)] * 4


def test_many_bad_tokens_leave_nothing_behind(tokens: TokenFile) -> None:
    tokens.create("laptop")
    tokens.find("")
    before = len(tokens._seen[1])
    for n in range(1_000):
        assert tokens.find(f"{PREFIX}{n:012x}_{'x' * 43}") is None
    assert len(tokens._seen[1]) == before == 1
