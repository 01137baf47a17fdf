"""An engine with its endpoint, in a process of its own.

usage: python -m tests.control.engine FILE

It prints its address, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from everact.runtime import Runtime
from everact.runtime.control.serving import Control
from tests.control.works import REGISTRY
from tests.kills.limits import allow_many_sockets

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0


@dataclass(frozen=True)
class Engine:
    """The process: where it listens, and what it takes."""

    process: asyncio.subprocess.Process
    host: str
    port: int
    log: Path

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    def resident(self) -> int:
        """Bytes of memory that it holds now."""
        asked = ["ps", "-o", "rss=", "-p", str(self.process.pid)]
        found = subprocess.run(asked, capture_output=True, text=True, check=True)
        return int(found.stdout) * 1024


@asynccontextmanager
async def engine(folder: Path) -> AsyncIterator[Engine]:
    """An engine on a file in the folder; it must still live at the end."""
    log = folder / "engine.log"
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.control.engine", str(folder / "e.db")),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=written,
        )
    assert process.stdout is not None and process.stdin is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            host, _, port = (await process.stdout.readline()).decode().partition(":")
        yield Engine(process, host, int(port), log)
        assert process.returncode is None, log.read_text()
    finally:
        process.stdin.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def main(file: str) -> None:
    async with Runtime(file, registry=REGISTRY) as runtime:
        async with Control(runtime, "127.0.0.1:0") as control:
            print(control.address, flush=True)
            await asyncio.to_thread(os.read, sys.stdin.fileno(), 1)


if __name__ == "__main__":
    allow_many_sockets()
    asyncio.run(main(sys.argv[1]))
