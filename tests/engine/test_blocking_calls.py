"""Code that waits in a call of the system: it is ended, or named, and harms nobody."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest

from everact.runtime import Client, Registry, Runtime, receive, sleep, task, workflow
from everact.runtime.cli.exits import Exit
from everact.runtime.engine import interrupting
from everact.runtime.engine.interrupting import (
    NUMBER,
    ActivationOverrun,
    Interrupter,
)
from everact.runtime.errors import (
    EngineUnreachable,
    QueryFailed,
    RunPutAside,
    UpdateFailed,
)

pytestmark = pytest.mark.real_time

REGISTRY = Registry()
LONGEST = 60.0
"""Seconds after which a test gives up on a process."""


class Peer:
    """Takes connections, and never says anything."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(LONGEST)
        self.port: int = self._listening.getsockname()[1]
        self._taken: list[socket.socket] = []

    def wait(self) -> None:
        """Until somebody has connected; who did waits for ever from now on."""
        self._taken.append(self._listening.accept()[0])

    def close(self) -> None:
        for one in (self._listening, *self._taken):
            one.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


def wait_for_word(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1)


@workflow(registry=REGISTRY)
async def listens(port: int) -> None:
    wait_for_word(port)


@workflow(registry=REGISTRY)
async def fetches(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/"):
        pass


@workflow(registry=REGISTRY)
async def innocent() -> str:
    await sleep(0.01)
    return "done"


@workflow(registry=REGISTRY)
class Asked:
    @workflow.run
    async def run(self) -> str:
        await receive("go")
        return "went"

    @workflow.query
    def word(self, port: int) -> None:
        wait_for_word(port)

    @workflow.update
    def change(self, port: int) -> None: ...

    @change.validator
    def check(self, port: int) -> None:
        wait_for_word(port)


@pytest.mark.parametrize("code", [listens, fetches])
async def test_a_call_on_the_main_thread_is_interrupted_and_its_run_put_aside(
    tmp_path: Path, peer: Peer, code: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        handle = await runtime.start(code, peer.port, id="b", task_timeout=0.2)
        others = [await runtime.start(innocent) for _ in range(5)]
        with pytest.raises(RunPutAside, match=rf"{__name__.split('.')[-1]}\.py:\d+"):
            await handle.result()
        assert [await other.result() for other in others] == ["done"] * 5
    blocks = [r for r in caplog.records if "blocks the event loop" in r.message]
    assert len(blocks) >= 3
    assert "run 'b'" in blocks[0].message
    assert f"{__file__}:" in blocks[0].message


async def test_a_query_that_waits_fails_and_its_run_goes_on(
    tmp_path: Path, peer: Peer
) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        handle = await runtime.start(Asked.run, task_timeout=0.2)
        with pytest.raises(QueryFailed, match=r"'word'.*within 0\.2 s, at .*\.py:\d+"):
            await handle.query(Asked.word, peer.port)
        await handle.signal("go")
        assert await handle.result() == "went"
        with pytest.raises(QueryFailed, match=r"did not come to an end"):
            await handle.query(Asked.word, peer.port)


async def test_a_validator_that_waits_refuses_its_update(
    tmp_path: Path, peer: Peer
) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        handle = await runtime.start(Asked.run, task_timeout=0.2)
        with pytest.raises(UpdateFailed) as refused:
            await handle.update(Asked.change, peer.port)
        assert "did not come to an end within 0.2 s" in str(refused.value.cause)
        await handle.signal("go")
        assert await handle.result() == "went"


# -- the signal -----------------------------------------------------------------------


def test_a_handler_of_the_program_stays_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An engine that a test before this one has dropped without closing is no matter.
    monkeypatch.setattr(interrupting, "_present", ())
    heard: list[int] = []
    before = signal.signal(NUMBER, lambda number, _: heard.append(number))
    own = signal.getsignal(NUMBER)
    try:
        first, second = Interrupter(lambda: False), Interrupter(lambda: False)
        signal.raise_signal(NUMBER)
        assert heard == [NUMBER]
        first.signal()
        assert heard == [NUMBER]  # it was ours
        first.close()
        signal.raise_signal(NUMBER)
        assert heard == [NUMBER, NUMBER]
        second.close()
        assert signal.getsignal(NUMBER) is own
    finally:
        signal.signal(NUMBER, before)


def test_a_handler_that_the_program_puts_in_our_place_is_not_called_by_us() -> None:
    interrupter = Interrupter(lambda: True)
    assert interrupter.reaches_calls
    before = signal.signal(NUMBER, lambda *_: None)
    try:
        assert not interrupter.reaches_calls
        interrupter.close()
        assert signal.getsignal(NUMBER) is not before
    finally:
        signal.signal(NUMBER, signal.SIG_DFL)


def test_a_call_is_ended_by_the_signal_and_only_while_it_is_due() -> None:
    due = False
    interrupter = Interrupter(lambda: due)
    try:
        interrupter.signal()
        time.sleep(0.01)
        due = True
        threading.Timer(0.05, interrupter.signal).start()
        with pytest.raises(ActivationOverrun):
            time.sleep(LONGEST)
    finally:
        interrupter.close()


def test_another_thread_is_not_reached_by_the_signal() -> None:
    reached: list[bool] = []

    def look() -> None:
        interrupter = Interrupter(lambda: True)
        reached.append(interrupter.reaches_calls)
        interrupter.close()

    other = threading.Thread(target=look)
    other.start()
    other.join()
    assert reached == [False]
    assert signal.getsignal(NUMBER) is not signal.SIG_IGN


# -- processes ------------------------------------------------------------------------

FLOWS = """
import asyncio, os, socket, sys, time
from pathlib import Path
from everact.runtime import Registry, RuntimeThread, Runtime, task, sleep, workflow

def note(text):
    with open("noted", "a") as file:
        file.write(text + "\\n")

@task
async def first() -> str:
    note("first")
    return "first"

@workflow
async def listens(port: int) -> str:
    found = await first()
    if not os.path.exists("mended"):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.recv(1)
    return found

@workflow
async def innocent() -> str:
    await sleep(0.01)
    return await first()

@task
async def sleeps() -> None:
    note("sleeps")
    if not os.path.exists("mended"):
        time.sleep(600)

@workflow
async def sleeping() -> None:
    await sleeps()
"""

ON_A_THREAD = (
    FLOWS
    + """
import threading
from everact.runtime.control.serving import Control

async def main():
    async with Runtime("a.db") as runtime, Control(runtime, "127.0.0.1:0") as control:
        print(control.address, flush=True)
        await asyncio.get_running_loop().create_future()

thread = threading.Thread(target=asyncio.run, args=(main(),))
thread.start()
thread.join()
"""
)

EMBEDDED = (
    FLOWS
    + """
async def main():
    async with Runtime("a.db") as runtime:
        others = [
            await runtime.start(innocent, id=f"i-{n}", on_conflict="attach")
            for n in range(3)
        ]
        await runtime.start(sleeping, id="s", on_conflict="attach")
        for other in others:
            await other.result()
        await runtime.handle("s").result()
    print("done", flush=True)

asyncio.run(main())
"""
)


class Process(NamedTuple):
    """A process, and what it says."""

    child: subprocess.Popen[str]
    out: IO[str]
    err: IO[str]

    @property
    def address(self) -> str:
        """Where the engine listens, from its first line."""
        line = self.out.readline()
        return str(json.loads(line)["address"]) if line[:1] == "{" else line.strip()

    def wait(self) -> int:
        """Its exit code."""
        return self.child.wait(LONGEST)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.child.kill()
        self.child.wait()


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Process]:
    """A Python process in `folder`; killed at the end, and before it hangs a test."""
    child = subprocess.Popen(
        [sys.executable, "-u", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("EVERACT_")},
    )
    overdue = threading.Timer(LONGEST, child.kill)
    overdue.start()
    try:
        assert child.stdout is not None and child.stderr is not None
        yield Process(child, child.stdout, child.stderr)
    finally:
        overdue.cancel()
        child.kill()
        child.communicate()


def read_until(stream: IO[str], text: str) -> str:
    """The first line that holds `text`."""
    for line in stream:
        if text in line:
            return str(line)
    raise AssertionError(f"it ended without {text!r}")


def began(folder: Path, *what: str) -> tuple[str, ...]:
    """The command that serves flows.py."""
    (folder / "flows.py").write_text(FLOWS)
    serve = ("-m", "everact.runtime", "serve", "flows.py", "--database", "a.db")
    return (*serve, "--address", "127.0.0.1:0", "--json", *what)


def start_blocked(address: str, port: int, limit: float) -> None:
    """Start a run that blocks the engine, which may never come to say so."""

    async def start() -> None:
        async with await Client.connect(address) as client:
            with suppress(EngineUnreachable):
                await client.start("listens", port, id="b", task_timeout=limit)

    threading.Thread(target=asyncio.run, args=(start(),), daemon=True).start()


def results(address: str, *workflow_ids: str) -> list[Any]:
    async def wait() -> list[Any]:
        async with await Client.connect(address) as client:
            return [await client.handle(one).result() for one in workflow_ids]

    return asyncio.run(asyncio.wait_for(wait(), LONGEST))


def test_sigterm_is_honoured_once_the_call_is_interrupted(
    tmp_path: Path, peer: Peer
) -> None:
    with running(tmp_path, *began(tmp_path)) as engine:
        address = engine.address
        start_blocked(address, peer.port, 2.0)
        peer.wait()
        engine.child.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert engine.wait() == 0
        assert time.monotonic() - begun < 10.0  # and not for the time of three tries
    (tmp_path / "mended").touch()
    with running(tmp_path, *began(tmp_path)) as engine:
        address = engine.address
        assert results(address, "b") == ["first"]
    assert (tmp_path / "noted").read_text() == "first\n"


def test_what_a_run_was_told_is_on_disk_once_its_call_was_interrupted(
    tmp_path: Path, peer: Peer
) -> None:
    with running(tmp_path, *began(tmp_path)) as engine:
        address = engine.address
        start_blocked(address, peer.port, 1.0)
        peer.wait()
        peer.wait()  # it was interrupted, and is run again
        engine.kill()
    (tmp_path / "mended").touch()
    with running(tmp_path, *began(tmp_path)) as engine:
        address = engine.address
        assert results(address, "b") == ["first"]
    assert (tmp_path / "noted").read_text() == "first\n"


def ready(address: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=LONGEST) as ok:
            return int(ok.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_an_engine_on_another_thread_says_so_and_exits(
    tmp_path: Path, peer: Peer
) -> None:
    (tmp_path / "program.py").write_text(ON_A_THREAD)
    with running(tmp_path, "program.py") as engine:
        address = engine.address
        assert ready(address) == 200
        start_blocked(address, peer.port, 1.5)
        peer.wait()
        assert ready(address) == 503
        assert engine.wait() == Exit.BLOCKED
        said = engine.err.read()
    told = re.search(r"everact: run 'b' .*exit code 9", said)
    assert told, said
    assert f"{tmp_path}/program.py:" in told[0]
    assert f"exit code {Exit.BLOCKED:d}" in told[0]
    (tmp_path / "mended").touch()
    with running(tmp_path, "program.py") as engine:
        assert results(engine.address, "b") == ["first"]


def test_a_run_that_ended_two_engines_is_put_aside_by_the_third(
    tmp_path: Path, peer: Peer
) -> None:
    (tmp_path / "program.py").write_text(ON_A_THREAD)
    with running(tmp_path, "program.py") as engine:
        start_blocked(engine.address, peer.port, 0.3)
        assert engine.wait() == Exit.BLOCKED
    with running(tmp_path, "program.py") as engine:
        assert engine.wait() == Exit.BLOCKED
    with running(tmp_path, "program.py") as engine:
        address = engine.address
        with pytest.raises(RunPutAside, match="ended 2 times in a row"):
            results(address, "b")
        assert ready(address) == 200


def test_a_task_that_blocks_the_loop_is_named(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(EMBEDDED)
    with running(tmp_path, "program.py") as program:
        line = read_until(program.err, "blocks the event loop")
        assert "task 'sleeps' of run 's'" in line
        assert re.search(r"at \S*program\.py:\d+ in sleeps", line)
        program.kill()
    (tmp_path / "mended").touch()
    with running(tmp_path, "program.py") as program:
        assert program.out.readline() == "done\n"
        assert program.wait() == 0


async def test_a_task_that_awaits_is_not_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry()

    @task(registry=registry)
    async def patient() -> None:
        for _ in range(13):
            await asyncio.sleep(0.1)

    async with Runtime(tmp_path / "a.db", registry=registry) as runtime:
        with caplog.at_level(logging.WARNING):
            await runtime.call(patient, (), {})
    assert "blocks" not in caplog.text
