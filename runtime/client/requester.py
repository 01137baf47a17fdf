"""A client as its parts see it: who asks, by what way, in which namespace.

Handles and the nouns of a client are given this, and not the client.
"""

from typing import Protocol

from everact.runtime.client.transport import Transport
from everact.runtime.values.converter import DataConverter


class Requester(Protocol):
    """Whoever sends requests for a handle."""

    identity: str
    values: DataConverter
    default_query_reject_condition: str

    @property
    def transport(self) -> Transport:
        """What a request is handed to. RuntimeStateError if it is closed."""
        ...

    @property
    def namespace(self) -> str:
        """What all reads and writes are confined to."""
        ...
