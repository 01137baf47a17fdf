"""Registry: the live actors of one system, by URN, name, class and class name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from everact.actors import Actor, ActorRef, ActorSystem


class Animal(Actor):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "heard":
            return self.heard
        self.heard.append(message)
        return None


class Dog(Animal):
    pass


class Cat(Animal):
    pass


async def heard(refs: list[ActorRef[Any]]) -> list[Any]:
    return [await ref.ask("heard") for ref in refs]


async def test_live_actors_are_listed_in_order_of_start() -> None:
    async with ActorSystem() as system:
        refs = [system.spawn(kind) for kind in (Dog, Cat, Animal, Dog)]
        assert system.registry.get_all() == refs
        assert len(system.registry) == 4
        await refs[1].stop()
        assert system.registry.get_all() == [refs[0], refs[2], refs[3]]


async def test_launched_actors_are_listed_too() -> None:
    async with ActorSystem() as system:
        actor = system.launch(Dog)
        assert system.registry.get_all() == [actor.actor_ref]


async def test_an_actor_is_found_by_its_urn() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Dog)
        urn = ref.actor_urn
        assert system.registry.get_by_urn(urn) is ref
        await ref.stop()
        assert system.registry.get_by_urn(urn) is None
        assert system.registry.get_by_urn("urn:uuid:none") is None


async def test_an_actor_that_is_stopping_is_found_no_longer() -> None:
    found: list[Any] = []

    class Last(Actor):
        def on_stop(self) -> None:
            found.append(self.system.registry.get_by_class(Last))

    async with ActorSystem() as system:
        await system.spawn(Last).stop()
    assert found == [[]]


async def test_actors_are_found_by_class_with_its_subclasses() -> None:
    async with ActorSystem() as system:
        dog, cat = system.spawn(Dog), system.spawn(Cat)
        assert system.registry.get_by_class(Dog) == [dog]
        assert system.registry.get_by_class(Animal) == [dog, cat]
        assert system.registry.get_by_class(Actor) == [dog, cat]


async def test_actors_are_found_by_class_name() -> None:
    async with ActorSystem() as system:
        dog = system.spawn(Dog)
        system.spawn(Cat)
        assert system.registry.get_by_class_name("Dog") == [dog]
        assert system.registry.get_by_class_name("Animal") == []


async def test_systems_do_not_share_their_registries() -> None:
    async with ActorSystem() as one, ActorSystem() as two:
        ref = one.spawn(Dog)
        assert one.registry.get_all() == [ref]
        assert two.registry.get_all() == []


@pytest.mark.parametrize(
    ("target", "hearers"),
    [(None, "abc"), (Dog, "ab"), (Animal, "abc"), ("Cat", "c"), ("Nobody", "")],
)
async def test_broadcast_reaches_all_or_those_of_a_class(
    target: Any, hearers: str
) -> None:
    async with ActorSystem() as system:
        refs = {name: system.spawn(Dog if name in "ab" else Cat) for name in "abc"}
        system.registry.broadcast("hello", target)
        for name, ref in refs.items():
            assert await ref.ask("heard") == (["hello"] if name in hearers else [])


async def test_stop_all_on_the_loop_gives_futures() -> None:
    async with ActorSystem() as system:
        for _ in range(3):
            system.spawn(Dog)
        stopped = system.registry.stop_all()
        assert [await one for one in stopped] == [True] * 3  # type: ignore[misc]
        assert len(system.registry) == 0


def test_stop_all_in_a_plain_thread_blocks() -> None:
    with ActorSystem.in_thread() as system:
        for _ in range(3):
            system.spawn(Dog)
        assert system.registry.stop_all() == [True] * 3
        assert system.registry.get_all() == []


async def test_classes_made_in_functions_do_not_stay_for_ever() -> None:
    async with ActorSystem() as system:
        for number in range(100):
            passing = type(f"Passing{number}", (Actor,), {})
            system.launch(passing).finish()
        assert len(system.registry._by_class) <= 2


async def test_a_registry_of_many_is_consistent_after_a_storm() -> None:
    async with ActorSystem() as system:
        refs = [system.spawn(Dog if n % 3 else Cat, name=str(n)) for n in range(300)]
        for ref in refs[::2]:
            ref.kill()
        await asyncio.sleep(1)
        assert system.registry.get_all() == refs[1::2]
        assert [system.registry.get_by_name(str(n)) for n in range(4)] == [
            *(None, refs[1], None, refs[3])
        ]
