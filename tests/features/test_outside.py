"""Rows AC: completing tasks from outside of their function."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    ApplicationError,
    Client,
    Registry,
    RunStatus,
    Worker,
    WorkflowFailure,
    context,
    retry,
    task,
    workflow,
)
from everact.runtime import sleep as durable_sleep
from everact.runtime.errors import (
    AsyncTaskCancelled,
    RPCError,
    RunCancelled,
    TaskTimeout,
)
from everact.runtime.statuses import RPCStatus, TimeoutKind
from tests.features.conftest import Site
from tests.features.stage import note, noted, stage
from tests.features.support import crash_image, items, open_runtime

REGISTRY = Registry()


@task(registry=REGISTRY, timeout="1h")
async def approval(order: str) -> str:
    """Asks somebody, and leaves the answer to them."""
    ask(order)
    context().complete_elsewhere()


@workflow(registry=REGISTRY)
async def ordering(order: str) -> str:
    return f"{order}: {await approval(order)}"


def ask(what: str) -> None:
    """Give the token of the attempt to the test."""
    here = context()
    attempt = here.attempt_number
    note(("asked", what, attempt, here.task_token, here.task_id))
    note(f"{what} asked {attempt}")


async def asked(what: str, attempt: int = 1) -> tuple[bytes, str]:
    """The token of an attempt, and the ID of its task, once it has asked."""
    await noted(f"{what} asked {attempt}")
    for found in stage.notes:
        if found[:3] == ("asked", what, attempt):
            return found[3], found[4]
    raise AssertionError("the note is there without its token")


async def refused(call: Any, status: RPCStatus = RPCStatus.NOT_FOUND) -> None:
    with pytest.raises(RPCError) as refusal:
        await call
    assert refusal.value.status is status


@pytest.mark.feature("AC-01", "AC-03", "AC-05")
async def test_a_task_is_completed_by_whoever_has_its_token(runtime: Client) -> None:
    handle = await runtime.start(ordering, "tea", id="order-1")
    token, _ = await asked("tea")
    await asyncio.sleep(60)
    view = await handle.describe()
    assert view.status is RunStatus.RUNNING
    assert [pending.state for pending in view.pending_tasks] == ["elsewhere"]
    await runtime.task_handle(token=token).complete("approved")
    assert await handle.result() == "tea: approved"


# -- AC-01: handing over -------------------------------------------------------------


@task(registry=REGISTRY)
def approval_in_a_thread(order: str) -> str:
    ask(order)
    context().complete_elsewhere()


@task(registry=REGISTRY)
async def echo(text: str) -> str:
    return text


@workflow(registry=REGISTRY)
async def both_ways() -> list[str]:
    waiting = [
        asyncio.create_task(each)
        for each in (approval("loop"), approval_in_a_thread("thread"))
    ]
    note(await echo("another"))
    return list(await asyncio.gather(*waiting))


@pytest.mark.feature("AC-01")
async def test_a_handed_over_task_holds_no_slot_and_no_thread(site: Site) -> None:
    async with site.up(workers=[Worker(slots=1, threads=1)]) as client:
        handle = await client.start(both_ways, id="both")
        await noted("another")
        for name in ("thread", "loop"):
            token, _ = await asked(name)
            await client.task_handle(token=token).complete(name)
        assert await handle.result() == ["loop", "thread"]


@workflow(registry=REGISTRY)
async def timed(order: str) -> str:
    try:
        return await approval(order)
    except TaskTimeout as error:
        return str(error.kind)


@pytest.mark.feature("AC-01")
async def test_the_timeout_of_a_handed_over_task_runs_on_across_a_restart(
    site: Site,
) -> None:
    async with site.up() as client:
        began = site.clock.now()
        handle = await client.start(timed, "tea", id="timed")
        await asked("tea")
        await asyncio.sleep(1800)
        assert (await handle.describe()).status is RunStatus.RUNNING
    async with site.up() as client:
        assert await client.handle("timed").result() == "attempt"
        assert site.clock.now() - began == pytest.approx(3600, abs=5)


@pytest.mark.feature("AC-01")
async def test_a_handed_over_task_is_not_run_again_after_a_crash(
    tmp_path: Path,
) -> None:
    stage.open(asyncio.get_running_loop())
    async with open_runtime(tmp_path / "a.db", REGISTRY) as runtime:
        handle = await runtime.start(ordering, "tea", id="order-1")
        token, _ = await asked("tea")
        while not await items(handle, "TaskHandedOver"):
            await asyncio.sleep(0)
        image = crash_image(tmp_path / "a.db", "crashed")
    async with open_runtime(image, REGISTRY) as runtime:
        await asyncio.sleep(60)
        await runtime.task_handle(token=token).complete("approved")
        assert await runtime.handle("order-1").result() == "tea: approved"
    assert stage.notes.count("tea asked 1") == 1
    stage.open(None)


@task(registry=REGISTRY)
async def slow_to_end(what: str) -> str:
    """Still runs when others have its token; its value comes too late."""
    ask(what)
    await asyncio.sleep(100)
    note(f"{what} returned")
    return "its own value"


@workflow(registry=REGISTRY)
async def hasty() -> list[str]:
    first = await slow_to_end("first")
    await durable_sleep(200)
    return [first, await echo("second")]


@pytest.mark.feature("AC-01", "AC-05")
async def test_a_task_may_be_completed_before_its_function_has_ended(
    runtime: Client,
) -> None:
    handle = await runtime.start(hasty, id="hasty")
    token, _ = await asked("first")
    await runtime.task_handle(token=token).complete("from outside")
    await noted("first returned")
    assert await handle.result() == ["from outside", "second"]


# -- AC-02 to AC-04: handles ---------------------------------------------------------


@pytest.mark.feature("AC-02")
@pytest.mark.parametrize("with_run_id", [False, True])
async def test_a_task_is_completed_by_its_ids(
    runtime: Client, with_run_id: bool
) -> None:
    handle = await runtime.start(ordering, "tea", id="order-1")
    _, task_id = await asked("tea")
    (pending,) = (await handle.describe()).pending_tasks
    assert pending.task_id == task_id
    run_id = handle.result_run_id if with_run_id else None
    named = runtime.task_handle(workflow_id="order-1", run_id=run_id, task_id=task_id)
    await named.complete("approved")
    assert await handle.result() == "tea: approved"


@pytest.mark.feature("AC-02", "AC-05")
@pytest.mark.parametrize(
    "ids",
    [
        {"workflow_id": "nobody"},
        {"run_id": "0b9f6f3c-6a1f-7000-8000-000000000000"},
        {"task_id": "x"},
        {"task_id": "x/0/1"},
        {"task_id": "{run}/0/2"},
        {"task_id": "{run}/1/1"},
        {"task_id": "{run}/0/" + "9" * 30},
    ],
)
async def test_ids_of_no_task_are_not_found(
    runtime: Client, ids: dict[str, str]
) -> None:
    handle = await runtime.start(ordering, "tea", id="order-1")
    _, task_id = await asked("tea")
    given = {"workflow_id": "order-1", "task_id": task_id} | ids
    given["task_id"] = given["task_id"].format(run=handle.result_run_id)
    for call in (
        runtime.task_handle(**given).complete(),  # type: ignore[arg-type]
        runtime.task_handle(**given).heartbeat(),  # type: ignore[arg-type]
    ):
        await refused(call)
    assert (await handle.describe()).status is RunStatus.RUNNING


@pytest.mark.feature("AC-02", "AC-05")
async def test_the_task_of_an_earlier_run_of_the_id_is_not_found(
    runtime: Client,
) -> None:
    first = await runtime.start(ordering, "tea", id="order-1")
    token, task_id = await asked("tea")
    await first.terminate()
    await runtime.start(ordering, "coffee", id="order-1")
    await asked("coffee")
    named = runtime.task_handle(workflow_id="order-1", task_id=task_id)
    await refused(named.complete("too late"))
    await refused(runtime.task_handle(token=token).complete("too late"))
    assert (await runtime.count(status=RunStatus.RUNNING)).count == 1


@pytest.mark.feature("AC-04")
@pytest.mark.parametrize(
    "mix",
    [
        {},
        {"token": b""},
        {"token": b"t", "workflow_id": "w"},
        {"token": b"t", "run_id": "r"},
        {"token": b"t", "task_id": "t"},
        {"workflow_id": "w"},
        {"workflow_id": "w", "run_id": "r"},
        {"workflow_id": "", "task_id": "t"},
        {"task_id": "t"},
        {"run_id": "r"},
    ],
    ids=repr,
)
async def test_a_mix_that_names_no_task_is_refused(
    runtime: Client, mix: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="token"):
        runtime.task_handle(**mix)


@pytest.mark.feature("AC-03")
async def test_a_token_survives_a_restart_and_cannot_be_forged(site: Site) -> None:
    async with site.up() as client:
        await client.start(ordering, "tea", id="order-1")
        token, _ = await asked("tea")
        await asyncio.sleep(1)
    async with site.up() as client:
        for forged in (token[:-1], token + b"\0", b"x" + token[1:], b"short"):
            await refused(client.task_handle(token=forged).complete("forged"))
        await client.task_handle(token=token).complete("approved")
        assert await client.handle("order-1").result() == "tea: approved"


@pytest.mark.feature("AC-03")
async def test_a_token_is_of_one_workspace(site: Site) -> None:
    async with site.up() as client:
        handle = await client.start(ordering, "tea", id="order-1")
        token, _ = await asked("tea")
        other = Client(**(client.config() | {"namespace": "other"}))
        await refused(other.task_handle(token=token).complete("taken over"))
        assert (await handle.describe()).status is RunStatus.RUNNING


# -- AC-05: complete -----------------------------------------------------------------


@pytest.mark.feature("AC-05")
async def test_a_task_is_completed_once(runtime: Client) -> None:
    handle = await runtime.start(ordering, "tea", id="order-1")
    token, task_id = await asked("tea")
    named = runtime.task_handle(token=token)
    await named.complete("first")
    await refused(named.complete("second"))
    await refused(
        runtime.task_handle(workflow_id="order-1", task_id=task_id).complete("third")
    )
    await refused(named.fail(ValueError("too late")))
    await refused(named.heartbeat())
    await refused(named.report_cancellation())
    assert await handle.result() == "tea: first"


@pytest.mark.feature("AC-05")
async def test_completed_without_a_result_a_task_returns_none(runtime: Client) -> None:
    handle = await runtime.start(ordering, "tea", id="order-1")
    token, _ = await asked("tea")
    await runtime.task_handle(token=token).complete()
    assert await handle.result() == "tea: None"


@pytest.mark.feature("AC-05")
async def test_the_history_tells_who_completed_a_task(site: Site) -> None:
    async with site.up(identity="alice") as client:
        handle = await client.start(ordering, "tea", id="order-1")
        token, _ = await asked("tea")
        await client.task_handle(token=token).complete("yes")
        await handle.result()
        (report,) = await items(handle, "TaskReported")
        assert report.data["identity"] == "alice"
        assert report.data["outcome"]["result"] == "yes"


# -- AC-06: fail ---------------------------------------------------------------------


@task(registry=REGISTRY, retry=retry(first=10, attempts=3, never=["Final"]))
async def repeated(what: str) -> str:
    note((what, context().attempt_number, list(context().heartbeat_details)))
    ask(what)
    context().complete_elsewhere()


@workflow(registry=REGISTRY)
async def repeating(what: str) -> str:
    try:
        return await repeated(what)
    except ApplicationError as error:
        return f"failed as {error.type}: {error.message}"


@pytest.mark.feature("AC-05", "AC-06")
async def test_a_failed_attempt_is_retried_with_its_last_details(
    runtime: Client,
) -> None:
    handle = await runtime.start(repeating, "import", id="import-1")
    first, task_id = await asked("import")
    await runtime.task_handle(token=first).fail(
        ApplicationError("not today"), heartbeat_details=[3, "of 5"]
    )
    (pending,) = (await handle.describe()).pending_tasks
    assert (pending.state, pending.attempt) == ("retrying", 2)
    assert pending.last_failure == "ApplicationError: not today"
    by_id = runtime.task_handle(workflow_id="import-1", task_id=task_id)
    await refused(by_id.complete("between two attempts"))
    second, _ = await asked("import", 2)
    assert ("import", 2, [3, "of 5"]) in stage.notes
    await refused(runtime.task_handle(token=first).complete("of the old attempt"))
    await runtime.task_handle(token=second).complete("of the new one")
    assert await handle.result() == "of the new one"


@pytest.mark.feature("AC-06")
@pytest.mark.parametrize(
    "error",
    [
        ApplicationError("no", type="Final"),
        ApplicationError("no", type="Refused", non_retryable=True),
    ],
    ids=["of a listed type", "non-retryable"],
)
async def test_a_final_failure_is_the_calls(
    runtime: Client, error: ApplicationError
) -> None:
    handle = await runtime.start(repeating, "import", id="import-1")
    token, _ = await asked("import")
    await runtime.task_handle(token=token).fail(error)
    assert await handle.result() == f"failed as {error.type}: no"


@task(registry=REGISTRY, retries=1)
async def slow_to_fail(what: str) -> str:
    """Its first attempt returns long after it has failed."""
    first = context().attempt_number == 1
    ask(what)
    await asyncio.sleep(100 if first else 500)
    note(f"{what} returned {context().attempt_number}")
    return f"attempt {context().attempt_number}"


@workflow(registry=REGISTRY)
async def overtaken() -> str:
    return await slow_to_fail("late")


@pytest.mark.feature("AC-06")
async def test_a_late_value_of_a_failed_attempt_is_not_taken_for_the_next_ones(
    runtime: Client,
) -> None:
    handle = await runtime.start(overtaken, id="overtaken")
    token, _ = await asked("late")
    await runtime.task_handle(token=token).fail(ApplicationError("too slow"))
    await noted("late returned 1")
    assert await handle.result() == "attempt 2"


# -- AC-07: heartbeat ----------------------------------------------------------------


@task(registry=REGISTRY, heartbeat_timeout=10, retries=1, cancellation="abandon")
async def watched(what: str) -> str:
    note((what, context().attempt_number, list(context().heartbeat_details)))
    ask(what)
    context().complete_elsewhere()


@workflow(registry=REGISTRY)
async def watching() -> str:
    try:
        return await watched("pulse")
    except TaskTimeout as error:
        return str(error.kind)


@pytest.mark.feature("AC-07")
async def test_a_heartbeat_resets_the_timer_and_leaves_details(
    runtime: Client, site: Site
) -> None:
    handle = await runtime.start(watching, id="watched")
    token, _ = await asked("pulse")
    began = site.clock.now()
    named = runtime.task_handle(token=token)
    for beat in range(4):
        await asyncio.sleep(7)
        await named.heartbeat(beat)
    await named.heartbeat()  # it takes the details of the one before away from nobody
    _, _ = await asked("pulse", 2)
    assert site.clock.now() - began == pytest.approx(28 + 10 + 1, abs=2)
    assert ("pulse", 2, [3]) in stage.notes
    await refused(named.heartbeat())
    assert await handle.result() == str(TimeoutKind.HEARTBEAT)


@pytest.mark.feature("AC-07")
async def test_silence_while_no_engine_ran_is_not_held_against_a_task(
    site: Site,
) -> None:
    async with site.up() as client:
        handle = await client.start(watching, id="watched")
        token, _ = await asked("pulse")
        await asyncio.sleep(8)
    site.clock.jump(3600)
    async with site.up() as client:
        await asyncio.sleep(8)
        await client.task_handle(token=token).heartbeat()
        await asyncio.sleep(8)
        await client.task_handle(token=token).complete("alive")
        handle = client.handle("watched")
        assert await handle.result() == "alive"


@pytest.mark.feature("AC-07")
async def test_a_heartbeat_tells_that_the_run_was_cancelled(runtime: Client) -> None:
    handle = await runtime.start(ordering, "tea", id="order-1")
    token, task_id = await asked("tea")
    await runtime.task_handle(token=token).heartbeat()
    await handle.cancel(reason="the customer left")
    with pytest.raises(WorkflowFailure) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, RunCancelled)
    for named in (
        runtime.task_handle(token=token),
        runtime.task_handle(workflow_id="order-1", task_id=task_id),
    ):
        with pytest.raises(AsyncTaskCancelled, match="the customer left"):
            await named.heartbeat("still there")
        await refused(named.complete("too late"))


@workflow(registry=REGISTRY)
async def giving_up() -> str:
    with_time = asyncio.create_task(approval("tea"))
    await durable_sleep(60)
    with_time.cancel()
    await durable_sleep(600)
    return "done"


@pytest.mark.feature("AC-07", "AC-08")
async def test_a_heartbeat_tells_that_nobody_waits_any_more(site: Site) -> None:
    """An abandoned attempt is remembered, across restarts, until it reports."""
    async with site.up() as client:
        await client.start(giving_up, id="order-1")
        token, _ = await asked("tea")
        await asyncio.sleep(70)
    async with site.up() as client:
        named = client.task_handle(token=token)
        with pytest.raises(AsyncTaskCancelled):
            await named.heartbeat()
        await refused(named.complete("too late"))
        await named.report_cancellation("stopped")
        await refused(named.report_cancellation("stopped"))
        await refused(named.heartbeat())
        assert await client.handle("order-1").result() == "done"


@pytest.mark.feature("AC-07")
async def test_a_helper_may_heartbeat_for_a_function_that_still_runs(
    runtime: Client,
) -> None:
    handle = await runtime.start(helped, id="helped")
    token, _ = await asked("helped")
    for _ in range(4):
        await asyncio.sleep(8)
        await runtime.task_handle(token=token).heartbeat()
    assert await handle.result() == "30 s without a beat of its own"


@task(registry=REGISTRY, heartbeat_timeout=10)
async def busy() -> str:
    ask("helped")
    await asyncio.sleep(35)
    return "30 s without a beat of its own"


@workflow(registry=REGISTRY)
async def helped() -> str:
    return await busy()


# -- AC-08: cancellation that is waited for ------------------------------------------


@task(registry=REGISTRY, cancellation="wait", retries=3)
async def patient(what: str) -> str:
    ask(what)
    context().complete_elsewhere()


@workflow(registry=REGISTRY)
async def waiting(what: str) -> str:
    try:
        return await patient(what)
    except asyncio.CancelledError as error:
        note(("seen", list(error.args)))
        raise


@pytest.mark.feature("AC-08")
async def test_a_run_sees_its_task_cancelled_with_the_reported_details(
    runtime: Client,
) -> None:
    handle = await runtime.start(waiting, "tea", id="waiting")
    token, _ = await asked("tea")
    named = runtime.task_handle(token=token)
    await refused(named.report_cancellation("unasked"), RPCStatus.FAILED_PRECONDITION)
    await handle.cancel(reason="closing time")
    with pytest.raises(AsyncTaskCancelled, match="closing time"):
        await named.heartbeat()
    await asyncio.sleep(60)
    assert (await handle.describe()).status is RunStatus.RUNNING
    await named.report_cancellation("3 of 5", 7)
    with pytest.raises(WorkflowFailure) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, RunCancelled)
    assert list(ended.value.cause.details) == ["3 of 5", 7]
    assert ("seen", ["3 of 5", 7]) in stage.notes
    await refused(named.report_cancellation("again"))


@pytest.mark.feature("AC-08")
async def test_a_cancelled_task_that_is_waited_for_may_complete_or_fail(
    runtime: Client,
) -> None:
    for ending in ("complete", "fail"):
        handle = await runtime.start(waiting, ending, id=ending)
        token, _ = await asked(ending)
        named = runtime.task_handle(token=token)
        await handle.cancel()
        if ending == "complete":
            await named.complete("all the same")
            assert await handle.result() == "all the same"
        else:
            await named.fail(ValueError("broken off"))  # no other attempt follows
            with pytest.raises(WorkflowFailure, match="broken off"):
                await handle.result()


@pytest.mark.feature("AC-08")
async def test_the_request_to_stop_survives_a_restart(site: Site) -> None:
    async with site.up() as client:
        handle = await client.start(waiting, "tea", id="waiting")
        token, _ = await asked("tea")
        await asyncio.sleep(1)
        await handle.cancel(reason="closing time")
    async with site.up() as client:
        named = client.task_handle(token=token)
        with pytest.raises(AsyncTaskCancelled, match="closing time"):
            await named.heartbeat()
        await named.report_cancellation()
        with pytest.raises(WorkflowFailure) as ended:
            await client.handle("waiting").result()
        assert isinstance(ended.value.cause, RunCancelled)
    assert stage.notes.count("tea asked 1") == 1


@task(registry=REGISTRY, cancellation="wait")
async def tidy(how: str) -> str:
    note(f"{how} runs")
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        await asyncio.sleep(30)
        if how == "returns":
            return "what was done so far"
        if how == "raises":
            raise ValueError("in the middle") from None
        if how == "stops":
            raise asyncio.CancelledError("tidied", 2) from None
        raise asyncio.CancelledError(asyncio.current_task()) from None
    return "never"


@task(registry=REGISTRY, cancellation="wait", queue="nowhere")
async def unserved() -> None: ...


@task(registry=REGISTRY, cancellation="wait", retry=retry(first="1d"))
async def failing() -> None:
    note("fails runs")
    raise ApplicationError("try tomorrow")


TIDY = {"queued": unserved, "fails": failing}


@workflow(registry=REGISTRY)
async def tidying(how: str) -> list[Any]:
    call = asyncio.create_task(TIDY[how]() if how in TIDY else tidy(how))
    began = asyncio.get_running_loop().time()
    await durable_sleep(10)
    call.cancel()
    try:
        found: Any = await call
    except ValueError as error:
        found = str(error)
    except asyncio.CancelledError as error:
        found = list(error.args)
    return [found, asyncio.get_running_loop().time() - began]


@pytest.mark.feature("AC-08")
@pytest.mark.parametrize(
    ("how", "found", "took"),
    [
        ("returns", "what was done so far", 40),
        ("raises", "in the middle", 40),
        ("stops", ["tidied", 2], 40),
        ("mumbles", ["<Task that cannot be stored>"], 40),
        ("queued", [], 10),
        ("fails", [], 10),
    ],
)
async def test_a_call_that_waits_gets_what_becomes_of_a_task_that_runs_here(
    runtime: Client, how: str, found: Any, took: float
) -> None:
    result = await runtime.execute(tidying, how, id="tidying")
    assert result[0] == found
    assert result[1] == pytest.approx(took, abs=1)


@workflow(registry=REGISTRY)
async def within(seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            return await patient("tea")
    except TimeoutError:
        return "timed out"


@pytest.mark.feature("AC-08")
async def test_a_timeout_of_the_workflow_waits_for_the_report_as_well(
    runtime: Client,
) -> None:
    handle = await runtime.start(within, 30, id="within")
    token, _ = await asked("tea")
    await asyncio.sleep(60)
    assert (await handle.describe()).status is RunStatus.RUNNING
    await runtime.task_handle(token=token).report_cancellation()
    assert await handle.result() == "timed out"


@workflow(registry=REGISTRY)
async def insisting() -> list[str]:
    call = asyncio.create_task(patient("tea"))
    await durable_sleep(10)
    for _ in range(3):
        call.cancel()
    await durable_sleep(10)
    call.cancel()
    try:
        return [await call]
    except asyncio.CancelledError as error:
        return list(error.args)


@pytest.mark.feature("AC-08")
async def test_a_task_is_asked_to_stop_once_however_often_its_call_is_cancelled(
    runtime: Client,
) -> None:
    handle = await runtime.start(insisting, id="insisting")
    token, _ = await asked("tea")
    await asyncio.sleep(30)
    assert len(await items(handle, "CancelTask")) == 1
    await runtime.task_handle(token=token).report_cancellation("all right")
    assert await handle.result() == ["all right"]


@workflow(registry=REGISTRY)
async def never_issued() -> str:
    call = asyncio.create_task(patient("tea"))
    await asyncio.sleep(0)
    call.cancel()
    try:
        return await call
    except asyncio.CancelledError:
        return "nothing was asked for"


@pytest.mark.feature("AC-08")
async def test_a_call_cancelled_before_it_was_recorded_is_not_made(
    runtime: Client,
) -> None:
    handle = await runtime.start(never_issued, id="never")
    assert await handle.result() == "nothing was asked for"
    assert not await items(handle, "RunTask")


@pytest.mark.feature("AC-08")
def test_how_a_cancelled_call_behaves_is_one_of_two_ways() -> None:
    with pytest.raises(ValueError, match="cancellation must be one of"):
        task(registry=Registry(), cancellation="perhaps")(echo.function)
    assert echo.with_options(cancellation="wait").options.await_cancelled
