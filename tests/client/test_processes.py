"""Client and engine in processes of their own, killed, frozen and forked for real."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from everact.runtime import ApplicationError, Client, WorkflowFailure
from everact.runtime.operations.runs import DescribeRun, RunRef
from everact.runtime.settings import KeepAliveConfig, RetryConfig
from tests.client.servers import free_port

pytestmark = pytest.mark.real_time

ENGINE = """
import asyncio, sys
from everact.runtime import Runtime, receive, task, workflow
from everact.runtime.control.serving import Control

@task
def halve(n: int) -> int:
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n // 2

@workflow
async def double(n: int) -> int:
    return 2 * n

@workflow
async def waiting() -> str:
    return await receive("go")

async def main() -> None:
    async with Runtime(sys.argv[1]) as runtime:
        async with Control(runtime, sys.argv[2]) as control:
            print(control.address, flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""

PATIENT = RetryConfig(first=0.05, longest=0.1, total=60, retries=10_000)


class Engine:
    """An engine in a process of its own, always at the same address."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._program = folder / "engine.py"
        self._program.write_text(ENGINE, encoding="utf-8")
        self._file = folder / "everact.db"
        self.process: asyncio.subprocess.Process | None = None

    async def up(self) -> None:
        """Start it, and wait until it listens."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(self._program), str(self._file), self.address),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert (await self.process.stdout.readline()).strip() == self.address.encode()

    async def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.communicate()


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine that is up."""
    made = Engine(tmp_path)
    try:
        await made.up()
        yield made
    finally:
        await made.kill()


async def said(program: str, *args: str, **environment: str) -> list[str]:
    """The lines that a program prints in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *args),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode().splitlines()


@pytest.mark.kill
@pytest.mark.feature("HN-06", "CX-09")
async def test_a_waiter_survives_the_death_of_the_engine(engine: Engine) -> None:
    async with await Client.connect(engine.address, retry_config=PATIENT) as client:
        handle = await client.start("waiting", id="x")
        waiters = [asyncio.create_task(handle.result()) for _ in range(3)]
        await handle.describe()
        for _ in range(2):
            await engine.kill()
            starting = asyncio.create_task(client.start("double", 4))
            await engine.up()
            assert await (await starting).result() == 8
        await handle.signal("go", "gone")
        assert await asyncio.gather(*waiters) == ["gone"] * 3
        assert await handle.result() == "gone"
        started = [line async for line in client.list() if line.workflow == "double"]
        assert len(started) == 2


DISPATCHING = """
import asyncio, sys
from everact.runtime import Call, Client

async def main() -> None:
    async with await Client.connect(sys.argv[1]) as client:
        calls = [Call("halve", number) for number in (4, 3)]
        print(*await client.dispatch(calls))

asyncio.run(main())
"""


@pytest.mark.kill
@pytest.mark.feature("HN-11", "ST-20")
async def test_a_call_is_waited_for_by_its_identifier_in_another_process(
    engine: Engine,
) -> None:
    (line,) = await said(DISPATCHING, engine.address)
    async with await Client.connect(engine.address) as client:
        good, bad = (client.handle(identifier) for identifier in line.split())
        assert await good.result() == await good.value() == 2
        with pytest.raises(WorkflowFailure) as failed:
            await bad.result()
        assert isinstance(failed.value.cause, ApplicationError)
        assert (failed.value.cause.type, failed.value.cause.message) == (
            "ValueError",
            "3 is odd",
        )
        with pytest.raises(ValueError, match="3 is odd"):
            await bad.value()


@pytest.mark.kill
@pytest.mark.feature("CX-10")
async def test_a_frozen_engine_is_noticed_and_used_again_when_it_thaws(
    engine: Engine,
) -> None:
    keep = KeepAliveConfig(interval=0.2, timeout=0.2)
    async with await Client.connect(
        engine.address, retry_config=PATIENT, keep_alive_config=keep
    ) as client:
        handle = await client.start("waiting")
        result = asyncio.create_task(handle.result())
        run = RunRef(workflow_id=handle.id)
        process = engine.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(ConnectionError, match="no sign of life"):
            await client.workflow_service.call(DescribeRun(run=run))
        process.send_signal(signal.SIGCONT)
        await handle.signal("go", "gone")
        assert await result == "gone"


