"""Updates: validators, stages, identity, answers, and what cuts them short."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from everact.runtime import (
    ApplicationError,
    Client,
    Registry,
    RPCError,
    RPCStatus,
    RunStatus,
    UpdateFailed,
    UpdateTimedOutOrCancelled,
    UpdateView,
    Worker,
    all_handlers_finished,
    continue_as_new,
    on_signal,
    on_update,
    task,
    wait_condition,
    workflow,
)
from everact.runtime import (
    sleep as durable_sleep,
)
from tests.features.conftest import Site
from tests.features.support import kinds, turns

REGISTRY = Registry()


@task(registry=REGISTRY)
async def receipt(amount: int) -> str:
    await asyncio.sleep(1)
    return f"receipt {amount}"


@workflow(registry=REGISTRY)
class Account:
    """Takes deposits until it is closed."""

    def __init__(self) -> None:
        self.balance = 0
        self.handled = 0
        self.closed = False

    @workflow.run
    async def run(self) -> int:
        await wait_condition(lambda: self.closed)
        return self.balance

    @workflow.update
    async def deposit(self, amount: int, note: str = "") -> str:
        self.handled += 1
        self.balance += amount
        return await receipt(amount) + note

    @deposit.validator
    def check_deposit(self, amount: int, note: str = "") -> None:
        if amount <= 0:
            raise ValueError(f"{amount} is no deposit")

    @workflow.update
    def peek(self) -> int:
        return self.balance

    @workflow.update
    def refuse(self, *reasons: str) -> None:
        raise LookupError(*reasons)

    @workflow.update(name="close-it", unfinished="abandon")
    def close(self, after: str) -> list[str]:
        self.closed = True
        return [after]

    @workflow.query
    def calls(self) -> int:
        return self.handled


async def test_an_update_changes_state_takes_steps_and_returns_a_value(
    runtime: Client,
) -> None:
    handle = await runtime.start(Account, id="a")
    assert await handle.update(Account.deposit, 5) == "receipt 5"
    assert await handle.update(Account.peek) == 5
    assert await handle.update("close-it", "now") == ["now"]
    assert await handle.result() == 5
