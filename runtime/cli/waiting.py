"""Waiting for a run's end, with progress for whoever watches."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from everact.runtime.cli.exits import NotYet
from everact.runtime.cli.output import Output, plain
from everact.runtime.client.handle import RunHandle
from everact.runtime.client.pending import Pending
from everact.runtime.client.views import RunView
from everact.runtime.errors import EveractError

LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at a run that somebody watches."""


async def wait_for(handle: RunHandle[Any], out: Output, limit: float | None) -> Any:
    """The run's result; NotYet after `limit` seconds, errors as `RunHandle.result`."""

    def not_done() -> NotYet:
        return NotYet(
            f"run {handle.id!r} is not done after {limit:g} s; it goes on: "
            f"`everact result {handle.id}` waits again"
        )

    async with _progress(handle, out), Pending().within(limit, not_done):
        return await handle.result()


@asynccontextmanager
async def _progress(handle: RunHandle[Any], out: Output) -> AsyncIterator[None]:
    if not out.animated:
        yield
        return
    with out.notes.status(plain(f"waiting for {handle.id}")) as shown:

        async def watch() -> None:
            began = time.monotonic()
            while True:
                try:
                    view = await handle.describe(rpc_timeout=5.0)
                except EveractError:
                    state = "the engine does not answer; waiting for it"
                else:
                    state = pending(view)
                waited = int(time.monotonic() - began)
                shown.update(plain(f"{handle.id}  {state}  {waited} s"))
                await asyncio.sleep(LOOK_AGAIN)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait((watching,))


def pending(view: RunView) -> str:
    """What a run waits for, in a few words."""
    if view.aside:
        return f"put aside: {view.aside}"
    retried = sum(task.last_failure is not None for task in view.pending_tasks)
    parts = [
        _count(len(view.pending_tasks), "task"),
        _count(len(view.pending_timers), "timer"),
        _count(len(view.pending_children), "child run"),
        _count(len(view.pending_events), "event"),
        f"{retried} failed before" if retried else "",
    ]
    return ", ".join([str(view.status), *filter(None, parts)])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}" if number else ""
