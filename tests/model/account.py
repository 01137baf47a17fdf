"""The workflow of the model-based test: an account, told one simple thing at a time."""

from __future__ import annotations

import asyncio

from everact.runtime import (
    ApplicationError,
    Registry,
    continue_as_new,
    task,
    wait_condition,
    workflow,
)

REGISTRY = Registry()


@task(registry=REGISTRY)
async def earn(amount: int) -> int:
    await asyncio.sleep(0.02)
    return amount


@workflow(registry=REGISTRY)
class Account:
    """A total, until somebody says how it ends."""

    def __init__(self) -> None:
        self.total = 0
        self.end = ""

    @workflow.run
    async def run(self, amount: int) -> int:
        self.total += amount
        await wait_condition(lambda: bool(self.end))
        if self.end == "renew":
            continue_as_new(self.total)
        if self.end == "fail":
            raise ApplicationError("as it was told to", type="Told")
        return self.total

    @workflow.signal
    def add(self, amount: int) -> None:
        self.total += amount

    @workflow.signal
    async def work(self, amount: int) -> None:
        """Adds what a task gives, as soon as that is done."""
        earned = await earn(amount)
        self.total += earned  # not in one: what is added to is read before the await

    @workflow.signal
    def close(self, how: str) -> None:
        self.end = self.end or how

    @workflow.update
    def deposit(self, amount: int) -> int:
        self.total += amount
        return self.total

    @deposit.validator
    def check(self, amount: int) -> None:
        if amount < 0:
            raise ValueError("a deposit is no debt")

    @workflow.query
    def balance(self) -> int:
        return self.total
