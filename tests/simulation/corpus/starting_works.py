"""Starts that replace, signal or go together, and runs that are given names."""

import asyncio
from typing import Any

from everact.runtime import receive, run_info, sleep, task, workflow
from everact.runtime.workflows import rename_current_execution
from tests.simulation.corpus.message_works import keeping
from tests.simulation.corpus.tasks import CORPUS, echo
from tests.simulation.performing import perform
from tests.simulation.scene import Scene
from tests.simulation.world import Entry


@workflow(registry=CORPUS)
async def hearing() -> list[Any]:
    first = await receive("go")
    await echo(first)
    return [first, await receive("go")]


async def play_replacing(scene: Scene) -> None:
    old = await scene.start(keeping, id="a")
    await scene.pause()
    new = await scene.start(keeping, id="a", on_conflict="terminate_existing")
    assert new != old
    await scene.cancel("a")
    assert await scene.outcome("a", run_id=old) == "RunTerminated"
    assert await scene.outcome("a", run_id=new) == "stayed"


async def play_signalled(scene: Scene) -> None:
    async def told(value: int) -> str:
        return await scene.start(
            hearing,
            id="a",
            start_signal="go",
            start_signal_args=[value],
            key=str(value),
        )

    delayed = await scene.start(hearing, id="a", start_delay=10_000)
    assert await told(1) == delayed
    await scene.pause()
    assert await told(2) == delayed
    assert await scene.outcome("a") == [1, 2]


async def play_begun_by_signals(scene: Scene) -> None:
    async def told(value: int) -> str:
        return await scene.start(
            hearing,
            id="a",
            start_signal="go",
            start_signal_args=[value],
            key=str(value),
        )

    first, second = await asyncio.gather(told(1), told(2))
    assert first == second
    found = await scene.outcome("a")
    assert sorted(found) == [1, 2]


@task(registry=CORPUS)
async def naming(name: str) -> None:
    await perform()
    rename_current_execution(name)


@workflow(registry=CORPUS)
async def titled() -> list[str]:
    rename_current_execution("begun")
    names = [run_info().run_name]
    await naming("named by a task")
    names.append(run_info().run_name)
    await sleep(1)
    rename_current_execution("over")
    return names


async def play_titled(scene: Scene) -> None:
    await scene.start(titled, id="a")
    assert await scene.outcome("a") == ["begun", "named by a task"]
    assert await scene.run_name("a") == "over"


WORKS = (
    Entry("replacing", play_replacing),
    Entry("signalled", play_signalled),
    Entry("begun by signals", play_begun_by_signals),
    Entry("titled", play_titled),
)
