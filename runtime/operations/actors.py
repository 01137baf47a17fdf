"""Operations on actors: the program's own beside the runs, and the tree of them all."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from everact.actors import (
    ActorDeadError,
    ActorRef,
    ActorView,
    AskTimeout,
    MailboxFull,
    NameTakenError,
)
from everact.runtime.core.opaque import Payload
from everact.runtime.core.projecting import alike
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import RPCError, invalid, not_found
from everact.runtime.operations.access import Access
from everact.runtime.operations.arguments import stored, with_arguments
from everact.runtime.operations.base import Name, Request, operation

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

_OURS = "everact.runtime."


class ActorLine(msgspec.Struct, frozen=True, kw_only=True):
    """One actor. `actor` is what it is addressed by: its name, or else its URN."""

    actor: str
    class_name: str
    unread: int


class ActorNode(msgspec.Struct, frozen=True, kw_only=True):
    """One actor of the tree and what it supervises.

    `about` is what it says of itself: a run its workflow ID, an attempt its task.
    """

    class_name: str
    name: str | None
    about: str = ""
    state: str
    unread: int
    children: tuple["ActorNode", ...]


class ActorTree(msgspec.Struct, frozen=True, kw_only=True):
    """The supervision tree; `left_out` actors did not find room in it."""

    actors: tuple[ActorNode, ...]
    left_out: int


class ListActors(Request[tuple[ActorLine, ...]], frozen=True, kw_only=True):
    """The program's own live actors, in the order of their start."""


class ReadTree(Request[ActorTree], frozen=True, kw_only=True):
    """The supervision tree, runs and attempts included, up to `limit` actors."""

    limit: Annotated[int, Meta(ge=1, le=100_000)] = 1000


class SpawnActor(Request[ActorLine], frozen=True, kw_only=True):
    """Start an actor of a class that the program offers (`Registry.offer`)."""

    class_name: Name
    args: tuple[Payload, ...] = ()
    kwargs: dict[str, Payload] = {}
    name: str = ""


class TellActor(Request[None], frozen=True, kw_only=True):
    """Put a message into an actor's mailbox; nothing of it is durable."""

    actor: Name
    message: Payload


class AskActor(Request[Payload], frozen=True, kw_only=True):
    """Put a message into an actor's mailbox and wait for its answer.

    RPCError DEADLINE_EXCEEDED after `timeout` seconds; it may still be handled.
    """

    actor: Name
    message: Payload
    timeout: Annotated[float, Meta(ge=0, le=60)] = 30.0


class StopActor(Request[None], frozen=True, kw_only=True):
    """Stop an actor after what it was sent before."""

    actor: Name


@operation("actors.list", ListActors, access=Access.READ)
async def list_actors(engine: "Engine", _: ListActors) -> tuple[ActorLine, ...]:
    """Ask the registry."""
    return tuple(
        _line(ref) for ref in engine.system.registry.get_all() if not _is_ours(ref)
    )


@operation("actors.tree", ReadTree, access=Access.READ)
async def read_tree(engine: "Engine", request: ReadTree) -> ActorTree:
    """Look at all of them as they are now."""
    room = [request.limit]
    nodes = tuple(_nodes(engine.system.observe(), room))
    shown = request.limit - room[0]
    return ActorTree(actors=nodes, left_out=len(engine.system.registry) - shown)


def _typed_spawn(engine: "Engine", request: SpawnActor) -> SpawnActor:
    return with_arguments(engine, None, request)


@operation("actors.spawn", SpawnActor, access=Access.WRITE, typed=_typed_spawn)
async def spawn_actor(engine: "Engine", request: SpawnActor) -> ActorLine:
    """Start it beside the runs."""
    engine.check_open()
    cls = engine.registry.actors.get(request.class_name)
    if cls is None:
        offered = ", ".join(sorted(engine.registry.actors)) or "none"
        raise not_found(
            f"no actor class {request.class_name!r} is offered; offered: {offered}"
        )
    decode = engine.values.decode
    args = [decode(arg) for arg in request.args]
    kwargs = {name: decode(arg) for name, arg in request.kwargs.items()}
    kwargs["name"] = request.name or None
    try:
        ref = engine.system.spawn(cls, *args, **kwargs)
    except NameTakenError as error:
        raise RPCError(str(error), RPCStatus.ALREADY_EXISTS) from None
    except Exception as error:
        text = f"{request.class_name} was not started: {type(error).__name__}: {error}"
        raise invalid(text) from error
    return _line(ref)


def _typed(engine: "Engine", request: "TellActor | AskActor") -> Any:
    message = stored(engine, request.message, "the message")
    return replace(request, message=message)


@operation("actors.tell", TellActor, access=Access.WRITE, typed=_typed)
async def tell_actor(engine: "Engine", request: TellActor) -> None:
    """Deliver to the mailbox."""
    ref = _actor(engine, request.actor)
    try:
        ref.tell(engine.values.decode(request.message))
    except (ActorDeadError, MailboxFull) as error:
        raise _refusal(error) from None


@operation("actors.ask", AskActor, access=Access.WRITE, typed=_typed)
async def ask_actor(engine: "Engine", request: AskActor) -> bytes:
    """Deliver to the mailbox and wait."""
    ref = _actor(engine, request.actor)
    message = engine.values.decode(request.message)
    try:
        answer = await ref.ask(message, timeout=request.timeout)
    except Exception as error:
        raise _refusal(error) from error
    return engine.values.encode(answer, f"the answer of {ref}")


@operation("actors.stop", StopActor, access=Access.WRITE)
async def stop_actor(engine: "Engine", request: StopActor) -> None:
    """Stop it and wait until it has stopped."""
    await _actor(engine, request.actor).stop()


def _actor(engine: "Engine", actor: str) -> ActorRef[Any]:
    registry = engine.system.registry
    ref = registry.get_by_name(actor) or registry.get_by_urn(actor)
    if ref is None or _is_ours(ref):
        raise not_found(f"no actor {actor!r} is alive here")
    return ref


def _is_ours(ref: ActorRef[Any]) -> bool:
    """Whether the engine itself made it: nobody else has anything to tell it."""
    return bool(ref.actor_class.__module__.startswith(_OURS))


def _line(ref: ActorRef[Any]) -> ActorLine:
    return ActorLine(
        actor=ref.name or ref.actor_urn,
        class_name=ref.actor_class.__name__,
        unread=ref._unread(),
    )


def _nodes(views: tuple[ActorView, ...], room: list[int]) -> list[ActorNode]:
    """The views as nodes, for as long as there is room."""
    nodes = []
    for view in views:
        if room[0] <= 0:
            break
        room[0] -= 1
        nodes.append(
            ActorNode(
                **alike(ActorNode, view)
                | {"children": tuple(_nodes(view.children, room))}
            )
        )
    return nodes


def _refusal(error: Exception) -> RPCError:
    match error:
        case ActorDeadError():
            status = RPCStatus.NOT_FOUND
        case MailboxFull():
            status = RPCStatus.RESOURCE_EXHAUSTED
        case AskTimeout():
            status = RPCStatus.DEADLINE_EXCEEDED
        case _:
            text = f"the actor failed: {type(error).__name__}: {error}"
            return RPCError(text, RPCStatus.ABORTED)
    return RPCError(str(error), status)
