"""The process that is killed, when the load comes from outside: an engine over HTTP.

usage: python -m tests.kills.endpoint FOLDER ADDRESS

It waits for a line on its standard input, then recovers and serves until it is killed.
Recovery is over when the endpoint takes requests.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from everact.runtime import Runtime
from everact.runtime.control.serving import Control
from everact.runtime.store.sqlite.writing import CROWD
from tests.kills.limits import allow_many_sockets
from tests.kills.load import registry
from tests.kills.marks import MarkedStore, Marks


async def main(folder: Path, address: str) -> None:
    marks = Marks(folder / "marks")
    marks.recover()
    store = MarkedStore(folder / "load.db", marks, crowd=CROWD)
    async with Runtime(registry=registry, store=store) as runtime:
        async with Control(runtime, address):
            marks.recovered()
            await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    allow_many_sockets()
    os.environ["EVERACT_EFFECTS"] = str(Path(sys.argv[1]) / "effects")
    sys.stdin.readline()
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
