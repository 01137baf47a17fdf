"""Print how long a page of 100 runs takes among 100,000, and a count of them.

usage: PYTHON scripts/time_lists.py    (from the checkout; makes its database once)
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from everact.runtime.filters.parsing import parse
from everact.runtime.store.base import Search
from everact.runtime.store.sqlite.store import SqliteStore
from tests.store.many import KEYS, many_runs

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


def main() -> None:
    """Time each query as a page and as a count."""
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
        store.close(clean=True)


if __name__ == "__main__":
    main()
