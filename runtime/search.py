"""Looking for runs: search attributes, lists and counts."""

from everact.runtime.client.listing import (
    RunIterator,
)
from everact.runtime.client.views import (
    RunLine,
)
from everact.runtime.definitions.search_attributes import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from everact.runtime.operations.searching import (
    CountGroup,
    RunCount,
)

__all__ = [
    "CountGroup",
    "RunCount",
    "RunIterator",
    "RunLine",
    "SearchAttributeKey",
    "SearchAttributePair",
    "TypedSearchAttributes",
]