@pytest.mark.kill
@pytest.mark.feature("CX-01", "CX-10")
async def test_a_frozen_engine_is_noticed_by_a_client_that_never_heard_it(
    engine: Engine,
) -> None:
    keep = KeepAliveConfig(interval=0.2, timeout=0.2)
    process = engine.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(ConnectionError, match=r"no sign of life for 0\.4 s"):
        await Client.connect(engine.address, keep_alive_config=keep)
    few = RetryConfig(first=0.01, retries=1)
    async with await Client.connect(
        engine.address, lazy=True, keep_alive_config=keep, retry_config=few
    ) as client:
        with pytest.raises(ConnectionError, match=r"no sign of life for 0\.4 s"):
            await client.start("waiting")
        process.send_signal(signal.SIGCONT)
        assert await client.execute("double", 2) == 4


COMMAND = """
import sys
from everact.runtime.cli import main, options
from everact.runtime.client import connection
from everact.runtime.client.settings import KeepAliveConfig

connection.NOTICE = 0.3
options.KEEP_ALIVE = KeepAliveConfig(interval=0.2, timeout=0.9)
main.main(sys.argv[1:])
"""


@pytest.mark.kill
@pytest.mark.feature("CX-10")
@pytest.mark.parametrize("command", [("list",), ("start", "waiting")])
async def test_a_command_says_that_the_engine_is_silent_and_gives_up(
    engine: Engine, command: tuple[str, ...]
) -> None:
    assert engine.process is not None
    engine.process.send_signal(signal.SIGSTOP)
    terminal, theirs = pty.openpty()
    began = asyncio.get_running_loop().time()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND, *command, "--address", engine.address),
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    said = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert (process.returncode, out) == (3, b""), said
    notices = [line for line in said.splitlines() if "still trying" in line]
    assert f"no answer from {engine.address} for 0 s, still trying" in notices[0]
    assert len(notices) == 2  # after 0.3 and 0.6 s
    assert "no sign of life for 1.1 s" in " ".join(said.split())
    assert asyncio.get_running_loop().time() - began < 20


FORKING = """
import asyncio, os, sys
from everact.runtime import Client
from everact.runtime.errors import RuntimeStateError

async def ask(client):
    return await client.execute("double", 1)

async def fresh():
    async with await Client.connect(sys.argv[1]) as client:
        return await ask(client)

loop = asyncio.new_event_loop()
client = loop.run_until_complete(Client.connect(sys.argv[1]))
print(loop.run_until_complete(ask(client)), flush=True)
child = os.fork()
if child == 0:
    try:
        loop.run_until_complete(ask(client))
    except RuntimeStateError as error:
        print("before a fork" in str(error))
    print(asyncio.run(fresh()), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(loop.run_until_complete(ask(client)))
loop.run_until_complete(client.close())
loop.close()
"""


@pytest.mark.feature("CX-19")
async def test_a_forked_child_needs_a_client_of_its_own(engine: Engine) -> None:
    assert await said(FORKING, engine.address) == ["2", "True", "2", "2"]


EMBEDDED = """
import asyncio
from everact.runtime import Client

async def main():
    async with await Client.connect() as client:
        print(await client.execute("double", 21))

asyncio.run(main())
"""

SCRIPT = """
from everact.runtime.blocking import BlockingClient

with BlockingClient.connect() as client:
    print(client.execute("double", 21))
"""

PLAIN = """
import asyncio
from everact.runtime import HttpClient

async def main():
    async with HttpClient() as client:
        started = await client.post(
            "api/v1/runs/start", params={"workflow": "double", "args": [21]}
        )
        run = {"workflow_id": started["workflow_id"]}
        found = await client.post("/api/v1/runs/result", params={"run": run})
        print(found["result"])

asyncio.run(main())
"""


@pytest.mark.feature("CT-03", "CT-07", "RQ-02")
@pytest.mark.parametrize("program", [EMBEDDED, SCRIPT, PLAIN])
async def test_a_program_without_settings_finds_the_engine_of_its_environment(
    engine: Engine, program: str
) -> None:
    found = await said(
        program,
        EVERACT_ADDRESS=engine.address,
        EVERACT_API_URL=f"http://{engine.address}",
        EVERACT_API_KEY="key",
    )
    assert found == ["42"]


@pytest.mark.feature("CX-01")
async def test_a_client_loads_no_http_library_before_it_needs_one() -> None:
    program = """
import sys
import everact.runtime
print("aiohttp" in sys.modules)
"""
    assert await said(program) == ["False"]
