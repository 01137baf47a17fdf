"""Commands that act on runs: start, wait, signal, query, cancel, terminate."""

import difflib
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import click

from everact.runtime.cli.asking import Addressed, about
from everact.runtime.cli.options import (
    DURATION,
    Command,
    Remote,
    bad_input,
    json_values,
    named_values,
    remote,
    unserved,
)
from everact.runtime.cli.output import Output, value_shown
from everact.runtime.cli.starting import more_of_a_start, said
from everact.runtime.cli.waiting import wait_for
from everact.runtime.client.client import Client
from everact.runtime.client.handle import RunHandle
from everact.runtime.core.identity import CONFLICTS
from everact.runtime.core.retry import RetryPolicy, retry
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import RPCError
from everact.runtime.operations import runs as requests
from everact.runtime.operations.engines import ReadDefinitions

Run: TypeAlias = Addressed[RunHandle[Any]]


def on_run(
    where: Callable[[Command], Command] = remote,
) -> Callable[[Command], Command]:
    """Let a command take the run that it is about."""
    return about(
        where,
        lambda client, workflow_id, run_id: client.handle(workflow_id, run_id=run_id),
        "workflow_id",
        workflow_id=click.argument("workflow_id", metavar="ID"),
        run_id=click.option("--run-id", help="One run of that ID, not the latest."),
    )


@click.command()
@click.argument("workflow")
@click.argument("args", nargs=-1)
@click.option("--id", help="ID of the run [a new UUID].")
@click.option("--queue", default="default", show_default=True, help="Its queue.")
@click.option(
    "--on-conflict",
    type=click.Choice(CONFLICTS),
    help="What to do about an open run of the ID [fail].",
)
@click.option("--kwarg", multiple=True, metavar="NAME=VALUE", help="Named argument.")
@click.option("--memo", multiple=True, metavar="NAME=VALUE", help="Note on the run.")
@click.option("--run-timeout", type=DURATION, help="Limit of each run, as 90s or 1h.")
@click.option("--execution-timeout", type=DURATION, help="Limit of all its retries.")
@click.option("--start-delay", type=DURATION, help="Begin that much later.")
@click.option("--cron", "cron_schedule", help="Run at each time of a cron expression.")
@click.option("--retries", type=click.IntRange(0), help="Times a failed run is rerun.")
@more_of_a_start
@click.option("--name", help="A name for people.")
@click.option("--request-id", default="", help="Repeating it gives the same run.")
@click.option("--anyway", is_flag=True, help="Also if the engine knows no such name.")
@click.option("--wait", is_flag=True, help="Wait for the result.")
@click.option("--timeout", type=DURATION, help="Wait at most so long, as 30s.")
@remote
def start(
    engine: Remote,
    out: Output,
    workflow: str,
    args: tuple[str, ...],
    anyway: bool,
    wait: bool,
    timeout: float | None,
    retries: int | None,
    memo: tuple[str, ...],
    kwarg: tuple[str, ...],
    name: str | None,
    **given: Any,
) -> None:
    """Start a run of WORKFLOW; it is on disk when this returns.

    ARGS are JSON; what does not look like JSON is text. Negative numbers go after --.

    \b
    Examples:
      everact start greet Ada
      everact start squares 6 --id squares-1 --wait
      everact start import_all '["a.csv", "b.csv"]' --run-timeout 2h --retries 3
      everact start weigh --id w-1 -- -5
      everact start Basket --id b-1 --signal add --signal-arg '{"article": "tea"}'
    """
    wait = wait or timeout is not None
    options = said(given)
    options |= {
        "args": json_values(args),
        "kwargs": named_values(kwarg, "--kwarg"),
        "memo": named_values(memo, "--memo"),
        "retry": _retry(retries),
        "run_name": name,
    }

    async def work(client: Client) -> None:
        if not anyway:
            await _check_known(client, workflow)
        with bad_input():
            handle = await client.start(workflow, **options)
        if not wait:
            run_id = handle.result_run_id
            found = {"workflow_id": handle.id, "run_id": run_id, "address": engine.url}
            out.answer(found, handle.id)
            out.note(f"started; `everact result {handle.id}` waits for its result")
            return
        if not out.as_json:
            out.note(f"started {handle.id}")
        result = await wait_for(handle, out, timeout)
        answer_result(out, handle.id, result)

    engine.call(work, limit=None)


def _retry(retries: int | None) -> RetryPolicy | None:
    return retry(attempts=retries + 1) if retries else None


async def _check_known(client: Client, workflow: str) -> None:
    found = await client.operator_service.call(ReadDefinitions())
    names = [item.name for item in found.workflows]
    names += [item.name for item in found.tasks]
    if workflow in names:
        return
    near = difflib.get_close_matches(workflow, names, 1)
    meant = f"did you mean {near[0]!r}?" if near else "`everact workflows` lists them."
    raise RPCError(
        f"the engine knows no workflow or task {workflow!r}: {meant} With --anyway the "
        "run waits for a worker that does",
        RPCStatus.NOT_FOUND,
    )


