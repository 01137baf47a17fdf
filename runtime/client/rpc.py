"""The options of every verb, `rpc_timeout` and `rpc_metadata`: what a call may carry.

These options concern the carrying of a request, not the request: they pass through
the verbs as they are, and only a transport looks at them.
"""

import inspect
import sys
from collections.abc import Mapping
from types import FrameType, MappingProxyType
from typing import Final, TypedDict

from everact.runtime.core.durations import Duration
from everact.runtime.core.keywords import closed


class RPC(TypedDict, total=False):
    """Keyword options of every operation.

    `rpc_metadata` are headers that are sent with each request of the operation, in
    place of the client's of the same name. `rpc_timeout` limits each single request,
    not the operation: what waits for a run asks again. RPCError DEADLINE_EXCEEDED
    when it is over; what was asked may have been done all the same.
    """

    rpc_metadata: Mapping[str, str]
    rpc_timeout: Duration | None


RPC_OPTIONS: Final = frozenset(RPC.__annotations__)


def rpc_of(options: RPC) -> RPC | None:
    """The options of this kind among `options`; None if there are none."""
    if "rpc_timeout" not in options and "rpc_metadata" not in options:
        return None
    return RPC(
        rpc_metadata=options.get("rpc_metadata", NO_METADATA),
        rpc_timeout=options.get("rpc_timeout"),
    )


def checked_rpc(rpc: RPC) -> RPC:
    """`rpc` if it has no other options; TypeError naming the verb that got one.

    The verbs pass their last keywords on as they are: what is none of their own
    parameters ends here, before anything is asked.
    """
    unknown = rpc.keys() - RPC_OPTIONS
    if unknown:
        verb, parameters = _verb(min(unknown))
        closed(rpc, RPC_OPTIONS | parameters, verb)
    return rpc


def _verb(unknown: str) -> tuple[str, set[str]]:
    """The verb that was given an unknown keyword, and the parameters that it has."""
    frame: FrameType | None = sys._getframe(2)
    name, parameters = "a request", set[str]()
    while frame is not None:
        code = frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount
        if code.co_flags & inspect.CO_VARKEYWORDS:
            rest = count + bool(code.co_flags & inspect.CO_VARARGS)
            if unknown in frame.f_locals[code.co_varnames[rest]]:
                name, parameters = code.co_qualname, set(code.co_varnames[:count])
        frame = frame.f_back
    return name, parameters


NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})


def checked_metadata(given: object) -> Mapping[str, str]:
    """`given` as a mapping of its own that cannot be changed.

    TypeError for anything but text by text, ValueError for what no header can hold.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"rpc_metadata must be a mapping, not {type(given).__name__}")
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("rpc_metadata must map text to text")
        if not name or not name.isascii() or set(name) & _NEVER_IN_A_NAME:
            raise ValueError(f"{name!r} is no name of a header in rpc_metadata")
        if not value.isprintable():  # the value may be a secret: it is not shown
            raise ValueError(f"the value of {name!r} in rpc_metadata is not printable")
    return MappingProxyType(dict(given))


_NEVER_IN_A_NAME = frozenset(' "(),/:;<=>?@[\\]{}') | {chr(n) for n in range(32)}
