"""The corpus: workflows, and what clients do around them."""

from tests.simulation.corpus import (
    asyncio_works,
    lifecycle_works,
    message_works,
    outside_works,
    task_works,
)
from tests.simulation.corpus.tasks import CORPUS

ENTRIES = (
    *asyncio_works.WORKS,
    *task_works.WORKS,
    *message_works.WORKS,
    *lifecycle_works.WORKS,
    *outside_works.WORKS,
)

__all__ = ["CORPUS", "ENTRIES"]
