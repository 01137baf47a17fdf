"""Commands for tasks that are completed from outside: `everact tasks …`."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import click

from everact.runtime.cli.options import (
    Remote,
    bad_input,
    json_value,
    json_values,
    remote,
)
from everact.runtime.cli.output import Output
from everact.runtime.client.client import Client
from everact.runtime.client.tasks import TaskHandle
from everact.runtime.errors import ApplicationError
from everact.runtime.operations.tasks import token_of


@click.group()
def tasks() -> None:
    """Complete tasks that were handed over, or say how they are.

    A task is named by the token that it gave out (--token, as base64url), or by its
    IDs (--workflow-id and --task-id; `everact describe ID --json` shows them; the
    number of the task's call will do).
    """


def addressed(function: Any) -> Any:
    """Let a command take the task that it is about."""
    for option in (
        click.option("--task-id", help="The task, with --workflow-id."),
        click.option("--run-id", help="One run of that ID, not the latest."),
        click.option("--workflow-id", help="The run's workflow ID."),
        click.option("--token", help="The attempt's token, instead of IDs."),
    ):
        function = option(function)
    return function


def _tell(
    engine: Remote,
    out: Output,
    given: dict[str, str | None],
    what: str,
    tell: Callable[[TaskHandle], Awaitable[None]],
) -> None:
    token = given.pop("token")

    async def work(client: Client) -> None:
        with bad_input():
            handle = client.task_handle(
                token=None if token is None else token_of(token), **given
            )
        await tell(handle)

    engine.call(work)
    out.answer({"task": what, "task_id": given["task_id"]}, what)


@tasks.command()
@click.argument("result", required=False)
@addressed
@remote
def complete(engine: Remote, out: Output, result: str | None, **given: Any) -> None:
    """Complete a task with RESULT (JSON; none is null); on disk when this returns.

    \b
    Examples:
      everact tasks complete true --token "$TOKEN"
      everact tasks complete '{"by": "Ada"}' --workflow-id order-1 --task-id "$TASK"
    """
    value = None if result is None else json_value(result, "RESULT")
    _tell(engine, out, given, "completed", lambda task: task.complete(value))


@tasks.command()
@click.argument("message")
@click.option("--type", "kind", help="Name of the error, which a policy may look at.")
@click.option("--non-retryable", is_flag=True, help="No other attempt follows.")
@addressed
@remote
def fail(
    engine: Remote,
    out: Output,
    message: str,
    kind: str | None,
    non_retryable: bool,
    **given: Any,
) -> None:
    """Fail an attempt with MESSAGE; the task's policy decides what follows.

    \b
    Example:
      everact tasks fail "no such account" --non-retryable --token "$TOKEN"
    """
    error = ApplicationError(message, type=kind, non_retryable=non_retryable)
    _tell(engine, out, given, "failed", lambda task: task.fail(error))


@tasks.command()
@click.argument("details", nargs=-1)
@addressed
@remote
def heartbeat(
    engine: Remote, out: Output, details: tuple[str, ...], **given: Any
) -> None:
    """Say that an attempt lives, with DETAILS (JSON) for a later one.

    Fails if the task was asked to stop, and says why.

    \b
    Example:
      everact tasks heartbeat 40 --token "$TOKEN"
    """
    values = json_values(details)
    _tell(engine, out, given, "alive", lambda task: task.heartbeat(*values))


@tasks.command()
@click.argument("details", nargs=-1)
@addressed
@remote
def cancelled(
    engine: Remote, out: Output, details: tuple[str, ...], **given: Any
) -> None:
    """Say that a task has stopped because it was asked to, with DETAILS (JSON).

    \b
    Example:
      everact tasks cancelled '"3 of 5 done"' --token "$TOKEN"
    """
    values = json_values(details)
    _tell(engine, out, given, "stopped", lambda task: task.report_cancellation(*values))


COMMANDS: Final = (tasks,)
