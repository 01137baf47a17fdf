"""The engine that is killed: it serves accounts over HTTP until then.

usage: python -m tests.model.host FOLDER ADDRESS

It begins with a line on its standard input, and says when it can be asked.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from everact.runtime import Runtime
from everact.runtime.control.serving import Control
from tests.model.account import REGISTRY


async def main(folder: Path, address: str) -> None:
    async with (
        Runtime(folder / "model.db", registry=REGISTRY) as runtime,
        Control(runtime, address),
    ):
        print("ready", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    sys.stdin.readline()
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
