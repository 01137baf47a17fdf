"""The blocking client is the asynchronous one, verb by verb: nothing more, nor less."""

import asyncio
import inspect
import pydoc
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Self, get_args, get_origin, get_type_hints

import pytest

from everact.runtime import (
    Client,
    HttpClient,
    Registry,
    Runtime,
    RuntimeThread,
    workflow,
)
from everact.runtime.blocking import (
    BlockingClient,
    BlockingHandle,
    BlockingHttpClient,
    BlockingSchedule,
)
from everact.runtime.client.blocking import BlockingSchedules
from everact.runtime.client.connecting import Connecting
from everact.runtime.client.derived import (
    Blocking,
    Owning,
    gives,
    iterates,
    same,
    waits,
)
from everact.runtime.client.loop_thread import LoopThread
from everact.runtime.client.transport import Transport
from everact.runtime.client.views import HistoryItem
from everact.runtime.errors import RuntimeStateError
from everact.runtime.operations.engines import DescribeEngine
from everact.runtime.schedules import Schedule, ScheduleHandle, StartWorkflow

REGISTRY = Registry()
PLAIN: Any = vars(pydoc)["plaintext"]


@workflow(registry=REGISTRY)
async def sleeper() -> None:
    await asyncio.sleep(3600)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[RuntimeThread]:
    with RuntimeThread(tmp_path / "a.db", registry=REGISTRY) as runtime:
        yield runtime


# -- completeness ----------------------------------------------------------------------

NOT_BLOCKING = {
    "Client.transport": "requests are sent by the services",
}
"""What has no blocking form, and why."""


def twins(kind: Any = Blocking) -> dict[type, type]:
    """Of every asynchronous class the blocking form."""
    found: dict[type, type] = {}
    for blocking in kind.__subclasses__():
        if blocking.__module__.startswith("everact."):
            for base in vars(blocking).get("__orig_bases__", ()):
                (wrapped,) = get_args(base) or (None,)
                if get_origin(base) in (Blocking, Owning) and blocking is not Owning:
                    found[get_origin(wrapped) or wrapped] = blocking
            found |= twins(blocking)
    return found


def public(kind: type) -> dict[str, Any]:
    """The public methods and properties of a class, not those of a class of others."""
    return {
        name: member
        for name, member in inspect.getmembers(kind)
        if name[0] != "_" and (callable(member) or isinstance(member, property))
    }


def returned(member: Any) -> Any:
    """The annotation of what a method or a property gives."""
    function = member.fget if isinstance(member, property) else member
    known = {"Client": Client, "Connecting": Connecting}
    return get_type_hints(function, localns=known).get("return")


def asks(member: Any) -> bool:
    """Whether one has to await it."""
    kinds = (Coroutine, AsyncIterator)
    return inspect.iscoroutinefunction(member) or get_origin(returned(member)) in kinds


def mentioned(annotation: Any) -> Iterator[type]:
    """The classes in an annotation."""
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type):
        yield origin
    for argument in get_args(annotation):
        yield from mentioned(argument)


def is_noun(kind: type) -> bool:
    ours = kind.__module__.startswith("everact.runtime.client.")
    verbs = any(asks(member) for member in public(kind).values())
    return ours and (verbs or hasattr(kind, "__anext__"))


def nouns(*first: type) -> set[type]:
    """All that has verbs, and is reached from `first` by what methods give."""
    found, left = set[type](), list(first)
    while left:
        kind = left.pop()
        if kind in found or not is_noun(kind) or kind is Transport:
            continue
        found.add(kind)
        for member in public(kind).values():
            left += mentioned(returned(member))
    return found


def lacking(asynchronous: type, blocking: type) -> list[str]:
    """What of an asynchronous class its blocking form has not, or has otherwise."""
    found = []
    for name, member in public(asynchronous).items():
        own = inspect.getattr_static(blocking, name, None)
        if own is None:
            found.append(name)
        elif isinstance(member, property):
            found += [] if isinstance(own, property) else [name]
        else:
            own, plain = getattr(blocking, name), inspect.signature(member).parameters
            if asks(own) or inspect.signature(own).parameters != plain:
                found.append(name)
    if hasattr(asynchronous, "__anext__") and not hasattr(blocking, "__next__"):
        found.append("__next__")
    return [
        name for name in found if f"{asynchronous.__name__}.{name}" not in NOT_BLOCKING
    ]


