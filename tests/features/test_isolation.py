"""Nothing that author code raises, returns or hides in a value harms anybody else.

Each hostile run lives beside an innocent one, on a real file, and is met again after a
restart. The worst are played in processes of their own in `test_hostile_processes`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock
from everact.runtime import (
    ApplicationError,
    QueryFailed,
    Registry,
    RunPutAside,
    Runtime,
    UpdateFailed,
    WorkflowFailure,
    on_signal,
    receive,
    retry,
    sleep,
    task,
    wait_condition,
    workflow,
)

HOSTILE = Registry()


class Lying(Exception):
    """Says by its `__class__` that it is something else."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return asyncio.CancelledError


class Exiting(Exception):
    """Exits whenever anybody looks at what it is."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        sys.exit(11)


class Mute(Exception):
    def __str__(self) -> str:
        sys.exit(12)

    __repr__ = __str__


class Interrupting(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


class Patient(Exception):
    @property
    def retry_after(self) -> float:
        sys.exit(13)


class Reduced(Exception):
    def __reduce__(self) -> Any:
        sys.exit(14)


class Loaded(Exception):
    """Exits when it is read back."""

    def __reduce__(self) -> Any:
        return sys.exit, (15,)


class Noted(Exception):
    @property
    def __notes__(self) -> list[str]:
        sys.exit(16)


class Caused(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        sys.exit(17)

    __context__ = __traceback__ = __suppress_context__ = __cause__  # type: ignore[assignment]


class Told(ApplicationError):
    """One of ours, whose parts exit."""

    @property
    def details(self) -> Any:  # type: ignore[override]
        sys.exit(18)

    @details.setter
    def details(self, _: Any) -> None:
        return

    @property
    def non_retryable(self) -> Any:  # type: ignore[override]
        sys.exit(19)

    @non_retryable.setter
    def non_retryable(self, _: Any) -> None:
        return


class Endless(Exception):
    """Pickles as a list that has no end."""

    def __reduce__(self) -> Any:
        def more() -> Iterator[str]:
            while True:
                yield "more and more" * 1000

        return list, (), None, more()


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        sys.exit(20)


class Unnamed(Exception, metaclass=Meta):
    pass


def circle() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def nested() -> BaseException:
    group: Exception = ValueError("innermost")
    for _ in range(5000):
        group = ExceptionGroup("deep", [group])
    return group


def recursing() -> BaseException:
    def deeper(n: int) -> int:
        return deeper(n + 1) + 1

    try:
        deeper(0)
    except RecursionError as error:
        return error
    raise AssertionError


class Boolish:
    def __bool__(self) -> bool:
        sys.exit(21)

    __eq__ = __hash__ = __repr__ = __bool__  # type: ignore[assignment]


ERRORS: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": lambda: KeyboardInterrupt("typed by nobody"),
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "MemoryError": MemoryError,
    "RecursionError": recursing,
    "BaseException": lambda: BaseException("base"),
    "Lying": Lying,
    "Exiting": Exiting,
    "Mute": Mute,
    "Interrupting": Interrupting,
    "Patient": Patient,
    "Reduced": Reduced,
    "Loaded": Loaded,
    "Noted": Noted,
    "Caused": Caused,
    "Told": Told,
    "Endless": Endless,
    "Unnamed": Unnamed,
    "circle": circle,
    "nested": nested,
    "argument": lambda: KeyError(Boolish()),
    "long": lambda: ValueError("x" * 50_000_000),
    "group": lambda: BaseExceptionGroup("group", [SystemExit(1), Mute()]),
    "cancelled": lambda: asyncio.CancelledError(Boolish()),
}
NAMES = list(ERRORS)


@workflow(registry=HOSTILE)
async def innocent() -> str:
    await sleep(30)
    return await receive("go") or "innocent"


@task(registry=HOSTILE, retry=retry(first=1, attempts=2))
async def failing(name: str) -> None:
    raise ERRORS[name]()


@task(registry=HOSTILE, retry=retry(first=1, attempts=2))
async def failing_later(name: str) -> None:
    await asyncio.sleep(1)
    raise ERRORS[name]()


@task(registry=HOSTILE)
def failing_in_thread(name: str) -> None:
    raise ERRORS[name]()


@workflow(registry=HOSTILE)
async def raises(name: str, when: float) -> None:
    if when:
        await sleep(when)
    raise ERRORS[name]()


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
        raise ERRORS[name]()

    @workflow.signal
    async def signalled_later(self, name: str) -> None:
        await sleep(1)
        raise ERRORS[name]()

    @workflow.query
    def asked(self, name: str) -> None:
        raise ERRORS[name]()

    @workflow.query
    def answers(self) -> object:
        return Boolish()

    @workflow.update
    def updated(self, name: str) -> None:
        raise ERRORS[name]()

    @workflow.update
    async def updated_later(self, name: str) -> None:
        await sleep(1)
        raise ERRORS[name]()

    @workflow.update
    def checked(self, name: str) -> None:
        return None

    @checked.validator
    def check(self, name: str) -> None:
        raise ERRORS[name]()


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


@pytest.mark.parametrize("when", [0.0, 5.0], ids=["at once", "later"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_run_fails_alone_whatever_its_code_raises(
    runtime: Runtime, name: str, when: float
) -> None:
    handle = await runtime.start(raises, args=(name, when))
    with pytest.raises(WorkflowFailure):
        await handle.result()
    view = await handle.describe()
    assert str(view.status) == "FAILED"
    with pytest.raises(WorkflowFailure):  # read again, as every waiter does
        await handle.result()


@pytest.mark.parametrize("how", ["at once", "later", "thread"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_task_fails_alone_whatever_it_raises(
    runtime: Runtime, name: str, how: str
) -> None:
    if how == "thread" and name == "long":
        pytest.skip("takes long")
    told = await runtime.execute(raises_in_task, args=(name, how))
    assert told != "nothing"


@pytest.mark.parametrize("name", NAMES)
async def test_a_query_fails_alone(runtime: Runtime, name: str) -> None:
    handle = await runtime.start(Handlers)
    with pytest.raises(QueryFailed):
        await handle.query("asked", name)
    await handle.signal("end")
    assert await handle.result() == "done"
    with pytest.raises(QueryFailed):
        await handle.query("asked", name)


@pytest.mark.parametrize("verb", ["updated", "updated_later", "checked"])
@pytest.mark.parametrize("name", NAMES)
async def test_an_update_fails_alone(runtime: Runtime, name: str, verb: str) -> None:
    handle = await runtime.start(Handlers)
    with pytest.raises(UpdateFailed):
        await handle.update(verb, name)
    await handle.signal("end")
    assert await handle.result() == "done"


@pytest.mark.parametrize("verb", ["signalled", "signalled_later"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_signal_handler_fails_its_run_alone(
    runtime: Runtime, name: str, verb: str
) -> None:
    handle = await runtime.start(Handlers)
    await handle.signal(verb, name)
    if name in ("cancelled",) and verb == "signalled_later":
        await handle.signal("end")  # a task that is cancelled has not failed
        assert await handle.result() == "done"
        return
    with pytest.raises(WorkflowFailure):
        await handle.result()
