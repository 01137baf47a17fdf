"""Updates: validators, stages, identity, answers, and what cuts them short."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_type, cast

import pytest

from everact.runtime import (
    ApplicationError,
    Call,
    Client,
    Registry,
    RunStatus,
    Worker,
    continue_as_new,
    on_signal,
    on_update,
    receive,
    task,
    wait_condition,
    workflow,
)
from everact.runtime import sleep as durable_sleep
from everact.runtime.errors import (
    RPCError,
    RunCancelled,
    UpdateFailed,
    UpdateTimedOutOrCancelled,
    WorkflowAlreadyStarted,
)
from everact.runtime.functions import Arguments, TailCall
from everact.runtime.statuses import RPCStatus
from everact.runtime.updates import StartOperation, UpdateView
from everact.runtime.workflows import all_handlers_finished
from tests.features.conftest import Site
from tests.features.support import (
    EPOCH,
    Stage,
    killed,
    kinds,
    note,
    notes,
    open_runtime,
)

REGISTRY = Registry()


@task(registry=REGISTRY)
async def receipt(amount: int) -> str:
    await asyncio.sleep(1)
    return f"receipt {amount}"


@workflow(registry=REGISTRY)
class Account:
    """Takes deposits until it is closed."""

    def __init__(self) -> None:
        self.balance = 0
        self.handled = 0
        self.looked = 0
        self.closed = False
        self.begun = False

    @workflow.run
    async def run(self) -> int:
        self.begun = True
        await wait_condition(lambda: self.closed)
        return self.balance

    @workflow.update
    async def deposit(self, amount: int, note: str = "") -> str:
        self.handled += 1
        self.balance += amount
        return await receipt(amount) + note

    @deposit.validator
    def check_deposit(self, amount: int, note: str = "") -> None:
        if amount <= 0:
            raise ValueError(f"{amount} is no deposit")

    @workflow.update
    def balance_now(self) -> int:
        self.looked += 1
        return self.balance

    @workflow.update
    def has_begun(self) -> bool:
        return self.begun

    @workflow.update
    async def fail(self, reason: str) -> None:
        await durable_sleep(1)
        raise LookupError(reason)

    @workflow.update
    async def careless(self) -> None:
        raise AssertionError("its validator lets nothing in")

    @careless.validator
    def spoil(self) -> None:
        self.balance = -1

    @workflow.update
    async def calling(self) -> None:
        raise AssertionError("its validator lets nothing in")

    @calling.validator
    def call_out(self) -> None:
        asyncio.get_running_loop().call_later(1, print)

    @workflow.update(name="close-it")
    def close(self, word: str = "closed") -> list[str]:
        self.closed = True
        return [word]

    @workflow.query
    def calls(self) -> int:
        return self.handled

    @workflow.query
    def looks(self) -> int:
        return self.looked


# -- MS-07: changing state, taking steps, returning a value ----------------------------


@pytest.mark.feature("MS-07", "MS-19")
async def test_an_update_changes_state_takes_steps_and_returns_a_value(
    runtime: Client,
) -> None:
    handle = await runtime.start(Account, id="account")
    assert await handle.update(Account.deposit, 5) == "receipt 5"
    assert await handle.update(Account.balance_now) == 5
    assert await handle.update("close-it", "now") == ["now"]
    assert await handle.result() == 5


@pytest.mark.feature("MS-07", "MS-11")
async def test_a_validator_refuses_an_update_without_a_trace(runtime: Client) -> None:
    handle = await runtime.start(Account, id="account")
    await handle.update(Account.deposit, 5)
    before = await handle.history()
    with pytest.raises(UpdateFailed, match="-5 is no deposit") as caught:
        await handle.update(Account.deposit, -5)
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError) and cause.type == "ValueError"
    assert await handle.history() == before
    assert await handle.query(Account.calls) == 1


@pytest.mark.feature("MS-07")
@pytest.mark.parametrize("name", ["careless", "calling"])
async def test_a_validator_must_change_and_start_nothing(
    runtime: Client, name: str
) -> None:
    handle = await runtime.start(Account, id="account")
    await handle.update(Account.deposit, 5)
    before = await handle.history()
    with pytest.raises(UpdateFailed, match="ReadOnlyError"):
        await handle.update(name)
    assert await handle.history() == before
    assert await handle.update(Account.balance_now) == 5


@pytest.mark.feature("MS-07")
async def test_what_is_accepted_completes_in_the_next_life_of_the_engine(
    site: Site,
) -> None:
    async with site.up() as client:
        handle = await client.start(Account, id="account")
        sent = await handle.start_update(Account.deposit, 7, wait_for="accepted")
    async with site.up() as client:
        again = client.handle("account", run_id=sent.run_id).update_handle(sent.id)
        assert await again.result() == "receipt 7"
        assert await client.handle("account").update("balance_now") == 7


@task(registry=REGISTRY)
async def noted(folder: str, what: str) -> str:
    note(folder, what)
    await asyncio.sleep(1)
    return what


@workflow(registry=REGISTRY)
class Ledger:
    @workflow.run
    async def run(self, folder: str) -> None:
        self.folder = folder
        self.entries: list[str] = []
        await receive("close")

    @workflow.update
    async def enter(self, what: str) -> list[str]:
        self.entries.append(what)
        await noted(self.folder, f"first {what}")
        await noted(self.folder, f"second {what}")
        return self.entries


async def enter_and_die(stage: Stage) -> None:
    async with stage.runtime(REGISTRY) as runtime:
        handle = await runtime.start(Ledger, str(stage.folder), id="ledger")
        await handle.start_update(Ledger.enter, "rent", id="rent", wait_for="accepted")
        await asyncio.sleep(1.5)
        await stage.die()


@pytest.mark.kill
@pytest.mark.feature("MS-07", "MS-09", "MS-10")
async def test_an_accepted_update_survives_a_kill_and_its_handle_is_made_again(
    tmp_path: Path,
) -> None:
    killed(enter_and_die, tmp_path)
    async with open_runtime(tmp_path / "everact.db", REGISTRY, at=EPOCH + 9) as runtime:
        handle = runtime.handle("ledger")
        assert await handle.update_handle("rent").result() == ["rent"]
        assert await handle.update(Ledger.enter, "rent", id="rent") == ["rent"]
    assert notes(tmp_path) == ["first rent", "second rent", "second rent"]


# -- MS-08: stages ---------------------------------------------------------------------


@pytest.mark.feature("MS-08")
async def test_one_waits_until_it_is_accepted_or_completed(
    site: Site, runtime: Client
) -> None:
    handle = await runtime.start(Account, id="account")
    began = site.clock.now()
    sent = await handle.start_update(Account.deposit, 5, wait_for="accepted")
    assert site.clock.now() == began
    view = await handle.describe()
    assert view.pending_updates == (UpdateView(sent.id, "deposit"),)
    await handle.start_update(Account.deposit, 5, wait_for="completed")
    assert site.clock.now() >= began + 1
    assert (await handle.describe()).pending_updates == ()
    assert await sent.result() == "receipt 5"


@pytest.mark.feature("MS-08")
@pytest.mark.parametrize("stage", ["admitted", "done", ""])
async def test_nobody_can_wait_for_another_stage(runtime: Client, stage: str) -> None:
    handle = await runtime.start(Account, id="account")
    with pytest.raises(ValueError, match="accepted"):
        await handle.start_update(Account.deposit, 5, wait_for=stage)
    assert await handle.query(Account.calls) == 0


# -- MS-09, MS-10: identity ------------------------------------------------------------


@pytest.mark.feature("MS-09")
async def test_a_repetition_under_the_same_id_is_the_same_update(
    runtime: Client,
) -> None:
    handle = await runtime.start(Account, id="account")
    both = [handle.update(Account.deposit, 5, id="once") for _ in range(2)]
    assert await asyncio.gather(*both) == ["receipt 5", "receipt 5"]
    assert await handle.update(Account.deposit, 5, id="once") == "receipt 5"
    assert await handle.query(Account.calls) == 1
    await handle.update("close-it")
    await handle.result()
    assert await handle.update(Account.deposit, 5, id="once") == "receipt 5"


@pytest.mark.feature("MS-09")
async def test_every_update_has_an_id_of_its_own_unless_it_is_given(
    runtime: Client,
) -> None:
    handle = await runtime.start(Account, id="account")
    sent = [
        await handle.start_update(Account.deposit, 1, wait_for="accepted")
        for _ in range(3)
    ]
    assert len({one.id for one in sent}) == 3
    with pytest.raises(ValueError, match="must not be empty"):
        await handle.update(Account.deposit, 1, id="")
    with pytest.raises(ValueError, match="must not be empty"):
        handle.update_handle("")


@pytest.mark.feature("MS-09")
async def test_an_id_is_kept_across_tail_calls(runtime: Client) -> None:
    handle = await runtime.start(in_two_parts, id="a")
    assert await handle.update("echo", "x", id="one") == "first x"
    cut_off = await handle.start_update("never", id="two", wait_for="accepted")
    await handle.signal("on")
    with pytest.raises(UpdateFailed, match="went on with a tail call"):
        await cut_off.result()
    assert await handle.update("echo", "y") == "second y"
    assert await handle.update("echo", "x", id="one") == "first x"
    with pytest.raises(UpdateFailed, match="went on with a tail call"):
        await handle.update("never", id="two")


@workflow(registry=REGISTRY)
async def in_two_parts() -> None:
    on_update("echo", lambda text: f"first {text}")
    on_update("never", asyncio.Event().wait, unfinished="abandon")
    await receive("on")
    raise TailCall(Call("second_part", Arguments()))


@workflow(registry=REGISTRY)
async def second_part() -> None:
    on_update("echo", lambda text: f"second {text}")
    await receive("on")


@pytest.mark.feature("MS-10")
async def test_a_handle_says_whose_update_it_is_and_asks_once(
    runtime: Client,
) -> None:
    handle = await runtime.start(Account, id="account")
    sent = await handle.start_update(Account.deposit, 5, id="u", wait_for="accepted")
    run_id = handle.result_run_id
    assert (sent.id, sent.workflow_id, sent.run_id) == ("u", "account", run_id)
    assert await sent.result() == "receipt 5"
    await handle.terminate()
    known = await handle.start_update(Account.deposit, 5, id="u", wait_for="accepted")
    asked: list[Any] = []
    transport = known._client.transport
    call = transport.call
    transport.call = lambda *given: asked.append(given)  # type: ignore[assignment,method-assign]
    try:
        assert [await sent.result(), await known.result()] == ["receipt 5"] * 2
    finally:
        transport.call = call  # type: ignore[method-assign]
    assert asked == []


@pytest.mark.feature("MS-10")
async def test_an_update_that_was_never_sent_is_not_found(runtime: Client) -> None:
    handle = await runtime.start(Account, id="account")
    for run_id in (None, handle.result_run_id):
        unknown = runtime.handle("account", run_id=run_id).update_handle("unknown")
        with pytest.raises(RPCError) as caught:
            await unknown.result()
        assert caught.value.status is RPCStatus.NOT_FOUND
    with pytest.raises(RPCError) as caught:
        await runtime.handle("nobody").update_handle("unknown").result()
    assert caught.value.status is RPCStatus.NOT_FOUND


# -- MS-11: failures -------------------------------------------------------------------


@pytest.mark.feature("MS-11")
async def test_a_handler_that_raises_fails_its_update_and_not_the_run(
    runtime: Client,
) -> None:
    handle = await runtime.start(Account, id="account")
    with pytest.raises(UpdateFailed, match="LookupError: no money") as caught:
        await handle.update(Account.fail, "no money", id="f")
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.message) == ("LookupError", "no money")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value) and str(copy.cause) == str(cause)
    assert await handle.update("close-it") == ["closed"]
    assert await handle.result() == 0
    with pytest.raises(UpdateFailed, match="LookupError: no money"):
        await handle.update_handle("f").result()


@pytest.mark.feature("MS-11")
async def test_a_refusal_of_a_started_update_is_raised_by_its_result(
    runtime: Client,
) -> None:
    handle = await runtime.start(Account, id="account")
    for stage in ("accepted", "completed"):
        sent = await handle.start_update(Account.deposit, 0, wait_for=stage)
        for _ in range(2):
            with pytest.raises(UpdateFailed, match="0 is no deposit"):
                await sent.result()


@pytest.mark.feature("MS-11")
async def test_an_unknown_update_names_those_that_are_known(runtime: Client) -> None:
    handle = await runtime.start(Account, id="account")
    with pytest.raises(UpdateFailed, match=r"takes no update 'withdraw'.*close-it"):
        await handle.update("withdraw", 5)


@pytest.mark.feature("MS-11")
async def test_arguments_that_do_not_fit_are_refused(runtime: Client) -> None:
    handle = await runtime.start(Account, id="account")
    with pytest.raises(UpdateFailed, match="deposit"):
        await handle.update(Account.deposit)
    assert set(await kinds(handle)) == {"Started", "Began"}


# -- MS-12: handlers that still run at the end -----------------------------------------


@workflow(registry=REGISTRY)
class Ending:
    """Ends as it is told, whoever is still at it."""

    def __init__(self) -> None:
        self.how = ""
        self.noted: list[str] = []

    @workflow.run
    async def run(self, again: bool = False) -> list[str]:
        await wait_condition(lambda: bool(self.how))
        if self.how == "raise":
            raise ValueError("ended")
        if self.how == "continue":
            continue_as_new(True)
        if self.how == "wait":
            await wait_condition(all_handlers_finished)
        return self.noted

    @workflow.signal
    def end(self, how: str) -> None:
        self.how = how

    @workflow.update
    async def slowly(self, what: str) -> str:
        await durable_sleep(5)
        self.noted.append(what)
        return what

    @workflow.update(unfinished="abandon")
    async def silently(self) -> None:
        await durable_sleep(5)

    @workflow.signal
    async def noticed(self) -> None:
        await durable_sleep(5)

    @workflow.signal(unfinished="abandon")
    async def unnoticed(self) -> None:
        await durable_sleep(5)


@pytest.mark.feature("MS-12")
@pytest.mark.parametrize("how", ["return", "raise", "continue", "terminate", "cancel"])
async def test_whoever_waits_for_an_abandoned_update_gets_an_error(
    runtime: Client, how: str
) -> None:
    handle = await runtime.start(Ending, id="e")
    run_id = handle.result_run_id
    sent = await handle.start_update(Ending.slowly, "x", id="u", wait_for="accepted")
    waiting = asyncio.ensure_future(sent.result())
    if how == "terminate":
        await handle.terminate()
    elif how == "cancel":
        await handle.cancel()
    else:
        await handle.signal("end", how)
    with pytest.raises(UpdateFailed, match="the handler of update 'slowly' was not"):
        await waiting
    pinned = runtime.handle("e", run_id=run_id)
    with pytest.raises(UpdateFailed) as caught:
        await pinned.update_handle("u").result()
    assert cast("ApplicationError", caught.value.cause).type == "UpdateAbandoned"
    with pytest.raises(RPCError) as refused:
        await pinned.update(Ending.slowly, "y")
    assert refused.value.status is RPCStatus.NOT_FOUND


@pytest.mark.feature("MS-12")
async def test_handlers_that_still_run_at_the_end_are_named_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.up() as client:
        handle = await client.start(Ending, id="e")
        await handle.start_update(Ending.slowly, "x", wait_for="accepted")
        await handle.start_update(Ending.silently, wait_for="accepted")
        for name in ("noticed", "unnoticed"):
            await handle.signal(name)
        await handle.signal("end", "return")
        await handle.result()
    (record,) = [r for r in caplog.records if r.name == "everact.workflow"]
    assert record.levelname == "WARNING"
    text = record.getMessage()
    assert "(update 'slowly', signal 'noticed')" in text and "silently" not in text
    caplog.clear()
    async with site.up() as client:
        with pytest.raises(Exception, match="answers no query"):
            await client.handle("e").query("it is replayed")
    assert not [r for r in caplog.records if r.name == "everact.workflow"]


@pytest.mark.feature("MS-12")
async def test_a_run_may_wait_for_all_its_handlers(runtime: Client) -> None:
    handle = await runtime.start(Ending, id="e")
    sent = await handle.start_update(Ending.slowly, "x", wait_for="accepted")
    await handle.signal("end", "wait")
    assert await handle.result() == ["x"]
    assert await sent.result() == "x"


@pytest.mark.feature("MS-12")
def test_what_becomes_of_unfinished_handlers_is_one_of_two() -> None:
    for decorate in (workflow.signal, workflow.update):
        with pytest.raises(ValueError, match="warn_and_abandon, abandon"):
            decorate(unfinished="wait")


# -- waiting for the run's code --------------------------------------------------------


@pytest.mark.feature("MS-07", "MS-08")
async def test_an_update_waits_for_the_end_of_a_start_delay(
    site: Site, runtime: Client
) -> None:
    handle = await runtime.start(Account, id="account", start_delay=60)
    began = site.clock.now()
    with pytest.raises(UpdateTimedOutOrCancelled):
        await handle.update(Account.deposit, 5, id="u", rpc_timeout=1)
    assert set(await kinds(handle)) == {"Started"}
    assert await handle.update(Account.deposit, 5, id="u") == "receipt 5"
    assert site.clock.now() >= began + 60
    assert await handle.query(Account.calls) == 1


@pytest.mark.feature("MS-07", "MS-08")
async def test_an_update_waits_for_a_worker(site: Site) -> None:
    async with site.up(workers=[]) as client:
        handle = await client.start(Account, id="account")
        sending = [
            asyncio.ensure_future(handle.update(Account.deposit, n, id=f"u{n % 2}"))
            for n in (2, 1, 2)
        ]
        await asyncio.sleep(100)
        assert not any(one.done() for one in sending)
        for one in sending:
            one.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
    async with site.up(workers=[Worker()]) as client:
        # It was not durable: only a repetition makes it so.
        handle = client.handle("account")
        assert await handle.query("calls") == 0
        assert await handle.update("deposit", 2, id="u0") == "receipt 2"


@pytest.mark.feature("MS-12")
async def test_an_update_that_waits_for_code_is_told_of_the_runs_end(
    site: Site,
) -> None:
    async with site.up(workers=[]) as client:
        handle = await client.start(Account, id="account")
        sending = asyncio.ensure_future(handle.update(Account.deposit, 1))
        await asyncio.sleep(1)
        await handle.terminate()
        with pytest.raises(RPCError) as caught:
            await sending
        assert caught.value.status is RPCStatus.NOT_FOUND


# -- MS-18: who gave up ----------------------------------------------------------------


@pytest.mark.feature("MS-18", "CX-08")
async def test_a_caller_that_gives_up_learns_nothing_of_the_update(
    runtime: Client,
) -> None:
    handle = await runtime.start(Account, id="account")
    with pytest.raises(UpdateTimedOutOrCancelled, match="'u'") as caught:
        await handle.update(Account.deposit, 5, id="u", rpc_timeout=0.1)
    assert not isinstance(caught.value, RPCError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    waiting = handle.update_handle("u")
    with pytest.raises(UpdateTimedOutOrCancelled):
        await waiting.result(rpc_timeout=0.1)
    assert await waiting.result() == "receipt 5"
    assert await handle.query(Account.calls) == 1


@pytest.mark.feature("MS-18")
async def test_cancelling_the_awaiting_task_is_giving_up_too(runtime: Client) -> None:
    handle = await runtime.start(Account, id="account")
    sent = await handle.start_update(Account.deposit, 5, id="u", wait_for="accepted")
    for waits in (sent.result(), handle.update(Account.deposit, 5, id="u")):
        waiting = asyncio.ensure_future(waits)
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(UpdateTimedOutOrCancelled):
            await waiting
    assert await sent.result() == "receipt 5"


@pytest.mark.feature("MS-18")
async def test_other_trouble_is_an_rpc_error(runtime: Client) -> None:
    with pytest.raises(RPCError) as caught:
        await runtime.handle("nobody").update("deposit", 5)
    assert caught.value.status is RPCStatus.NOT_FOUND


# -- MS-19: argument forms -------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    x: int
    y: int


@workflow(registry=REGISTRY)
class Forms:
    @workflow.run
    async def run(self) -> None:
        await receive("stop")

    @workflow.update
    def none(self) -> str:
        return "none"

    @workflow.update
    def several(self, first: int, second: str = "-") -> str:
        return f"{first}{second}"

    @workflow.update
    async def pair(self) -> list[int]:
        return [1, 2]

    @workflow.update
    def moved(self, place: Place) -> Place:
        return Place(place.y, place.x)


@pytest.mark.feature("MS-19")
async def test_handlers_and_names_take_none_one_or_several_arguments(
    runtime: Client,
) -> None:
    handle = await runtime.start(Forms, id="f")
    for none, several in ((Forms.none, Forms.several), ("none", "several")):
        assert await handle.update(none) == "none"
        assert await handle.update(several, 1) == "1-"
        assert await handle.update(several, 1, "b") == "1b"
        assert await handle.update(several, args=[1, "b"]) == "1b"
    assert await handle.update("pair", result_type=list[int]) == [1, 2]
    assert await handle.update(Forms.moved, Place(1, 2), id="m") == Place(2, 1)
    known = handle.update_handle("m", update=Forms.moved)
    assert_type(await known.result(), Place)
    assert await known.result() == Place(2, 1)
    typed = handle.update_handle("m", result_type=Place)
    assert await typed.result() == Place(2, 1)
    with pytest.raises(ValueError, match="not both"):
        await handle.update(Forms.several, 1, args=(1,))
    with pytest.raises(TypeError, match=r"not marked @workflow\.update"):
        await handle.update(cast("Any", Forms.run))
    with pytest.raises(TypeError, match="unknown options"):
        await handle.update(Forms.none, **cast("Any", {"stage": "accepted"}))


# -- handlers of all kinds, and order --------------------------------------------------


@workflow(registry=REGISTRY)
async def a_function() -> list[str]:
    said: list[str] = []

    async def later(text: str) -> str:
        await durable_sleep(1)
        said.append(text)
        return text.upper()

    def check(text: str) -> None:
        if not text:
            raise ValueError("say something")

    on_update("say", later, validator=check)
    on_signal("hear", said.append)
    await receive("stop")
    await wait_condition(all_handlers_finished)
    return said


@pytest.mark.feature("MS-07")
async def test_a_function_declares_its_handlers_as_it_runs(site: Site) -> None:
    async with site.up() as client:
        handle = await client.start(a_function, id="f")
        assert await handle.update("say", "hello") == "HELLO"
        with pytest.raises(UpdateFailed, match="say something"):
            await handle.update("say", "")
    async with site.up() as client:
        handle = client.handle("f")
        await handle.start_update("say", "twice", wait_for="accepted")
        await handle.signal("hear", "signal")
        await handle.signal("stop")
        assert await handle.result() == ["hello", "signal", "twice"]


@workflow(registry=REGISTRY)
class CatchAll:
    @workflow.run
    async def run(self) -> None:
        await receive("stop")

    @workflow.update
    def known(self) -> str:
        return "known"

    @workflow.update(dynamic=True)
    def other(self, name: str, args: tuple[Any, ...]) -> list[Any]:
        return [name, args]

    @other.validator
    def check(self, name: str, args: tuple[Any, ...]) -> None:
        if name == "bad":
            raise ValueError(name)


@pytest.mark.feature("MS-07")
async def test_a_catch_all_takes_updates_that_no_other_handler_does(
    runtime: Client,
) -> None:
    handle = await runtime.start(CatchAll, id="c")
    assert await handle.update(CatchAll.known) == "known"
    assert await handle.update("new", 1, 2) == ["new", (1, 2)]
    with pytest.raises(UpdateFailed, match="bad"):
        await handle.update("bad")


@workflow(registry=REGISTRY)
class Ordered:
    def __init__(self) -> None:
        self.seen: list[int] = []

    @workflow.run
    async def run(self, count: int) -> list[int]:
        try:
            await wait_condition(lambda: len(self.seen) == count, timeout=10)
        except TimeoutError:
            self.seen.append(-1)
        return self.seen

    @workflow.signal
    def by_signal(self, number: int) -> None:
        self.seen.append(number)

    @workflow.update
    def by_update(self, number: int) -> int:
        self.seen.append(number)
        return len(self.seen)


@pytest.mark.feature("MS-01", "MS-07")
async def test_updates_and_signals_are_taken_in_one_order(runtime: Client) -> None:
    handle = await runtime.start(Ordered, 20, id="o")
    for number in range(20):
        name = "by_signal" if number % 2 else "by_update"
        send = handle.signal if number % 2 else handle.update
        await send(name, number)
    assert await handle.result() == list(range(20))


@pytest.mark.feature("CN-03", "MS-07")
async def test_cancelling_a_run_leaves_its_update_handlers_to_their_work(
    runtime: Client,
) -> None:
    handle = await runtime.start(cleaning_up, id="c")
    sent = await handle.start_update("work", wait_for="accepted")
    await handle.cancel(reason="stop")
    assert await sent.result() == "worked"
    with pytest.raises(Exception) as caught:
        await handle.result()
    assert isinstance(cast("Any", caught.value).cause, RunCancelled)


@workflow(registry=REGISTRY)
async def cleaning_up() -> None:
    async def work() -> str:
        await durable_sleep(3)
        return "worked"

    on_update("work", work)
    try:
        await asyncio.Event().wait()
    finally:
        await wait_condition(all_handlers_finished)


@pytest.mark.feature("MS-07")
async def test_an_update_follows_a_chain_to_its_open_run(runtime: Client) -> None:
    handle = await runtime.start(Ending, id="e")
    await handle.signal("end", "continue")
    sent = await handle.start_update(Ending.slowly, "x", wait_for="completed")
    assert sent.run_id != handle.result_run_id and await sent.result() == "x"


# -- MS-13 to MS-17: with a start ------------------------------------------------------


def opening(on_conflict: str = "use_existing", **options: Any) -> StartOperation[int]:
    """A start of an account, for one use."""
    options.setdefault("id", "account")
    return StartOperation(Account.run, on_conflict=on_conflict, **options)


@pytest.mark.feature("MS-13", "MS-16")
async def test_an_update_starts_its_run_or_finds_it(runtime: Client) -> None:
    execute = runtime.updates.execute_with
    first, second = opening(), opening()
    assert await execute(Account.deposit, 5, start=first) == "receipt 5"
    assert await execute(Account.deposit, 6, "!", start=second) == "receipt 6!"
    handles = [await first.handle(), await second.handle()]
    assert handles[0].result_run_id == handles[1].result_run_id is not None
    assert await handles[0].update(Account.balance_now) == 11
    await handles[1].update(Account.close)
    assert [await handle.result() for handle in handles] == [11, 11]


@pytest.mark.feature("MS-13")
async def test_it_is_taken_before_the_first_step_in_the_transaction_of_the_start(
    runtime: Client,
) -> None:
    start = opening()
    begun = await runtime.updates.execute_with(Account.has_begun, start=start)
    assert begun is False
    history = await (await start.handle()).history()
    assert [(item.seq, item.kind) for item in history] == [
        (0, "Started"),
        (0, "Began"),
        (0, "CompleteUpdate"),
    ]
    assert history[0].data["carried"][0]["name"] == "has_begun"


@pytest.mark.feature("MS-13")
@pytest.mark.parametrize("delay", [None, 30])
async def test_an_async_handler_of_it_begins_before_the_code(
    site: Site, runtime: Client, delay: int | None
) -> None:
    start = StartOperation(
        Opening.run, id="opening", on_conflict="use_existing", start_delay=delay
    )
    execute = runtime.updates.execute_with
    assert await execute(Opening.ask, "a", start=start) == "a"
    assert await (await start.handle()).result() == ["a", "code", "a done"]


@pytest.mark.feature("MS-13")
async def test_so_do_signals_that_came_before_it_and_what_it_refuses_does_not(
    site: Site, runtime: Client
) -> None:
    handle = await runtime.start(Opening.run, id="opening", start_delay=30)
    updates = [
        asyncio.ensure_future(handle.update(Opening.ask, text))
        for text in ("b", "", "c")
    ]
    await asyncio.sleep(1)
    await handle.signal(Opening.note, "a")
    first, refused, last = await asyncio.gather(*updates, return_exceptions=True)
    assert (first, last) == ("b", "c")
    assert isinstance(refused, UpdateFailed)
    assert (await handle.result())[:4] == ["a", "b", "c", "code"]


@workflow(registry=REGISTRY)
class Opening:
    """Notes what begins when."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        self.lines.append("code")
        await durable_sleep(5)
        return self.lines

    @workflow.signal
    async def note(self, text: str) -> None:
        self.lines.append(text)

    @workflow.update
    async def ask(self, text: str) -> str:
        self.lines.append(text)
        await durable_sleep(1)
        self.lines.append(f"{text} done")
        return text

    @ask.validator
    def check(self, text: str) -> None:
        if not text:
            raise ValueError("nothing was asked")


