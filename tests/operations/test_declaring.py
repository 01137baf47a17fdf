"""What `@operation` refuses while a module is imported: half a declaration."""

from typing import Any

import msgspec
import pytest

from everact.runtime.core.opaque import Document, Payload, holds_payloads
from everact.runtime.operations.base import (
    OPERATIONS,
    Request,
    as_it_came,
    operation,
)
from everact.runtime.operations.table import OPERATIONS as TABLE


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    notes: dict[str, Payload | None] = {}
    next: "Inner | None" = None


class Carrying(Request[None], frozen=True, kw_only=True):
    inner: tuple[Inner, ...] = ()


class Plain(Request[Payload], frozen=True, kw_only=True):
    about: Document = b""
    raw: bytes = b""


async def nothing(_: Any, __: Any) -> None: ...


def test_payloads_are_found_however_deep_they_are() -> None:
    assert holds_payloads(Carrying) and holds_payloads(tuple[Inner | None, int])
    assert not holds_payloads(Plain) and not holds_payloads(dict[str, int])


@pytest.mark.parametrize(
    ("request_type", "hook"), [(Carrying, None), (Plain, as_it_came)]
)
def test_an_operation_with_payloads_says_how_they_get_their_types(
    request_type: Any, hook: Any
) -> None:
    with pytest.raises(TypeError, match=r"runs\.x: `typed` and payloads"):
        operation("runs.x", request_type, typed=hook)(nothing)
    assert request_type not in OPERATIONS


def test_every_operation_with_payloads_has_its_hook() -> None:
    assert len(TABLE) > 40
    for request_type, row in TABLE.items():
        assert holds_payloads(request_type) == (row.typed is not None), row.name
