"""The door: who asks an engine from outside, what they may, and within which limits.

It knows no protocol. A front turns what comes over its wire into requests and hands
them in here with their caller; the answers, and every refusal, come out as values that
it puts into its own words.
"""

from everact.runtime.door.callers import Caller, Callers
from everact.runtime.door.door import Door
from everact.runtime.door.limits import LARGEST_BODY, too_large
from everact.runtime.door.refusals import (
    MALFORMED,
    NotYet,
    TokenEnded,
    fault_of_ours,
    malformed,
)
from everact.runtime.door.rights import check_access, check_workspaces
from everact.runtime.door.tokens import Scope, Token, TokenFile

__all__ = [
    "LARGEST_BODY",
    "MALFORMED",
    "Caller",
    "Callers",
    "Door",
    "NotYet",
    "Scope",
    "Token",
    "TokenEnded",
    "TokenFile",
    "check_access",
    "check_workspaces",
    "fault_of_ours",
    "malformed",
    "too_large",
]
