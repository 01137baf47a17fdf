"""Which actors of one system are alive, found by URN, name, class or class name.

Costs one insertion per actor. URNs are indexed when they are made, which is early
enough: before that nobody can ask for one. Queries may be made from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from everact.actors.errors import ActorDeadError, NameTakenError

if TYPE_CHECKING:
    from everact.actors.actor import Actor
    from everact.actors.future import ActorFuture
    from everact.actors.ref import ActorRef

__all__ = ["Registry"]

#: The serial number of an actor that has ended, and of one that has no place yet.
ENDED, UNLISTED = -1, -2

A = TypeVar("A", bound="Actor")


class Registry:
    """The live actors of one system. The same queries as pykka's registry has."""

    def __init__(self) -> None:
        # Actors by class and by their serial number, which orders them by start.
        self._by_class: dict[type[Actor], dict[int, Actor]] = {}
        self._by_urn: dict[str, ActorRef[Any]] = {}
        self._by_name: dict[str, ActorRef[Any]] = {}
        # Only the loop thread drops classes; other threads add under this lock.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(map(len, list(self._by_class.values())))

    def get_all(self) -> list[ActorRef[Any]]:
        """All live actors, in the order in which they were started."""
        return _refs(list(self._by_class.values()))

    def get_by_urn(self, actor_urn: str) -> ActorRef[Any] | None:
        """The live actor with this URN."""
        return self._by_urn.get(actor_urn)

    def get_by_name(self, name: str) -> ActorRef[Any] | None:
        """The live actor that was spawned with this name."""
        return self._by_name.get(name)

    def get_by_class(self, actor_class: type[A]) -> list[ActorRef[A]]:
        """The live actors of this class and its subclasses, in order of start."""
        classes = list(self._by_class.items())
        return _refs(found for kind, found in classes if issubclass(kind, actor_class))

    def get_by_class_name(self, actor_class_name: str) -> list[ActorRef[Any]]:
        """The live actors whose class has this name, in order of start."""
        classes = list(self._by_class.items())
        return _refs(
            found for kind, found in classes if kind.__name__ == actor_class_name
        )

    def broadcast(
        self, message: Any, target_class: str | type[Actor] | None = None
    ) -> None:
        """Tell all live actors, or those of a class or class name.

        Actors that stop meanwhile are passed over.
        """
        if target_class is None:
            refs = self.get_all()
        elif isinstance(target_class, str):
            refs = self.get_by_class_name(target_class)
        else:
            refs = list(self.get_by_class(target_class))
        for ref in refs:
            try:
                ref.tell(message)
            except ActorDeadError:
                continue

    def stop_all(
        self, *, block: bool = True, timeout: float | None = None
    ) -> list[bool] | list[ActorFuture[bool]]:
        """Stop all live actors, the last started first.

        In a thread without a running loop and with ``block``: one after the other, a
        list of what :meth:`ActorRef.stop` returned. Otherwise a list of futures.
        """
        refs = reversed(self.get_all())
        return [ref.stop(block=block, timeout=timeout) for ref in refs]

    def _add(self, actor: Actor, serial: int) -> None:
        kind = type(actor)
        found = self._by_class.get(kind)
        if found is None:
            found = self._add_class(kind)
        found[serial] = actor

    def _add_class(self, kind: type[Actor]) -> dict[int, Actor]:
        with self._lock:
            # Classes made in functions must not stay for ever.
            for empty in [one for one, found in self._by_class.items() if not found]:
                del self._by_class[empty]
            return self._by_class.setdefault(kind, {})

    def _add_from_thread(self, actor: Actor, serial: int) -> None:
        with self._lock:
            self._by_class.setdefault(type(actor), {})[serial] = actor

    def _remove(self, actor: Actor) -> None:
        del self._by_class[type(actor)][actor._actor_serial]

    def _forget(self, ref: ActorRef[Any]) -> None:
        """The reference has ended for good."""
        if ref._urn is not None:
            self._by_urn.pop(ref._urn, None)
        if ref.name is not None:
            self._by_name.pop(ref.name, None)

    def _urn_made(self, ref: ActorRef[Any]) -> None:
        urn = ref._urn
        if urn is not None and ref.is_alive():
            self._by_urn[urn] = ref
            if not ref.is_alive():
                self._by_urn.pop(urn, None)

    def _name(self, ref: ActorRef[Any], name: str) -> None:
        if self._by_name.setdefault(name, ref) is not ref:
            raise NameTakenError(f"another live actor has the name {name!r}")


def _refs(groups: Iterable[dict[int, Any]]) -> list[Any]:
    pairs = [pair for found in groups for pair in list(found.items())]
    pairs.sort(key=lambda pair: pair[0])
    return [actor.actor_ref for _, actor in pairs]
