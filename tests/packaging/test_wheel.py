"""What a user installs: a wheel built from the checkout, and the lists that rule it."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HALVES = ("actors", "runtime")


def checked_out(suffix: str) -> set[str]:
    """Names, inside a wheel, of the files of the two packages."""
    return {
        f"everact/{path.relative_to(ROOT).as_posix()}"
        for half in HALVES
        for path in (ROOT / half).rglob(f"*{suffix}")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the project's own backend, from a copy: building leaves traces."""
    source = tmp_path_factory.mktemp("source of everact")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for half in HALVES:
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / half, source / half, ignore=leave)
    target = source / "dist"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    done = subprocess.run(
        [*build, "--outdir", target, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = target.glob("*.whl")
    return made


def test_the_wheel_holds_every_module_sql_file_and_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    wanted = checked_out(".py") | checked_out(".sql") | checked_out("py.typed")
    wanted |= checked_out(".lark")
    wanted |= {name for name in checked_out("") if "/control/pages/" in name}
    assert names == wanted
    assert {"everact/actors/py.typed", "everact/runtime/py.typed"} <= names


def test_everact_is_a_namespace(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert "everact/__init__.py" not in archive.namelist()


def test_the_installed_wheel_can_be_imported(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import everact.actors, everact.runtime\n"
        "for module in (everact.actors, everact.runtime):\n"
        "    assert module.__file__.startswith(sys.argv[1]), module.__file__"
    )
    # -I: neither the checkout nor PYTHONPATH. -S hides an editable installation's
    # finder, so what the packages depend on is put back by hand.
    others = [p for p in sys.path if p.endswith("site-packages")]
    script = f"import sys; sys.path += {others!r}\n" + script
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, tmp_path], check=True, cwd=tmp_path
    )


def test_setup_cfg_lists_every_package() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    found = {
        "everact." + ".".join(path.parent.relative_to(ROOT).parts)
        for half in HALVES
        for path in (ROOT / half).rglob("__init__.py")
    }
    assert listed == sorted(found)
