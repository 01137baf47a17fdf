"""What README, docs/cli.md and docs/operations.md say, done."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from prometheus_client.parser import text_string_to_metric_families

from everact.runtime import Registry, Runtime
from everact.runtime.cli.main import everact
from everact.runtime.control.metrics import Metrics
from tests.cli.conftest import Shell

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {
    name: (ROOT / name).read_text("utf-8")
    for name in ("README.md", "docs/cli.md", "docs/operations.md", "docs/security.md")
}


def lines() -> list[str]:
    """Every command that a page lets a reader type."""
    return [
        found
        for page in PAGES.values()
        for found in re.findall(r"^(?:    )?(everact [^\n|#]+)", page, re.MULTILINE)
    ]


@pytest.mark.parametrize("line", lines())
def test_commands_of_the_pages_can_be_typed(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = everact
    context = click.Context(everact)
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = click.Context(command, info_name=name, parent=context)
    command.parse_args(context, words)


@pytest.mark.real_time
def test_five_minutes_to_a_run(shell: Shell) -> None:
    section = README.partition("## Five minutes")[2]
    (program,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (shell.folder / "flows.py").write_text(program.replace("20", "0.2"))
    with shell.serving("flows.py", "--address", "127.0.0.1:0") as ready:
        there = shell.within(EVERACT_ADDRESS=ready["address"])
        commands = re.findall(
            r"^    (everact (?:start|result).*)$", section, re.MULTILINE
        )
        done = [there(*shlex.split(line)[1:]) for line in commands]
    assert [(one.code, one.out) for one in done] == [
        (0, "greet-1\n"),
        (0, "Hello Ada\n"),
    ]


@pytest.mark.real_time
def test_the_program_of_the_page_runs_beside_an_engine(processes: Shell) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGES["docs/cli.md"], re.DOTALL)
    (processes.folder / "program.py").write_text(program)
    assert processes("exec", "program.py").out == "42\n"


async def test_every_metric_of_the_page_exists(tmp_path: Path) -> None:
    async with Runtime(tmp_path / "m.db", registry=Registry()) as runtime:
        text = Metrics(runtime.engine).text().decode()
    families = list(text_string_to_metric_families(text))
    known = {family.name for family in families}
    known |= {f"{family.name}_total" for family in families if family.type == "counter"}
    (table,) = re.findall(r"\| metric .*?\n\n", PAGES["docs/operations.md"], re.DOTALL)
    named = set(re.findall(r"`(everact_\w+)`", table))
    assert named
    assert named <= known
    assert {family.name for family in families} <= {
        name.removesuffix("_total") for name in named
    }


@pytest.mark.parametrize("name", ["docs/cli.md", "docs/operations.md"])
def test_links_of_the_pages_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^):#]+)", PAGES[name])
    folder = (ROOT / name).parent
    missing = [link for link in links if not (folder / link).exists()]
    assert missing == []
