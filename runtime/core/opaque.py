"""What the opaque bytes in a record or a request stand for, told by their type.

To the core they are bytes. Whoever shows a record to the world outside needs to know
more: a payload is an encoded user value, a document is JSON already, and bytes that
are neither (pickled exceptions) are for this installation alone and are not shown.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

PAYLOAD: Final = "payload"
DOCUMENT: Final = "document"
STANDS_FOR: Final = "stands for"

Payload: TypeAlias = Annotated[bytes, Meta(extra={STANDS_FOR: PAYLOAD})]
"""A user value, encoded by a converter. Empty bytes mean that there is none."""

Document: TypeAlias = Annotated[bytes, Meta(extra={STANDS_FOR: DOCUMENT})]
"""A JSON object. Empty bytes mean that there is none."""