@pytest.mark.feature("MS-13")
async def test_a_function_takes_it_after_its_first_step(runtime: Client) -> None:
    start = StartOperation(a_function, id="f", on_conflict="fail")
    assert await runtime.updates.execute_with("say", "hey", start=start) == "HEY"


@pytest.mark.feature("MS-14")
async def test_a_start_with_an_update_may_wait_for_a_stage(
    site: Site, runtime: Client
) -> None:
    began, start = site.clock.now(), opening()
    sent = await runtime.updates.start_with(
        Account.deposit, 5, start=start, wait_for="accepted"
    )
    assert site.clock.now() == began
    assert sent.run_id == (await start.handle()).result_run_id
    assert await sent.result() == "receipt 5"
    sent = await runtime.updates.start_with(
        "deposit", args=(6,), start=opening(), wait_for="completed", id="six"
    )
    assert site.clock.now() >= began + 2
    assert (sent.id, await sent.result()) == ("six", "receipt 6")
    with pytest.raises(ValueError, match="admitted"):
        await runtime.updates.start_with(
            "deposit", 1, start=opening(), wait_for="admitted"
        )
    with pytest.raises(TypeError, match="wait_for"):
        runtime.updates.start_with("deposit", 1, start=opening())  # type: ignore[call-overload]


