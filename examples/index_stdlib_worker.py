"""The process that `make demo` kills: it starts the index, or goes on with it.

usage: python -m examples.index_stdlib_worker DATABASE LOG [FILES]

The same command whether it is the first time or the tenth: `attach` takes the run that
is there, and a run that was cut off goes on by itself as soon as its database is open.
"""

import asyncio
import sys
import sysconfig
import warnings
from pathlib import Path

from everact.runtime import Runtime, Worker
from examples.index_stdlib_work import find_packages, index

SLOTS = 4
"""Files parsed at once. Parsing holds the interpreter's lock: more threads would not be
faster, they would only keep the loop, which records the outcomes, waiting for it."""


async def main(database: str, log: str, limit: str | None = None) -> None:
    """Index the standard library of the Python that runs this."""
    library = Path(sysconfig.get_path("stdlib"))
    packages = find_packages(library, Path(log), int(limit) if limit else None)
    async with Runtime(database, workers=[Worker(slots=SLOTS)]) as runtime:
        handle = await runtime.start(index, packages, id="index", on_conflict="attach")
        await handle.result()


if __name__ == "__main__":
    warnings.simplefilter("ignore", SyntaxWarning)  # what ast says about old files
    warnings.simplefilter("ignore", DeprecationWarning)
    asyncio.run(main(*sys.argv[1:]))
