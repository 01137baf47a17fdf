"""Clients of an engine that dies again and again; they are told nothing of it.

usage: python -m tests.kills.clients ADDRESS CALLERS SEED

Each caller starts a run, sends it signals, and waits for its result, one request at a
time on a connection of its own. What is printed was acknowledged over HTTP: `started
ID`, `signalled ID N`, `done ID RESULT`. After a line on standard input every caller
finishes the run that it is at; the process ends with 0 if none met an error.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys

from everact.runtime import Client
from everact.runtime.settings import RetryConfig
from tests.kills.limits import allow_many_sockets
from tests.kills.load import KINDS, say, see_through

PATIENT = RetryConfig(first=0.05, longest=0.5, total=None, retries=1_000)


async def caller(
    client: Client, number: int, seed: str, stopping: asyncio.Event
) -> None:
    chance = random.Random(f"{seed}/{number}")
    for place in itertools.count():
        if stopping.is_set():
            return
        kind = chance.choice(list(KINDS))
        argument = 1_000 * number + place
        id = f"{kind}:{number}:{argument}"
        handle = await client.start(
            KINDS[kind][0], argument, id=id, request_id=f"start/{id}"
        )
        say("started", id)
        await see_through(handle)


async def main(address: str, callers: int, seed: str) -> None:
    stopping = asyncio.Event()
    client = await Client.connect(address, lazy=True, retry_config=PATIENT)
    async with client, asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(caller(client, number, seed, stopping))
        await asyncio.to_thread(sys.stdin.readline)
        stopping.set()


if __name__ == "__main__":
    allow_many_sockets()
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
