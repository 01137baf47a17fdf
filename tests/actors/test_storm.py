"""Many threads at once: every ask is answered, every actor ends, nothing is left."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest

from everact.actors import (
    Actor,
    ActorDeadError,
    ActorFuture,
    ActorRef,
    ActorSystem,
    MailboxFull,
    ThreadActor,
)

ACTIONS = 300


class Worker(Actor):
    """Checks that its messages never overlap and that each sender's come in order."""

    def __init__(self) -> None:
        self.inside = False
        self.last: dict[int, int] = {}

    def check(self, message: tuple[int, int]) -> tuple[int, int]:
        sender, number = message
        assert self.last.get(sender, -1) < number
        self.last[sender] = number
        return message

    def on_receive(self, message: tuple[int, int]) -> Any:
        assert not self.inside
        if message[1] % 7 == 0:
            self.spawn(Worker)
        return self.check(message)


class AsyncWorker(Worker):
    async def on_receive(self, message: tuple[int, int]) -> Any:
        assert not self.inside
        self.inside = True
        try:
            for _ in range(message[1] % 3):
                await asyncio.sleep(0)
        finally:
            self.inside = False
        return self.check(message)


class BlockingWorker(ThreadActor, Worker):
    def on_receive(self, message: tuple[int, int]) -> Any:
        return self.check(message)


class Sender(threading.Thread):
    """Does random things to shared actors, and remembers what it asked."""

    def __init__(
        self, number: int, system: ActorSystem, refs: list[ActorRef[Any]]
    ) -> None:
        super().__init__()
        self.number = number
        self.system = system
        self.refs = refs
        self.random = random.Random(number)
        self.asked: list[tuple[tuple[int, int], ActorFuture[Any]]] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for number in range(ACTIONS):
                self.act(number)
        except BaseException as error:
            self.error = error

    def act(self, number: int) -> None:
        kinds = [Worker, AsyncWorker, BlockingWorker]
        ref = self.random.choice(self.refs)
        message = (self.number, number)
        match self.random.randrange(12):
            case 0:
                bound = self.random.choice([None, 2])
                kind = self.random.choice(kinds)
                self.refs.append(self.system.spawn(kind, mailbox=bound))
            case 1:
                ref.kill()
            case 2:
                ref.stop(block=False)
            case 3 | 4 | 5:
                try:
                    ref.tell(message)
                except (ActorDeadError, MailboxFull):
                    return
            case _:
                self.asked.append((message, ref.ask(message, block=False)))


def outcome(asked: ActorFuture[Any]) -> Any:
    try:
        return asked.get(timeout=60)
    except (ActorDeadError, MailboxFull) as error:
        return type(error)


@pytest.mark.real_time
def test_a_storm_from_many_threads_leaves_nothing_undecided() -> None:
    with ActorSystem.in_thread("storm") as system:
        refs: list[ActorRef[Any]] = [system.spawn(Worker) for _ in range(5)]
        senders = [Sender(number, system, refs) for number in range(6)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert [sender.error for sender in senders] == [None] * 6
        system.close()
    assert len(system.registry) == 0
    assert system._actor_children == {}
    assert all(ref.exit is not None for ref in refs)
    answered = 0
    for sender in senders:
        for message, future in sender.asked:
            result = outcome(future)
            assert result in (message, ActorDeadError, MailboxFull)
            answered += result == message
    assert answered > 0
