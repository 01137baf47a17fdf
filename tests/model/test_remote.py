"""Random operations of clients elsewhere, on an engine that SIGKILL ends all the time.

The clients are told nothing of it: requests are repeated under their IDs until they are
answered. `EVERACT_SEED=7` plays the sequences of seed 7 and following ones.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import Client
from everact.runtime.errors import RPCError
from everact.runtime.settings import RetryConfig
from everact.runtime.statuses import RPCStatus
from tests.client.servers import free_port
from tests.kills.chaos import Life
from tests.model.driving import IDS, Story, drawn, perform
from tests.model.model import Again, One, Operation, Result, Settle, Together

LONG = bool(os.environ.get("EVERACT_LONG"))
SEQUENCES, LENGTH, KILLS = (50, 25, 30) if LONG else (4, 16, 2)
SEED = int(os.environ.get("EVERACT_SEED", "1"))
PATIENT = RetryConfig(first=0.02, longest=0.2, total=None, retries=10_000)


async def play(client: Client, name: str, chosen: Sequence[Operation]) -> Story:
    """Ask for everything, and tell the model what was answered."""
    story, prefix = Story(), f"{name}."

    async def ask(key: str, operation: One) -> object:
        return await perform(client, operation, f"{name} {key}", prefix)

    for number, operation in enumerate(chosen):
        if isinstance(operation, Settle):
            await settled(client, prefix)
            story.told(number, operation, None)
        elif isinstance(operation, Again):
            found = story.repeated(operation)
            if found is not None:
                first, repeated, answer = found
                again = await perform(client, repeated, f"{name} {first}", prefix)
                story.agree(first, answer, again)
        elif isinstance(operation, Together):
            asked = [
                ask(f"{number}.{n}", o) for n, o in enumerate(operation.operations)
            ]
            story.told(number, operation, await asyncio.gather(*asked))
        elif not isinstance(operation, Result) or story.model.closed(operation.id):
            story.told(number, operation, await ask(str(number), operation))
    return story


async def settled(client: Client, prefix: str) -> None:
    """Wait until no task is under way."""
    for id in IDS:
        try:
            while (await client.handle(prefix + id).describe()).pending_tasks:
                await asyncio.sleep(0.02)
        except RPCError as error:
            if error.status is not RPCStatus.NOT_FOUND:
                raise


async def kill_again_and_again(
    folder: Path, address: str, seed: int, kills: list[float]
) -> None:
    """Engines one after the other on one file, each killed at some moment.

    After `KILLS` of them one is left alone. `kills` gets how long each could be asked.
    """
    chance = random.Random(seed)
    life = coming = Life("tests.model.host", folder, address)
    try:
        while True:
            life = coming
            life.begin()
            while "ready" not in life.lines:
                assert life.process.poll() is None, "the engine ended by itself"
                await asyncio.sleep(0.01)
            if len(kills) == KILLS:
                await asyncio.get_running_loop().create_future()
            coming = Life("tests.model.host", folder, address)
            kills.append(chance.uniform(0.02, 0.6))
            await asyncio.sleep(kills[-1])
            life.kill()
    finally:
        life.kill()
        if coming is not life:
            coming.begin()
            coming.kill()


@pytest.mark.kill
@pytest.mark.real_time
@pytest.mark.feature("RC-02", "RC-03", "ID-01", "ID-11", "MS-01", "MS-07")
async def test_clients_are_answered_as_if_no_engine_had_been_killed(
    tmp_path: Path,
) -> None:
    address = f"127.0.0.1:{free_port()}"
    kills: list[float] = []
    killing = asyncio.create_task(kill_again_and_again(tmp_path, address, SEED, kills))
    # The engine is away most of the time: signs of life are not to be had.
    client = await Client.connect(
        address, lazy=True, retry_config=PATIENT, keep_alive_config=None
    )

    async with client:
        seeds = range(SEED, SEED + SEQUENCES)
        # All at the same time, each with workflow IDs of its own.
        playing = asyncio.gather(
            *(play(client, f"s{seed}", drawn(seed, LENGTH)) for seed in seeds)
        )
        try:
            both: list[asyncio.Future[Any]] = [killing, playing]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if killing.done():
                killing.result()
            stories = await playing
        finally:
            killing.cancel()
            playing.cancel()
            await asyncio.wait([killing])
    assert len(stories) == SEQUENCES
    assert len(kills) >= 2
    # A story in which little takes effect proves little.
    assert sum(len(story.effective) for story in stories) > 3 * SEQUENCES
