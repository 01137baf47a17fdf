"""Values as payloads: any value comes back as itself, with its type."""

from __future__ import annotations

import dataclasses
import decimal
import enum
import math
import pathlib
import subprocess
import sys
import textwrap
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from everact.runtime.errors import ValueNotStorable
from everact.runtime.values import payloads
from everact.runtime.values.payloads import PickleConverter

VALUES = PickleConverter()

atoms: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.characters(codec=None, categories=["Cs"])
    | st.binary()
)
hashable: st.SearchStrategy[Any] = st.recursive(
    atoms,
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values: st.SearchStrategy[Any] = st.recursive(
    hashable | st.sets(hashable, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(hashable, inner, max_size=3)
    ),
    max_leaves=15,
)


def there_and_back(value: Any) -> Any:
    return VALUES.decode(VALUES.encode(value, "the value"))


def shape(value: Any) -> Any:
    """A value with the types of everything in it: 1, True and 1.0 are not the same."""
    if isinstance(value, list | tuple):
        return type(value), tuple(shape(item) for item in value)
    if isinstance(value, set | frozenset):
        return type(value), frozenset(shape(item) for item in value)
    if isinstance(value, dict):
        return dict, tuple((shape(k), shape(v)) for k, v in value.items())
    return type(value), repr(value)


@given(values)
def test_values_of_builtin_types_come_back_with_every_type_kept(value: Any) -> None:
    assert shape(there_and_back(value)) == shape(value)


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    __slots__ = ()


class Point(msgspec.Struct, frozen=True):
    x: int


@dataclasses.dataclass
class Order:
    lines: list[str]


@pytest.mark.parametrize(
    "value",
    [
        2**63 - 1,
        2**63,
        -(2**63),
        -(2**63) - 1,
        10**100,
        "\ud800 alone",
        ["\ud800"],
        "\x00",
        -0.0,
        math.inf,
        (1, (2, [3, {4}])),
        {1: "int", "1": "text"},
        {(1, 2): frozenset({3})},
        bytearray(b"x"),
        range(5),
        Colour.RED,
        Level.LOW,
        Name("n"),
        Point(1),
        Order(["a"]),
        decimal.Decimal("1.10"),
        uuid.UUID(int=7),
        pathlib.PurePosixPath("/a"),
        datetime(2026, 1, 1, tzinfo=UTC),
        timedelta(days=1),
        int,
        len,
        ValueError("v").args,
    ],
    ids=repr,
)
def test_a_value_keeps_its_type(value: Any) -> None:
    found = there_and_back(value)
    assert type(found) is type(value)
    assert found == value
    assert repr(found) == repr(value)


def test_a_nan_comes_back_as_one() -> None:
    assert math.isnan(there_and_back(math.nan))


def test_functions_and_closures_travel() -> None:
    factor = 3
    assert there_and_back(lambda x: x * factor)(2) == 6


def test_values_that_hold_themselves_come_back_so() -> None:
    value: list[Any] = [1]
    value.append(value)
    found = there_and_back(value)
    assert found[1] is found


def test_deep_values_come_back() -> None:
    value: list[Any] = []
    for _ in range(150):
        value = [value]
    assert there_and_back(value) == value


def test_objects_shared_within_a_value_stay_shared() -> None:
    inner = [1]
    one, two = there_and_back([inner, inner])
    assert one is two


def test_large_containers_of_builtin_values_come_back() -> None:
    value = {n: [str(n)] * 3 for n in range(2_000)}
    assert there_and_back(value) == value


def test_the_fast_path_is_taken_for_scalars() -> None:
    for value in (None, True, 0, -1, 1.5, "text"):
        assert VALUES.encode(value, "v")[:1] == b"m"
    assert VALUES.encode([1, ("a", {2})], "v")[:1] == b"p"
    assert VALUES.encode(Level.LOW, "v")[:1] == b"c"


def test_classes_of_main_travel_to_another_process(tmp_path: pathlib.Path) -> None:
    """A script's own classes are stored by value: who reads has no such script."""
    write = tmp_path / "write.py"
    write.write_text(
        textwrap.dedent("""
        import sys
        from dataclasses import dataclass
        from everact.runtime.values.payloads import PickleConverter

        @dataclass
        class Order:
            lines: list
            def total(self):
                return sum(self.lines)

        sys.stdout.buffer.write(PickleConverter().encode(Order([1, 2]), "order"))
        """)
    )
    read = tmp_path / "read.py"
    read.write_text(
        textwrap.dedent("""
        import sys
        from everact.runtime.values.payloads import PickleConverter
        order = PickleConverter().decode(sys.stdin.buffer.read())
        print(type(order).__name__, order.total())
        """)
    )
    payload = subprocess.run(
        [sys.executable, write], capture_output=True, check=True
    ).stdout
    found = subprocess.run(
        [sys.executable, read], input=payload, capture_output=True, check=True
    )
    assert found.stdout.decode().split() == ["Order", "3"]


class Unpicklable:
    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


@pytest.mark.parametrize(
    "value",
    [threading.Lock(), [threading.Lock()], Unpicklable(), (n for n in [1])],
    ids=["lock", "list of a lock", "own refusal", "generator"],
)
def test_a_value_that_cannot_be_stored_is_named(value: Any) -> None:
    with pytest.raises(ValueNotStorable, match=r"argument 2 of pay cannot") as caught:
        VALUES.encode(value, "argument 2 of pay")
    assert type(value).__name__ in str(caught.value)
    assert caught.value.__cause__ is not None
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "value", ["x" * 300, b"x" * 300, [0] * 300], ids=["s", "b", "l"]
)
def test_a_value_that_is_too_large_is_named_with_its_size(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "LARGEST", 100)
    with pytest.raises(ValueNotStorable, match=r"the report takes \d+ bytes.* 100 "):
        VALUES.encode(value, "the report")


@pytest.mark.parametrize("payload", [b"", b"\x80", b"x123", b"\xff"], ids=repr)
def test_a_payload_of_an_unknown_encoding_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="unknown encoding"):
        VALUES.decode(payload)
