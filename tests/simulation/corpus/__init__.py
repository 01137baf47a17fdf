"""The corpus: workflows, and what clients do around them."""

from tests.simulation.corpus import (
    asyncio_works,
    blame_works,
    event_works,
    hostile_works,
    kind_works,
    lifecycle_works,
    message_works,
    outside_works,
    schedule_works,
    starting_works,
    task_works,
    update_works,
    visible_works,
)
from tests.simulation.corpus.tasks import CORPUS

ENTRIES = (
    *asyncio_works.WORKS,
    *task_works.WORKS,
    *message_works.WORKS,
    *lifecycle_works.WORKS,
    *outside_works.WORKS,
    *schedule_works.WORKS,
    *visible_works.WORKS,
    *update_works.WORKS,
    *starting_works.WORKS,
    *event_works.WORKS,
    *blame_works.WORKS,
    *kind_works.WORKS,
)

HOSTILE = hostile_works.WORKS
"""Apart from the others, so that a seed goes on playing what it always played."""

__all__ = ["CORPUS", "ENTRIES", "HOSTILE"]
