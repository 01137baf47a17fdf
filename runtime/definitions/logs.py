"""The logger of author code: silent during replay, and it says for whom it speaks."""

import logging
from collections.abc import MutableMapping
from typing import Any, Final

from everact.runtime.definitions.context import current_attempt
from everact.runtime.definitions.durable import durable_loop


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger for workflows, their handlers and tasks; used as any other.

    Its records have the attributes `workflow_id`, `run_id` and `task` (its name), empty
    where there is none. What workflow code logs is said once: nothing is when the code
    is replayed, or cleaned up after. It is no part of the run: code that is interrupted
    and run again says it again.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (logging's own name)
        """Whether a message of that level is heard, here and now."""
        loop = durable_loop()
        return (loop is None or not loop.replaying) and super().isEnabledFor(level)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the names; what the caller gives as `extra` stays."""
        kwargs["extra"] = {**_speaker(), **(kwargs.get("extra") or {})}
        return msg, kwargs


def _speaker() -> dict[str, str]:
    loop = durable_loop()
    if loop is not None:
        info = loop.info
        return {"workflow_id": info.workflow_id, "run_id": info.run_id, "task": ""}
    attempt = current_attempt.get()
    if attempt is not None:
        start, task = attempt.started, attempt.command.name
        return {"workflow_id": start.workflow_id, "run_id": start.run_id, "task": task}
    return {"workflow_id": "", "run_id": "", "task": ""}


logger: Final = RunLogger(logging.getLogger("everact.run"))
"""The one that authors import."""