def answer_result(out: Output, workflow_id: str, result: Any) -> None:
    """Print what a run returned."""
    data = {"workflow_id": workflow_id, "status": "completed", "result": result}
    out.answer(data, *([] if result is None else [value_shown(result)]))


@click.command()
@on_run()
@click.option("--timeout", type=DURATION, help="How long to wait, as 30s [for ever].")
@click.option("--no-follow", is_flag=True, help="Not on to the runs that continue it.")
def result(run: Run, timeout: float | None, no_follow: bool) -> None:
    """Wait for the run ID and print its result; a failed run is exit code 1.

    \b
    Examples:
      everact result squares-1
      everact result squares-1 --timeout 30s --json | jq .result
    """
    if no_follow:
        found = run.asked(lambda handle: handle.result(follow_runs=False), None)
    else:
        found = run.asked(lambda handle: wait_for(handle, run.out, timeout), None)
    answer_result(run.out, run.id, found)


@click.command()
@on_run()
@click.argument("name")
@click.argument("args", nargs=-1)
@click.option("--request-id", default="", help="Repeating it signals only once.")
def signal(run: Run, name: str, args: tuple[str, ...], request_id: str) -> None:
    """Send the run ID the signal NAME; it is on disk when this returns.

    \b
    Examples:
      everact signal order-1 decide true Ada
      everact signal basket-1 add '{"article": "tea", "amount": 2}'
    """
    values = json_values(args)
    run.do(
        lambda handle: handle.signal(name, args=values, request_id=request_id),
        f"{run.id}: signal {name} sent",
        signal=name,
        sent=True,
    )


@click.command()
@on_run()
@click.argument("name")
@click.argument("args", nargs=-1)
@click.option(
    "--reject",
    type=click.Choice(requests.REJECTS),
    default=requests.REJECT_NONE,
    show_default=True,
    help="Refuse if the run is in such a state.",
)
def query(run: Run, name: str, args: tuple[str, ...], reject: str) -> None:
    """Ask the run ID the question NAME; closed runs answer too.

    \b
    Examples:
      everact query order-1 state
      everact query basket-1 sizes small --json
    """
    values = json_values(args)
    answer = run.asked(
        lambda handle: handle.query(name, args=values, reject_condition=reject)
    )
    data = {"workflow_id": run.id, "query": name, "answer": answer}
    run.out.answer(data, value_shown(answer))


@click.command()
@on_run()
@click.argument("name")
@click.argument("args", nargs=-1)
@click.option("--id", "update_id", help="ID of the update [a new UUID].")
@click.option("--accepted", is_flag=True, help="Wait only until it is accepted.")
@click.option("--timeout", type=DURATION, help="Wait at most so long, as 30s.")
def update(
    run: Run,
    name: str,
    args: tuple[str, ...],
    update_id: str | None,
    accepted: bool,
    timeout: float | None,
) -> None:
    """Send the run ID the update NAME and print its answer; refused is exit code 1.

    With the same --id it is the same update: only the first one has an effect.

    \b
    Examples:
      everact update basket-1 discount 5
      everact update order-1 ship '"express"' --id ship-1 --timeout 30s
    """
    stage = "accepted" if accepted else "completed"
    values = json_values(args)

    async def work(handle: RunHandle[Any]) -> dict[str, Any]:
        sent = await handle.start_update(
            name, args=values, id=update_id, wait_for=stage, rpc_timeout=timeout
        )
        found = {"workflow_id": sent.workflow_id, "run_id": sent.run_id}
        found |= {"update": name, "update_id": sent.id, "stage": stage}
        return found if accepted else found | {"answer": await sent.result()}

    found = run.asked(work, None)
    text = f"{run.id}: update {name} accepted ({found['update_id']})"
    run.out.answer(found, text if accepted else value_shown(found["answer"]))


@click.command()
@on_run(unserved)
@click.option("--reason", default="", help="Why; it is shown in the run's history.")
def cancel(run: Run, reason: str) -> None:
    """Ask the run ID to stop; its code may clean up first.

    \b
    Example:
      everact cancel order-1 --reason "the customer changed her mind"
    """
    text = f"{run.id}: asked to stop"
    run.do(lambda handle: handle.cancel(reason=reason), text, cancel_requested=True)


@click.command()
@on_run(unserved)
@click.option("--reason", default="", help="Why; whoever waits for the run is told.")
def terminate(run: Run, reason: str) -> None:
    """End the run ID at once, without running its code.

    \b
    Example:
      everact terminate order-1 --reason "wrong data"
    """
    text = f"{run.id}: terminated"
    run.do(lambda handle: handle.terminate(reason=reason), text, terminated=True)


COMMANDS: Final = (start, result, signal, query, update, cancel, terminate)
