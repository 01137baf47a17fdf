"""When an engine cannot go on: it takes nothing more, tells everybody, and closes.

A lost database is the cause: what would be acknowledged could not be found again.
Whoever serves the engine waits for `Engine.failed`, and ends the process with it;
embedded, every call raises the error.
"""

import logging
from typing import TYPE_CHECKING

from everact.runtime.engine.waiting import reply
from everact.runtime.errors import StoreError

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

logger = logging.getLogger("everact.engine")


def give_up(engine: "Engine", error: StoreError) -> None:
    """Close the engine because of `error`; on its loop. A second time changes nothing.

    Attempts are cut off: what they would say could not be recorded.
    """
    if engine.lost is None:
        engine.lost = error
        engine.stopping = engine.long_way = True
        logger.critical("the engine gives up: %s", error)
        engine.giving_up = engine.loop.create_task(_close(engine, error))


async def _close(engine: "Engine", error: StoreError) -> None:
    try:
        await engine.close(0.0)
    except Exception:
        logger.exception("the engine could not be closed in good order")
    reply(engine.failed, error)
