"""How the blocking client is derived from the asynchronous one, verb by verb.

A blocking class names each verb of its asynchronous twin, once:

    class BlockingSchedule(Blocking[ScheduleHandle]):
        id = Told[str]()
        pause = waits(ScheduleHandle.pause)

Parameters, overloads, types and documentation are those of the asynchronous verb, for
people, for `inspect` and for type checkers. A verb of a generic class is named with the
class's own variable, as ``RunHandle[R].result``, or a checker loses the result's type.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import update_wrapper
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
)

from everact.runtime.client.loop_thread import LoopThread
from everact.runtime.core.durations import optional_seconds

B = TypeVar("B")
N = TypeVar("N")
P = ParamSpec("P")
T = TypeVar("T")

Answer: TypeAlias = Coroutine[Any, Any, T] | T
"""What a verb gives: at once, or to whoever awaits it."""


class Blocking(Generic[N]):
    """The blocking form of an object that lives on the loop of another thread.

    Any thread may use it that runs no loop: there RuntimeStateError is raised.
    """

    def __init__(self, wrapped: N, thread: LoopThread) -> None:
        self._wrapped = wrapped
        self._loop_thread = thread

    def __init_subclass__(cls) -> None:
        for name, member in vars(cls).items():
            if inspect.isfunction(member) and hasattr(member, "__wrapped__"):
                member.__qualname__ = f"{cls.__qualname__}.{name}"
                member.__module__ = cls.__module__

    def __repr__(self) -> str:
        own, said = f"<{type(self._wrapped).__name__} ", repr(self._wrapped)
        if not said.startswith(own):
            return super().__repr__()
        return f"<{type(self).__name__} {said.removeprefix(own)}"


class Owning(Blocking[N]):
    """The blocking form of what the thread is there for; closing it ends the thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close as the asynchronous form does; no thread and no socket is left."""
        self._loop_thread.close()


class Told(Generic[T]):
    """A property that a blocking class has as its asynchronous twin has it.

    Type checkers see what it gives; `property` is what stands in the class in the end,
    with the documentation of the twin's, and can be set if that can.
    """

    _kind: Callable[[Any, LoopThread], T] | None = None

    def __set_name__(self, owner: type[Blocking[Any]], name: str) -> None:
        (twin,) = get_args(vars(owner)["__orig_bases__"][0])
        known: property = getattr(get_origin(twin) or twin, name)
        kind = self._kind

        def get(blocking: Blocking[Any]) -> Any:
            found = getattr(blocking._wrapped, name)
            return found if kind is None else kind(found, blocking._loop_thread)

        def put(blocking: Blocking[Any], value: Any) -> None:
            setattr(blocking._wrapped, name, value)

        update_wrapper(get, cast("Any", known.fget))
        returned = _returned(get.__annotations__["return"], kind)
        get.__annotations__ = {"return": returned}
        setattr(owner, name, property(get, put if known.fset else None))

    def __get__(self, blocking: Blocking[Any], owner: Any = None, /) -> T:
        raise NotImplementedError  # for type checkers: a property stands in its place


class Kept(Told[T]):
    """One that can be set, too."""

    def __set__(self, blocking: Blocking[Any], value: T, /) -> None:
        raise NotImplementedError  # for type checkers, as `__get__`


class Part(Told[T]):
    """One whose blocking form is a `kind`."""

    def __init__(self, kind: Callable[[Any, LoopThread], T]) -> None:
        self._kind = kind


def waits(
    verb: Callable[Concatenate[N, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Blocking[N], P], T]:
    """The blocking form of a verb: it returns when the answer is there."""
    return _derived(verb, None)


def iterates(
    verb: Callable[Concatenate[N, P], AsyncIterator[T]],
) -> Callable[Concatenate[Blocking[N], P], Iterator[T]]:
    """The blocking form of a verb that gives items: each is waited for in its turn."""
    return _derived(verb, _iterated)


def gives(
    kind: Callable[[T, LoopThread], B],
    verb: Callable[Concatenate[N, P], Answer[T]],
) -> Callable[Concatenate[Blocking[N], P], B]:
    """The blocking form of a verb whose answer has a blocking form, `kind`, as well."""
    return _derived(verb, kind)


def same(
    verb: Callable[Concatenate[N, P], T],
) -> Callable[Concatenate[Blocking[N], P], T]:
    """A verb that asks nothing of an engine: its blocking form is no other."""
    return _derived(verb, None)


def _derived(
    verb: Callable[Concatenate[N, P], Any],
    shape: Callable[[Any, LoopThread], T] | None,
) -> Callable[Concatenate[Blocking[N], P], T]:
    """The one way in which a verb blocks; `shape` makes of its answer what is given.

    The verb is called by its name, so that of a subclass counts. A `timeout` that it
    takes is kept by the waiting thread as well: it ends even while the loop is held up.
    """
    name, signature = verb.__name__, inspect.signature(verb)
    limited = "timeout" in signature.parameters

    def call(self: Blocking[N], /, *args: P.args, **kwargs: P.kwargs) -> T:
        limit: Any = kwargs.get("timeout") if limited else None
        seconds = optional_seconds(limit, what="timeout")
        found = getattr(self._wrapped, name)(*args, **kwargs)
        if isinstance(found, Coroutine):
            found = self._loop_thread.wait(found, seconds)
        return found if shape is None else shape(found, self._loop_thread)

    update_wrapper(call, verb)
    returned = _returned(signature.return_annotation, shape)
    call.__annotations__ = {**verb.__annotations__, "return": returned}
    call.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
    said = f"This is the blocking form of `{verb.__qualname__}`{_how(verb, shape)}."
    call.__doc__ = f"{inspect.getdoc(verb) or ''}\n\n{said}"
    return call


def _iterated(items: AsyncIterator[T], thread: LoopThread) -> Iterator[T]:
    return thread.iterate(items)


def _returned(annotation: Any, shape: Any) -> Any:
    """The annotation of what a blocking verb returns, from the asynchronous one's."""
    if get_origin(annotation) is Coroutine:
        annotation = get_args(annotation)[-1]
    made: Any = Iterator if shape is _iterated else shape
    if made is None:
        return annotation
    arguments = get_args(annotation)
    return made[arguments] if arguments else made


def _how(verb: Callable[..., Any], shape: Any) -> str:
    if shape is _iterated:
        return ": each step blocks until there is an item"
    given = get_origin(verb.__annotations__.get("return"))
    if inspect.iscoroutinefunction(verb) or given is Coroutine:
        return ": it blocks until the answer is there"
    return ", which does not wait"
