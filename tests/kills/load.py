"""The process that is killed: it starts runs of every kind and sees them through.

usage: python -m tests.kills.load FOLDER LIFE SEED [finish]

It waits for a line on its standard input, so that it can be made ready beforehand.
What it prints has been acknowledged by the runtime: `started ID`, `signalled ID N`,
`done ID RESULT`. With `finish` it starts nothing new, waits until every run has
ended, and closes in good order; otherwise it goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from everact.runtime import (
    Registry,
    RunHandle,
    RunStatus,
    Runtime,
    context,
    continue_as_new,
    execute_child,
    receive,
    retry,
    run_info,
    sleep,
    task,
    workflow,
)
from everact.runtime.functions import task_identifier
from everact.runtime.store.sqlite.writing import CROWD
from tests.kills.marks import MarkedStore, Marks

registry = Registry()
SIGNALS = 3
QUICKLY = retry(first=0.004, growth=1.5, attempts=20)


def leave_trace() -> None:
    """The effect of a task: a line, written whole, before anything else happens."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    descriptor = os.open(os.environ["EVERACT_EFFECTS"], flags)
    os.write(descriptor, f"{task_identifier()}\n".encode())
    os.close(descriptor)


@task(registry=registry)
async def step(number: int, place: int) -> int:
    leave_trace()
    await asyncio.sleep(0.001 * (place % 4))
    return 10 * number + place


@task(registry=registry)
def in_a_thread(number: int, place: int) -> int:
    leave_trace()
    return 10 * number + place


@task(registry=registry)
async def at_length(number: int) -> int:
    leave_trace()
    await asyncio.sleep(0.3)
    return 10 * number


@task(registry=registry, retry=QUICKLY)
async def unsteady(number: int) -> int:
    leave_trace()
    if context().attempt_number < 3:
        raise ConnectionError("not yet")
    return 10 * number


@workflow(registry=registry)
async def sequence(number: int) -> int:
    return sum([await step(number, place) for place in range(4)])


@workflow(registry=registry)
async def fan(number: int) -> int:
    return sum(await asyncio.gather(*(step(number, place) for place in range(6))))


@workflow(registry=registry)
async def threads(number: int) -> int:
    steps = (in_a_thread(number, place) for place in range(3))
    return sum(await asyncio.gather(*steps))


@workflow(registry=registry)
async def family(number: int) -> int:
    children = (execute_child(sequence, number + place) for place in range(3))
    return sum(await asyncio.gather(*children))


@workflow(registry=registry)
async def napping(number: int) -> int:
    total = 0
    for place in range(3):
        await sleep(0.015)
        total += await step(number, place)
    return total


@workflow(registry=registry)
async def dozing(number: int) -> int:
    """Sleeps through a life or two: there is always something to recover."""
    total = 0
    for place in range(3):
        total += await step(number, place)
        await sleep(0.4)
    return total


@workflow(registry=registry)
async def lasting(number: int) -> int:
    """Its task is under way at many a kill, and never to blame."""
    return await at_length(number)


@workflow(registry=registry)
async def flaky(number: int) -> int:
    return await unsteady(number) + await step(number, 1)


@workflow(registry=registry)
async def chain(number: int) -> int:
    round = run_info().memo.get("round", 0)
    total: int = run_info().memo.get("total", 0) + await step(number, round)
    if round < 3:
        continue_as_new(number, memo={"round": round + 1, "total": total})
    return total


@workflow(registry=registry)
async def listening(number: int) -> list[int]:
    heard = []
    for place in range(SIGNALS):
        heard.append(await receive("number"))
        await step(number, place)
    return sorted(heard)


def places(number: int, count: int) -> int:
    return sum(10 * number + place for place in range(count))


KINDS: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "sequence": (sequence, lambda n: places(n, 4)),
    "fan": (fan, lambda n: places(n, 6)),
    "threads": (threads, lambda n: places(n, 3)),
    "family": (family, lambda n: sum(places(n + child, 4) for child in range(3))),
    "napping": (napping, lambda n: places(n, 3)),
    "dozing": (dozing, lambda n: places(n, 3)),
    "lasting": (lasting, lambda n: places(n, 1)),
    "flaky": (flaky, lambda n: 20 * n + 1),
    "chain": (chain, lambda n: places(n, 4)),
    "listening": (listening, lambda n: list(range(SIGNALS))),
}
"""Every kind of run, and what the run of a number must return."""

LONG = ("dozing", "lasting")
"""Kinds that no wave of runs waits for."""


def expected(id: str) -> Any:
    """What the run of that ID must return."""
    kind, _, number = id.split(":")
    return KINDS[kind][1](int(number))


def say(*words: Any) -> None:
    print(*words, flush=True)


async def talk_to(handle: RunHandle[Any]) -> None:
    """Send the signals; those that an earlier life sent take no effect again."""
    for number in range(SIGNALS):
        request = f"{handle.id}/{number}"
        await handle.signal("number", number, request_id=request)
        say("signalled", handle.id, number)


async def see_through(handle: RunHandle[Any]) -> None:
    if handle.id.startswith("listening"):
        await talk_to(handle)
    say("done", handle.id, json.dumps(await handle.result()))


async def one_run(runtime: Runtime, id: str) -> None:
    kind, _, number = id.split(":")
    handle = await runtime.start(KINDS[kind][0], int(number), id=id)
    say("started", id)
    await see_through(handle)


async def until_killed(runtime: Runtime, life: int, seed: str) -> None:
    chance = random.Random(f"{seed}/{life}")
    for open_run in [line async for line in runtime.list(status=RunStatus.RUNNING)]:
        if open_run.workflow_id.startswith("listening"):
            await talk_to(runtime.handle(open_run.workflow_id))
    number, dozers = 0, set[asyncio.Task[None]]()
    while True:
        wave: list[asyncio.Task[None]] = []
        for _ in range(chance.choice((1, 4, 12, 40))):
            number += 1
            kind = chance.choice(list(KINDS))
            seen = asyncio.create_task(one_run(runtime, f"{kind}:{life}:{number}"))
            (dozers.add if kind in LONG else wave.append)(seen)
        await asyncio.gather(*wave)
        await asyncio.sleep(chance.uniform(0, 0.02))


async def to_the_end(runtime: Runtime) -> None:
    ids = {
        line.workflow_id: None
        async for line in runtime.list()
        if line.workflow_id.count(":") == 2
    }
    for id in ids:
        handle = runtime.handle(id)
        still_open = (await handle.describe()).status is RunStatus.RUNNING
        if still_open and id.startswith("listening"):
            await talk_to(handle)
        say("done", id, json.dumps(await handle.result()))


async def main(folder: Path, life: int, seed: str, finish: bool) -> None:
    marks = Marks(folder / "marks")
    marks.recover()
    # In every other life a process of its own commits, and outlives the kill a little.
    crowd = 1 if life % 2 else CROWD
    store = MarkedStore(folder / "load.db", marks, crowd=crowd)
    async with Runtime(registry=registry, store=store) as runtime:
        marks.recovered()
        if finish:
            await to_the_end(runtime)
        else:
            await until_killed(runtime, life, seed)


if __name__ == "__main__":
    given = sys.argv[1:]
    os.environ["EVERACT_EFFECTS"] = str(Path(given[0]) / "effects")
    sys.stdin.readline()
    asyncio.run(main(Path(given[0]), int(given[1]), given[2], given[3:] == ["finish"]))
