"""Supervision: actors that restart their children, and give up when it does not help.

The decision is in three small pure parts: whether an exit calls for a restart
(:meth:`Restart.wanted`), who is restarted with the failed child
(:meth:`Strategy.affected`), and whether it happened too often (:func:`recent`). The
supervisor only carries it out. A child keeps its reference and its unread messages
through a restart; the message at which it failed is not delivered again.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from everact.actors.actor import Actor
from everact.actors.errors import NameTakenError, RestartIntensityExceeded
from everact.actors.exit import STOPPED, Exit, Failed
from everact.actors.ref import ActorRef, Limbo

__all__ = ["ChildSpec", "Restart", "Strategy", "Supervisor", "recent"]

logger = logging.getLogger("everact.actors")


class Restart(enum.Enum):
    """When an ended child is started again."""

    #: Whenever it ends, however it ends.
    PERMANENT = "permanent"
    #: Only when it failed or was killed.
    TRANSIENT = "transient"
    #: Never: it is forgotten.
    TEMPORARY = "temporary"

    def wanted(self, exit: Exit) -> bool:
        """Whether a child that ended so is to live again."""
        match self:
            case Restart.PERMANENT:
                return True
            case Restart.TRANSIENT:
                return exit.abnormal
            case Restart.TEMPORARY:
                return False


class Strategy(enum.Enum):
    """Who is restarted when a child is."""

    #: The child alone.
    ONE_FOR_ONE = "one for one"
    #: All children: they depend on each other.
    ONE_FOR_ALL = "one for all"
    #: The child and those started after it: later ones depend on earlier ones.
    REST_FOR_ONE = "rest for one"

    def affected(self, names: Sequence[str], failed: str) -> list[str]:
        """The names to restart, in order of start, of all ``names`` in that order."""
        match self:
            case Strategy.ONE_FOR_ONE:
                return [failed]
            case Strategy.ONE_FOR_ALL:
                return list(names)
            case Strategy.REST_FOR_ONE:
                return list(names[names.index(failed) :])


def recent(restarts: Iterable[float], now: float, within: float) -> list[float]:
    """The times of restart that still count: less than ``within`` seconds ago."""
    return [at for at in restarts if now - at < within]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How to start a child, and when to start it again.

    ``args`` and ``kwargs`` are given to every life of it, so they should be immutable.
    """

    name: str
    actor_class: type[Actor]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    restart: Restart = Restart.PERMANENT
    mailbox: int | None = None


class _Child:
    """A child of a supervisor, through all its lives."""

    __slots__ = ("actor", "exit", "ref", "spec")

    def __init__(self, spec: ChildSpec, ref: ActorRef[Any], actor: Actor) -> None:
        self.spec = spec
        self.ref = ref
        #: The present life, also while it winds down. None: waiting to be restarted.
        self.actor: Actor | None = actor
        #: How the last life ended.
        self.exit: Exit = STOPPED


