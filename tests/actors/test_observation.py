"""ActorSystem.observe: the tree of actors as plain values."""

from __future__ import annotations

import asyncio

from everact.actors import Actor, ActorSystem, ActorView


class Parent(Actor):
    def on_receive(self, message: object) -> None:
        """Quick."""


class Child(Actor):
    async def on_receive(self, message: object) -> None:
        await asyncio.sleep(10)

    async def on_stop(self) -> None:  # type: ignore[override]
        await asyncio.sleep(10)


def view(
    actor: type[Actor],
    state: str,
    unread: int = 0,
    *children: ActorView,
    name: str = "",
) -> ActorView:
    return ActorView(
        class_name=actor.__name__,
        name=name or None,
        about="",
        state=state,  # type: ignore[arg-type]
        unread=unread,
        children=children,
    )


async def test_the_tree_shows_what_every_actor_is_doing() -> None:
    async with ActorSystem() as system:
        assert system.observe() == ()
        parent = system.spawn(Parent, name="root")
        actor = system.registry.get_by_name("root")
        assert actor is parent
        launched = system.launch(Child)
        assert system.observe() == (
            view(Parent, "idle", name="root"),
            view(Child, "idle"),
        )
        grandchild = launched.spawn(Child)
        grandchild.tell(1)
        parent.tell(1)
        assert system.observe() == (
            view(Parent, "ready", 1, name="root"),
            view(Child, "idle", 0, view(Child, "ready", 1)),
        )
        await asyncio.sleep(1)
        grandchild.tell(2)
        assert system.observe()[1] == view(Child, "idle", 0, view(Child, "busy", 1))
        launched.finish()
        await asyncio.sleep(1)
        assert system.observe()[1] == view(
            Child, "stopping", 0, view(Child, "stopping")
        )


async def test_looking_makes_no_reference() -> None:
    async with ActorSystem() as system:
        actor = system.launch(Parent)
        assert system.observe() == (view(Parent, "idle"),)
        assert actor._actor_ref is None