@pytest.mark.feature("MS-15")
async def test_a_start_operation_needs_a_policy_and_is_used_once(
    runtime: Client,
) -> None:
    for conflict in (None, "attach", "whatever"):
        with pytest.raises(ValueError, match="on_conflict"):
            StartOperation(Account, id="account", on_conflict=conflict)
    with pytest.raises(ValueError, match="on_conflict"):
        StartOperation(Account, id="account")
    for refused in ("start_signal", "request_eager_start", "rpc_metadata"):
        with pytest.raises(TypeError, match=refused):
            opening(**{refused: "x"})
    start = opening()
    await runtime.updates.execute_with(Account.balance_now, start=start)
    with pytest.raises(ValueError, match="used before"):
        await runtime.updates.execute_with(Account.balance_now, start=start)
    assert (await start.handle()).id == "account"


@pytest.mark.feature("MS-15", "MS-16")
async def test_a_start_that_fails_sends_no_update(runtime: Client) -> None:
    handle = await runtime.start(Account, id="account")
    before, start = await handle.history(), opening("fail")
    asking = asyncio.ensure_future(start.handle())
    with pytest.raises(WorkflowAlreadyStarted) as caught:
        await runtime.updates.execute_with(Account.deposit, 5, start=start, id="u")
    assert caught.value.run_id == handle.result_run_id
    with pytest.raises(WorkflowAlreadyStarted):
        await asking
    assert await handle.history() == before
    with pytest.raises(RPCError):
        await handle.update_handle("u").result()


