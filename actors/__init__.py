"""Actors on asyncio: real pykka actors with a mailbox of callbacks, and supervision."""

from everact.actors.actor import Actor
from everact.actors.clock import (
    Clock,
    SystemClock,
    TimerHandle,
    VirtualClock,
    VirtualLoop,
    run_virtual,
)
from everact.actors.errors import (
    ActorDeadError,
    ActorError,
    AskTimeout,
    BlockingCallError,
    EveractError,
    MailboxFull,
    NameTakenError,
    RestartIntensityExceeded,
    SystemStoppedError,
    WrongThreadError,
)
from everact.actors.exit import NORMAL, STOPPED, Exit, Failed, Killed, Normal, Stopped
from everact.actors.future import ActorFuture
from everact.actors.observation import ActorState, ActorView
from everact.actors.ref import ActorRef, Terminated
from everact.actors.registry import Registry
from everact.actors.supervision import ChildSpec, Restart, Strategy, Supervisor
from everact.actors.system import ActorSystem
from everact.actors.threads import ThreadActor

__all__ = [
    "NORMAL",
    "STOPPED",
    "Actor",
    "ActorDeadError",
    "ActorError",
    "ActorFuture",
    "ActorRef",
    "ActorState",
    "ActorSystem",
    "ActorView",
    "AskTimeout",
    "BlockingCallError",
    "ChildSpec",
    "Clock",
    "EveractError",
    "Exit",
    "Failed",
    "Killed",
    "MailboxFull",
    "NameTakenError",
    "Normal",
    "Registry",
    "Restart",
    "RestartIntensityExceeded",
    "Stopped",
    "Strategy",
    "Supervisor",
    "SystemClock",
    "SystemStoppedError",
    "Terminated",
    "ThreadActor",
    "TimerHandle",
    "VirtualClock",
    "VirtualLoop",
    "WrongThreadError",
    "run_virtual",
]
