"""The environments: used only when whole, rebuilt when their input changes."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "environment.py"

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

# The least that pip accepts as an editable project: it needs no index.
BACKEND = """\
import pathlib, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    requires = pathlib.Path("setup.cfg").read_text()
    name = "sample-1.0-py3-none-any.whl"
    info = "sample-1.0.dist-info/"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("sample.pth", str(pathlib.Path.cwd()))
        meta = "Metadata-Version: 2.1\\nName: sample\\nVersion: 1.0\\n" + requires
        wheel.writestr(info + "METADATA", meta)
        tag = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(info + "WHEEL", tag)
        wheel.writestr(info + "RECORD", "")
    return name
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "a check out"
    root.mkdir()
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "setup.cfg").write_text("")
    (root / "backend.py").write_text(BACKEND)
    (root / "sample_module.py").write_text("")
    return root


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("environment_script", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Installer:
    """Stands where venv and pip stand: an interpreter in the folder, in no time."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.outcome: bool | BaseException = True

    def __call__(self, root: Path, folder: Path, extras: str) -> bool:
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(sys.executable)
        self.made.append(extras)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def test_a_stamped_environment_is_used_until_its_input_changes(
    environment: ModuleType, project: Path
) -> None:
    installer = Installer()
    first = environment.ensure(project, "base", install=installer)
    assert environment.ensure(project, "base", install=installer) == first
    assert installer.made == [""]
    assert (project / ".venv").resolve() == first
    assert (project / "build/src/everact").resolve() == project.resolve()

    for name in ("setup.cfg", "pyproject.toml"):
        (project / name).write_text("# changed\n")
        second = environment.ensure(project, "base", install=installer)
        assert second != first
        assert not first.exists()
        assert (project / ".venv").resolve() == second
        first = second
    assert installer.made == ["", "", ""]


def test_an_installation_that_failed_is_not_kept(
    environment: ModuleType, project: Path
) -> None:
    installer = Installer()
    installer.outcome = False
    assert environment.ensure(project, "base", install=installer) is None
    assert environment.ensure(project, "base", install=installer) is None
    assert installer.made == ["", ""]
    assert not (project / ".venv").exists()
    installer.outcome = True
    good = environment.ensure(project, "base", install=installer)

    # A failing change of its input leaves the good one for when it is taken back.
    before = (project / "setup.cfg").read_text()
    (project / "setup.cfg").write_text("# broken\n")
    installer.outcome = False
    assert environment.ensure(project, "base", install=installer) is None
    (project / "setup.cfg").write_text(before)
    assert environment.ensure(project, "base", install=installer) == good


def test_an_installation_that_was_killed_is_not_used(
    environment: ModuleType, project: Path
) -> None:
    installer = Installer()
    installer.outcome = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        environment.ensure(project, "base", install=installer)
    left = list((project / "build/environments").glob("base-*"))
    assert len(left) == 1
    (left[0] / "half").touch()

    installer.outcome = True
    assert environment.ensure(project, "base", install=installer) == left[0]
    assert installer.made == ["", ""]
    assert not (left[0] / "half").exists()


def test_a_fuller_environment_serves_the_lesser_levels(
    environment: ModuleType, project: Path
) -> None:
    installer = Installer()
    full = environment.ensure(project, "dev", install=installer)
    assert environment.ensure(project, "base", install=installer) == full
    assert environment.ensure(project, "bench", install=installer) == full
    assert installer.made == ["[dev]"]


def test_the_demo_gets_no_development_extras(
    environment: ModuleType, project: Path
) -> None:
    installer = Installer()
    base = environment.ensure(project, "base", install=installer)
    full = environment.ensure(project, "dev", install=installer)
    assert installer.made == ["", "[dev]"]
    # A demo that is running in the lesser one is not disturbed.
    assert base.exists()
    assert (project / ".venv").resolve() == full


def test_an_environment_for_another_interpreter_is_not_linked(
    environment: ModuleType, project: Path
) -> None:
    installer = Installer()
    full = environment.ensure(project, "dev", install=installer)
    apart = environment.ensure(project, "test", linked=False, install=installer)
    assert apart != full
    assert (project / ".venv").resolve() == full


def test_a_foreign_venv_folder_gives_way(
    environment: ModuleType, project: Path
) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    made = environment.ensure(project, "base", install=Installer())
    assert (project / ".venv").is_symlink()
    assert (project / ".venv").resolve() == made


def test_a_moved_checkout_is_built_anew(environment: ModuleType, project: Path) -> None:
    installer = Installer()
    environment.ensure(project, "base", install=installer)
    moved = project.with_name("moved")
    shutil.move(project, moved)
    second = environment.ensure(moved, "base", install=installer)
    assert second.is_relative_to(moved)
    assert installer.made == ["", ""]


def test_real_venv_and_pip_make_it_or_say_what_they_need(project: Path) -> None:
    def make() -> subprocess.CompletedProcess[str]:
        surroundings = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
        return subprocess.run(
            [sys.executable, SCRIPT, project, "base"],
            # No index, and a user's setting that would misplace the packages.
            env=surroundings | {"PIP_NO_INDEX": "1", "PIP_USER": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    made = make()
    assert made.returncode == 0, made.stderr
    python = made.stdout.strip()
    subprocess.run([python, "-c", "import sample_module"], check=True, cwd="/")

    (project / "setup.cfg").write_text("Requires-Dist: no-such-distribution\n")
    failed = make()
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "no-such-distribution" in failed.stderr
    assert "needs a package index" in failed.stderr
    assert len(list((project / "build/environments").glob("*/complete"))) == 1