def test_every_verb_of_every_noun_has_its_blocking_form() -> None:
    known, reached = twins(), nouns(Client, HttpClient)
    assert len(reached) > 10
    assert reached == set(known)
    for kind in reached:
        assert lacking(kind, known[kind]) == [], kind
    assert known[Client] is BlockingClient
    assert known[HttpClient] is BlockingHttpClient


def test_what_has_no_blocking_form_exists() -> None:
    assert all(hasattr(Client, name.partition(".")[2]) for name in NOT_BLOCKING)


class Noun:
    """Something asynchronous."""

    async def verb(self, number: int, *, timeout: float | None = None) -> int:
        """Twice the number."""
        await asyncio.sleep(0)
        return 2 * number

    def made(self, number: int) -> Coroutine[Any, Any, int]:
        return self.verb(number)

    async def items(self, count: int) -> AsyncIterator[int]:
        """Numbers, counted."""
        for number in range(count):
            yield number

    def at_once(self, *, name: str = "x") -> str:
        """The name, twice."""
        return 2 * name


class BlockingNoun(Blocking[Noun]):
    verb = waits(Noun.verb)
    made = waits(Noun.made)
    items = iterates(Noun.items)
    at_once = same(Noun.at_once)


def test_a_new_verb_without_a_blocking_form_is_missed() -> None:
    assert lacking(Noun, BlockingNoun) == []

    class Grown(Noun):
        async def added(self) -> None: ...

        def also(self) -> Coroutine[Any, Any, None]:
            return self.added()

        async def verb(
            self, number: int, *, timeout: float | None = None, new: int = 1
        ) -> int:
            return new

    assert lacking(Grown, BlockingNoun) == ["added", "also", "verb"]
    assert lacking(Noun, Grown) == ["items", "made", "verb"]


# -- how it is seen --------------------------------------------------------------------


def test_a_verb_looks_like_the_asynchronous_one() -> None:
    asynchronous = inspect.signature(Client.start)
    blocking = inspect.signature(BlockingClient.start)
    assert blocking.parameters == asynchronous.parameters
    assert blocking.return_annotation == BlockingHandle[Any]
    follow = inspect.signature(vars(BlockingHandle)["follow_history"])
    assert follow.return_annotation == Iterator[HistoryItem]
    create = inspect.signature(BlockingSchedules.create)
    assert create.return_annotation is BlockingSchedule
    assert get_type_hints(BlockingSchedules.create)["return"] is BlockingSchedule
    assert BlockingSchedules.create.__qualname__ == "BlockingSchedules.create"
    assert BlockingSchedules.create.__module__ == BlockingSchedules.__module__


def test_the_documentation_is_the_same_and_says_that_it_blocks() -> None:
    pause = inspect.getdoc(BlockingSchedule.pause) or ""
    assert pause.startswith(str(inspect.getdoc(ScheduleHandle.pause)))
    assert "blocking form of `ScheduleHandle.pause`: it blocks until" in pause
    assert "each step blocks" in str(vars(BlockingHandle)["follow_history"].__doc__)
    assert "which does not wait" in str(BlockingClient.handle.__doc__)
    shown = pydoc.render_doc(BlockingSchedule, renderer=PLAIN)
    assert "pause(self, note: str = ''," in shown
    assert "blocking form of `ScheduleHandle.trigger`" in shown


def test_a_blocking_object_looks_like_what_it_stands_for(
    runtime: RuntimeThread,
) -> None:
    handle = runtime.handle("w", run_id="r")
    assert repr(handle) == "<BlockingHandle 'w' run_id=r>"
    assert repr(handle.update_handle("u")) == "<BlockingUpdate 'u' of 'w'>"
    assert repr(runtime.schedules.handle("s")) == "<BlockingSchedule 's'>"
    task_handle = runtime.task_handle(workflow_id="w", task_id="1")
    assert repr(task_handle) == "<BlockingTaskHandle '1' of 'w'>"
    assert "BlockingEvents object" in repr(runtime.events)
    assert repr(runtime.workflow_service) == "<BlockingService 'workflow'>"


# -- how it works ----------------------------------------------------------------------


