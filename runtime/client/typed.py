"""Results as the types that the caller knows them by.

Values that come from elsewhere are JSON: the class is not in them but in the target's
return type, or in the `result_type` that the caller gave.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from everact.runtime.definitions.signature import type_hints
from everact.runtime.definitions.tasks import Task
from everact.runtime.definitions.updates import UpdateMethod
from everact.runtime.definitions.workflows import definition_of
from everact.runtime.errors import ValueNotReadable
from everact.runtime.values.converter import DataConverter


def decoded(
    values: DataConverter, payload: bytes, result_type: Any, target: Any = None
) -> Any:
    """The value of `payload`: of `result_type`, or of what `target` returns.

    Values that carry their class need neither and are given as they are.
    ValueNotReadable if a value does not fit its type.
    """
    if not values.hinted:
        return values.decode(payload)
    if result_type is None and target is not None:
        result_type = _returned(_function(target))
    kind = Any if result_type is None else result_type
    try:
        return values.decode_as(payload, kind)
    except msgspec.MsgspecError as error:
        name = getattr(kind, "__qualname__", kind)
        text = f"the value is no {name}, which was asked for: {error}"
        raise ValueNotReadable(text) from error


def _function(target: Any) -> Callable[..., Any] | None:
    """The code of a workflow, a task, or a method that takes messages."""
    if isinstance(target, str):
        return None
    if isinstance(target, Task | UpdateMethod):
        return target.function
    definition = definition_of(target)
    if definition is not None:
        return definition.function
    return target if callable(target) else None


@lru_cache(maxsize=1024)
def _returned(function: Callable[..., Any] | None) -> Any:
    """The return type of a function; None if it has none that can be evaluated."""
    kind = None if function is None else type_hints(function).get("return")
    return None if kind is type(None) else kind
