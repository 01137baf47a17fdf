"""`@workflow`: async functions, or classes with one run method, that survive.

A class may declare handlers: `@workflow.signal` (one-way messages), `@workflow.query`
(read-only questions) and `@workflow.update` (messages with an answer).
"""

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import (
    Any,
    Concatenate,
    Final,
    Generic,
    NamedTuple,
    ParamSpec,
    Protocol,
    TypeVar,
    get_type_hints,
    overload,
)

from everact.runtime.core.keywords import closed
from everact.runtime.core.kinds import COROUTINE
from everact.runtime.definitions.active import active
from everact.runtime.definitions.durable import durable_loop
from everact.runtime.definitions.extras import checked_priority
from everact.runtime.definitions.registry import Registry, default_registry
from everact.runtime.definitions.signature import Signature
from everact.runtime.definitions.updates import UpdateMethod
from everact.runtime.isolation import text_of
from everact.runtime.values.json_payloads import as_type
from everact.runtime.values.payloads import checked_text

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])

_ROLE = "__everact_role__"
_DEFINITION = "__everact_workflow__"

UNFINISHED: Final = ("warn_and_abandon", "abandon")
"""What becomes of a handler that still runs when its run ends: the first is usual."""


MISFITS: Final = ("put_aside", "restart")
"""What becomes of a run whose history does not fit the code: the first is usual."""


class _Mark(NamedTuple):
    """What a method is for."""

    role: str
    name: str
    unfinished: str = UNFINISHED[0]


class Handler(NamedTuple):
    """What takes messages: a method of a workflow class, or a function.

    `validator` is an update's; `unfinished` is one of `UNFINISHED`.
    """

    name: str
    function: Callable[..., Any]
    signature: Signature
    validator: Callable[..., Any] | None = None
    unfinished: str = UNFINISHED[0]

    def of(self, instance: Any) -> "Handler":
        """The same, bound to an instance of its class."""
        check = self.validator
        return self._replace(
            function=self.function.__get__(instance),
            validator=None if check is None else check.__get__(instance),
        )