class Supervisor(Actor):
    """An actor that keeps its children alive.

    Give it specifications, started in order, or add children with ``start_child``.
    More than ``max_restarts`` restarts within ``within`` seconds are taken as a sign
    that restarting does not help: it stops its children and fails with
    :class:`RestartIntensityExceeded`, and its own parent decides what then.

    A subclass may handle messages like any actor. The methods below are for the loop
    thread; from elsewhere use a proxy: ``await ref.proxy().start_child(spec)``.
    """

    def __init__(
        self,
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int = 3,
        within: float = 5.0,
    ) -> None:
        if max_restarts < 0 or within <= 0:
            raise ValueError("max_restarts must not be negative, within be positive")
        super().__init__()
        self.__specs = tuple(children)
        self.__strategy = strategy
        self.__max_restarts = max_restarts
        self.__within = within
        self.__restarts: list[float] = []
        # In order of start, which is the order of the strategies.
        self.__named: dict[str, _Child] = {}
        self.__by_ref: dict[ActorRef[Any], _Child] = {}
        # Names to start, in order, once those of them that still live have ended.
        self.__pending: list[str] = []
        self.__busy = False

    def on_start(self) -> None:
        """Start the children. A subclass that overrides this calls it."""
        for spec in self.__specs:
            self.start_child(spec)

    # -- its children

    @property
    def children(self) -> dict[str, ActorRef[Any]]:
        """The references of the children by name, in order of start."""
        return {name: child.ref for name, child in self.__named.items()}

    def child(self, name: str) -> ActorRef[Any]:
        """The reference of a child; :class:`KeyError` if there is none."""
        return self.__named[name].ref

    def start_child(self, spec: ChildSpec) -> ActorRef[Any]:
        """Start and keep a child. What its ``__init__`` raises is raised here."""
        if spec.name in self.__named:
            raise NameTakenError(f"{self} has a child named {spec.name!r}")
        ref = self.spawn(
            spec.actor_class, *spec.args, mailbox=spec.mailbox, **spec.kwargs
        )
        child = _Child(spec, ref, _life(ref))
        self.__named[spec.name] = self.__by_ref[ref] = child
        return ref

    def stop_child(self, name: str) -> ActorRef[Any]:
        """Stop a child for good and forget it. The result's ``wait_stopped()`` tells
        when it has ended.
        """
        child = self.__named[name]
        self.__forget(child)
        if child.actor is None:
            child.ref._abandoned(child.exit)
        else:
            child.actor._actor_terminate(STOPPED)
        return child.ref

    def __forget(self, child: _Child) -> None:
        del self.__named[child.spec.name]
        del self.__by_ref[child.ref]
        if child.spec.name in self.__pending:
            self.__pending.remove(child.spec.name)

    # -- what happens to them

    def _actor_restarts(self, child: Actor) -> bool:
        found = self.__by_ref.get(child.actor_ref)
        exit = child._actor_exit
        if found is None or exit is None or self._actor_exit is not None:
            return False
        if found.spec.name in self.__pending:
            return found.spec.restart is not Restart.TEMPORARY
        return found.spec.restart.wanted(exit)

    def _actor_child_ended(self, child: Actor) -> None:
        ref, exit = child.actor_ref, child._actor_exit or STOPPED
        found = self.__by_ref.get(ref)
        lives_on = isinstance(ref._actor, Limbo)
        if lives_on and (found is None or self._actor_exit is not None):
            ref._abandoned(exit)  # forgotten, or its supervisor ends
            lives_on = False
        if found is not None:
            found.actor, found.exit = None, exit
            if not lives_on:
                self.__forget(found)
            elif found.spec.name not in self.__pending:
                self.__restart(found, exit)
        if self.__pending and not self.__busy:
            self.__restart_pending()
        super()._actor_child_ended(child)

    def __restart(self, failed: _Child, exit: Exit) -> None:
        """Mark who is to be restarted, or give up."""
        now = self.system.clock.monotonic()
        self.__restarts = [*recent(self.__restarts, now, self.__within), now]
        if len(self.__restarts) > self.__max_restarts:
            self.finish(Failed(self.__exceeded(failed, exit)))
            return
        logger.info("%s restarts %s after %s", self, failed.spec.name, exit)
        names = list(self.__named)
        wanted = {*self.__pending, *self.__strategy.affected(names, failed.spec.name)}
        self.__pending = [name for name in names if name in wanted]

    def __exceeded(self, failed: _Child, exit: Exit) -> RestartIntensityExceeded:
        error = RestartIntensityExceeded(
            f"{failed.spec.name!r} ended with {exit}: more than {self.__max_restarts} "
            f"restarts within {self.__within} seconds"
        )
        error.__cause__ = exit.error if isinstance(exit, Failed) else None
        return error

    def __restart_pending(self) -> None:
        """Stop those that are to be restarted and still live, then start all."""
        self.__busy = True
        try:
            while self.__pending and self._actor_exit is None:
                if not self.__pending_have_ended():
                    return  # the end of the one that is awaited comes back here
                self.__start_pending()
        finally:
            self.__busy = False

    def __pending_have_ended(self) -> bool:
        """Stop them one after the other, the last started first."""
        for name in reversed(self.__pending.copy()):
            child = self.__named.get(name)
            if child is None or child.actor is None:
                continue
            child.actor._actor_terminate(STOPPED)
            if child.actor is not None:
                return False
        return True

    def __start_pending(self) -> None:
        names, self.__pending = self.__pending, []
        for place, name in enumerate(names):
            child = self.__named[name]
            try:
                self.system._respawn(
                    child.ref, child.spec.args, dict(child.spec.kwargs), self
                )
            except Exception as error:
                logger.exception("Child %r of %s cannot be started", name, self)
                self.__pending = names[place:]
                self.__restart(child, Failed(error))
                return
            child.actor = _life(child.ref)

    def _actor_wind_down(self) -> None:
        # Children between two lives are nobody's actors now: their end is here.
        for child in list(self.__named.values()):
            if child.actor is None:
                self.__forget(child)
                child.ref._abandoned(child.exit)
        super()._actor_wind_down()


def _life(ref: ActorRef[Any]) -> Actor:
    actor = ref._actor
    assert isinstance(actor, Actor)
    return actor
