"""What the harness and its measuring processes say to each other.

One process measures one thing: it gets a job as its argument and writes one JSON
message per line to its standard output (which nothing else in it can reach).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TextIO

Metrics = dict[str, float]

Stage = Literal["whole", "prepare", "recover"]
"""A work with a kill has two processes: the one that is killed and its successor."""

PARTIAL: Final = "partial"
"""Message kinds: metrics of a process that waits to be killed now, ..."""
RESULT: Final = "result"
"""... metrics of a process that ends, ..."""
PROGRESS: Final = "progress"
"""... a share between 0 and 1 of what this process has to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One measurement; `seconds` bounds works that run for a time."""

    work: str
    engine: str
    concurrency: int
    seconds: float
    size: int
    steps: int
    directory: str
    stage: Stage = "whole"
    counted: bool = False
    """Count bytecodes instead of measuring a time; `size` is then of that count."""

    def encode(self) -> str:
        """As one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Job:
        """The inverse of `encode`."""
        return cls(**json.loads(text))

    @property
    def path(self) -> Path:
        """Where the engine keeps its files."""
        return Path(self.directory)


class Reporter:
    """The measuring process's side: owns the real standard output.

    Everything else that is printed in this process goes to standard error.
    """

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._share = 0.0

    def progress(self, share: float) -> None:
        """Say how far it is, at most a hundred times."""
        if share >= self._share + 0.01:
            self._share = share
            self._send(PROGRESS, share)

    def partial(self, metrics: Metrics) -> None:
        """Hand over the metrics and ask to be killed."""
        self._send(PARTIAL, metrics)

    def result(self, metrics: Metrics) -> None:
        """Hand over the metrics of the whole."""
        self._send(RESULT, metrics)

    def _send(self, kind: str, value: Any) -> None:
        self._out.write(json.dumps([kind, value]) + "\n")
        self._out.flush()
