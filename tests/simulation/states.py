"""Whether memory and disk tell the same story of a run."""

import math
from typing import Any

from everact.runtime.core.records import AwaitEvent, Transition
from everact.runtime.core.state import RunState
from everact.runtime.engine.loading import load_state
from everact.runtime.engine.run.actor import RunActor
from everact.runtime.engine.seal import Seal
from everact.runtime.programs.base import Saving
from everact.runtime.programs.kinds import bring_back, definition_for, program_of
from everact.runtime.store.searching import attributes_found
from everact.runtime.testing.ledger import Broken
from everact.runtime.values.converter import DataConverter
from tests.simulation.image import Image
from tests.simulation.store import KEY

_seal = Seal(KEY)
_LAZY = ("timers", "tries", "unsettled")


def fields(state: RunState) -> dict[str, Any]:
    """All of a state, what is made on first need in its settled form."""
    plain = {n: v for n, v in state.__getstate__().items() if n not in _LAZY}
    plain["moments"] = state.moments() if not state.status else []
    plain["unsettled"] = state.calls.unsettled or set()
    plain["tries"] = {
        call: {name: getattr(tries, name) for name in tries.__slots__}
        for call, tries in (state.calls.tries or {}).items()
    }
    return plain


def difference(one: RunState, other: RunState) -> str:
    """What two states differ in, as text; empty if they are equal."""
    left, right = fields(one), fields(other)
    return ", ".join(
        f"{name}: {left[name]!r} / {right[name]!r}"
        for name in left
        if left[name] != right[name]
    )


def folded(image: Image, key: int, *, checkpoint: bool = True) -> RunState:
    """A run's state out of its rows."""
    stored = image.load(key, checkpoint=checkpoint)
    assert stored is not None
    return load_state(_seal, stored).state


def compare_live(image: Image, run: RunActor) -> None:
    """A run in memory with nothing in flight is what its rows say."""
    key = run.row.key
    different = difference(run.state, folded(image, key))
    if different:
        raise Broken(f"{run}: memory / disk differ in {different}")
    calls = run.state.calls
    waits = {call for call, command in calls.items() if type(command) is AwaitEvent}
    if waits != image.waits(key):
        raise Broken(f"{run}: waits for events in {waits}, stored {image.waits(key)}")
    row = image.runs[key]
    wake = run.state.wake()
    if row.status != run.state.status or row.generation != run.state.generation:
        raise Broken(f"{run}: its index row is not of its state: {row}")
    on_disk = math.inf if row.wake_at is None else row.wake_at
    if not row.status and wake is not None and on_disk > wake:
        raise Broken(f"{run}: wakes at {wake}, its row says {on_disk}")
    rows = image.beside("attributes_of_runs", (f"[{key}]",))
    written = attributes_found(rows).get(key, {})
    options = run.state.labels.on(run.state.start.options)
    now = options.extras.attributes if options.extras else {}
    if written != now:
        raise Broken(f"{run}: {now} is found by {written}")


def compare_replays(image: Image, key: int, registry: Any) -> None:
    """Folding and replaying twice gives what once gives, with checkpoint or not."""
    whole = image.recover(key)
    assert whole is not None
    loaded = load_state(_seal, whole)
    state, script = loaded.state, loaded.script
    if state.status and image.waits(key):
        raise Broken(f"run {key} is closed and waits for events in {image.waits(key)}")
    for again in (folded(image, key), folded(image, key, checkpoint=False)):
        different = difference(state, again)
        if different:
            raise Broken(f"run {key}: read twice, it differs in {different}")
    if not script:
        return
    seen = [_replayed(state, script, registry) for _ in range(2)]
    if seen[0] != seen[1]:
        raise Broken(f"run {key}: replayed twice, it differs: {seen[0]} / {seen[1]}")


def _replayed(
    state: RunState, script: list[Transition], registry: Any
) -> tuple[Any, ...]:
    start, values = state.start, DataConverter.default
    definition = definition_for(registry, start.name, start.kind)
    assert definition is not None
    program: Any = program_of(definition, start, state.generation, values)
    try:
        bring_back(program, state, script)
        if isinstance(program, Saving):
            return (program.save(), program.where())
        loop = program.loop
        return (loop.last_call, sorted(loop.calls), loop.now, program.where())
    finally:
        program.close()
