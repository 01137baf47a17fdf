"""The program whose power is cut: runs are started, signalled and awaited, in turn.

What the engine acknowledges is said into the file "said", which the recording of writes
puts in its place among them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from everact.runtime import Registry, Runtime, receive, task, workflow
from everact.runtime.errors import StoreError
from everact.runtime.store.sqlite import database
from everact.runtime.store.sqlite.store import SqliteStore

REGISTRY = Registry()


@task(registry=REGISTRY)
async def step(number: int, padding: str) -> int:
    return number + len(padding)


@workflow(registry=REGISTRY)
async def steps(number: int, padding: str) -> int:
    first = await step(number, padding)
    second = await step(first, "")
    more: int = await receive("more")
    return await step(second + more, "")


TOGETHER = 8


async def one(runtime: Runtime, number: int, padding: int, said: int) -> None:
    """A whole life of a run; what is refused is tried again until it is taken."""

    def say(*words: object) -> None:
        os.write(said, f"{json.dumps(words)}\n".encode())

    workflow_id = f"run-{number}"
    while True:
        try:
            args = [number, "x" * padding]
            handle = await runtime.start(
                steps, args=args, id=workflow_id, on_conflict="attach"
            )
            say("started", number)
            await handle.signal("more", 5, request_id=f"more-{number}")
            say("signalled", number)
            say("done", number, await handle.result())
        except StoreError:
            await asyncio.sleep(0)
        else:
            return


async def main(folder: str, writer: str, runs: str, padding: str) -> None:
    database.PRAGMAS.append("wal_autocheckpoint = 60")
    said = os.open(Path(folder) / "said", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    path, number = Path(folder) / "everact.db", 0
    for _ in range(2):  # lives
        store = SqliteStore(path, crowd=1 if writer == "process" else 10**6)
        # The sync that fails may be that of the close: then the log is not copied back.
        with suppress(StoreError):
            async with Runtime(store=store, registry=REGISTRY) as runtime:
                for _ in range(int(runs) // TOGETHER // 2):
                    batch = range(number, number + TOGETHER)
                    given = [(runtime, each, int(padding), said) for each in batch]
                    await asyncio.gather(*(one(*each) for each in given))
                    number += TOGETHER
                    while (
                        store.writer.process is not None
                        and not store.writer.process.ready
                    ):
                        await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
