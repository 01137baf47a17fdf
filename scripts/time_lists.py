"""Print how long a page of 100 runs takes among 100,000, and a count of them; and for
how long an event loop does not turn while such things are read beside it.

usage: PYTHON scripts/time_lists.py    (from the checkout; makes its database once)
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from everact.runtime.filters.parsing import parse
from everact.runtime.store.base import Search, Stored
from everact.runtime.store.sqlite.store import SqliteStore
from tests.store.conformance import commit, put, row, start
from tests.store.many import KEYS, MANY, many_runs

QUERIES = (
    "",
    "status = 'failed'",
    "workflow = 'import_3'",
    "workflow = 'none'",
    "queue = 'slow'",
    "start_time > '2026-09-22'",
    "Customer = 'c7'",
    "Level > 3",
    "Customer = 'c7' AND status = 'failed'",
    "workflow_id STARTS_WITH 'import-00001'",
    "run_id = 'run-000007'",
)


def best(action: Callable[[], object]) -> float:
    """The shortest of five times, in milliseconds."""
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        action()
        took.append(time.perf_counter() - begun)
    return min(took) * 1000


STEPS = 5_000
"""Rows of the one long history."""

LONG = MANY + 1

Gaps = tuple[float, float]
"""The longest time between two turns, in milliseconds: passed, and worked by the loop's
own thread, which others on the machine do not lengthen.
"""


async def gaps(reading: Callable[[], Awaitable[object]]) -> Gaps:
    """How long the loop does not turn while something is read, five times."""
    passed = worked = 0.0
    for _ in range(5):
        task = asyncio.ensure_future(reading())
        while not task.done():
            wall, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0)
            passed = max(passed, time.perf_counter() - wall)
            worked = max(worked, time.thread_time() - cpu)
        task.result()
    return passed * 1000, worked * 1000


async def turn(store: SqliteStore) -> None:
    """Print the gaps for each kind of read."""
    rows = (put(row(LONG, seq)) for seq in range(1, STEPS))
    await commit(store, start(LONG), *rows)
    reads = store.reads

    def folded(stored: Stored) -> int:
        return len(stored.rows)

    def wanted(text: str) -> Search:
        return Search("default", parse(text), KEYS, None, 100)

    readings: dict[str, Callable[[], Awaitable[object]]] = {
        "a page": lambda: reads.search(wanted("")),
        "a page, in an order": lambda: reads.search(wanted("ORDER BY start_time")),
        "a page of no run": lambda: reads.search(wanted("workflow = 'none'")),
        "a count": lambda: reads.count(wanted("Level > 3")),
        "a count by status": lambda: reads.count(wanted("GROUP BY status")),
        "a page of a history": lambda: reads.history(LONG, (-1, -1), 1000),
        f"a run of {STEPS:,} rows": lambda: reads.load(LONG, folded),
        "the same, to be woken": lambda: reads.recover([LONG], folded),
    }
    print(f"\n{'longest time without a turn':45}{'CPU ms':>9}{'wall ms':>9}")
    longest: Gaps = (0.0, 0.0)
    for name, reading in readings.items():
        passed, worked = await gaps(reading)
        longest = max(longest[0], passed), max(longest[1], worked)
        print(f"{name:45}{worked:9.1f}{passed:9.1f}")
    print(f"{'(longest)':45}{longest[1]:9.1f}{longest[0]:9.1f}")


def main() -> None:
    """Time each query as a page and as a count, and the loop beside them."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(many_runs(Path(folder)))
        store.open()
        reads = store.database.questions
        print(f"{'query':45}{'page ms':>9}{'count ms':>9}")
        for text in QUERIES:
            wanted = Search("default", parse(text), KEYS, None, 100)
            page = best(lambda wanted=wanted: reads.search(wanted))  # type: ignore[misc]
            count = best(lambda wanted=wanted: reads.count(wanted))  # type: ignore[misc]
            print(f"{text or '(all)':45}{page:9.1f}{count:9.1f}")
        groups = Search("default", parse("GROUP BY status"), KEYS)
        print(f"{'GROUP BY status':54}{best(lambda: reads.count(groups)):9.1f}")
        ordered = Search("default", parse("ORDER BY start_time"), KEYS, None, 100)
        print(f"{'ORDER BY start_time':45}{best(lambda: reads.search(ordered)):9.1f}")
        asyncio.run(turn(store))
        store.close(clean=True)


if __name__ == "__main__":
    main()