@pytest.mark.feature("MS-16")
async def test_terminating_the_open_run_sends_the_update_to_the_new_one(
    runtime: Client,
) -> None:
    old = await runtime.start(Account, id="account")
    await old.update(Account.deposit, 5)
    start = opening("terminate_existing")
    await runtime.updates.execute_with(Account.deposit, 1, start=start)
    new = await start.handle()
    assert new.result_run_id != old.result_run_id
    assert await new.update(Account.balance_now) == 1
    pinned = runtime.handle("account", run_id=old.result_run_id)
    assert (await pinned.describe()).status is RunStatus.TERMINATED


@pytest.mark.feature("MS-17")
async def test_a_run_whose_first_update_is_refused_goes_on(runtime: Client) -> None:
    start = opening("fail")
    with pytest.raises(UpdateFailed, match="-1 is no deposit"):
        await runtime.updates.execute_with(Account.deposit, -1, start=start)
    handle = await start.handle()
    assert (await handle.describe()).status is RunStatus.RUNNING
    assert set(await kinds(handle)) == {"Started", "Began"}
    assert await handle.update(Account.balance_now) == 0
    start = opening(id="other")
    sent = await runtime.updates.start_with(
        Account.deposit, -1, start=start, wait_for="accepted"
    )
    with pytest.raises(UpdateFailed, match="-1 is no deposit"):
        await sent.result()


