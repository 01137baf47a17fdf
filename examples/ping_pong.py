"""Two actors play: told messages, an answered question, and an ordered end.

Run it: python -m examples.ping_pong [rounds]
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from everact.actors import Actor, ActorRef, ActorSystem


@dataclass(frozen=True, slots=True)
class Ball:
    """The ball, coming from a player, after so many hits."""

    sender: ActorRef[Player]
    hits: int


class Player(Actor):
    """Returns every ball until the last round."""

    def __init__(self, name: str, rounds: int) -> None:
        self.name = name
        self.rounds = rounds
        self.hits = 0

    def on_receive(self, message: object) -> object:
        match message:
            case Ball(sender, hits) if hits < self.rounds:
                self.hits += 1
                sender.tell(Ball(self.actor_ref, hits + 1))
            case Ball():
                self.finish()
            case "score":
                return self.hits
        return None

    def on_stop(self) -> None:
        """The player who gets the last ball ends the game by leaving."""
        print(f"{self.name} leaves after {self.hits} hits")


async def main(rounds: int) -> None:
    async with ActorSystem("game") as system:
        ping = system.spawn(Player, "ping", rounds)
        pong = system.spawn(Player, "pong", rounds)
        ping.tell(Ball(pong, 0))
        loser, winner = (ping, pong) if rounds % 2 == 0 else (pong, ping)
        exit = await loser.wait_stopped()
        print(f"the game ended: {exit}")
        print("the other one's hits:", await winner.ask("score"))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
