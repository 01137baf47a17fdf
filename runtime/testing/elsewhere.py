"""Replay in another process: another hash seed, another time zone, another clock."""

import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import spawn
from operator import attrgetter
from typing import Any

from everact.runtime.definitions.workflows import WorkflowDefinition, definition_of
from everact.runtime.errors import NonDeterminismError
from everact.runtime.testing.histories import History
from everact.runtime.values.converter import DataConverter
from everact.runtime.values.payloads import classes_by_value

LIMIT = 300.0
"""Seconds that the other process may take."""

_PROGRAM = """
import time
for name in ("time", "monotonic"):
    clock = getattr(time, name)
    setattr(time, name, lambda clock=clock: clock() + 864e5)
from everact.runtime.testing.elsewhere import answer
answer()
"""
"""Off from the first moment on: `from time import time` gets that clock as well."""


def replay_elsewhere(
    pairs: Sequence[tuple[History, WorkflowDefinition]], values: DataConverter | None
) -> None:
    """Replay each history with its code; NonDeterminismError as `replay` raises it.

    Modules are imported anew there, the script's own too, as by a process that
    `multiprocessing` spawns. Functions within functions travel with their code.
    """
    seed = os.environ.get("PYTHONHASHSEED")
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "12345" if seed != "12345" else "54321",
        "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path),
        "TZ": "Pacific/Kiritimati",
    }
    work = [(history, _place(definition)) for history, definition in pairs]
    preparation = spawn.get_preparation_data("everact replay")
    preparation.pop("authkey", None)  # a secret of this process
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=pickle.dumps(preparation) + classes_by_value((work, values)),
        stdout=subprocess.PIPE,
        env=environment,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            "the process that was to replay the histories ended with "
            f"{done.returncode}; its standard error says why"
        )
    found = pickle.loads(done.stdout)
    if found is not None:
        error, notes = found
        for note in (*notes, "replayed in a process with another hash seed"):
            error.add_note(note)
        raise error


def answer() -> None:
    """The other process: replay what comes in, say what does not fit."""
    from everact.runtime.testing.replaying import replay_one

    source, out = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what author code prints is not an answer
    spawn.prepare(pickle.load(source))
    work, values = pickle.load(source)
    found: Any = None
    for history, place in work:
        try:
            replay_one(history, _definition(place), values)
        except NonDeterminismError as error:
            found = error, error.__notes__
            break
    out.write(pickle.dumps(found))
    out.flush()


def _place(definition: WorkflowDefinition) -> tuple[str, str] | bytes:
    """Where a definition is found in its module; its code if it is not there."""
    target: Any = definition.cls or definition.function
    place = target.__module__, target.__qualname__
    try:
        if _definition(place) is definition:
            return place
    except (ImportError, AttributeError):
        pass
    return classes_by_value(definition)


def _definition(place: tuple[str, str] | bytes) -> WorkflowDefinition:
    if isinstance(place, bytes):
        loaded: WorkflowDefinition = pickle.loads(place)
        return loaded
    module, name = place
    found = definition_of(attrgetter(name)(importlib.import_module(module)))
    if found is None:
        raise AttributeError(f"{name} of {module} is no workflow")
    return found
