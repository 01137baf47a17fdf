"""Lives that end, by what executes in them or from outside; who is blamed for it.

usage: python -m tests.kills.blame FOLDER (KILLER | KILLS SEED)

Every life is forked from this process and sees to the same runs: `INNOCENT` ones in a
task that takes a while. With the name of a killer one more run is among them that ends
the process by itself; otherwise this process kills that many lives, quickly. When a
life comes to its end, what it found is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from everact.runtime import Registry, Runtime, WorkflowFailure, task, workflow
from everact.runtime.core import blame
from everact.runtime.errors import RunPutAside

INNOCENT = 50
TAKES = 0.6
"""Seconds of an innocent task."""
DIED = 9
"""The exit code of a life that a killer has ended."""
LIVES = 20
QUICKEST, LONGEST = 0.01, 0.35
"""Seconds that a life has before it is killed."""

registry = Registry()


def die() -> NoReturn:
    os._exit(DIED)


@task(registry=registry)
async def wait_a_while(number: int) -> int:
    await asyncio.sleep(TAKES)
    return number


@task(registry=registry)
async def step(number: int) -> int:
    return number


@task(registry=registry, retries=10)
async def dies_at_once() -> None:
    die()


@task(registry=registry)
async def dies_later() -> None:
    await asyncio.sleep(0.1)
    die()


@task(registry=registry, retries=10)
def dies_in_a_thread() -> None:
    time.sleep(0.05)
    die()


@workflow(registry=registry)
async def innocent(number: int) -> int:
    return await wait_a_while(number)


@workflow(registry=registry)
async def busy(number: int) -> int:
    """Its code is on the loop again and again."""
    for _ in range(20):
        number = await step(number)
    return number


@workflow(registry=registry)
async def calls(killer: str) -> None:
    await TASKS[killer]()


@workflow(registry=registry)
async def kills_itself(_: str) -> None:
    await step(1)
    die()


TASKS: dict[str, Any] = {
    "dies_at_once": dies_at_once,
    "dies_later": dies_later,
    "dies_in_a_thread": dies_in_a_thread,
}


async def live(folder: Path, killer: str) -> dict[str, Any]:
    """See to all runs; how they ended."""
    async with Runtime(folder / "blame.db", registry=registry) as runtime:
        starts: list[tuple[Any, Any, str]] = []
        for number in range(INNOCENT):
            starts.append((innocent, number, f"innocent {number}"))
            if not killer:
                starts.append((busy, number, f"busy {number}"))
        if killer:
            guilty = calls if killer in TASKS else kills_itself
            starts.insert(INNOCENT // 2, (guilty, killer, "guilty"))
        handles = [
            await runtime.start(kind, given, id=id, on_conflict="attach")
            for kind, given, id in starts
        ]
        ends = await asyncio.gather(*map(end_of, handles))
        return dict(zip((id for _, _, id in starts), ends, strict=True))


async def end_of(handle: Any) -> Any:
    try:
        return await handle.result()
    except WorkflowFailure as failure:
        return f"{type(failure.cause).__name__}: {failure.cause}"
    except RunPutAside as aside:
        return f"aside: {aside.reason}"


def fork(folder: Path, killer: str) -> int:
    """A life in a process of its own; its ID."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            found = asyncio.run(live(folder, killer))
            print(json.dumps(found), flush=True)
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def until_survived(folder: Path, killer: str) -> int:
    """Live until a life comes to its end; how many did not."""
    blame.TRIAL, blame.PAUSE = 0.4, 0.1  # as in earnest, and faster
    for number in range(LIVES):
        code = ended(fork(folder, killer))
        if code != DIED:
            assert code == 0, code
            return number
    raise AssertionError(f"{LIVES} lives have ended")


def kill_quickly(folder: Path, kills: int, seed: str) -> None:
    chance = random.Random(seed)
    for _ in range(kills):
        pid = fork(folder, "")
        time.sleep(chance.uniform(QUICKEST, LONGEST))
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) in (-signal.SIGKILL, 0)
    assert ended(fork(folder, "")) == 0


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[1] in (*TASKS, "kills_itself"):
        print(until_survived(Path(given[0]), given[1]))
    else:
        kill_quickly(Path(given[0]), int(given[1]), given[2])
