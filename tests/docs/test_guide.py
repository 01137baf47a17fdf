"""The guide: programs print what it says, numbers are the code's, links lead on."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from everact.runtime import EveractError, Runtime, RuntimeThread
from everact.runtime.client.starting import TASK_TIMEOUT, Starting
from everact.runtime.core import blame, ranks
from everact.runtime.core.statuses import RETRIED
from everact.runtime.definitions.author import ON_PARENT_CLOSE
from everact.runtime.definitions.tasks import FUNCTION_RETRY
from everact.runtime.engine import resting, watchdog, workers
from everact.runtime.engine.execution import limits
from everact.runtime.engine.parts import retention
from everact.runtime.public import MODULES
from everact.runtime.values import payloads

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs" / "guide.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
PROGRAMS = re.findall(
    r"```python\n(.*?)```\s+```output\n(.*?)```", PAGE, flags=re.DOTALL
)

PUBLIC = {
    name: getattr(module, name)
    for module in map(importlib.import_module, MODULES)
    if module.__name__ not in ("everact.runtime.control", "everact.runtime.testing")
    for name in module.__all__
}
OPTIONS = {
    name: parameter
    for name, parameter in inspect.signature(Runtime).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
}


def titles() -> list[str]:
    """The last title above each program, as the name of its test."""
    found, title = [], ""
    for line in PAGE.splitlines():
        if line.startswith("##"):
            title = line.strip("# ").replace(" ", "-")
        if line == "```python":
            found.append(title)
    return found


def test_every_program_of_the_guide_has_an_output() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") > 20


@pytest.mark.real_time
@pytest.mark.parametrize(("program", "output"), PROGRAMS, ids=titles())
def test_programs_of_the_guide_print_what_it_says(
    program: str, output: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == (output, 0), done.stderr
    # A run that is put aside is logged; anything else on that channel is a mistake.
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.slow
def test_programs_of_the_guide_satisfy_a_strict_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    link = CHECKOUT / "build" / "src" / "everact"  # what mypy finds the code through
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../..")
    for number, (program, _) in enumerate(PROGRAMS):
        (tmp_path / f"program{number}.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", f"--config-file={CHECKOUT}/setup.cfg"),
            *(f"--cache-dir={CHECKOUT}/build/mypy-types", "--no-error-summary"),
            *("--follow-imports=silent", *map(str, sorted(tmp_path.iterdir()))),
        ],
        check=False,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_in_the_guide(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


def test_every_error_is_explained() -> None:
    for name, found in PUBLIC.items():
        if isinstance(found, type) and issubclass(found, EveractError):
            assert f"`{name}`" in PROSE, name


@pytest.mark.parametrize("option", sorted(Starting.__annotations__))
def test_every_option_of_a_start_is_in_the_guide(option: str) -> None:
    assert f"`{option}" in PROSE or f"{option}=" in PAGE


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_every_option_of_a_runtime_is_in_the_guide(option: str) -> None:
    assert f"`{option}`" in PROSE.partition("### Options of a Runtime")[2]


def test_numbers_of_the_guide_are_those_of_the_code() -> None:
    said = " ".join(PROSE.split())
    policy = FUNCTION_RETRY
    assert (policy.attempts, policy.first, policy.longest) == (10, 1.0, 100.0)
    assert "**10 attempts**, 1 s apart and doubling up to 100 s" in said
    assert policy.temporary_only
    assert workers.DEFAULT_SLOTS == 1000
    assert "1000 slots" in said
    assert workers.DEFAULT_THREADS <= 32
    assert "as there are CPUs and 4 more, 32 at most" in said
    assert ranks.AGEING == 50
    assert "After 50 tasks in a row" in said
    assert resting.IDLE_RUNS == 10_240
    assert "(10,240)" in said
    assert resting.IDLE_BYTES == 64 * 1024 * 1024
    assert "(64 MiB)" in said
    assert resting.RUN_BYTES == 4.5 * 1024
    assert "counts with 4.5 KB" in said
    assert (blame.ENDS, blame.CHARGES) == (2, 3)
    assert "was executing at two ends in a row is tried apart" in said
    assert "After the third charge the task fails" in said
    assert (blame.TRIAL, blame.SILENCE) == (2, 2)
    assert "for up to 2 seconds" in said
    assert "nothing begins for 4 seconds" in said
    assert watchdog.OVERRUNS == 3
    assert "puts the run aside the third time" in said
    assert TASK_TIMEOUT.total_seconds() == 10
    assert "interrupts it after 10 s" in said
    assert payloads.LARGEST == 64 * 1024 * 1024
    assert "may take 64 MiB" in said
    assert limits.HEARTBEAT_INTERVAL == 1
    assert "at most once a second" in said
    assert retention.INTERVAL == 600
    assert "in small batches every ten minutes" in said


def test_defaults_of_a_runtime_are_those_of_the_guide() -> None:
    defaults = {name: option.default for name, option in OPTIONS.items()}
    assert defaults["retention"] == "30d"
    assert "30 days after their end" in PROSE
    assert defaults["grace"] == 10.0
    assert "`grace` (10 s)" in PROSE
    assert RuntimeThread.__init__.__defaults__ == ("everact.db",)


def test_statuses_that_are_retried_are_listed() -> None:
    said = " ".join(PROSE.split()).partition("Retried are ")[2].partition(".")[0]
    named = set(re.findall(r"[A-Z][A-Z_]+", said))
    assert named == {str(status) for status in RETRIED}


def test_the_settings_for_children_are_listed() -> None:
    for setting in ON_PARENT_CLOSE:
        assert f'| `"{setting}"`' in PROSE


def test_links_of_the_guide_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", PROSE, flags=re.MULTILINE)
    }
    links = re.findall(r"\]\(([^):]+)\)", PROSE)
    assert links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors
        else:
            assert (CHECKOUT / "docs" / link.partition("#")[0]).exists()
