"""`@workflow`: good definitions run by reference and by name, faulty ones raise."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, Runtime, WorkflowFailure, workflow
from everact.runtime.definitions.workflows import definition_of, name_of

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def echo(value: Any) -> list[Any]:
    """Say what came."""
    return [value]


@workflow(registry=REGISTRY)
async def count(*args: Any, **kwargs: Any) -> tuple[int, list[str]]:
    return len(args), sorted(kwargs)


@workflow(registry=REGISTRY)
async def two(a: int, b: int = 10) -> int:
    started.append("two")
    return a + b


@workflow(registry=REGISTRY)
class Order:
    """An order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @workflow.run
    async def execute(self, line: str) -> list[str]:
        self.lines.append(line)
        return self.lines

    @workflow.signal
    async def add(self, line: str) -> None:
        self.lines.append(line)

    @workflow.signal(name="drop it")
    def drop(self) -> None:
        self.lines.clear()

    @workflow.signal(dynamic=True)
    def other(self, name: str, args: tuple[Any, ...]) -> None: ...

    @workflow.query
    def size(self) -> int:
        return len(self.lines)

    @workflow.update
    async def replace(self, line: str) -> str:
        return line


started: list[str] = []


@pytest_asyncio.fixture
async def runtime() -> AsyncIterator[Runtime]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    started.clear()
    async with Runtime(":memory:", registry=REGISTRY, clock=VirtualClock(loop)) as made:
        yield made


def test_a_workflow_keeps_name_docstring_and_signature() -> None:
    assert echo.__name__ == "echo"
    assert echo.__doc__ == "Say what came."
    assert echo.__module__ == __name__
    assert str(inspect.signature(echo)) == "(value: 'Any') -> 'list[Any]'"


@pytest.mark.feature("DF-10")
def test_a_definition_knows_its_name_and_handlers() -> None:
    found = definition_of(Order)
    assert found is REGISTRY.workflows["Order"]
    assert found is not None
    assert found is definition_of(Order.execute)
    assert (sorted(found.signals), sorted(found.queries), sorted(found.updates)) == (
        ["add", "drop it"],
        ["size"],
        ["replace"],
    )
    assert found.any_signal is not None


@pytest.mark.feature("DF-10")
def test_the_decorated_class_is_the_class() -> None:
    assert Order().lines == []
    assert Order.__name__ == "Order"


def test_the_default_name_is_the_qualified_one_and_a_given_one_wins() -> None:
    registry = Registry()

    class Outer:
        @workflow(registry=registry)
        class Inner:
            @workflow.run
            async def run(self) -> None: ...

        @workflow(registry=registry, name="given")
        class Named:
            @workflow.run
            async def run(self) -> None: ...

    prefix = "test_the_default_name_is_the_qualified_one_and_a_given_one_wins.<locals>"
    assert sorted(registry.workflows) == ["given", f"{prefix}.Outer.Inner"]
    assert name_of(Outer.Named) == "given"


@pytest.mark.feature("DF-10")
@pytest.mark.parametrize("target", [Order, Order.execute, "Order"])
async def test_a_good_class_runs_by_reference_and_by_name(
    runtime: Runtime, target: Any
) -> None:
    assert await runtime.execute(target, "a") == ["a"]


# -- faulty definitions --------------------------------------------------------------


def without_run() -> type:
    class NoRun:
        @workflow.query
        def size(self) -> int:
            return 0

    return NoRun


def with_two_runs() -> type:
    class TwoRuns:
        @workflow.run
        async def one(self) -> None: ...

        @workflow.run
        async def two(self) -> None: ...

    return TwoRuns


def with_blocking_run() -> type:
    class BlockingRun:
        @workflow.run
        def run(self) -> None: ...

    return BlockingRun


def with_equal_signals() -> type:
    class EqualSignals:
        @workflow.run
        async def run(self) -> None: ...

        @workflow.signal(name="go")
        def one(self) -> None: ...

        @workflow.signal(name="go")
        def two(self) -> None: ...

    return EqualSignals


def with_async_query() -> type:
    class AsyncQuery:
        @workflow.run
        async def run(self) -> None: ...

        @workflow.query
        async def ask(self) -> None: ...

    return AsyncQuery


def with_everything_wrong() -> type:
    class AllWrong:
        @workflow.run
        def one(self) -> None: ...

        @workflow.run
        async def two(self) -> None: ...

        @workflow.query(name="q")
        async def ask(self) -> None: ...

        @workflow.query(name="q")
        def ask_again(self) -> None: ...

    return AllWrong


