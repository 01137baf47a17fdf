"""Registries: which names stand for what, and what happens to the second of a name."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    Registry,
    Runtime,
    default_registry,
    function,
    task,
    workflow,
)
from everact.runtime.definitions import registry as registry_module


@pytest.mark.feature("DF-03")
def test_a_second_function_of_a_name_is_refused_and_changes_nothing() -> None:
    registry = Registry()

    @registry.function
    def count(a: int) -> int:
        return a

    def other(a: int) -> int:
        return a

    with pytest.raises(ValueError, match=r"task named '.*count' .*name=") as caught:
        task(registry=registry, name=count.everact_name)(other)
    assert "test_registry.py" in str(caught.value)
    assert list(registry.tasks.values()) == [count]


def test_a_second_workflow_of_a_name_is_refused_and_changes_nothing() -> None:
    registry = Registry()

    @workflow(registry=registry, name="order")
    async def first() -> None: ...

    with pytest.raises(ValueError, match="workflow named 'order'"):

        @workflow(registry=registry, name="order")
        async def second() -> None: ...

    assert registry.workflows["order"] is first.definition


def test_one_name_may_be_registered_in_two_registries() -> None:
    async def step() -> None: ...

    one, two = Registry(), Registry()
    task(registry=one, name="step")(step)
    task(registry=two, name="step")(step)
    assert one.tasks["step"] is not two.tasks["step"]


def test_the_same_definition_seen_again_replaces_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is loaded anew, as notebooks and servers do."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "reloaded_module.py").write_text(
        textwrap.dedent("""
        from everact.runtime import task, workflow

        @task
        async def reloaded_task(): ...

        @workflow
        async def reloaded_workflow(): ...
        """)
    )
    module = importlib.import_module("reloaded_module")
    old = module.reloaded_task
    importlib.reload(module)
    assert module.reloaded_task is not old
    assert default_registry().tasks["reloaded_task"] is module.reloaded_task


def test_what_is_typed_again_at_a_prompt_replaces_the_old_one() -> None:
    """Cells of a notebook and lines of a prompt: redefining is how people work."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    source = "from everact.runtime import task\n@task\nasync def typed_again(): ...\n"
    exec(compile(source, "<cell 1>", "exec"), namespace)
    exec(compile("\n\n" + source, "<cell 2>", "exec"), namespace)
    assert default_registry().tasks["typed_again"] is namespace["typed_again"]


def test_listeners_are_told_of_additions_until_they_leave() -> None:
    registry = Registry()
    told: list[int] = []
    leave = registry.on_change(lambda: told.append(len(registry.tasks)))
    task(registry=registry, name="a")(lambda: None)
    leave()
    task(registry=registry, name="b")(lambda x: None)
    assert told == [1]


def test_a_registry_knows_its_tasks_and_workflows() -> None:
    registry = Registry()
    task(registry=registry, name="a")(lambda: None)

    @workflow(registry=registry, name="b")
    async def b() -> None: ...

    assert [registry.knows(name) for name in ("a", "b", "c")] == [True, True, False]


@pytest.mark.feature("DF-02")
def test_the_default_registry_receives_what_names_no_registry() -> None:
    @task
    async def without_registry() -> None: ...

    @function()
    def function_without_registry() -> None: ...

    @workflow
    async def workflow_without_registry() -> None: ...

    home = default_registry()
    assert default_registry() is home
    for made in (without_registry, function_without_registry):
        assert home.tasks[made.everact_name] is made
    name = workflow_without_registry.everact_name
    assert home.workflows[name] is workflow_without_registry.definition


@pytest.mark.feature("DF-02")
def test_the_default_registry_is_made_on_first_use_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry_module, "_default", None)
    monkeypatch.setenv("EVERACT_ENDPOINT", "http://elsewhere")
    assert default_registry().endpoint == "http://elsewhere"
    monkeypatch.delenv("EVERACT_ENDPOINT")
    assert default_registry().endpoint == "http://elsewhere"
    monkeypatch.setattr(registry_module, "_default", None)
    assert default_registry().endpoint is None


@function()
def doubled_by_default(n: int) -> int:
    return 2 * n


@pytest.mark.feature("DF-02")
async def test_a_default_runtime_serves_the_default_registry() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Runtime(":memory:", clock=VirtualClock(loop)):
        assert await doubled_by_default(21) == 42


SCRIPT = """
import asyncio
from everact.runtime import Runtime, function, workflow

@function()
async def shout(text):
    return text.upper()

@workflow
async def greet(name):
    return await shout("hello " + name)

async def main():
    async with Runtime(":memory:") as runtime:
        print(await shout("direct"), await runtime.execute(greet, "you"))

asyncio.run(main())
"""


@pytest.mark.feature("DF-02")
def test_a_script_needs_no_registry(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = subprocess.run(
        [sys.executable, "-W", "error", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.stdout.split(), found.stderr) == (["DIRECT", "HELLO", "YOU"], "")


@pytest.mark.feature("DF-03")
async def test_functions_of_both_kinds_are_called_durably() -> None:
    registry = Registry()

    @registry.function
    async def on_loop(n: int) -> int:
        return n + 1

    @registry.function
    def in_thread(n: int) -> int:
        return n + 2

    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Runtime(
        ":memory:", registry=registry, clock=VirtualClock(loop)
    ) as runtime:
        assert await on_loop(1) == 2
        assert await in_thread(1) == 3
        names = [line.workflow async for line in runtime.list()]
    assert names == [in_thread.everact_name, on_loop.everact_name]
