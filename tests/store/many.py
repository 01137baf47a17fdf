"""100,000 runs in one file, made once for all tests that look at many.

The file is kept under ``build`` by what it is made of, the schema included, so that it
is made once a checkout. Each user gets a copy.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from everact.runtime.core.records import AttributeKind
from everact.runtime.store import catalogue
from everact.runtime.store.base import JournalRow, RunRow, Write
from everact.runtime.store.sqlite.store import SqliteStore

MANY = 100_000
KEPT = Path(__file__).parents[2] / "build" / "many"
KEYS = {"Customer": AttributeKind.KEYWORD, "Level": AttributeKind.INT}


def run(key: int) -> RunRow:
    """Closed, one of fifty has failed; of the last ones every other is open."""
    is_open = key > MANY - 100 and key % 2 == 1
    return RunRow(
        key=key,
        workspace="default",
        workflow_id=f"import-{key:06}",
        run_id=f"run-{key:06}",
        first_run_id=f"run-{key:06}",
        root_run_id=f"run-{key:06}",
        parent_key=None,
        name=f"import_{key % 7}",
        queue="default" if key % 10 else "slow",
        status=0 if is_open else 1 + (key % 50 == 0),
        wake_at=None,
        started_at=1.79e9 + key,
        closed_at=None if is_open else 1.79e9 + key + 5,
    )


def attributes(key: int) -> tuple[Any, ...]:
    """Every thousandth customer is the same; one of ten runs has a level."""
    customer = (key, "Customer", 0, int(KEYS["Customer"]), f"c{key % 1000}", None)
    level = (key, "Level", 0, int(KEYS["Level"]), key % 100, None)
    found = [("put_attribute", customer)]
    return tuple(found if key % 10 else [*found, ("put_attribute", level)])


async def _fill(path: str) -> None:
    store = SqliteStore(path)
    store.open()
    loop = asyncio.get_running_loop()
    for begin in range(1, MANY + 1, 5000):
        writes = [
            Write(
                row=JournalRow(key, 0, 0, b"", b""),
                done=lambda *_: None,
                insert=run(key),
                statements=attributes(key),
            )
            for key in range(begin, begin + 5000)
        ]
        answer: asyncio.Future[Any] = loop.create_future()
        store.commit(writes, answer.set_result)
        refused = await answer
        assert isinstance(refused, list) and not any(refused), refused
    keys = [
        ("declare_attribute", ("default", name, int(kind)))
        for name, kind in KEYS.items()
    ]
    answer = loop.create_future()
    store.commit(
        [Write(None, lambda *_: None, statements=tuple(keys))], answer.set_result
    )
    await answer
    store.close(clean=True)


def _name() -> str:
    """What the file is made of, in short."""
    script = "".join(step.script for step in catalogue.migrations("sqlite"))
    made_by = inspect.getsource(sys.modules[__name__])
    return hashlib.sha256(f"{script}{made_by}".encode()).hexdigest()[:16]


def many_runs(folder: Path) -> Path:
    """A copy of the file in `folder`."""
    kept = KEPT / _name()
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as made:
            asyncio.run(_fill(str(Path(made) / "many.db")))
            (Path(made) / "many.db.lock").unlink(missing_ok=True)
            try:
                shutil.copytree(made, kept.with_suffix(".new"))
                kept.with_suffix(".new").rename(kept)
            except OSError:
                if not kept.exists():  # else another was quicker
                    raise
    for name in ("many.db", "many.db.key"):
        shutil.copy(kept / name, folder / name)
    return folder / "many.db"


if __name__ == "__main__":
    print(many_runs(Path(sys.argv[1])))