@pytest.mark.feature("DF-10")
@pytest.mark.parametrize(
    ("make", "problems"),
    [
        (without_run, ["0 methods are marked @workflow.run"]),
        (with_two_runs, ["2 methods are marked @workflow.run"]),
        (with_blocking_run, ["the run method 'run' is not async"]),
        (with_equal_signals, ["two handlers take the signal 'go'"]),
        (with_async_query, ["the query handler 'ask' must not be async"]),
        (
            with_everything_wrong,
            [
                "2 methods are marked @workflow.run",
                "the run method 'one' is not async",
                "two handlers take the query 'q'",
                "the query handler 'q' must not be async",
            ],
        ),
    ],
)
def test_a_faulty_class_is_refused_with_every_problem(
    make: Any, problems: list[str]
) -> None:
    registry = Registry()
    with pytest.raises(TypeError) as caught:
        workflow(registry=registry)(make())
    for problem in problems:
        assert problem in str(caught.value)
    assert registry.workflows == {}


def test_handlers_of_different_kinds_may_share_a_name() -> None:
    class Shared:
        @workflow.run
        async def run(self) -> None: ...

        @workflow.signal(name="x")
        def one(self) -> None: ...

        @workflow.query(name="x")
        def two(self) -> None: ...

    workflow(registry=Registry())(Shared)


def test_a_blocking_function_is_no_workflow() -> None:
    def blocking() -> None: ...

    target: Any = blocking
    with pytest.raises(TypeError, match="async def"):
        workflow(registry=Registry())(target)


def test_a_derived_class_inherits_handlers_and_may_replace_them() -> None:
    registry = Registry()

    class Base:
        @workflow.run
        async def run(self) -> str:
            return "base"

        @workflow.query
        def size(self) -> int:
            return 1

    @workflow(registry=registry, name="derived")
    class Derived(Base):
        @workflow.run
        async def run(self) -> str:
            return "derived"

    found = registry.workflows["derived"]
    assert found.function is Derived.run
    assert sorted(found.queries) == ["size"]


# -- arguments -----------------------------------------------------------------------


@pytest.mark.feature("DC-04")
@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, (0, [])),
        ({"arg": None}, (1, [])),
        ({"arg": [1, 2]}, (1, [])),
        ({"args": []}, (0, [])),
        ({"args": [None]}, (1, [])),
        ({"args": (1, 2, 3)}, (3, [])),
        ({"args": (1,), "kwargs": {"k": 1}}, (1, ["k"])),
        ({"arg": 1, "kwargs": {"k": 1}}, (1, ["k"])),
    ],
    ids=repr,
)
async def test_how_arguments_are_given(
    runtime: Runtime, options: dict[str, Any], seen: Any
) -> None:
    assert await runtime.execute(count, **options) == seen


@pytest.mark.feature("DC-04")
async def test_an_explicit_none_is_one_argument(runtime: Runtime) -> None:
    assert await runtime.execute(echo, None) == [None]


@pytest.mark.feature("DC-04")
async def test_arg_and_args_together_are_refused(runtime: Runtime) -> None:
    for arg in (1, None):
        with pytest.raises(ValueError, match="not both"):
            await runtime.start(echo, arg, args=[1])


@pytest.mark.feature("DC-04")
@pytest.mark.parametrize("args", [[], [1, 2, 3]], ids=repr)
@pytest.mark.parametrize("target", [two, Order, Order.execute])
async def test_arguments_that_do_not_fit_are_refused_before_anything_is_stored(
    runtime: Runtime, target: Any, args: list[Any]
) -> None:
    with pytest.raises(TypeError, match=r"^(two|Order)\("):
        await runtime.start(target, args=args)
    assert [line async for line in runtime.list()] == []


@pytest.mark.feature("DC-04")
async def test_a_start_by_name_with_misfits_fails_before_user_code_runs(
    runtime: Runtime,
) -> None:
    with pytest.raises(WorkflowFailure, match="TypeError") as caught:
        await runtime.execute("two", args=[])
    assert "missing" in str(caught.value.cause)
    assert started == []


@pytest.mark.parametrize("target", [None, 7, int, print, lambda: None])
def test_what_is_no_workflow_says_what_would_be(target: Any) -> None:
    with pytest.raises(TypeError, match="decorate it with @workflow"):
        name_of(target)
