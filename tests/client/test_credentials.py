"""Tokens on the client's side: one private file per engine, used for no other."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from everact.runtime.client.credentials import (
    change_settings,
    find_token,
    forget_token,
    read_settings,
    save_token,
    settings_file,
)
from everact.runtime.errors import SecretFileError

HERE, THERE = "127.0.0.1:7575", "flows.example:443"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("EVERACT_TOKEN", "EVERACT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EVERACT_SETTINGS", str(tmp_path / "settings"))
    return tmp_path / "settings"


@pytest.mark.feature("AU-03")
def test_a_saved_token_is_found_for_its_address_only() -> None:
    assert find_token(HERE) is None
    save_token(HERE, "everact_here")
    assert find_token(HERE) == "everact_here"
    assert find_token(THERE) is None
    assert find_token("127.0.0.1:757") is None


@pytest.mark.feature("AU-03")
def test_saving_a_token_keeps_other_settings() -> None:
    change_settings(HERE, {"workspace": "a"})
    save_token(HERE, "one")
    save_token(HERE, "two")
    assert read_settings(HERE) == {"workspace": "a", "token": "two"}
    forget_token(HERE)
    forget_token(THERE)
    assert read_settings(HERE) == {"workspace": "a"}
    assert not settings_file(THERE).exists()


@pytest.mark.feature("AU-03")
def test_the_file_and_its_folder_are_for_their_owner_only(folder: Path) -> None:
    old = os.umask(0)
    try:
        save_token(HERE, "secret")
    finally:
        os.umask(old)
    path = settings_file(HERE)
    assert path.is_relative_to(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_can_read_is_refused_and_not_overwritten() -> None:
    save_token(HERE, "hidden")
    path = settings_file(HERE)
    path.chmod(0o640)
    with pytest.raises(SecretFileError, match="chmod 600") as refused:
        find_token(HERE)
    assert "hidden" not in str(refused.value)
    with pytest.raises(SecretFileError, match="chmod 600"):
        save_token(HERE, "other")
    assert json.loads(path.read_text()) == {"token": "hidden"}


def test_an_argument_goes_before_the_environment_and_that_before_what_is_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_token(HERE, "saved")
    monkeypatch.setenv("EVERACT_API_KEY", "key")
    assert find_token(HERE) == "key"
    monkeypatch.setenv("EVERACT_TOKEN", "token")
    assert find_token(HERE) == "token"
    assert find_token(HERE, "argument") == "argument"


@pytest.mark.parametrize("wrong", ["", "a b", "a\r\nX-Header: b", "ключ"])
def test_what_cannot_be_sent_as_a_token_is_not_saved(wrong: str) -> None:
    with pytest.raises(ValueError, match="token"):
        save_token(HERE, wrong)
    assert not settings_file(HERE).exists()


@pytest.mark.parametrize("address", ["../../etc:1", "a/b:2", "[::1]:7575", "..", "A:1"])
def test_no_address_leads_out_of_the_folder(folder: Path, address: str) -> None:
    save_token(address, "token")
    assert settings_file(address).parent == folder / "servers"
    assert find_token(address.upper()) == "token"


def test_without_a_variable_it_is_the_users_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVERACT_SETTINGS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert settings_file("a:1") == tmp_path / "xdg/everact/servers/a%3A1.json"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings_file("a:1") == tmp_path / ".config/everact/servers/a%3A1.json"
