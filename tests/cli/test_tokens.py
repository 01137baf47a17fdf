"""A token's life by commands: made, saved, used, too narrow, revoked."""

from __future__ import annotations

import stat

import pytest

from everact.runtime.cli.exits import Exit
from tests.cli.conftest import WORKS, Shell

pytestmark = pytest.mark.real_time


@pytest.mark.feature("AU-03")
def test_a_tokens_life(shell: Shell) -> None:
    with shell.serving(WORKS, "--address", "127.0.0.1:0") as ready:
        there = shell.within(EVERACT_ADDRESS=ready["address"])
        assert there("list").code == 0  # nobody made a token yet
        made = shell.json("token", "create", "laptop", "--expires-in", "90d")
        assert made["state"] == "counts"
        assert made["expires"]

        refused = there("list", "--json")
        assert refused.code == Exit.NOT_ALLOWED
        assert refused.error["status"] == "UNAUTHENTICATED"
        assert "everact token save" in there("list").err

        saved = there("token", "save", "--json", given=made["token"] + "\n")
        assert (saved.code, saved.data["saved"]) == (0, True)
        assert made["token"] not in saved.out + saved.err
        assert there.json("list")["runs"] == []
        there.json("start", "squares", "2", "--wait")
        tree = there("actors", "tree", "--json")
        assert (tree.code, tree.error["status"]) == (
            Exit.NOT_ALLOWED,
            "PERMISSION_DENIED",
        )

        revoked = shell.json("token", "revoke", "laptop")
        assert revoked["state"] == "revoked"
        assert there("list").code == Exit.NOT_ALLOWED
        other = shell("token", "create", "ops", "--scope", "admin").out.strip()
        assert there.within(EVERACT_TOKEN=other).json("actors", "tree")["actors"]


def test_a_token_is_shown_once_and_kept_privately(shell: Shell) -> None:
    made = shell.json("token", "create", "ci")
    listed = shell("token", "list", "--json")
    assert made["token"] not in listed.out
    (found,) = listed.data["tokens"]
    assert (found["name"], found["scope"]) == ("ci", "user")
    assert shell("token", "save", given=made["token"]).code == 0
    files = list((shell.folder / "settings" / "servers").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]
    assert shell("token", "save", "--forget").code == 0
    assert made["token"] not in files[0].read_text()


def test_mistakes_with_tokens(shell: Shell) -> None:
    shell.json("token", "create", "ci")
    taken = shell("token", "create", "ci", "--json")
    assert (taken.code, taken.error["type"]) == (Exit.USAGE, "UsageError")
    absent = shell("token", "revoke", "nobody", "--json")
    assert (absent.code, absent.error["status"]) == (Exit.NOT_FOUND, "NOT_FOUND")
    assert shell("token", "save", given="two words\n").code == Exit.USAGE
    assert shell("token", "create", "x", "--scope", "root").code == Exit.USAGE
    (shell.folder / "everact.db.tokens").chmod(0o644)
    opened = shell("token", "list", "--json")
    assert (opened.code, opened.error["type"]) == (Exit.SETUP, "SecretFileError")
