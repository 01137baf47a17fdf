"""A clock that is moved from outside: what an engine under test runs on.

Virtual time stands still until it is told how far it may go, and then goes from timer
to timer, as always in virtual time: never while anything is left to do.
"""

import asyncio
import math

from everact.actors import VirtualLoop


class ControlledLoop(VirtualLoop):
    """A virtual loop whose time does not pass its `horizon`, in the loop's seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.horizon = 0.0
        self.advancing = asyncio.Lock()
        self._reached: asyncio.Future[None] | None = None

    @property
    def locked(self) -> bool:
        """Whether time stands still until it is advanced."""
        return math.isfinite(self.horizon)

    def lock(self) -> None:
        """Let time stand still from now on."""
        self.horizon = self.time()

    def unlock(self) -> None:
        """Let time pass by itself, whenever there is nothing to do."""
        self.horizon = math.inf

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; returns when all that was due has been done."""
        self.horizon = self.time() + seconds
        self._reached = self.create_future()
        await self._reached

    def jump_to_next_timer(self) -> bool:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if scheduled and scheduled[0].when() <= self.horizon:
            return super().jump_to_next_timer()
        if not self.locked:
            return False
        self._virtual_time = max(self._virtual_time, self.horizon)
        reached, self._reached = self._reached, None
        if reached is None or reached.done():
            return False
        reached.set_result(None)
        return True
