"""Nothing that author code raises, returns or hides in a value harms anybody else.

Each hostile run lives beside an innocent one, on a real file, and is met again after a
restart. The worst are played in processes of their own in `test_hostile_processes`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock
from everact.runtime import (
    ApplicationError,
    Call,
    Registry,
    Runtime,
    WorkflowFailure,
    continue_as_new,
    receive,
    retry,
    sleep,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.converters import DataConverter, FailureConverter
from everact.runtime.errors import QueryFailed, RunPutAside, UpdateFailed
from everact.runtime.functions import Arguments, TailCall
from tests import hostile

HOSTILE = Registry()
NAMES = list(hostile.ERRORS)


@workflow(registry=HOSTILE)
async def innocent() -> str:
    await sleep(30)
    return await receive("go") or "innocent"


@task(registry=HOSTILE, retry=retry(first=1, attempts=2))
async def failing(name: str) -> None:
    raise hostile.error(name)


@task(registry=HOSTILE, retry=retry(first=1, attempts=2))
async def failing_later(name: str) -> None:
    await asyncio.sleep(1)
    raise hostile.error(name)


@task(registry=HOSTILE)
def failing_in_thread(name: str) -> None:
    raise hostile.error(name)


@workflow(registry=HOSTILE)
async def raises(name: str, when: float) -> None:
    if when:
        await sleep(when)
    raise hostile.error(name)


@workflow(registry=HOSTILE)
async def raises_in_task(name: str, how: str) -> str:
    chosen = {"at once": failing, "later": failing_later, "thread": failing_in_thread}
    try:
        await chosen[how](name)
    except ApplicationError as error:
        return error.type
    except BaseException as error:
        return type(error).__qualname__
    return "nothing"


@workflow(registry=HOSTILE)
class Handlers:
    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self) -> str:
        await wait_condition(lambda: self.done)
        return "done"

    @workflow.signal
    def end(self) -> None:
        self.done = True

    @workflow.signal
    def signalled(self, name: str) -> None:
        raise hostile.error(name)

    @workflow.signal
    async def signalled_later(self, name: str) -> None:
        await sleep(1)
        raise hostile.error(name)

    @workflow.query
    def asked(self, name: str) -> None:
        raise hostile.error(name)

    @workflow.query
    def answers(self) -> object:
        return hostile.Touchy()

    @workflow.update
    def updated(self, name: str) -> None:
        raise hostile.error(name)

    @workflow.update
    async def updated_later(self, name: str) -> None:
        await sleep(1)
        raise hostile.error(name)

    @workflow.update
    def checked(self, name: str) -> None:
        return None

    @checked.validator
    def check(self, name: str) -> None:
        raise hostile.error(name)


def open_runtime(path: Path, **options: Any) -> Runtime:
    clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
    return Runtime(path / "a.db", registry=HOSTILE, clock=clock, **options)


@pytest.fixture
async def runtime(tmp_path: Path) -> Any:
    async with open_runtime(tmp_path) as opened:
        await opened.start(innocent, id="innocent")
        yield opened
    # Whatever happened: the innocent goes on, also in another life of the engine.
    async with open_runtime(tmp_path) as opened:
        await opened.handle("innocent").signal("go")
        assert await opened.handle("innocent").result() == "innocent"


@pytest.mark.parametrize("name", NAMES)
async def test_a_run_fails_alone_whatever_its_code_raises(
    runtime: Runtime, name: str
) -> None:
    for when in (0.0, 5.0):
        handle = await runtime.start(raises, args=(name, when))
        for _ in range(2):  # as every waiter reads it
            with pytest.raises(WorkflowFailure):
                await handle.result()
        assert str((await handle.describe()).status) == "failed"


@pytest.mark.parametrize("name", NAMES)
async def test_a_task_fails_alone_whatever_it_raises(
    runtime: Runtime, name: str
) -> None:
    for how in ("at once", "later", "thread"):
        assert await runtime.execute(raises_in_task, args=(name, how)) != "nothing"


@pytest.mark.parametrize("name", NAMES)
async def test_a_handler_fails_alone_whatever_it_raises(
    runtime: Runtime, name: str
) -> None:
    handle = await runtime.start(Handlers)
    for verb in ("updated", "updated_later", "checked"):
        with pytest.raises(UpdateFailed):
            await handle.update(verb, name)
    with pytest.raises(QueryFailed):
        await handle.query("asked", name)
    await handle.signal("end")
    assert await handle.result() == "done"
    with pytest.raises(QueryFailed):  # of a closed run
        await handle.query("asked", name)


@pytest.mark.parametrize("name", NAMES)
async def test_a_signal_handler_fails_its_run_alone(
    runtime: Runtime, name: str
) -> None:
    for verb in ("signalled", "signalled_later"):
        handle = await runtime.start(Handlers)
        await handle.signal(verb, name)
        if name == "cancelled" and verb == "signalled_later":
            await handle.signal("end")  # a task that is cancelled has not failed
            assert await handle.result() == "done"
            continue
        with pytest.raises(WorkflowFailure):
            await handle.result()


async def test_what_exits_is_named_by_the_failure(runtime: Runtime) -> None:
    with pytest.raises(WorkflowFailure) as failed:
        await runtime.execute(raises, args=("SystemExit", 0.0))
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.message) == ("SystemExit", "3")
    assert "raise hostile.error(name)" in cause.traceback
    with pytest.raises(WorkflowFailure) as failed:
        await runtime.execute(raises, args=("long", 0.0))
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert len(cause.message) < 100_000


# -- values ---------------------------------------------------------------------------


@task(registry=HOSTILE)
async def gives(name: str) -> Any:
    return hostile.value(name)


@task(registry=HOSTILE)
async def takes(_: Any) -> str:
    return "taken"


@workflow(registry=HOSTILE)
async def awaits_value(name: str, how: str) -> Any:
    if how == "returned":
        return hostile.value(name)
    if how == "given":
        return await takes(hostile.value(name))
    if how == "condition":
        return await wait_condition(lambda: hostile.value(name))
    await gives(name)
    return "got"


@workflow(registry=HOSTILE)
async def receives() -> str:
    await receive("value")
    return "received"


@workflow(registry=HOSTILE)
async def given(_: Any) -> str:
    await sleep(1)
    return "given"


async def settled(handle: Any) -> str:
    """How a run stands that is over, or put aside."""
    try:
        await handle.result()
    except RunPutAside:
        await handle.terminate()
        return "aside"
    except WorkflowFailure:
        return "failed"
    except ValueError:
        return "unreadable"
    return "done"


@pytest.mark.parametrize("name", hostile.VALUES)
async def test_a_value_harms_nobody_who_does_not_ask_for_it(
    runtime: Runtime, name: str
) -> None:
    ends = {}
    for how in ("returned", "given", "condition", "task"):
        handle = await runtime.start(awaits_value, args=(name, how))
        if how == "condition" and name not in ("Touchy", "Numberless"):
            assert await handle.result() is None  # whatever it is, it is true
            continue
        ends[how] = await settled(handle)
    reads = name == "Unpickled"
    assert ends["returned"] in (("unreadable",) if reads else ("failed", "done"))
    assert ends["task"] in (("aside",) if reads else ("failed", "done"))
    if name == "Unpickled":
        handle = await runtime.start(receives)
        await handle.signal("value", hostile.value(name))
        assert await settled(handle) == "aside"
        handle = await runtime.start(given, args=(hostile.value(name),))
        assert await settled(handle) == "aside"


# -- what cannot be recorded ----------------------------------------------------------


@task(registry=HOSTILE)
async def named(**_: Any) -> None:
    return None


@workflow(registry=HOSTILE)
async def asks_badly(how: str) -> None:
    await sleep(1)
    match how:
        case "keyword":
            await named(**{"a\ud800": 1})
        case "queue":
            continue_as_new(how, queue="\ud800")
        case "no text":
            continue_as_new(how, queue=object())  # type: ignore[arg-type]
        case "tail call":
            raise TailCall(Call("named", Arguments((), {"\ud800": 1})))


@pytest.mark.parametrize("how", ["keyword", "queue", "no text", "tail call"])
async def test_a_run_that_asks_for_what_cannot_be_recorded_fails(
    runtime: Runtime, how: str
) -> None:
    """It was loaded again for ever, or took the steps of others with it."""
    with pytest.raises(WorkflowFailure):
        await runtime.execute(asks_badly, how)


@workflow(registry=HOSTILE)
async def leaves_a_generator() -> str:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise SystemExit(26)

    async def take() -> None:
        async for _ in numbers():
            await sleep(1000)

    taking = asyncio.create_task(take())
    await sleep(1)
    return f"left {taking.done()}"


async def test_clean_up_of_what_a_run_leaves_harms_nobody(tmp_path: Path) -> None:
    async with open_runtime(tmp_path) as runtime:
        assert await runtime.execute(leaves_a_generator) == "left False"


class Failing(FailureConverter):
    """Makes no failures and no exceptions, but exits."""

    def to_failure(self, error: BaseException, *_: Any, **__: Any) -> Any:
        return sys.exit(27) if "exit" in str(error) else f"no failure: {error}"

    def to_exception(self, *_: Any, **__: Any) -> Any:
        sys.exit(28)

    def to_cause(self, *_: Any, **__: Any) -> Any:
        return "no exception"


@pytest.mark.parametrize("text", ["exit", "other"])
async def test_a_converter_of_failures_that_goes_astray_loses_none(
    tmp_path: Path, text: str
) -> None:
    converter = DataConverter(failures=Failing())
    async with open_runtime(tmp_path, data_converter=converter) as runtime:
        with pytest.raises(WorkflowFailure) as failed:
            await runtime.execute(lets_through, text)
        assert isinstance(failed.value.cause, ApplicationError)
        assert (failed.value.cause.type, failed.value.cause.message) == (
            "OSError",
            text,
        )


@task(registry=HOSTILE)
async def breaks(text: str) -> None:
    raise OSError(text)


@workflow(registry=HOSTILE)
async def lets_through(text: str) -> None:
    await breaks(text)
