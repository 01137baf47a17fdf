"""What a run actor is given: `Host`, and those whom runs alone have to do with."""

from typing import Protocol

from everact.runtime.engine.events import Events
from everact.runtime.engine.host import Host
from everact.runtime.engine.run.relations import Relations
from everact.runtime.engine.schedules import Schedules
from everact.runtime.engine.suspects import Suspects
from everact.runtime.engine.updates import Updates
from everact.runtime.engine.versions import Versions


class RunHost(Host, Protocol):
    """The engine, as its runs know it."""

    relations: Relations
    events: Events
    schedules: Schedules
    updates: Updates
    versions: Versions
    suspects: Suspects
