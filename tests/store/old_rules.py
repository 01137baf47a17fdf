"""The workflows of `old/rules-0.sql`: what the earlier version ran them by shows."""

from __future__ import annotations

import asyncio

from everact.runtime import (
    Registry,
    execute_child,
    sleep,
    task,
    wait_condition,
    workflow,
)

REGISTRY = Registry()


@task(registry=REGISTRY)
async def step(name: str) -> str:
    return name


@workflow(registry=REGISTRY)
class Diary:
    """Its handler and its code each make a call: the order of both is recorded."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.over = False

    @workflow.run
    async def run(self) -> list[str]:
        self.lines.append(await step("code"))
        await wait_condition(lambda: self.over)
        return self.lines

    @workflow.signal
    async def write(self, text: str) -> None:
        self.lines.append(await step(text))

    @workflow.signal
    def close(self) -> None:
        self.over = True


@workflow(registry=REGISTRY)
async def slow_to_end() -> str:
    try:
        await sleep(1_000_000)
    finally:
        await sleep(60)
    return "slept"


@workflow(registry=REGISTRY)
class Parent:
    """It gives its child up, and waits for its own end."""

    def __init__(self) -> None:
        self.over = False

    @workflow.run
    async def run(self) -> str:
        given_up = "waited for"
        try:
            async with asyncio.timeout(5):
                await execute_child(slow_to_end, id="child")
        except TimeoutError:
            given_up = await step("given up")
        await wait_condition(lambda: self.over)
        return given_up

    @workflow.signal
    def close(self) -> None:
        self.over = True