def test_a_misspelled_keyword_is_refused_with_the_nearest_one(
    runtime: RuntimeThread,
) -> None:
    handle: Any = runtime.start(sleeper, id="w")
    use: Any = runtime
    hourly = Schedule(StartWorkflow(sleeper))
    for call, said in [
        (partial(handle.describe, valeus=True), "values"),
        (partial(handle.signal, "s", requset_id="r"), "request_id"),
        (partial(handle.result, timeot=1), "timeout"),
        (partial(use.start, sleeper, que="q"), "queue"),
        (partial(use.count, stats="open"), "status"),
        (partial(use.schedules.create, "s", hourly, memmo={}), "memo"),
    ]:
        with pytest.raises(TypeError, match=f"did you mean {said}"):
            call()
    assert runtime.count().count == 1


class Loop:
    """A loop on a thread, and an object that lives there."""

    def __init__(self, noun: Noun) -> None:
        self.thread = LoopThread(nullcontext)
        self.noun = BlockingNoun(noun, self.thread)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.thread.close()


def test_answers_and_items_are_waited_for() -> None:
    with Loop(Noun()) as loop:
        assert loop.noun.verb(2) == 4
        assert loop.noun.made(3) == 6
        assert list(loop.noun.items(3)) == [0, 1, 2]
        assert loop.noun.at_once(name="y") == "yy"
    with pytest.raises(RuntimeStateError, match="not running"):
        loop.noun.verb(2)
    assert loop.noun.at_once() == "xx"


def test_a_subclass_may_do_a_verb_otherwise() -> None:
    class Other(Noun):
        async def verb(self, number: int, *, timeout: float | None = None) -> int:
            return -number

    with Loop(Other()) as loop:
        assert loop.noun.verb(2) == -2


def test_what_a_verb_gives_may_have_a_blocking_form() -> None:
    class Maker:
        def at_once(self) -> Noun:
            return Noun()

        async def later(self) -> Noun:
            return Noun()

    class BlockingMaker(Blocking[Maker]):
        at_once = gives(BlockingNoun, Maker.at_once)
        later = gives(BlockingNoun, Maker.later)

    with Loop(Noun()) as loop:
        maker = BlockingMaker(Maker(), loop.thread)
        assert maker.at_once().verb(1) == maker.later().verb(1) == 2
    assert inspect.signature(BlockingMaker.later).return_annotation is BlockingNoun


def test_a_limit_is_kept_while_the_loop_is_held_up() -> None:
    held, let_go = threading.Event(), threading.Event()

    async def hold() -> None:
        held.set()
        let_go.wait()

    with Loop(Noun()) as loop:
        threading.Thread(target=lambda: loop.thread.wait(hold())).start()
        held.wait()
        try:
            with pytest.raises(TimeoutError):
                loop.noun.verb(1, timeout=0.01)
        finally:
            let_go.set()
        with pytest.raises(ValueError, match="timeout"):
            loop.noun.verb(1, timeout=-1)
        assert loop.noun.verb(1, timeout=3600) == 2


def test_schedules_are_read_page_by_page(runtime: RuntimeThread) -> None:
    for number in range(3):
        runtime.schedules.create(str(number), Schedule(StartWorkflow(sleeper)))
    lines = runtime.schedules.list(page_size=2)
    assert list(lines.current_page) == []
    lines.fetch_next_page()
    assert [line.id for line in lines.current_page] == ["0", "1"]
    rest = runtime.schedules.list(next_page_token=lines.next_page_token)
    assert [line.id for line in rest] == ["2"]
    assert [line.id for line in lines] == ["0", "1", "2"]


def test_requests_are_sent_as_they_are(runtime: RuntimeThread) -> None:
    assert runtime.operator_service.call(DescribeEngine()).version
    with pytest.raises(TypeError, match="operator service"):
        runtime.workflow_service.call(DescribeEngine())
    assert runtime.namespace == "default"


def test_a_runtime_on_a_thread_has_what_a_runtime_has() -> None:
    theirs = {"spawn", "call", "blocking", "actors", "engine", "database_file"}
    missed = {*lacking(Runtime, RuntimeThread)}
    assert missed == {"transport"} | theirs
    assert isinstance(inspect.getattr_static(RuntimeThread, "runtime"), property)