@pytest.mark.feature("MS-13", "MS-15", "MS-18")
async def test_a_run_that_cannot_begin_yet_is_known_while_its_update_waits(
    site: Site, runtime: Client
) -> None:
    start = opening(start_delay=30)
    with pytest.raises(UpdateTimedOutOrCancelled):
        await runtime.updates.execute_with(
            Account.deposit, 5, start=start, id="u", rpc_timeout=1
        )
    handle = await start.handle()
    assert (await handle.describe()).status is RunStatus.RUNNING
    again = opening()
    sent = await runtime.updates.start_with(
        Account.deposit, 5, start=again, id="u", wait_for="completed"
    )
    assert await sent.result() == "receipt 5"
    assert await handle.query(Account.calls) == 1


@pytest.mark.feature("MS-13", "ID-11")
async def test_the_same_request_starts_one_run_with_one_update(
    runtime: Client,
) -> None:
    async def once() -> str | None:
        start = opening("fail", request_id="r")
        await runtime.updates.execute_with(Account.deposit, 5, start=start, id="u")
        return (await start.handle()).result_run_id

    assert len({*await asyncio.gather(once(), once()), await once()}) == 1
    assert await runtime.handle("account").query("calls") == 1


@pytest.mark.feature("MS-13")
async def test_many_at_once_make_one_run(runtime: Client) -> None:
    found = await asyncio.gather(
        *(
            runtime.updates.execute_with(Account.deposit, n, start=opening())
            for n in range(1, 21)
        )
    )
    assert found == [f"receipt {n}" for n in range(1, 21)]
    assert await runtime.handle("account").update("balance_now") == sum(range(21))
    assert [line.workflow_id async for line in runtime.list()] == ["account"]
