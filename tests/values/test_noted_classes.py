"""Classes that travel by value do so whatever JSON was read into them before.

msgspec notes on a class what it found out about it. What it notes cannot be pickled,
and classes of a function, or of the script itself, are pickled as they are.
"""

import enum
import pickle
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from everact.runtime.values.json_payloads import as_type
from everact.runtime.values.payloads import PickleConverter

VALUES = PickleConverter()
NOTED = "__msgspec_cache__"


def make() -> dict[str, tuple[Any, Any]]:
    """Types that are defined here, and JSON for each."""

    class Size(enum.Enum):
        SMALL = "small"
        LARGE = "large"

    class Number(enum.IntEnum):
        ONE = 1

    class Flags(enum.IntFlag):
        A = 1
        B = 2

    @dataclass
    class Line:
        article: str
        size: Size

        @dataclass
        class Note:
            text: str

    @dataclass
    class Priced(Line):
        price: int = 0
        notes: list[Line.Note] = field(default_factory=list)

    @dataclass(frozen=True, slots=True)
    class Slotted:
        line: Line

    class Place(NamedTuple):
        line: Line
        number: Number

    class Entry(TypedDict):
        line: Line
        place: Place

    class Struct(msgspec.Struct):
        line: Line
        entry: Entry

    T = TypeVar("T")

    class Box(msgspec.Struct, Generic[T]):
        inner: T

    @dataclass
    class Crate(Generic[T]):
        inner: T

    class Model(pydantic.BaseModel):
        size: Size
        lines: list[int] = []

    @dataclass
    class Order:
        struct: Struct
        slotted: Slotted
        numbers: dict[str, Number]
        lines: list[Priced]
        size: Size | None = None

    line = {"article": "lamp", "size": "small"}
    place = [line, 1]
    entry = {"line": line, "place": place}
    struct = {"line": line, "entry": entry}
    return {
        "enum": (Size, "small"),
        "int enum": (Number, 1),
        "flags": (Flags, 1),
        "dataclass": (Line, line),
        "inherited": (Priced, {**line, "price": 3, "notes": [{"text": "soon"}]}),
        "slots": (Slotted, {"line": line}),
        "named tuple": (Place, place),
        "typed dictionary": (Entry, entry),
        "struct": (Struct, struct),
        "generic struct": (Box[Line], {"inner": line}),
        "generic dataclass": (Crate[Line], {"inner": line}),
        "model": (Model, {"size": "large", "lines": [1]}),
        "nested": (
            Order,
            {
                "struct": struct,
                "slotted": {"line": line},
                "numbers": {"one": 1},
                "lines": [{**line, "price": 1}],
                "size": "large",
            },
        ),
    }


KINDS = list(make())
STRUCTS = ("struct", "generic struct", "nested")


def test_the_classes_are_noted_on_at_all() -> None:
    """Else the tests below say nothing."""
    made = make()
    for kind, (cls, data) in made.items():
        as_type(data, cls)
        if kind in ("enum", "dataclass", "named tuple", "typed dictionary"):
            assert NOTED in vars(cls)


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_is_stored_after_json_was_read_into_its_class(kind: str) -> None:
    cls, data = make()[kind]
    for _ in range(2):
        value = as_type(data, cls)
        assert VALUES.decode(VALUES.encode(value)) == value
        assert VALUES.decode(VALUES.encode([value, {"x": (value,)}]))[0] == value


# A struct that is pickled by value can be read in the process that wrote it.
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in STRUCTS])
def test_the_class_itself_and_its_instances_keep_what_was_written(kind: str) -> None:
    """In another process: nothing of this one's classes may be needed."""
    cls, data = make()[kind]
    value = as_type(data, cls)
    payload = VALUES.encode((cls, value))
    program = (
        "import sys; from everact.runtime.values.payloads import PickleConverter as P\n"
        "from everact.runtime.values.json_payloads import as_type, JsonConverter\n"
        "cls, value = P().decode(sys.stdin.buffer.read())\n"
        "again = JsonConverter().decode(JsonConverter().encode(value), cls)\n"
        "assert again == value, (again, value)\n"
        "assert P().decode(P().encode(again)) == again\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=payload, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_class_with_a_note_of_its_own_is_not_changed_by_being_stored() -> None:
    cls, data = make()["dataclass"]
    as_type(data, cls)
    noted = vars(cls)[NOTED]
    VALUES.encode(cls)
    assert vars(cls)[NOTED] is noted
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(noted)


SCRIPT = """
import asyncio, enum, sys
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict
import msgspec, pydantic
from everact.runtime import Runtime, receive, task, workflow
from everact.runtime.control import Control
import aiohttp

class Size(enum.Enum):
    SMALL = "small"

@dataclass
class Line:
    article: str
    size: Size = Size.SMALL

class Place(NamedTuple):
    line: Line

class Entry(TypedDict):
    place: Place

class Struct(msgspec.Struct):
    entry: Entry

class Model(pydantic.BaseModel):
    size: Size

@dataclass
class Order:
    struct: Struct
    sizes: list[Size]

def order() -> Order:
    return Order(Struct({"place": Place(Line("lamp"))}), [Size.SMALL])

@task
async def pass_on(value):
    return value

@workflow
async def place(order: Order) -> bool:
    await receive("go")
    model = Model(size=Size.SMALL)
    for value in (order, order.struct, Line("x"), Size.SMALL, model, Order, [Entry]):
        assert await pass_on(value) == value, value
    return isinstance(order, Order)

LINE = {"article": "a", "size": "small"}
STARTS = (  # one fits, the other does not: JSON is read into every class
    {"struct": {"entry": {"place": [LINE]}}, "sizes": ["small"]},
    {"struct": {"entry": {"place": [LINE]}}, "sizes": ["huge"]},
)

async def over_http(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for number, given in enumerate(STARTS):
            start = {"workflow": "place", "workflow_id": f"{number}", "args": [given]}
            async with session.post(url, json=start) as answer:
                print(answer.status)

async def main() -> None:
    async with Runtime("orders.db") as runtime:
        if sys.argv[1] == "start":
            await runtime.start(place, order(), id="before")
            async with Control(runtime) as control:
                await over_http(f"http://{control.address}/api/v1/runs/start")
            await runtime.start(place, order(), id="after")
        else:
            for name in ("before", "0", "after"):
                handle = runtime.handle(name)
                await handle.signal("go")
                print(name, await handle.result())

asyncio.run(main())
"""


def test_a_script_whose_classes_came_over_http_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "orders.py"
    script.write_text(SCRIPT, encoding="utf-8")

    def run(act: str) -> str:
        done = subprocess.run(
            [sys.executable, script, act],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("start") == "200\n400\n"
    assert run("end") == "before True\n0 True\nafter True\n"
