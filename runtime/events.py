"""User events and what waits for them: conditions of a durable wait."""

from everact.runtime.client.events import (
    EventView,
)
from everact.runtime.definitions.waits import (
    AnyOf,
    ReceivedEvent,
    SleepCondition,
    UserEventCondition,
    any_of,
    wait_for,
)

__all__ = [
    "AnyOf",
    "EventView",
    "ReceivedEvent",
    "SleepCondition",
    "UserEventCondition",
    "any_of",
    "wait_for",
]
