"""Replay of recorded histories: does this code still do what the runs recorded?

Replaying executes workflow code and nothing else: no task runs, nothing is stored. It
happens under another clock and another random state than the run had, so that code
which looks at either gives itself away; what depends on the order of sets of texts
shows only in a process with another hash seed, see `elsewhere`.
"""

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from everact.runtime.definitions.registry import Registry, default_registry
from everact.runtime.definitions.workflows import WorkflowDefinition, definition_of
from everact.runtime.errors import NonDeterminismError
from everact.runtime.isolation import class_name, contained, read
from everact.runtime.programs.kinds import bring_back, definition_for, program_of
from everact.runtime.testing.histories import History
from everact.runtime.values.converter import DataConverter
from everact.runtime.values.payloads import JSON_TAG, PickleConverter

SHIFT = 1000 * 86400.0 + 12_345.0
"""Seconds by which the clocks are off while a history is replayed."""


def replay(
    recorded: History | Iterable[History],
    workflow: Any = None,
    *,
    registry: Registry | None = None,
    data_converter: DataConverter | None = None,
    elsewhere: bool = False,
) -> None:
    """Check that code fits what runs have recorded.

    `workflow` is the workflow or its class; without it, the one that `registry`
    (default: the process-wide one) has under the name in the history. `data_converter`
    is the one that the runs were recorded with. A history that came over HTTP has its
    values as JSON, and the code gets them so: it fits workflows that use no others.

    With `elsewhere` the code is run in another process, with another hash seed.

    Raises NonDeterminismError, which says for the first activation that differs what
    was recorded and what the code asks for now, and for which run; LookupError if
    there is no such workflow.
    """
    chosen = [recorded] if isinstance(recorded, History) else list(recorded)
    if elsewhere and chosen:
        from everact.runtime.testing.elsewhere import replay_elsewhere

        known = registry or default_registry()
        pairs = [(one, _definition(one, workflow, known)) for one in chosen]
        replay_elsewhere(pairs, data_converter)
        return
    for one in chosen:
        replay_one(
            one,
            _definition(one, workflow, registry or default_registry()),
            data_converter,
        )


def replay_one(
    recorded: History, definition: WorkflowDefinition, values: DataConverter | None
) -> None:
    """Replay one history with the code of `definition`."""
    converter = values or DataConverter.default
    if recorded.as_json:
        converter = DataConverter(AsJson())
    state, script = recorded.folded()
    program = program_of(definition, state.start, state.generation, converter)
    try:
        with other_clock(), _other_chance():
            bring_back(program, state, script)
    except NonDeterminismError as error:
        error.add_note(f"in the history of {recorded}")
        raise
    finally:
        program.close()


def _definition(
    recorded: History, workflow: Any, registry: Registry
) -> WorkflowDefinition:
    if workflow is not None:
        found = definition_of(workflow)
        if found is None:
            raise TypeError(f"{workflow!r} is not a workflow")
        return found
    start = recorded.state.start
    made = definition_for(registry, start.name, start.kind)
    if made is None:
        raise LookupError(
            f"no workflow named {recorded.workflow!r} is registered here: import its "
            "module, or give the workflow"
        )
    return made


class AsJson(PickleConverter):
    """Encodes as the values of an engine are shown over HTTP."""

    def encode(self, value: Any, what: str = "the value") -> bytes:
        try:
            return JSON_TAG + msgspec.json.encode(value)
        except BaseException as error:
            contained(error)
            kind, name = type(value), class_name(value)
            place = read(lambda: f"{kind.__module__}.{name}", name)
            return JSON_TAG + msgspec.json.encode({"$python": place})

    def decode(self, payload: bytes) -> Any:
        if payload[:1] == JSON_TAG:
            return msgspec.json.decode(payload[1:])
        return super().decode(payload)


@contextmanager
def other_clock() -> Iterator[None]:
    """The clocks of the `time` module are off by `SHIFT`."""
    real = {name: getattr(time, name) for name in _CLOCKS}
    for name, shift in _CLOCKS.items():
        setattr(time, name, _shifted(real[name], shift))
    try:
        yield
    finally:
        for name, clock in real.items():
            setattr(time, name, clock)


_CLOCKS: dict[str, float | int] = {
    "time": SHIFT,
    "monotonic": SHIFT,
    "perf_counter": SHIFT,
    "time_ns": int(SHIFT) * 10**9,
    "monotonic_ns": int(SHIFT) * 10**9,
    "perf_counter_ns": int(SHIFT) * 10**9,
}


def _shifted(clock: Any, shift: float) -> Any:
    return lambda: clock() + shift


@contextmanager
def _other_chance() -> Iterator[None]:
    """The module `random` is at another place of another sequence."""
    before = random.getstate()
    random.seed()
    try:
        yield
    finally:
        random.setstate(before)
