"""Starting a run: what a start says, and what becomes of it.

`resolve` is the one place where it is decided whether a start makes a run, takes one
that is there, or is refused. By the usual policies the run is made without a look at
the database: its write is refused if the ID is taken. Where a policy has to look, the
lock of the ID is held until the run is made, so that nothing comes between.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from everact.runtime.core import identity
from everact.runtime.core.bounds import Moment, Seconds
from everact.runtime.core.chain import cron_of
from everact.runtime.core.cron import cron_times
from everact.runtime.core.identity import Verdict
from everact.runtime.core.opaque import Payload
from everact.runtime.core.records import (
    SignalReceived,
    Started,
    StartOptions,
    TerminateRequested,
)
from everact.runtime.core.requests import AUTOMATIC, RequestName
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.engine.requests import Known, UnderWay
from everact.runtime.errors import RPCError, WorkflowAlreadyStarted, invalid, not_found
from everact.runtime.operations.access import Access
from everact.runtime.operations.arguments import typed_start
from everact.runtime.operations.base import Name, Request, operation
from everact.runtime.operations.requests import remembered, under_way
from everact.runtime.store.base import Remembered, RunRow, Write

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine
    from everact.runtime.engine.run.actor import RunActor

OnConflict: TypeAlias = Annotated[
    str, Meta(pattern=f"^({'|'.join(identity.CONFLICTS)})$")
]
Prepare: TypeAlias = Callable[[Started], Started]
OnReuse: TypeAlias = Annotated[str, Meta(pattern=f"^({'|'.join(identity.REUSES)})$")]


class StartedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run that a start made, or found."""

    workflow_id: str
    run_id: str
    first_run_id: str
    created: bool
    key: int = 0


class StartSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that a start brings along."""

    name: Name
    args: tuple[Payload, ...] = ()
    kwargs: dict[str, Payload] = {}


class StartRun(Request[StartedRun], frozen=True, kw_only=True):
    """Start a run. Arguments are payloads; see `StartOptions` for the rest.

    `on_conflict` is for a run of the ID that is open: "fail" refuses, "use_existing"
    takes that run, "attach" takes it or the latest one that is still retained,
    "terminate_existing" puts the new one in its place; none is "fail", or with a
    `signal` "use_existing". `on_reuse` is for the latest run if it is closed: "allow",
    "allow_failed_only", "reject"; "terminate_if_running" goes without `on_conflict`.
    `signal` is for the open run, or comes first in the new one. `begin_at` (epoch
    seconds) or `start_delay` put off the first step. `must_be_known` refuses a name
    that nothing here serves, which otherwise waits.
    """

    workflow: Name
    workflow_id: str = ""
    args: tuple[Payload, ...] = ()
    kwargs: dict[str, Payload] = {}
    options: StartOptions = StartOptions()
    start_delay: Seconds | None = None
    begin_at: Moment | None = None
    on_conflict: OnConflict | None = None
    on_reuse: OnReuse = "allow"
    signal: StartSignal | None = None
    request_id: str = ""
    workspace: str = "default"
    must_be_known: bool = False


class Resolution(NamedTuple):
    """What a start came to, in memory: nothing of it need be durable yet.

    `row` is the run's, `run` the run if it is in memory. `made` is done when the start
    that made it is durable, or refused; None for a run that was there. That one may be
    `in_the_way`.
    """

    row: RunRow
    run: "RunActor | None" = None
    made: "asyncio.Future[Any] | None" = None
    in_the_way: bool = False

    @property
    def started(self) -> StartedRun:
        """The run, where it is known that the start is durable."""
        return _started_run(self.row, created=self.made is not None, key=self.row.key)

    async def answer(self) -> StartedRun:
        """The answer to the start, once all that it rests on is durable.

        WorkflowAlreadyStarted for a run that is in the way.
        """
        row = self.row
        closed = bool(row.status)
        if self.made is not None:
            await self.made
        elif self.run is not None:
            await self.run.journal.durable()
        if self.in_the_way:
            raise WorkflowAlreadyStarted(row.workflow_id, row.name, row.run_id, closed)
        return _started_run(row, created=self.made is not None, key=row.key)


def _started_run(row: RunRow | Started, *, created: bool, key: int = 0) -> StartedRun:
    return StartedRun(
        workflow_id=row.workflow_id,
        run_id=row.run_id,
        first_run_id=row.first_run_id,
        created=created,
        key=key,
    )


def check(engine: "Engine", request: StartRun) -> None:
    """Refuse a start that can come to nothing, before anything happens; RPCError."""
    if request.must_be_known and not engine.knows(request.workflow):
        raise not_found(
            f"no function or workflow named {request.workflow!r} is registered here"
        )
    wrong: str | None = None
    if request.on_conflict is not None or request.on_reuse != "allow":
        signalled = request.signal is not None
        wrong = identity.mistake(request.on_conflict, request.on_reuse, signalled)
    if wrong is None and request.begin_at is not None and request.start_delay:
        wrong = "give begin_at or start_delay, not both"
    extras = request.options.extras
    if wrong is None and extras is not None and extras.cron:
        wrong = _cron_mistake(request, engine.clock.now())
    if wrong is not None:
        raise invalid(wrong)
    if extras is not None and extras.attributes:
        engine.visibility.check(request.workspace, extras.attributes)


def _cron_mistake(request: StartRun, now: float) -> str | None:
    """What is wrong with the cron text of a start; None if nothing is."""
    cron = cron_of(request.options)
    if request.start_delay is not None or request.begin_at is not None:
        return "a run with a cron schedule takes no start delay"
    try:
        following = cron_times(cron).after(now)
    except ValueError as error:
        return str(error)
    return f"cron {cron!r} has no time to come" if following is None else None


class Decision(NamedTuple):
    """What becomes of a start: the verdict, and the run of its ID that it is about."""

    verdict: Verdict
    row: RunRow | None = None
    run: "RunActor | None" = None


def _looks(request: StartRun) -> bool:
    """Whether the database must be asked of the ID before a run of it is made.

    By the usual policies it is not: the run that is made requires its ID to be free.
    """
    return bool(request.workflow_id) and not (
        request.on_reuse == "allow"
        and (request.on_conflict or "fail") == "fail"
        and request.signal is None
    )


async def decide(engine: "Engine", request: StartRun) -> Decision:
    """What becomes of a start under its policies.

    Where it has to look, the caller holds the lock of the ID, and goes on to `settle`
    in the same turn.
    """
    place = request.workspace, request.workflow_id
    if not _looks(request):
        run = engine.present(*place) if request.workflow_id else None
        if run is None:
            return Decision(Verdict.MAKE)
        return Decision(Verdict.REFUSE, run.row, run)
    row = None
    while engine.latest(*place) is None:
        row = await engine.store.reads.find(*place)
        if not engine.draining:
            break
        await engine.commits.idle()  # what was dropped cannot be looked at until then
    run = engine.latest(*place)
    row = row if run is None else run.row
    if row is None:
        return Decision(Verdict.MAKE)
    verdict = identity.verdict(
        RunStatus(row.status),
        request.on_conflict,
        request.on_reuse,
        request.signal is not None,
    )
    return Decision(verdict, row, run)


async def resolve(
    engine: "Engine",
    request: StartRun,
    prepare: Prepare = lambda started: started,
) -> Resolution:
    """Find the run that a start means under its policies, or make it.

    A signal of the start is the first thing that a new run gets; one that was found is
    left alone. Nothing but `check` comes before. `prepare` has the last word on what a
    new run starts with. RuntimeStateError, RPCError if no work is taken now.
    """
    engine.check_open()
    if not _looks(request):
        return settle(engine, request, await decide(engine, request), None, prepare)
    async with engine.ids.of((request.workspace, request.workflow_id)):
        decision = await decide(engine, request)
        engine.check_open()
        return settle(engine, request, decision, None, prepare)


def settle(
    engine: "Engine",
    request: StartRun,
    decision: Decision,
    within: Write | None = None,
    prepare: Prepare = lambda started: started,
) -> Resolution:
    """Do what was decided in this turn; what is made is in one transaction with the
    write `within`.
    """
    verdict, row, run = decision
    if verdict is Verdict.REPLACE:
        assert row is not None
        within = within or transaction(engine)
        _end(engine, row, request, within)
    elif row is not None and verdict is not Verdict.MAKE:
        return Resolution(row, run, in_the_way=verdict is Verdict.REFUSE)
    return _make(engine, request, within, prepare)


def transaction(engine: "Engine") -> Write:
    """A write that changes nothing: those within it are in one transaction.

    What belongs to it is written in the same turn of the loop.
    """
    made = Write(None, lambda *_: None)
    engine.commits.add(made)
    return made


def _end(engine: "Engine", row: RunRow, request: StartRun, within: Write) -> None:
    """Terminate the open run that another one takes the place of."""
    event = TerminateRequested(
        "another run was started in its place", (), request.options.identity
    )
    run = engine.resident(row.key)
    if run is not None:
        run.take(event, None, within)
    else:
        engine.close_unreadable(row.key, event, None, within)


def _make(
    engine: "Engine", request: StartRun, within: Write | None, prepare: Prepare
) -> Resolution:
    run_id, now = engine.new_id(), engine.clock.now()
    signal = request.signal
    started = Started(
        request.workflow,
        request.workflow_id or run_id,
        run_id,
        run_id,
        run_id,
        request.args,
        request.kwargs,
        _timed(request, now),
        workspace=request.workspace,
        carried=() if signal is None else (_received(request, signal),),
        kind=engine.kind_of(request.workflow),
    )
    noted = None
    if request.request_id:
        noted = _remembered(engine, request, started, created=True)
    run, reply = engine.start(prepare(started), noted, within)
    return Resolution(run.row, run, reply)


def _timed(request: StartRun, now: float) -> StartOptions:
    """The options of a start with its moments as epoch seconds."""
    options, begin = request.options, request.begin_at
    if request.start_delay is not None:
        begin = now + request.start_delay
    if options.extras is not None and options.extras.cron:
        begin = cron_times(options.extras.cron).after(now)
    limit = options.execution_timeout
    if begin is None and limit is None:
        return options
    first = now if begin is None else max(begin, now)
    return replace(
        options,
        begin_at=begin,
        execution_deadline=None if limit is None else first + limit,
    )


def _received(request: StartRun, signal: StartSignal) -> SignalReceived:
    return SignalReceived(
        signal.name,
        signal.args,
        signal.kwargs,
        request.request_id,
        request.options.identity,
        request.options.headers,
    )


def started_by(request: StartRun) -> tuple[str, ...]:
    """What a start is for."""
    signal = request.signal
    return request.workflow, request.workflow_id, signal.name if signal else ""


async def started_again(engine: "Engine", _: StartRun, known: Known) -> StartedRun:
    """What the request was answered before."""
    if known.answer:
        answer = msgspec.json.decode(known.answer, type=StartedRun)
        return replace(answer, key=known.run_key)
    stored = await engine.store.reads.ending(
        known.run_key
    )  # an earlier version served it
    if stored is None:
        raise not_found("the run of that request is gone")
    return await Resolution(stored.run).answer()


@operation(
    "runs.start",
    StartRun,
    access=Access.WRITE,
    target=started_by,
    again=started_again,
    typed=typed_start,
)
async def start_run(engine: "Engine", request: StartRun) -> StartedRun:
    """Start a run, or answer with the one that is there."""
    engine.check_open()
    check(engine, request)
    tried = 0
    while True:
        resolved = await resolve(engine, request)
        new = resolved.made is not None or resolved.in_the_way
        if request.signal is None or new:
            return await _answered(engine, request, resolved)
        try:
            await _signal(engine, request, request.signal, resolved.row)
        except RPCError as refused:
            gone = refused.status is RPCStatus.NOT_FOUND
            if not gone or tried == resolved.row.key:
                raise
            tried = resolved.row.key  # it closed meanwhile: what does that leave?
        else:
            return await resolved.answer()


async def _answered(
    engine: "Engine", request: StartRun, resolved: Resolution
) -> StartedRun:
    """The answer to a start, which its request ID stands for from now on."""
    answer = await resolved.answer()
    asked_by_user = not request.request_id.startswith(AUTOMATIC)
    if resolved.made is None and request.request_id and asked_by_user:
        row = _remembered(engine, request, resolved.row, created=False)
        assert row is not None
        await engine.requests.remember(row)
    return answer


def _remembered(
    engine: "Engine", request: StartRun, row: RunRow | Started, *, created: bool
) -> Remembered | None:
    answer = _started_run(row, created=created)
    return remembered(engine, request, answer)


async def together(
    engine: "Engine", starts: Sequence[StartRun], names: Sequence[RequestName | None]
) -> tuple[StartedRun, ...]:
    """Make, or find, the runs of several starts in one transaction, or none of them.

    The starts are checked, and are not of the same ID; `names` are what their request
    IDs name. WorkflowAlreadyStarted if a run is in the way of any.
    """
    busy: UnderWay | None = None
    while True:
        if busy is not None:
            await asyncio.wait((busy.settled,))
        async with AsyncExitStack() as held:
            for place in sorted(
                {(s.workspace, s.workflow_id) for s in filter(_looks, starts)}
            ):
                await held.enter_async_context(engine.ids.of(place))
            decisions = [await decide(engine, start) for start in starts]
            engine.check_open()
            # no await from here on: what is free now is begun in this turn
            found = [name and engine.requests.look(name) for name in names]
            busy = next((one for one in found if isinstance(one, UnderWay)), None)
            if busy is not None:
                continue
            known = [one if isinstance(one, Known) else None for one in found]
            refused = next(
                (
                    Resolution(decision.row, decision.run, in_the_way=True)
                    for decision, one in zip(decisions, known, strict=True)
                    if one is None
                    and decision.verdict is Verdict.REFUSE
                    and decision.row is not None
                ),
                None,
            )
            if refused is not None:
                await refused.answer()  # raises
            within = transaction(engine)
            answers = [
                started_again(engine, start, one)
                if one is not None
                else _settled(engine, start, name, decision, within)
                for start, name, one, decision in zip(
                    starts, names, known, decisions, strict=True
                )
            ]
        return tuple(await asyncio.gather(*answers))


def _settled(
    engine: "Engine",
    start: StartRun,
    name: RequestName | None,
    decision: Decision,
    within: Write,
) -> Awaitable[StartedRun]:
    """The answer to one of several starts, which a repetition of it waits for too."""
    begun = None if name is None else engine.requests.begin(name)
    try:
        resolved = settle(engine, start, decision, within)
    except BaseException:
        if begun is not None:
            engine.requests.end(begun)
        raise
    return answering(engine, start, resolved, begun)


async def begin(
    engine: "Engine", start: StartRun, name: RequestName | None
) -> tuple[Resolution, UnderWay | None]:
    """Resolve a start under the name of its request, which is free.

    Whoever begins it sees to it that the request ends.
    """
    if name is None:
        return await resolve(engine, start), None
    begun = engine.requests.begin(name)
    try:
        return await resolve(engine, start), begun
    except BaseException:
        engine.requests.end(begun)
        raise


def answering(
    engine: "Engine", start: StartRun, resolved: Resolution, begun: UnderWay | None
) -> Awaitable[StartedRun]:
    """The answer to a start that was begun, which a repetition of it waits for too."""
    doing = _answered(engine, start, resolved)
    if begun is None:
        return doing
    under_way(engine, begun, doing)
    assert begun.answer is not None
    return asyncio.shield(begun.answer)


async def _signal(
    engine: "Engine", request: StartRun, signal: StartSignal, row: RunRow
) -> None:
    """Signal a run that is there; one whose start was put off begins at once."""
    event = _received(request, signal)
    remembered = _remembered(engine, request, row, created=False)
    run = engine.resident(row.key)
    if run is None or not run.put_off:
        await engine.deliver(row.key, event, remembered, follow=True)
    else:
        await run.begin_with(event, remembered)
