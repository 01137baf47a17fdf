"""The page on security: its programs run, and its tables are the code's."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from everact.runtime.control.listening import HANDSHAKE_SECONDS
from everact.runtime.control.settings import ControlSettings
from everact.runtime.door.callers import LOOK_AGAIN_SECONDS
from everact.runtime.door.tokens import PREFIX, Scope

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("program", "output"),
    list(zip(PROGRAMS, ["listening on 127.0.0.1\n", PREFIX], strict=True)),
    ids=["endpoint", "tokens"],
)
def test_programs_of_the_page_run(program: str, output: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(output)


def test_every_setting_and_no_other_is_in_the_table() -> None:
    (table,) = re.findall(r"\| setting .*?\n\n", PAGE, flags=re.DOTALL)
    named = {name for row in table.splitlines()[2:] for name in _code(row, 1)}
    assert named == {field.name for field in dataclasses.fields(ControlSettings)}


def test_every_variable_of_the_table_is_read() -> None:
    (table,) = re.findall(r"\| setting .*?\n\n", PAGE, flags=re.DOTALL)
    named = {name for row in table.splitlines()[2:] for name in _code(row, 3)}
    documented = ControlSettings.from_environment.__doc__ or ""
    assert named == {
        name.removeprefix("EVERACT_CONTROL_").removeprefix("_")
        for name in re.findall(r"``([A-Z_]+)``", documented)
    }
    for name in named - {"TLS_CLIENT_CA", "PUBLIC_ADDRESS"}:
        given = {"EVERACT_CONTROL_" + name: "?"}
        if name in ("ALLOWED_HOSTS", "ALLOWED_ORIGINS"):
            with pytest.raises(ValueError):
                ControlSettings.from_environment(given)
        else:
            with pytest.raises(ValueError, match=name):
                ControlSettings.from_environment(given)


def test_numbers_and_scopes_are_the_codes() -> None:
    settings = ControlSettings()
    assert settings.body_limit == 4 * 1024**2 and "4 MiB" in PAGE
    assert f"{settings.header_limit} bytes a line, {settings.header_count}" in PAGE
    assert settings.idle_timeout == settings.body_timeout == 30
    assert HANDSHAKE_SECONDS == 10
    assert LOOK_AGAIN_SECONDS == 5
    (table,) = re.findall(r"\| scope .*?\n\n", PAGE, flags=re.DOTALL)
    rows = [row.split("|")[1].strip() for row in table.splitlines()[2:] if row]
    assert rows == [scope.value for scope in Scope]


def _code(row: str, column: int) -> list[str]:
    cells = row.split("|")
    return re.findall(r"`(\w+)`", cells[column]) if len(cells) > column else []