class WorkflowDefinition:
    """All that is known of a workflow: its name, its kind, its code, its handlers."""

    kind = COROUTINE
    """Of the programs that drive its runs, see `programs/kinds.py`."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        cls: type | None = None,
        on_events: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.on_events = on_events
        self.function = function
        self.cls = cls
        self.priority = 0
        """Of its runs that are given none; 0 is no priority."""
        self.registry: Registry | None = None
        self.restarts = False
        """Whether its runs begin anew whose history does not fit the code."""
        self.signature = Signature(function, bound=cls is not None)
        self.signals: dict[str, Handler] = {}
        self.queries: dict[str, Handler] = {}
        self.updates: dict[str, Handler] = {}
        self.any_signal: Handler | None = None
        self.any_update: Handler | None = None
        if on_events and not self.signature.fewest <= 1 <= self.signature.most:
            raise TypeError(
                f"{name}{self.signature} subscribes to events and must take the "
                "payload of one as its only argument"
            )

    def takes(self, update: str) -> bool:
        """Whether updates of that name have a handler before the code has run."""
        return self.any_update is not None or update in self.updates

    def received(self, payload: Any) -> Any:
        """The argument that the payload of an event is; TypeError if it does not fit.

        It becomes what the type hint of the parameter says.
        """
        (parameter, *_) = self.signature.parameters
        try:
            hints = get_type_hints(inspect.unwrap(self.function), include_extras=True)
        except Exception:  # a hint that cannot be evaluated asks for nothing
            hints = {}
        try:
            return as_type(payload, hints.get(parameter.name, Any))
        except Exception as error:
            raise TypeError(
                f"the payload of the event does not fit {parameter.name!r} of "
                f"{self.name}: {text_of(error)}"
            ) from None

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


class Workflow(Generic[P, R]):
    """An async function as a workflow.

    Awaiting a call of it inside a workflow runs it as a child; elsewhere it runs on
    the active runtime. As a value it travels by its place in its module.
    """

    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[P, Coroutine[Any, Any, R]],
        name: str,
        on_events: tuple[str, ...] = (),
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.everact_name = name
        self.definition = WorkflowDefinition(name, function, on_events=on_events)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        from everact.runtime.definitions.author import execute_child

        if durable_loop() is not None:
            value: R = await execute_child(self, args=args, kwargs=kwargs)
            return value
        runtime: Any = active()
        answer: R = await runtime.execute(self, args=args, kwargs=kwargs)
        return answer

    def __repr__(self) -> str:
        return f"<workflow {self.everact_name}>"

    def __reduce__(self) -> str:
        return self.__qualname__


_OF_HANDLERS = ("name", "dynamic", "unfinished")


class _WorkflowDecorator:
    """The `workflow` decorator and the marks for methods of workflow classes."""

    @overload
    def __call__(
        self, target: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Workflow[P, R]: ...
    @overload
    def __call__(self, target: C, /) -> C: ...
    @overload
    def __call__(
        self,
        *,
        name: str | None = None,
        registry: Registry | None = None,
        on_events: Iterable[str] = (),
        priority: int | None = None,
        on_misfit: str = MISFITS[0],
    ) -> "_NamedWorkflow": ...
    def __call__(self, target: Any = None, **options: Any) -> Any:
        """Make an async function or a class a workflow.

        `name` defaults to the qualified name without the module. `priority` (1 to 3,
        the highest) is for runs that are started without one. A user event of a key
        of `on_events` starts a run with the event's payload as its one argument; a
        payload that does not fit fails that run. `on_misfit` says what becomes of a
        run whose history does not fit the code that is there, or cannot be loaded:
        it is put aside until fitting code is there ("put_aside"), or begins anew with
        its arguments and its signals ("restart"). A class needs exactly one method
        marked `@workflow.run`. Raises TypeError listing every problem of the
        definition, ValueError if the name is taken.
        """
        known = inspect.signature(_NamedWorkflow).parameters
        closed(options, known, "@workflow")
        decorator = _NamedWorkflow(**options)
        return decorator if target is None else decorator(target)

    def run(self, method: F) -> F:
        """Mark the one method that is the workflow's code."""
        setattr(method, _ROLE, _Mark("run", getattr(method, "__name__", "run")))
        return method

    @overload
    def signal(self, method: F, /) -> F: ...
    @overload
    def signal(
        self,
        *,
        name: str | None = None,
        dynamic: bool = False,
        unfinished: str = UNFINISHED[0],
    ) -> Callable[[F], F]: ...
    def signal(self, method: Any = None, **options: Any) -> Any:
        """Mark a handler of signals, async or not.

        A `dynamic` one takes every signal that no other handles, as (name, args).
        `unfinished` is about an async one that still runs when the run ends:
        "warn_and_abandon" says so in the log, "abandon" does not.
        """
        closed(options, _OF_HANDLERS, "@workflow.signal")
        role = "any_signal" if options.pop("dynamic", False) else "signal"
        return _mark(role, method, **options)

    @overload
    def query(self, method: F, /) -> F: ...
    @overload
    def query(self, *, name: str | None = None) -> Callable[[F], F]: ...
    def query(self, method: Any = None, **options: Any) -> Any:
        """Mark a handler of queries; it must not be async and must not change state."""
        closed(options, ("name",), "@workflow.query")
        return _mark("query", method, **options)

    @overload
    def update(
        self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
    ) -> UpdateMethod[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def update(
        self, method: Callable[Concatenate[Any, P], R], /
    ) -> UpdateMethod[P, R, R]: ...
    @overload
    def update(
        self,
        *,
        name: str | None = None,
        dynamic: bool = False,
        unfinished: str = UNFINISHED[0],
    ) -> "_UpdateMark": ...
    def update(self, method: Any = None, **options: Any) -> Any:
        """Mark a handler of updates, messages with an answer; async or not.

        What it returns or raises is the answer. Its `validator` decorates a method
        that may refuse an update before anything is recorded. A `dynamic` one takes
        every update that no other handles, as (name, args). `unfinished` as for
        signals; the caller of an update that is abandoned gets an error.
        """
        closed(options, _OF_HANDLERS, "@workflow.update")
        role = "any_update" if options.pop("dynamic", False) else "update"
        checked_unfinished(options.get("unfinished", UNFINISHED[0]))

        def decorate(function: Callable[..., Any]) -> Any:
            return _mark(role, UpdateMethod(function), **options)

        return decorate if method is None else decorate(method)


class _UpdateMark(Protocol):
    """`@workflow.update(…)` with its options, waiting for the method."""

    @overload
    def __call__(
        self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
    ) -> UpdateMethod[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(
        self, method: Callable[Concatenate[Any, P], R], /
    ) -> UpdateMethod[P, R, R]: ...


class _NamedWorkflow:
    """`@workflow(…)` with its options, waiting for the function or class."""

    def __init__(
        self,
        name: str | None = None,
        registry: Registry | None = None,
        on_events: Iterable[str] = (),
        priority: int | None = None,
        on_misfit: str = MISFITS[0],
    ) -> None:
        if on_misfit not in MISFITS:
            raise ValueError(f"on_misfit must be one of {MISFITS}, not {on_misfit!r}")
        self._restarts = on_misfit == "restart"
        self._name = name
        self._registry = registry
        self._on_events = _event_keys(on_events)
        self._priority = checked_priority(priority)

    @overload
    def __call__(
        self, target: Callable[P, Coroutine[Any, Any, R]]
    ) -> Workflow[P, R]: ...
    @overload
    def __call__(self, target: C) -> C: ...
    def __call__(self, target: Any) -> Any:
        registry = self._registry or default_registry()
        if isinstance(target, type):
            name = self._name or target.__qualname__
            definition = _class_definition(target, name, self._on_events)
            definition.priority = self._priority
            definition.restarts = self._restarts
            registry.add_workflow(definition)
            setattr(target, _DEFINITION, definition)
            setattr(definition.function, _DEFINITION, definition)
            return target
        if not inspect.iscoroutinefunction(target):
            raise TypeError(
                f"a workflow is an async function or a class, not {target!r}; write "
                "`async def`"
            )
        made: Workflow[..., Any] = Workflow(
            target, self._name or target.__qualname__, self._on_events
        )
        made.definition.priority = self._priority
        made.definition.restarts = self._restarts
        registry.add_workflow(made.definition)
        return made


workflow = _WorkflowDecorator()


def definition_of(target: Any) -> WorkflowDefinition | None:
    """The workflow that `target` (function, class or run method) stands for."""
    if isinstance(target, Workflow):
        return target.definition
    if isinstance(target, type):
        found = target.__dict__.get(_DEFINITION)
    else:
        found = getattr(target, _DEFINITION, None)
    return found if isinstance(found, WorkflowDefinition) else None


def name_of(target: Any) -> str:
    """The workflow name of a target of a start, by reference or by name.

    Raises TypeError for a callable that is no workflow, ValueError for empty text.
    """
    if isinstance(target, str):
        if not target:
            raise ValueError("the name of a workflow must not be empty")
        return checked_text(target, "the name of a workflow")
    definition = definition_of(target)
    if definition is None:
        raise TypeError(
            f"{target!r} is not a workflow: decorate it with @workflow, or pass the "
            "method marked @workflow.run, or a name"
        )
    return definition.name


def handler_name(target: Any, role: str) -> str:
    """The message name that a handler reference or a name stands for."""
    if isinstance(target, str):
        if not target:
            raise ValueError(f"the name of a {role} must not be empty")
        return checked_text(target, f"the name of a {role}")
    marked = getattr(target, _ROLE, None)
    if marked is None or marked.role != role:
        raise TypeError(f"{target!r} is not marked @workflow.{role}")
    name: str = marked.name
    return name


def checked_unfinished(given: str) -> str:
    """`given` if it is one of `UNFINISHED`, or else ValueError."""
    if given not in UNFINISHED:
        raise ValueError(f"unfinished must be one of {', '.join(UNFINISHED)}")
    return given


def _mark(
    role: str, method: Any, name: str | None = None, unfinished: str = UNFINISHED[0]
) -> Any:
    checked_unfinished(unfinished)

    def decorate(function: Any) -> Any:
        setattr(function, _ROLE, _Mark(role, name or function.__name__, unfinished))
        return function

    return decorate if method is None else decorate(method)


def _event_keys(keys: Iterable[str]) -> tuple[str, ...]:
    if isinstance(keys, str):
        raise TypeError(f"on_events is a list of event keys: [{keys!r}]")
    found = tuple(dict.fromkeys(keys))
    for key in found:
        if not isinstance(key, str):
            raise TypeError(f"the key of an event is text, not {key!r}")
        if not key:
            raise ValueError("the key of an event must not be empty")
        checked_text(key, "the key of an event")
    return found


def _class_definition(
    cls: type, name: str, on_events: tuple[str, ...]
) -> WorkflowDefinition:
    problems: list[str] = []
    marked = _marked(cls)
    runs = [member for mark, member in marked if mark.role == "run"]
    if len(runs) != 1:
        problems.append(f"{len(runs)} methods are marked @workflow.run, one is needed")
    problems += [
        f"the run method {run.__name__!r} is not async"
        for run in runs
        if not inspect.iscoroutinefunction(run)
    ]
    definition: WorkflowDefinition | None = None
    if not problems:
        definition = WorkflowDefinition(name, runs[0], cls, on_events)
    seen: set[tuple[str, str]] = set()
    for mark, member in marked:
        role, message, _ = mark
        if role == "run":
            continue
        if (role, message) in seen:
            problems.append(f"two handlers take the {role} {message!r}")
        seen.add((role, message))
        if role == "query" and inspect.iscoroutinefunction(member):
            problems.append(f"the query handler {message!r} must not be async")
        check = getattr(member, "check", None)
        if inspect.iscoroutinefunction(check):
            problems.append(f"the validator of update {message!r} must not be async")
        if definition is not None:
            _add_handler(definition, mark, member)
    if problems or definition is None:
        raise TypeError(f"workflow class {cls.__qualname__}: " + "; ".join(problems))
    return definition


def _marked(cls: type) -> list[tuple[_Mark, Any]]:
    """The marked methods of a class, those that it inherits included."""
    marked: dict[str, tuple[_Mark, Any]] = {}
    for owner in reversed(cls.__mro__):
        for attribute, member in vars(owner).items():
            mark = getattr(member, _ROLE, None)
            if mark is not None:
                marked[attribute] = (mark, member)
            else:
                marked.pop(attribute, None)
    return list(marked.values())


def _add_handler(definition: WorkflowDefinition, mark: _Mark, member: Any) -> None:
    role, name, unfinished = mark
    check = None
    if isinstance(member, UpdateMethod):
        member, check = member.function, member.check
    handler = Handler(name, member, Signature(member, bound=True), check, unfinished)
    if role == "any_signal":
        definition.any_signal = handler
    elif role == "any_update":
        definition.any_update = handler
    else:
        table = {
            "signal": definition.signals,
            "query": definition.queries,
            "update": definition.updates,
        }[role]
        table[name] = handler
