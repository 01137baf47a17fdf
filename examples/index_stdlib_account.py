"""The runtime's own account of `make demo`: the result, and what was recorded when."""

from dataclasses import dataclass
from pathlib import Path

from everact.runtime import Runtime
from everact.runtime.runs import HistoryItem
from examples.index_stdlib_work import Count, index_package


@dataclass(frozen=True, slots=True)
class Account:
    """What the database tells after the end."""

    result: dict[str, Count]
    recorded_before_kill: frozenset[str]


async def read_account(database: Path, killed_at: float) -> Account:
    """Read the result and the history of every package.

    A history item has the time of its journal row. An outcome that reached the worker
    before the kill but was not yet durable is not in the history, or with the time of
    its repetition: so the files counted here are those whose outcome was on disk.
    """
    recorded: set[str] = set()
    async with Runtime(database) as runtime:
        result: dict[str, Count] = await runtime.handle("index").result()
        async for run in runtime.list(workflow=index_package):
            handle = runtime.handle(run.workflow_id, run_id=run.run_id)
            recorded |= files_recorded(await handle.history(), killed_at)
    return Account(result, frozenset(recorded))


def files_recorded(history: list[HistoryItem], until: float) -> set[str]:
    """The files whose task has an outcome that was recorded before a moment."""
    files: dict[int, str] = {}
    recorded = set()
    for item in history:
        if item.kind == "RunTask":
            _root, file, _log = item.data["args"]
            files[item.data["call"]] = file
        elif item.kind == "TaskCompleted" and item.time.timestamp() < until:
            recorded.add(files[item.data["call"]])
    return recorded
