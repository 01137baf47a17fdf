"""A supervisor keeps a connection and its reader alive, and gives up in the end.

The reader depends on the connection, so it is restarted with it, and not the other way
round: the strategy "rest for one". References stay the same through every restart.

Run it: python -m examples.supervision
"""

from __future__ import annotations

import asyncio
import logging

from everact.actors import (
    Actor,
    ActorSystem,
    ChildSpec,
    Strategy,
    Supervisor,
)


class Connection(Actor):
    """Something that breaks now and then."""

    lives = 0

    def on_start(self) -> None:
        """Every life is a new connection."""
        type(self).lives += 1
        print(f"connection {self.lives} is open")

    def on_receive(self, message: object) -> object:
        if message == "break":
            raise ConnectionError("cable pulled")
        return f"{message}, over connection {self.lives}"


class Reader(Actor):
    """Depends on the connection."""

    def on_start(self) -> None:
        """Started after the connection, and again whenever that is."""
        print("reader is ready")


async def main() -> None:
    logging.getLogger("everact.actors").setLevel(logging.CRITICAL)
    async with ActorSystem() as system:
        supervisor = system.spawn(
            Supervisor,
            [
                ChildSpec(name="connection", actor_class=Connection),
                ChildSpec(name="reader", actor_class=Reader),
            ],
            strategy=Strategy.REST_FOR_ONE,
            max_restarts=2,
            within=60,
        )
        connection = await supervisor.proxy().child("connection")
        print(await connection.ask("hello"))

        connection.tell("break")
        # Sent before the restart, answered after it, by the same reference.
        print(await connection.ask("hello again"))

        connection.tell("break")
        print(await connection.ask("and again"))

        connection.tell("break")
        exit = await supervisor.wait_stopped()
        print("the supervisor gave up:", type(exit).__name__)
        print("is the connection alive?", connection.is_alive())


if __name__ == "__main__":
    asyncio.run(main())
