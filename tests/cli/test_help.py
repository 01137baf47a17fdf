"""Help of every command, and the page that lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from everact.runtime.cli.exits import MEANING
from everact.runtime.cli.main import everact, main

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")


def commands(
    group: click.Group = everact, above: str = ""
) -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


COMMANDS = dict(commands())
EVERY = pytest.mark.parametrize("name", COMMANDS)


@EVERY
def test_every_command_helps_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(everact, [*name.split(), "--help"])
    assert shown.exit_code == 0
    if name != "version":
        assert re.search(rf"Examples?:\n(.*\n)*?.*everact {name}", shown.output)
    assert "--json" in shown.output


@EVERY
def test_every_option_says_what_it_is(name: str) -> None:
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, option.name


@EVERY
def test_every_command_prints_json_on_demand(name: str) -> None:
    assert "--json" in {o for p in COMMANDS[name].params for o in p.opts}


def test_the_page_lists_every_command_and_no_other() -> None:
    (table,) = re.findall(r"\| command .*?\n\n", PAGE, flags=re.DOTALL)
    listed = {
        " ".join(w for w in found.split() if w.islower())
        for found in re.findall(r"^\| `everact ([^`]+)`", table, re.MULTILINE)
    }
    assert listed == set(COMMANDS)


def test_the_page_lists_every_exit_code_with_its_meaning() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(str(int(code)), said) for code, said in MEANING.items()]


def test_every_option_of_the_page_exists() -> None:
    known = {o for command in COMMANDS.values() for p in command.params for o in p.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - {"--help"}
    assert named <= known | {"--its-option"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["completion", shell])
    assert "_EVERACT_COMPLETE" in capsys.readouterr().out


def test_a_completion_knows_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_EVERACT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "everact des")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.splitlines() == ["plain,describe"]
