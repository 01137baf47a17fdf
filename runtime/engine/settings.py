"""What an engine is told by whoever opens it; each option is named here once."""

import random
from dataclasses import dataclass

from everact.actors import Clock
from everact.runtime.definitions.registry import Registry
from everact.runtime.engine.workers import Worker
from everact.runtime.values.converter import DataConverter


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The options of one engine; what they mean to users is said at `Runtime`.

    One that does not recover answers from a store that is otherwise at rest: it brings
    nothing back by itself, and leaves to the next one how the last one ended. Closed
    runs are kept for `retention` seconds; `forgets` lets request IDs go after a day
    even where those are kept for ever.
    """

    clock: Clock
    registry: Registry
    workers: tuple[Worker, ...]
    values: DataConverter
    interceptors: tuple[object, ...]
    generator: random.Random | None
    idle_runs: int
    idle_bytes: int
    retention: float | None
    tune_gc: bool
    reachability_queues: int
    declare_search_attributes: bool
    forgets: bool
    recovers: bool
