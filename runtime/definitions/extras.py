"""Less common options of starts, checked: priority, texts, metadata, cron.

Starts from outside and those of child runs take the same options.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

import msgspec

from everact.runtime.core.cron import cron_times
from everact.runtime.core.durations import Duration
from everact.runtime.core.records import NO_EXTRAS, Extras
from everact.runtime.core.retry import RetryPolicy
from everact.runtime.definitions.search_attributes import (
    SearchAttributes,
    attributes_of,
)
from everact.runtime.values.payloads import checked_text


class StartingAnyRun(TypedDict, total=False):
    """The keyword options that starts from outside and those of child runs share."""

    kwargs: dict[str, Any] | None
    id: str | None
    retry: RetryPolicy | None
    run_timeout: Duration | None
    execution_timeout: Duration | None
    parameters: dict[str, Any] | None
    context: dict[str, Any] | None
    memo: dict[str, Any] | None
    additional_metadata: dict[str, Any] | None
    search_attributes: SearchAttributes | None
    priority: int | None
    on_reuse: str


PRIORITIES = (1, 2, 3)
"""Low, medium, high."""


def extras_of(options: Mapping[str, Any], inherited: bytes = b"") -> Extras | None:
    """The extras among the `options` of a start; None if there are none.

    `inherited` is a JSON object of metadata that those given are merged into.
    ValueError, or TypeError for metadata that is not JSON-able.
    """
    summary = options.get("static_summary") or ""
    if len(summary.splitlines()) > 1:
        raise ValueError("static_summary must be one line; static_details may be more")
    made = Extras(
        priority=checked_priority(options.get("priority")),
        static_summary=checked_text(summary, "static_summary"),
        static_details=checked_text(
            options.get("static_details") or "", "static_details"
        ),
        metadata=_merged(inherited, options.get("additional_metadata")),
        cron=_checked_cron(options),
        attributes=attributes_of(options.get("search_attributes")),
    )
    return None if made == NO_EXTRAS else made


def _checked_cron(options: Mapping[str, Any]) -> str:
    cron: str = options.get("cron_schedule") or ""
    if cron:
        cron_times(cron)
        delays = [options.get(name) for name in ("start_delay", "scheduled_start_time")]
        if any(delay is not None for delay in delays):
            raise ValueError("a run with a cron_schedule takes no start_delay")
    return cron


def checked_priority(given: int | None) -> int:
    """A priority, 0 for None; ValueError unless it is 1 to 3."""
    if given is None:
        return 0
    if isinstance(given, bool) or given not in PRIORITIES:
        raise ValueError(f"priority must be 1, 2 or 3 (the highest), not {given!r}")
    return given


def json_object(value: Any, what: str) -> bytes:
    """A dictionary as a JSON object, empty for None; TypeError if it cannot be one.

    What would come back as another value is refused: NaN, bytes, sets, dates, objects,
    and keys that are no text. A tuple comes back as a list.
    """
    if value is None:
        return b""
    if not isinstance(value, dict):
        raise TypeError(f"{what} must be a dictionary, not {type(value).__name__}")
    try:
        _check_json(value, what)
        return msgspec.json.encode(value)
    except (TypeError, ValueError, msgspec.EncodeError) as error:
        raise TypeError(f"{what} must be JSON-able: {error}") from error


def _check_json(value: Any, what: str) -> None:
    """TypeError for what JSON cannot give back as it is, however deep it is nested."""
    left, seen = [value], {id(value)}
    while left:
        one = left.pop()
        inner: Iterable[Any] = ()
        if isinstance(one, dict):
            for key in one:
                if not isinstance(key, str):
                    raise TypeError(f"a key in {what} is no text: {key!r}")
            inner = one.values()
        elif isinstance(one, (list, tuple)):
            inner = one
        elif isinstance(one, float) and not math.isfinite(one):
            raise TypeError(f"{one} is in {what}, which JSON cannot say")
        elif one is not None and not isinstance(one, (str, int, float)):
            raise TypeError(f"a {type(one).__name__} is in {what}")
        for part in inner:
            if isinstance(part, (dict, list, tuple)):
                if id(part) in seen:  # checked, or in itself, which is refused later
                    continue
                seen.add(id(part))
            left.append(part)


def _merged(inherited: bytes, given: Any) -> bytes:
    own = json_object(given, "additional_metadata")
    if not inherited or not own:
        return own or inherited
    merged = msgspec.json.decode(inherited) | msgspec.json.decode(own)
    return msgspec.json.encode(merged)
