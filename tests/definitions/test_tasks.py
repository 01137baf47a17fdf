"""`@task` and `registry.function`: what a decorated function still is, and what new."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from typing import Any

import cloudpickle
import pytest

from everact.runtime import (
    Call,
    Registry,
    RetryPolicy,
    Task,
    TaskContext,
    context,
    default_registry,
    function,
    retry,
    task,
    workflow,
)
from everact.runtime.core.records import TaskOptions
from everact.runtime.definitions.tasks import FUNCTION_RETRY
from everact.runtime.functions import task_identifier
from everact.runtime.values.calls import Arguments

REGISTRY = Registry()


async def fetch(url: str, /, times: int = 1, *, fast: bool = False) -> bytes:
    """Fetch a page."""
    return url.encode() * times


def parse(page: bytes) -> int:
    """Count bytes."""
    return len(page)


def make(
    plain: Any, registry: Registry | None = None, **options: Any
) -> Task[..., Any]:
    """`plain` as a task of a registry of its own."""
    made: Task[..., Any] = task(registry=registry or Registry(), **options)(plain)
    return made


@pytest.mark.feature("DF-03")
@pytest.mark.parametrize("plain", [fetch, parse])
def test_a_task_keeps_name_docstring_and_signature(plain: Any) -> None:
    made = make(plain)
    assert made.__name__ == plain.__name__
    assert made.__qualname__ == plain.__qualname__
    assert made.__doc__ == plain.__doc__
    assert made.__module__ == plain.__module__
    assert inspect.signature(made) == inspect.signature(plain)
    assert inspect.unwrap(made) is plain
    assert made.function is plain
    assert repr(made) == f"<task {plain.__qualname__}>"


@pytest.mark.feature("DF-03")
@pytest.mark.parametrize("plain", [fetch, parse])
def test_a_task_is_a_coroutine_function_for_everybody(plain: Any) -> None:
    made = make(plain)
    assert asyncio.iscoroutinefunction(made)
    if hasattr(inspect, "markcoroutinefunction"):
        assert inspect.iscoroutinefunction(made)


@pytest.mark.feature("DF-03")
def test_calling_a_task_gives_a_coroutine() -> None:
    coroutine = make(parse)(b"x")
    assert inspect.iscoroutine(coroutine)
    coroutine.close()


@pytest.mark.feature("DF-03")
@pytest.mark.parametrize(("plain", "executor"), [(fetch, "loop"), (parse, "thread")])
def test_async_functions_run_on_the_loop_and_others_in_threads(
    plain: Any, executor: str
) -> None:
    made = make(plain)
    assert (made.executor, made.is_async) == (executor, executor == "loop")


class Shop:
    @staticmethod
    async def charge() -> None: ...


@pytest.mark.feature("DF-03")
def test_a_function_is_registered_under_its_qualified_name() -> None:
    registry = Registry()
    make(Shop.charge, registry)
    make(fetch, registry, name="other")
    assert sorted(registry.tasks) == ["Shop.charge", "other"]


def test_the_decorator_works_with_and_without_options() -> None:
    @task
    async def bare_definition() -> None: ...

    @task(registry=REGISTRY, retries=2)
    async def with_options() -> None: ...

    assert default_registry().tasks[bare_definition.everact_name] is bare_definition
    assert REGISTRY.tasks[with_options.everact_name] is with_options
    assert with_options.options.retry == RetryPolicy(attempts=3)


def test_a_task_without_options_has_one_attempt_and_no_limits() -> None:
    made = make(fetch)
    assert made.options == TaskOptions(RetryPolicy(attempts=1), None, None, None, None)


def test_options_are_checked_and_kept() -> None:
    policy = retry(first="2s", attempts=4)
    made = make(
        fetch,
        retry=policy,
        timeout="1m",
        heartbeat_timeout=5,
        queue_timeout="2h",
        total_timeout="3h",
        queue="gpu",
    )
    assert made.options == TaskOptions(
        policy, 60.0, 5.0, 7200.0, "gpu", total_timeout=10_800.0
    )
    assert made.with_options(retries=1).options.total_timeout == 10_800.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"retries": -1}, "retries must be 0 or more"),
        ({"retries": "2"}, "retries must be 0 or more"),
        ({"retries": 1, "retry": retry()}, "not both"),
        ({"timeout": "5"}, "timeout '5' is not a duration"),
        ({"timeout": -1}, "timeout must not be negative"),
        ({"heartbeat_timeout": "x"}, "heartbeat_timeout"),
        ({"queue_timeout": "x"}, "queue_timeout"),
        ({"total_timeout": "x"}, "total_timeout"),
        ({"executor": "gpu"}, "executor must be one of"),
        ({"executor": "thread"}, "runs on the loop, not in a thread"),
    ],
    ids=str,
)
def test_bad_options_are_refused_and_nothing_is_registered(
    options: dict[str, Any], text: str
) -> None:
    registry = Registry()
    with pytest.raises(ValueError, match=text):
        make(fetch, registry, **options)
    assert registry.tasks == {}


def test_a_blocking_function_is_kept_off_the_loop() -> None:
    with pytest.raises(ValueError, match="would block the loop"):
        make(parse, executor="loop")


def test_only_functions_are_tasks() -> None:
    with pytest.raises(TypeError, match="a task is a function"):
        make("fetch")


def test_other_options_for_some_calls_leave_the_task_as_it_was() -> None:
    made = make(fetch, retries=1, timeout="5s")
    other = made.with_options(timeout="9s", queue="gpu")
    assert made.options == TaskOptions(RetryPolicy(attempts=2), 5.0)
    assert other.options == TaskOptions(RetryPolicy(attempts=2), 9.0, None, None, "gpu")
    assert other.everact_name == made.everact_name
    assert other.function is made.function


# -- calls ---------------------------------------------------------------------------


def test_a_call_can_be_described_without_being_made() -> None:
    registry = Registry("http://elsewhere")
    made = make(fetch, registry)
    assert made.build_call("u", times=2) == Call(
        "fetch", Arguments(("u",), {"times": 2}), "http://elsewhere"
    )


@pytest.mark.feature("DC-04")
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("u", 1, 2), {}),
        ((), {"url": "positional only"}),
        (("u",), {"slow": True}),
        (("u", 1), {"times": 2}),
    ],
    ids=repr,
)
def test_arguments_that_do_not_fit_are_refused_by_name(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    made = make(fetch)
    with pytest.raises(TypeError, match=r"^fetch\(url"):
        _ = made.build_call(*args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("u",), {}), (("u", 3), {}), (("u",), {"fast": True, "times": 2})],
    ids=repr,
)
def test_arguments_that_fit_are_taken(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    make(fetch).signature.check(args, kwargs, "fetch")


def star(*items: int, key: str = "") -> None: ...


def required_key(*, key: str) -> None: ...


def many(**options: int) -> None: ...


@pytest.mark.parametrize(
    ("plain", "args", "kwargs", "fits"),
    [
        (star, (), {}, True),
        (star, (1, 2, 3), {"key": "k"}, True),
        (star, (), {"other": 1}, False),
        (required_key, (), {}, False),
        (required_key, (), {"key": "k"}, True),
        (required_key, (1,), {"key": "k"}, False),
        (many, (), {"a": 1, "b": 2}, True),
        (many, (1,), {}, False),
    ],
)
def test_every_kind_of_parameter_is_checked(
    plain: Any, args: tuple[Any, ...], kwargs: dict[str, Any], fits: bool
) -> None:
    signature = make(plain).signature
    if fits:
        signature.check(args, kwargs, "f")
    else:
        with pytest.raises(TypeError, match=r"^f\("):
            signature.check(args, kwargs, "f")


def with_context(a: int, ctx: TaskContext, b: int = 2) -> None: ...


def test_a_parameter_for_the_context_is_not_the_callers_business() -> None:
    signature = make(with_context).signature
    assert signature.injected == "ctx"
    signature.check((1, 5), {}, "f")
    with pytest.raises(TypeError, match=r"^f\(a.*b"):
        signature.check((1, 2, 3), {}, "f")
    with pytest.raises(TypeError):
        signature.check((1,), {"ctx": None}, "f")


def test_a_task_called_without_a_runtime_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"async with Runtime|task\.function"):
        asyncio.run(make(fetch)("u"))


def test_the_context_is_there_inside_a_task_only() -> None:
    assert task_identifier() is None
    with pytest.raises(RuntimeError, match="inside a task only"):
        context()


# -- functions of a registry ---------------------------------------------------------


@pytest.mark.feature("DF-03")
def test_a_registered_function_has_a_finite_policy_for_temporary_statuses() -> None:
    made = Registry().function(fetch)
    assert made.options.retry == FUNCTION_RETRY
    assert RetryPolicy(1.0, 2.0, 100.0, 10, (), temporary_only=True) == FUNCTION_RETRY


@pytest.mark.feature("DF-03")
def test_a_function_of_either_kind_is_registered() -> None:
    registry = Registry()
    assert registry.function(fetch) is registry.tasks["fetch"]
    assert registry.function(parse) is registry.tasks["parse"]


@pytest.mark.feature("DF-03")
def test_the_module_level_decorator_takes_options_and_a_registry() -> None:
    registry = Registry()
    made = function(registry, timeout="5s", name="again")(fetch)
    assert registry.tasks == {"again": made}
    assert made.options == TaskOptions(FUNCTION_RETRY, 5.0)


# -- how tasks travel ----------------------------------------------------------------


@task(registry=REGISTRY)
async def module_level() -> None: ...


@pytest.mark.parametrize("how", [pickle, cloudpickle], ids=lambda m: m.__name__)
def test_a_task_of_a_module_travels_as_a_reference(how: Any) -> None:
    assert pickle.loads(how.dumps(module_level)) is module_level


def test_a_task_with_other_options_travels_with_them() -> None:
    other = module_level.with_options(timeout="9s", retries=2)
    found = pickle.loads(pickle.dumps(other))
    assert found.function is module_level.function
    assert found.options == other.options


@workflow(registry=REGISTRY)
async def module_workflow() -> None: ...


@pytest.mark.parametrize("how", [pickle, cloudpickle], ids=lambda m: m.__name__)
def test_a_workflow_of_a_module_travels_as_a_reference(how: Any) -> None:
    assert pickle.loads(how.dumps(module_workflow)) is module_workflow
