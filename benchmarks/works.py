"""What is measured: the works, their sizes, and the bars they are held to.

This file owns the definition of each work. Steps are no-op async functions that
return an int; state is durable before anything is acknowledged. It knows no engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "load", "burst", "sleep", "restart", "history", "messages", "signals", "http"
]
"""How a work is driven: see `benchmarks.loads` for each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One thing to measure.

    `size` is the number of runs (load and burst works: unused), `steps` the steps of
    one run, `concurrency` the numbers of closed-loop callers that are measured.
    """

    name: str
    kind: Kind
    summary: str
    concurrency: tuple[int, ...] = (1,)
    size: int = 1
    steps: int = 0


_ALL: Final = (
    Work(
        name="W1",
        kind="load",
        summary="a run with 1 step",
        concurrency=(1, 32, 256),
        steps=1,
    ),
    Work(
        name="W10",
        kind="load",
        summary="a run with 10 steps in sequence",
        concurrency=(1, 32, 256),
        steps=10,
    ),
    Work(
        name="W1id",
        kind="load",
        summary="W1, each run started under an ID of its own",
        concurrency=(256,),
        steps=1,
    ),
    Work(
        name="F100",
        kind="burst",
        summary="one run, 100 tasks in parallel, joined",
        steps=100,
    ),
    Work(
        name="C100",
        kind="burst",
        summary="one run, 100 child runs of 1 step, joined",
        steps=100,
    ),
    Work(
        name="S1k",
        kind="sleep",
        summary="1,000 runs asleep on a durable timer (small enough for the peers)",
        size=1_000,
    ),
    Work(
        name="S10k",
        kind="sleep",
        summary="10,000 runs asleep on a durable timer",
        size=10_000,
    ),
    Work(
        name="S100k",
        kind="sleep",
        summary="100,000 runs asleep, killed, restarted; one in 20 is due soon",
        size=100_000,
    ),
    Work(
        name="R1000",
        kind="restart",
        summary="1,000 runs with 10 steps done and 2 to do, SIGKILL, restart",
        size=1_000,
        steps=10,
    ),
    Work(
        name="H10k",
        kind="history",
        summary="one run with 10,000 sequential steps, SIGKILL, recovery at its end",
        steps=10_000,
    ),
    Work(
        name="M",
        kind="messages",
        summary="tell/s, ask/s, actors spawned/s, bytes per idle actor",
        size=100_000,
    ),
    Work(
        name="sig",
        kind="signals",
        summary="signals/s into 1,000 open runs",
        concurrency=(256,),
        size=1_000,
    ),
    Work(
        name="http",
        kind="http",
        summary="W1 through the control endpoint, driven by a separate client process",
        concurrency=(1, 32, 256),
        steps=1,
    ),
)

WORKS: Final[dict[str, Work]] = {work.name: work for work in _ALL}

DEFAULT: Final = tuple(work.name for work in _ALL)

LATER: Final = {
    "sig": "sig measures signals only: update round trips come with updates",
}
"""What a work does not measure yet, said to whoever asks for it."""
