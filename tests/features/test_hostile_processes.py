"""The worst that code can do, in processes of their own: the process lives on.

A program opens a file, starts a hostile run beside innocent ones, and must see the
innocent end; then it is run again on the same file, and must do so again. What fails
here ended the process, or hung it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.features.killing import Program

SOURCE = """
import asyncio, contextlib, sys
from everact.runtime import (
    EveractError,
    Runtime,
    receive,
    retry,
    sleep,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.converters import DataConverter, PickleConverter
from everact.runtime.errors import QueryFailed, RunPutAside
from everact.runtime.interceptors import WorkerInterceptor
from tests import hostile

@workflow
async def innocent() -> str:
    await sleep(0.1)
    await add(1)
    await receive("go")
    return "innocent"

@task
async def add(n: int) -> int:
    return n + 1

@task(retry=retry(first=0.05, attempts=3))
async def failing(name: str) -> None:
    raise hostile.error(name)

@task(retry=retry(first=0.05, attempts=3))
async def branching() -> None:
    async def branch() -> None:
        sys.exit(5)
    await asyncio.gather(branch(), asyncio.create_task(branch()))

@task
async def gives(name: str) -> object:
    return hostile.value(name)

@workflow
async def worst(what: str) -> str:
    kind, _, name = what.partition(" ")
    match kind:
        case "raises":
            raise hostile.error(name)
        case "fails":
            await failing(name)
        case "branches":
            await branching()
        case "gives":
            await gives(name)
    await receive("never")

@workflow
class Rude:
    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self) -> str:
        await wait_condition(lambda: self.done)
        return "done"

    @workflow.signal
    def signalled(self) -> None:
        sys.exit(6)

    @workflow.query
    def asked(self) -> None:
        sys.exit(7)

    @workflow.update
    def updated(self) -> None:
        sys.exit(8)

    @updated.validator
    def check(self) -> None:
        raise KeyboardInterrupt

class Intercepting(WorkerInterceptor):
    def handle_query(self, call, proceed):
        sys.exit(9)

    def handle_update(self, call, proceed):
        raise KeyboardInterrupt

    async def execute_task(self, call, proceed):
        if call.name == "failing":
            sys.exit(10)
        return await proceed(call)

class Converting(PickleConverter):
    def encode(self, value, what="the value"):
        if value == "poison":
            sys.exit(11)
        return super().encode(value, what)

@workflow
async def converts() -> str:
    return "poison"

async def ended(handle) -> None:
    with contextlib.suppress(EveractError):
        print("ended:", await handle.result())

async def act(runtime: Runtime, what: str) -> None:
    if what in ("asks", "updates", "signals", "intercepts"):
        handle = await runtime.start(Rude, id="worst", on_conflict="attach")
        verbs = {"asks": ["asked"], "updates": ["updated"], "signals": []}
        for verb in verbs.get(what, ["asked", "updated"]):
            with contextlib.suppress(EveractError):
                await (handle.query if verb == "asked" else handle.update)(verb)
                print("nothing was refused")
        if what == "signals":
            with contextlib.suppress(EveractError):  # it ended in the life before
                await handle.signal("signalled")
            await ended(handle)
        return
    if what == "converts":
        await ended(await runtime.start(converts, id="worst", on_conflict="attach"))
        return
    handle = await runtime.start(worst, what, id="worst", on_conflict="attach")
    await ended(handle)

async def main() -> None:
    what, life = sys.argv[1:]
    interceptors = [Intercepting()] if what == "intercepts" else []
    values = DataConverter(Converting())
    async with Runtime(
        "a.db", interceptors=interceptors, data_converter=values
    ) as runtime:
        for number in range(3):
            await runtime.start(innocent, id=f"{number}", on_conflict="attach")
        await act(runtime, what)
        for number in range(3):
            handle = runtime.handle(f"{number}")
            if life == "first" and number:
                continue
            if life == "first" or number:
                await handle.signal("go")
            print(number, await handle.result())

asyncio.run(main())
"""

WORST = [
    "raises SystemExit",
    "raises KeyboardInterrupt",
    "raises Mute",
    "raises Exiting",
    "fails Patient",
    "fails Exiting",
    "gives Unpickled",
    "branches",
    "asks",
    "updates",
    "signals",
    "intercepts",
    "converts",
]


@pytest.mark.parametrize("what", WORST)
def test_the_process_and_its_other_runs_live_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    _importable(monkeypatch)
    program = Program(tmp_path, SOURCE)
    assert program.run(what, "first") == ["0 innocent"]
    said = program.run(what, "again")
    assert said == ["0 innocent", "1 innocent", "2 innocent"]


INTERRUPTED = """
import asyncio, signal, sys, time
from everact.runtime import Runtime, receive, sleep, workflow

@workflow
async def busy() -> str:
    if sys.argv[2] == "first":
        print("busy", flush=True)
        while True:
            time.sleep(0.01)
    return "done"

@workflow
async def idle() -> None:
    await receive("never")

async def main() -> None:
    async with Runtime("a.db") as runtime:
        workflow = busy if sys.argv[1] == "busy" else idle
        handle = await runtime.start(
            workflow, id="a", on_conflict="attach", task_timeout="60s"
        )
        if workflow is idle:
            print("busy", flush=True)
        if sys.argv[2] == "again":
            await handle.terminate() if workflow is idle else None
            print((await handle.describe()).status, flush=True)
            return
        await handle.result()

def with_runner() -> None:
    asyncio.run(main())

def with_loop() -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())

signal.signal(signal.SIGINT, signal.default_int_handler)  # it may inherit none
{"runner": with_runner, "loop": with_loop}[sys.argv[3]]()
"""


@pytest.mark.parametrize("how", ["runner", "loop"])
@pytest.mark.parametrize("where", ["busy", "idle"])
def test_an_interrupt_of_the_operator_stops_the_process_and_fails_no_run(
    tmp_path: Path, where: str, how: str
) -> None:
    script = tmp_path / "program.py"
    script.write_text(INTERRUPTED, encoding="utf-8")

    def begin(life: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-u", script, where, life, how],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with begin("first") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "busy\n"
        child.send_signal(signal.SIGINT)
        if where == "busy" and how == "runner":  # the first one asks, the second stops
            child.send_signal(signal.SIGINT)
            while child.poll() is None:
                child.send_signal(signal.SIGINT)
                try:
                    child.wait(0.5)
                except subprocess.TimeoutExpired:
                    continue
        _, errors = child.communicate(timeout=30)
        assert child.returncode != 0
        assert "KeyboardInterrupt" in errors
    with begin("again") as child:
        said, errors = child.communicate(timeout=30)
        assert child.returncode == 0, errors
        assert said.split()[-1] in ("completed", "running", "terminated")


def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
