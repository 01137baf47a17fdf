"""What a run actor is given: `Host`, and those whom runs alone have to do with."""

from collections.abc import Mapping
from typing import Protocol

from everact.runtime.engine.host import Acts, Host, Writes
from everact.runtime.engine.parts.base import Parts
from everact.runtime.engine.parts.updates import Updates
from everact.runtime.engine.parts.versions import Versions
from everact.runtime.engine.run.relations import Relations
from everact.runtime.engine.suspects import Suspects


class RunHost(Host, Protocol):
    """The engine, as its runs know it."""

    parts: Parts
    written: Mapping[type, Writes]
    """What parts write with records of a kind."""
    released: Mapping[type, Acts]
    """What parts do for commands of a kind once they are durable."""
    relations: Relations
    updates: Updates
    versions: Versions
    suspects: Suspects
