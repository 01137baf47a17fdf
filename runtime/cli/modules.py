"""Modules of the user: imported by name, or from a file, with their mistakes told."""

import importlib
import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from everact.runtime.cli.exits import Mistake
from everact.runtime.definitions.tasks import Task
from everact.runtime.definitions.workflows import definition_of

_STANDARD = Path(traceback.__file__).parent


def load(given: str) -> ModuleType:
    """Import ``package.module``, or the file ``path/to/module.py`` as `module`.

    The working directory, or the file's folder, comes first on the path, as with
    ``python``. Mistake if it cannot be imported.
    """
    is_file = given.endswith(".py")
    folder = Path(given).absolute().parent if is_file else Path.cwd()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return _from_file(Path(given).absolute()) if is_file else _named(given)
    except click.ClickException:
        raise
    except Exception as error:
        raise Mistake(
            f"{given} cannot be imported: {type(error).__name__}: {error}{_at(error)}"
        ) from error
    except SystemExit as error:
        raise Mistake(
            f"{given} ends the program when it is imported (exit {error.code}): put "
            'what it does under `if __name__ == "__main__":`'
        ) from error


def find(given: str) -> Any:
    """The workflow or task that ``MODULE:NAME`` stands for; Mistake if none."""
    module_name, _, name = given.rpartition(":")
    module = load(module_name)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Task) or definition_of(found) is not None:
        return found
    here = sorted(
        key
        for key, value in vars(module).items()
        if isinstance(value, Task) or definition_of(value) is not None
    )
    known = ", ".join(here) or "none"
    raise Mistake(
        f"{name!r} in {module_name} is no workflow or task; there are: {known}"
    )


def _named(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise Mistake(
            f"{name!r} is not a module: write package.module, or a file ending in .py"
        )
    return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    name = path.stem
    if not path.is_file():
        raise Mistake(f"there is no file {path}")
    if not name.isidentifier():
        raise Mistake(
            f"{path.name} cannot be imported: rename it to letters, digits and _"
        )
    known = sys.modules.get(name)
    if known is not None or name in sys.stdlib_module_names:
        if known is not None and getattr(known, "__file__", None) == str(path):
            return known
        raise Mistake(
            f"another module is called {name!r}: rename {path.name}, so that what it "
            "defines can be found again"
        )
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _at(error: BaseException) -> str:
    """Where in the user's code it was raised."""
    if isinstance(error, SyntaxError):
        return ""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__
        and not frame.filename.startswith("<")
        and not Path(frame.filename).is_relative_to(_STANDARD)
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
