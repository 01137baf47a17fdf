"""The tasks of the corpus, in a registry of their own."""

import asyncio
from contextlib import suppress

from everact.runtime import Registry, context, retry, task
from everact.runtime.errors import ApplicationError
from tests.simulation.performing import begin, perform

CORPUS = Registry()


@task(registry=CORPUS)
async def echo(value: object) -> object:
    await perform()
    return value


@task(registry=CORPUS, retry=retry(first=0.5, growth=2.0, attempts=4))
async def flaky(value: int) -> int:
    await perform(failures=3)
    return value


@task(registry=CORPUS, retries=5)
async def doomed(text: str) -> None:
    await perform()
    raise ApplicationError(text, type="Doomed", non_retryable=True)


@task(
    registry=CORPUS,
    retry=retry(first=0.2, attempts=4),
    heartbeat_timeout=9,
    heartbeat="manual",
)
async def plod(steps: int) -> int:
    """Counts on from where an earlier attempt's heartbeats left off."""
    await perform(failures=2)
    ctx = context()
    done: int = ctx.heartbeat_details[0] if ctx.heartbeat_details else 0
    while done < steps:
        await asyncio.sleep(1.5)
        done += 1
        ctx.heartbeat(done)
    return done


@task(registry=CORPUS, retries=1, timeout=3)
async def slow() -> None:
    await perform(1.0)
    await asyncio.sleep(1000)


@task(registry=CORPUS, heartbeat_timeout=2, heartbeat="manual")
async def mute() -> None:
    await perform(1.0)
    await asyncio.sleep(1000)


@task(registry=CORPUS, timeout=2)
async def stubborn() -> str:
    """Goes on for a while after it was told to stop, and returns then."""
    begin()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(1000)
    await asyncio.sleep(1.0)
    return "too late"


@task(registry=CORPUS, retry=retry(first=0.5, attempts=50), heartbeat_timeout=30)
async def elsewhere(text: str) -> str:
    """Somebody outside is to complete it."""
    await perform()
    context().complete_elsewhere()


@task(registry=CORPUS, cancellation="wait", timeout=600)
async def patient() -> str:
    await perform()
    context().complete_elsewhere()


@task(registry=CORPUS, timeout=5)
async def left_alone() -> None:
    await perform()
    context().complete_elsewhere()


@task(registry=CORPUS)
async def endless() -> None:
    begin()
    await asyncio.sleep(100_000)


@task(registry=CORPUS, queue="narrow", queue_timeout=4)
async def queued(seconds: float) -> float:
    begin()
    await asyncio.sleep(seconds)
    return seconds


@task(registry=CORPUS)
def add(one: int, other: int) -> int:
    """Blocks: an executor runs it."""
    begin()
    return one + other


@task(registry=CORPUS)
async def deadly() -> None:
    """Takes the whole engine with it, whenever it runs."""
    begin().crash("a task kills the engine")


@task(registry=CORPUS)
async def deadly_later() -> None:
    """The same, after it has waited."""
    world = begin()
    await asyncio.sleep(0.7)
    world.crash("a task that had waited kills the engine")


@task(registry=CORPUS)
async def deadly_helper() -> None:
    """The same, by something that it started and waits for."""
    world = begin()
    asyncio.get_running_loop().call_later(
        0.4, world.crash, "what a task started kills the engine"
    )
    await asyncio.sleep(1000)


@task(registry=CORPUS)
def deadly_thread() -> None:
    """The same, in a thread."""
    begin().crash("a task in a thread kills the engine")


@task(registry=CORPUS)
async def lasting(number: int) -> int:
    """Only happens to be under way for a while."""
    begin()
    await asyncio.sleep(3.0)
    return number


@task(registry=CORPUS)
async def blob(size: int) -> bytes:
    await perform()
    return b"." * size


@task(
    registry=CORPUS, retry=retry(first=0.5, attempts=50), timeout=0.6, total_timeout=2
)
async def hopeless() -> None:
    """An attempt fails, or is too slow, as often as there is time for one."""
    begin()
    await asyncio.sleep(0.2 * context().attempt_number)
    raise ValueError("it is hopeless")
