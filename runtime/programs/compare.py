"""Whether a produced command is the recorded one, and how both look to people."""

import reprlib
from collections.abc import Iterable
from typing import Any

import msgspec

from everact.runtime import errors
from everact.runtime.core.bounds import LAST_MOMENT
from everact.runtime.core.records import (
    AwaitEvent,
    CancelCall,
    Command,
    Complete,
    CompleteUpdate,
    Fail,
    StartTimer,
    UpsertAttributes,
    UpsertMemo,
)
from everact.runtime.isolation import read
from everact.runtime.values.coded import coded
from everact.runtime.values.payloads import Converter, unwrapped

_TELLING = ["call", "name", "workflow_id", "due", "update_id", "key", "scope", "filter"]
"""Fields that are shown as they are."""

_BUILTIN = frozenset(
    {int, str, bytes, float, bool, type(None), list, tuple, dict, set, frozenset}
)


def check(
    name: str,
    number: int,
    recorded: tuple[Command, ...],
    produced: list[Command] | None,
    values: Converter,
) -> None:
    """Raise NonDeterminismError if activation `number` of `name` is not as recorded."""
    if produced is not None and len(recorded) == len(produced):
        if recorded == tuple(produced):
            return
        pairs = zip(recorded, produced, strict=True)
        if all(same(*pair, values) for pair in pairs):
            return
    old = shown(recorded, values)
    new = (
        "code that does not come to a wait"
        if produced is None
        else shown(produced, values)
    )
    raise errors.NonDeterminismError(
        f"the code of {name!r} does not fit what the run recorded: "
        f"in activation {number} the run recorded [{old}], and the code now asks "
        f"for [{new}]. Restore the code that the run was started with, or "
        "terminate the run.",
        old,
        new,
    )


def same(recorded: Command, produced: Command, values: Converter) -> bool:
    """Whether both ask for the same: type, call, name, then arguments.

    Options (retries, timeouts) may have changed since; what was recorded holds.
    """
    if type(recorded) is not type(produced):
        return False
    if recorded == produced:
        return True
    if isinstance(recorded, Fail) and isinstance(produced, Fail):
        return recorded.failure.type == produced.failure.type
    if isinstance(recorded, Complete) and isinstance(produced, Complete):
        return _same_payload(recorded.result, produced.result, values)
    if isinstance(recorded, CompleteUpdate) and isinstance(produced, CompleteUpdate):
        return recorded.update_id == produced.update_id and _same_answer(
            recorded, produced, values
        )
    if isinstance(recorded, StartTimer) and isinstance(produced, StartTimer):
        ends = produced.due == LAST_MOMENT <= recorded.due  # infinite, once
        return ends and recorded.call == produced.call
    if isinstance(recorded, (StartTimer, CancelCall, AwaitEvent)):
        return False
    if isinstance(recorded, UpsertAttributes) and isinstance(
        produced, UpsertAttributes
    ):
        return recorded.attributes.keys() == produced.attributes.keys()
    if isinstance(recorded, UpsertMemo) and isinstance(produced, UpsertMemo):
        return recorded.memo.keys() == produced.memo.keys()
    for field in ("call", "workflow_id"):
        if getattr(recorded, field, None) != getattr(produced, field, None):
            return False
    return getattr(recorded, "name", None) == getattr(
        produced, "name", None
    ) and _same_arguments(recorded, produced, values)


def _same_answer(
    recorded: CompleteUpdate, produced: CompleteUpdate, values: Converter
) -> bool:
    old, new = recorded.failure, produced.failure
    if old is None or new is None:
        return old is new and _same_payload(recorded.result, produced.result, values)
    return old.type == new.type


def _same_arguments(recorded: Any, produced: Any, values: Converter) -> bool:
    old, new = getattr(recorded, "args", ()), getattr(produced, "args", ())
    if len(old) != len(new):
        return False
    if not all(_same_payload(*pair, values) for pair in zip(old, new, strict=True)):
        return False
    old, new = getattr(recorded, "kwargs", {}), getattr(produced, "kwargs", {})
    return old.keys() == new.keys() and all(
        _same_payload(old[k], new[k], values) for k in old
    )


def _same_payload(old: bytes, new: bytes, values: Converter) -> bool:
    """Equal bytes, or equal builtin values, or values that cannot be compared.

    Equal lists can pickle differently, and so can two instances of a class; a codec
    may never make the same twice.
    """
    old, new = unwrapped(values, old), unwrapped(values, new)
    if old == new:
        return True
    if old[:1] == b"c" and new[:1] == b"c":
        return True
    first, second = values.decode(old), values.decode(new)
    if type(first) in _BUILTIN and type(second) in _BUILTIN:
        return type(first) is type(second) and bool(first == second)
    return True


def shown(commands: Iterable[Command], values: Converter) -> str:
    """Commands in a line, with what tells them from others."""
    return ", ".join(_show(c, values) for c in commands) or "nothing"


def _show(command: Command, values: Converter) -> str:
    fields = msgspec.structs.asdict(command)
    parts = [f"{name}={fields[name]!r}" for name in _TELLING if name in fields]
    parts += [_show_payload(a, values) for a in fields.get("args", ())]
    named = fields.get("kwargs", {})
    parts += [f"{k}={_show_payload(a, values)}" for k, a in named.items()]
    if isinstance(command, Complete):
        parts.append(_show_payload(command.result, values))
    if isinstance(command, Fail):
        parts.append(f"{command.failure.type}: {command.failure.message}")
    return f"{type(command).__name__}({', '.join(parts)})"


def _show_payload(payload: bytes, values: Converter) -> str:
    """A builtin value as it is written; anything else is not loaded for this."""
    if coded(payload) is not None:
        return "<coded>"  # messages are seen by those who have no codec
    if payload[:1] == b"c":
        return "<object>"
    return read(lambda: reprlib.repr(values.decode(payload)), "<object>")
