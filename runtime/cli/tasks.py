"""Commands for tasks that are completed from outside: `everact tasks …`."""

from typing import Final, TypeAlias

import click

from everact.runtime.cli.asking import Addressed, about
from everact.runtime.cli.options import json_value, json_values, remote
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


Task: TypeAlias = Addressed[TaskHandle]


def _handle(client: Client, token: str | None, **ids: str | None) -> TaskHandle:
    return client.task_handle(token=None if token is None else token_of(token), **ids)


on_task: Final = about(
    remote,
    _handle,
    "task_id",
    token=click.option("--token", help="The attempt's token, instead of IDs."),
    workflow_id=click.option("--workflow-id", help="The run's workflow ID."),
    run_id=click.option("--run-id", help="One run of that ID, not the latest."),
    task_id=click.option("--task-id", help="The task, with --workflow-id."),
)


@tasks.command()
@click.argument("result", required=False)
@on_task
def complete(task: Task, result: str | None) -> None:
    """Complete a task with RESULT (JSON; none is null); on disk when this returns.

    \b
    Examples:
      everact tasks complete true --token "$TOKEN"
      everact tasks complete '{"by": "Ada"}' --workflow-id order-1 --task-id "$TASK"
    """
    value = None if result is None else json_value(result, "RESULT")
    task.do(lambda handle: handle.complete(value), "completed", task="completed")


@tasks.command()
@click.argument("message")
@click.option("--type", "kind", help="Name of the error, which a policy may look at.")
@click.option("--non-retryable", is_flag=True, help="No other attempt follows.")
@on_task
def fail(task: Task, message: str, kind: str | None, non_retryable: bool) -> None:
    """Fail an attempt with MESSAGE; the task's policy decides what follows.

    \b
    Example:
      everact tasks fail "no such account" --non-retryable --token "$TOKEN"
    """
    error = ApplicationError(message, type=kind, non_retryable=non_retryable)
    task.do(lambda handle: handle.fail(error), "failed", task="failed")


@tasks.command()
@click.argument("details", nargs=-1)
@on_task
def heartbeat(task: Task, details: tuple[str, ...]) -> None:
    """Say that an attempt lives, with DETAILS (JSON) for a later one.

    Fails if the task was asked to stop, and says why.

    \b
    Example:
      everact tasks heartbeat 40 --token "$TOKEN"
    """
    values = json_values(details)
    task.do(lambda handle: handle.heartbeat(*values), "alive", task="alive")


@tasks.command()
@click.argument("details", nargs=-1)
@on_task
def cancelled(task: Task, details: tuple[str, ...]) -> None:
    """Say that a task has stopped because it was asked to, with DETAILS (JSON).

    \b
    Example:
      everact tasks cancelled '"3 of 5 done"' --token "$TOKEN"
    """
    values = json_values(details)
    task.do(
        lambda handle: handle.report_cancellation(*values), "stopped", task="stopped"
    )


COMMANDS: Final = (tasks,)
