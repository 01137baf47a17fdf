"""everact over HTTP: the engine in one process, its client in another.

The measuring process holds the remote client and is the load generator. The engine is
its child: `python -m benchmarks.engines.everact_remote DIRECTORY` prints its address
and serves until its standard input ends. Loopback, no token, no TLS.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.engines.base import Session
from benchmarks.engines.everact_engine import EveractSession
from everact.runtime import Client, Runtime

START_SECONDS: Final = 30.0


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[Session]:
    """Start the engine; a session of a client of it, over HTTP."""
    from benchmarks.engines import everact_works

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(directory)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise RuntimeError("the engine's process ended before it served")
        async with await Client.connect(address) as client:
            yield EveractSession(client, everact_works)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[str]:
    """Serve a Runtime on a file in the directory, as `everact` does by default."""
    from everact.runtime.control.serving import Control

    # Its definitions are those that the client names.
    __import__("benchmarks.engines.everact_works")
    runtime = Runtime(str(directory / "everact.db"))
    async with runtime, Control(runtime, "127.0.0.1:0") as control:
        yield control.address


async def serve(directory: Path) -> None:
    """Serve until standard input ends; the address is printed."""
    async with serving(directory) as address:
        print(address, flush=True)
        await asyncio.to_thread(os.read, sys.stdin.fileno(), 1)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
