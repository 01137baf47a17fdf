"""Code that raises, returns and hides what ends programs: nobody else is harmed.

Live, and at every recovery: what is raised is raised again by each replay. They stand
apart from the other entries, beside which `running` plays them.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from everact.runtime import sleep, task, wait_condition, workflow
from everact.runtime.errors import ApplicationError, QueryFailed, RunPutAside
from everact.runtime.workflows import all_handlers_finished
from tests import hostile
from tests.simulation.corpus.tasks import CORPUS, echo
from tests.simulation.performing import begin, perform
from tests.simulation.scene import Scene
from tests.simulation.world import Entry


@workflow(registry=CORPUS)
async def innocent() -> list[object]:
    """Lives beside the others, and must not notice them."""
    found: list[object] = [await echo("first")]
    await sleep(8)
    return [*found, await echo("last")]


async def play_innocent(scene: Scene) -> None:
    await scene.start(innocent, id="innocent")


async def seen_innocent(scene: Scene) -> None:
    assert await scene.outcome("innocent") == ["first", "last"]


# -- what is raised ---------------------------------------------------------------


@task(registry=CORPUS, retries=1)
async def raising(name: str) -> None:
    await perform()
    raise hostile.error(name)


@task(registry=CORPUS)
def raising_in_thread(name: str) -> None:
    begin()
    raise hostile.error(name)


@workflow(registry=CORPUS)
async def raises(name: str, where: str) -> object:
    """Raises in its code, in a task of its own, in a callback, on its way out."""
    if where == "at once":
        raise hostile.error(name)
    await echo("before")
    if where == "later":
        raise hostile.error(name)
    if where == "callback":

        def callback() -> None:
            raise hostile.error(name)

        asyncio.get_running_loop().call_soon(callback)
        return await echo("goes on until it waits")
    if where == "leaving":  # also when it is put away, and cut off there
        try:
            await sleep(3)
        finally:
            raise hostile.error(name)

    async def branch() -> None:
        await sleep(1)
        raise hostile.error(name)

    branches: dict[str, Callable[[], Any]] = {
        "branch": branch,
        "task": lambda: raising(name),
        "thread": lambda: raising_in_thread(name),
    }
    try:
        await branches[where]()
    except ApplicationError as error:
        return await echo(error.type)
    except BaseException as error:
        return await echo(type(error).__qualname__)
    return "nothing"


@workflow(registry=CORPUS)
async def unfinished(name: str) -> object:
    """Ends with branches left in the middle, whose clean-up raises."""

    async def branch() -> None:
        try:
            await sleep(1000)
        finally:
            raise hostile.error(name)

    left = [asyncio.create_task(branch()), asyncio.create_task(branch())]
    await sleep(5)
    return [len(left), await echo("left")]


async def play_raises(scene: Scene, *names: str) -> None:
    await play_innocent(scene)
    where = ("at once", "later", "callback", "leaving", "branch", "task", "thread")
    for name in names:
        for place in where:
            await scene.start(raises, name, place, id=f"{name} {place}")
        await scene.start(unfinished, name, id=f"{name} unfinished")
    for name in names:
        for place in where:
            found = await scene.outcome(f"{name} {place}")
            if place in ("branch", "task", "thread"):
                assert found == name, (found, place)
            elif place != "callback" or name in _ENDING:
                assert found == "ApplicationError", (found, place)
        assert await scene.outcome(f"{name} unfinished") == [2, "left"]
    await seen_innocent(scene)


_ENDING = ("SystemExit", "KeyboardInterrupt")
_HARMFUL = (
    "Exiting",
    "Lying",
    "Mute",
    "Patient",
    "Loaded",
    "Caused",
    "Told",
    "Unnamed",
)


async def play_exits(scene: Scene) -> None:
    await play_raises(scene, "SystemExit")


async def play_interrupts(scene: Scene) -> None:
    await play_raises(scene, "KeyboardInterrupt")


async def play_failures(scene: Scene) -> None:
    """Exceptions that do harm when they are looked at, written down or read back."""
    await play_innocent(scene)
    for name in _HARMFUL:
        await scene.start(raises, name, "task", id=name)
        await scene.start(raises, name, "later", id=f"{name} later")
    for name in _HARMFUL:
        assert await scene.outcome(name) != "nothing"
        assert await scene.outcome(f"{name} later") == "ApplicationError"
    await seen_innocent(scene)


# -- handlers ---------------------------------------------------------------------


@workflow(registry=CORPUS)
class Rude:
    """Every handler of it raises what it is told."""

    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self) -> object:
        await echo("open")
        await wait_condition(lambda: self.done and all_handlers_finished())
        return await echo("closed")

    @workflow.signal
    def end(self) -> None:
        self.done = True

    @workflow.signal
    def signalled(self, name: str) -> None:
        raise hostile.error(name)

    @workflow.query
    def asked(self, name: str) -> None:
        raise hostile.error(name)

    @workflow.update
    def updated(self, name: str) -> None:
        raise hostile.error(name)

    @workflow.update
    async def updated_later(self, name: str) -> None:
        await echo("updating")
        raise hostile.error(name)

    @workflow.update
    def checked(self, name: str) -> None:
        raise AssertionError("the validator refuses it")

    @checked.validator
    def check(self, name: str) -> None:
        raise hostile.error(name)


async def play_handlers(scene: Scene) -> None:
    await play_innocent(scene)
    names = ("SystemExit", "KeyboardInterrupt", "Exiting", "Mute")
    await scene.start(Rude, id="a")

    async def rude(name: str) -> None:
        for verb in ("updated", "updated_later"):
            await scene.pause(2.0)
            assert await scene.update("a", verb, name, key=f"{verb} {name}") == name
        told = await scene.update("a", "checked", name, key=f"c {name}", traceless=True)
        assert told == name
        try:
            await scene.query("a", "asked", name)
        except QueryFailed:
            return
        raise AssertionError("a query that raises was answered")

    await asyncio.gather(*map(rude, names))
    for name in names:
        await scene.start(Rude, id=f"signalled {name}")
        await scene.signal(f"signalled {name}", "signalled", name)
    await scene.signal("a", "end")
    assert await scene.outcome("a") == "closed"
    for name in names:
        assert await scene.outcome(f"signalled {name}") == "ApplicationError"
    await seen_innocent(scene)


# -- values -----------------------------------------------------------------------


@task(registry=CORPUS)
async def gives(name: str) -> Any:
    await perform()
    return hostile.value(name)


@workflow(registry=CORPUS)
async def handles(name: str, how: str) -> object:
    """Has to do with a hostile value."""
    await echo("begun")
    try:
        if how == "given":
            await echo(hostile.value(name))
        elif how == "got":
            await gives(name)
        elif how == "condition":
            await wait_condition(lambda: hostile.value(name))
        else:
            return hostile.value(name)
    except BaseException as error:
        return await echo(f"{type(error).__name__}")
    return await echo("well")


async def end_aside(scene: Scene, id: str) -> None:
    """End a run that was put aside, for it alone cannot read its value."""
    try:
        ended = await scene.outcome(id)
    except RunPutAside as aside:
        if "SystemExit" not in aside.reason:
            raise
        await scene.terminate(id)
    else:
        assert ended == "RunTerminated"


async def play_values(scene: Scene) -> None:
    await play_innocent(scene)
    names = ("Unpickled", "Unpicklable", "Masked", "Touchy", "Numberless")
    for name in names:
        for how in ("given", "got", "condition"):
            await scene.start(handles, name, how, id=f"{name} {how}")
    await scene.start(handles, "Unpicklable", "returned", id="returned")
    for name in names:
        for how in ("given", "got", "condition"):
            if name == "Unpickled" and how == "got":
                await end_aside(scene, f"{name} {how}")
            else:
                await scene.outcome(f"{name} {how}")
    assert await scene.outcome("returned") == "ValueNotStorable"
    await seen_innocent(scene)


WORKS = (
    Entry("exits", play_exits),
    Entry("interrupts", play_interrupts),
    Entry("failures", play_failures),
    Entry("rude", play_handlers),
    Entry("values", play_values),
)
