"""Classes of the script itself are the same ones when the script is run again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAD = """
import asyncio, enum, sys
from dataclasses import dataclass
from everact.runtime import Runtime, receive, task, workflow
"""
CLASSES = """
class Refused(Exception):
    pass

class Size(enum.Enum):
    SMALL = 1

@dataclass
class Order:
    article: str
    size: Size

    @dataclass
    class Line:
        number: int
"""
STEPS = """
@task
async def refuse(order: Order) -> None:
    raise Refused(order.article)

@workflow
async def place(order: Order, line: Order.Line) -> list[bool]:
    seen = [order == Order("lamp", Size.SMALL), line == Order.Line(1)]
    try:
        await refuse(order)
    except Refused as error:
        seen.append(str(error) == "lamp")
    await receive("go")
    return [*seen, isinstance(order, Order), order.size is Size.SMALL]
"""
MAIN = """
async def main() -> None:
    async with Runtime("orders.db") as runtime:
        handle = runtime.handle("order")
        if sys.argv[1] == "start":
            args = (Order("lamp", Size.SMALL), Order.Line(1))
            handle = await runtime.start(place, args=args, id="order")
            async for item in handle.follow_history():
                if item.kind == "TaskFailed":
                    return
        await handle.signal("go")
        print(await handle.result())

asyncio.run(main())
"""
OTHER = """
@workflow
async def place(order, line):
    await receive("go")
    return [order.article, order.size.name, line.number]
"""


def run(path: Path, text: str, act: str) -> str:
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", path, act],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_script_that_is_run_again_meets_its_own_classes(tmp_path: Path) -> None:
    script, text = tmp_path / "orders.py", HEAD + CLASSES + STEPS + MAIN
    assert run(script, text, "start") == ""
    assert run(script, text, "end") == "[True, True, True, True, True]\n"


def test_a_script_without_those_classes_can_read_the_values(tmp_path: Path) -> None:
    text = HEAD + CLASSES + OTHER + MAIN.replace('"TaskFailed"', '"Began"')
    assert run(tmp_path / "orders.py", text, "start") == ""
    text = HEAD + OTHER + MAIN
    assert run(tmp_path / "reader.py", text, "end") == "['lamp', 'SMALL', 1]\n"
