"""Commands that bring an engine up: serve modules, run a workflow, run a program."""

import asyncio
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from everact.runtime.cli import hosting as hosts
from everact.runtime.cli.exits import Mistake
from everact.runtime.cli.hosting import (
    Hosting,
    hosted,
    listening,
    serving,
    settings_of,
    url_of,
)
from everact.runtime.cli.modules import find, load
from everact.runtime.cli.options import (
    DURATION,
    bad_input,
    common,
    json_values,
    named_values,
)
from everact.runtime.cli.output import Output
from everact.runtime.cli.runs import answer_result
from everact.runtime.cli.waiting import wait_for
from everact.runtime.client.connecting import ADDRESS
from everact.runtime.control.serving import Control
from everact.runtime.control.settings import ControlSettings
from everact.runtime.definitions.registry import default_registry
from everact.runtime.door.tokens import Scope, TokenFile
from everact.runtime.embedded import Runtime

LEVELS: Final = ("debug", "info", "warning", "error")
FREE: Final = "127.0.0.1:0"
LOCAL: Final = ControlSettings(port=0, authentication=True)
"""Whatever the environment says: the program that is told of it is ours."""


def logged(level: str) -> Callable[[Any], Any]:
    """Let a command take how much is logged; see `log_to_stderr`."""
    return click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default=level,
        show_default=True,
        help="What is logged to stderr; info has each request.",
        callback=lambda _ctx, _param, level: log_to_stderr(level),
        expose_value=False,
    )


def log_to_stderr(level: str) -> None:
    """Log from now on, from that level on."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


@click.command()
@click.argument("modules", metavar="MODULE…", nargs=-1, required=True)
@listening
@hosted
@logged("warning")
@common
def serve(
    out: Output, hosting: Hosting, modules: tuple[str, ...], address: str
) -> None:
    """Serve the workflows, tasks and actors of MODULEs until Ctrl-C or SIGTERM.

    A MODULE is package.module, or a file that ends in .py. What is open in the
    database goes on. More settings of the endpoint, TLS among them, are variables:
    see docs/security.md.

    \b
    Examples:
      everact serve flows.py
      everact serve shop.flows shop.imports --database shop.db --queue imports
      EVERACT_CONTROL_TLS_CERTIFICATE=… everact serve flows.py --address 0.0.0.0:7575
    """
    for module in modules:
        load(module)
    asyncio.run(_serve(out, hosting, address))


async def _serve(out: Output, hosting: Hosting, address: str) -> None:
    settings = settings_of(address)
    async with (
        hosts.stopping() as stopped,
        serving(hosting, settings) as (runtime, control),
    ):
        _announce(out, hosting, control)
        await hosts.until_stopped(runtime, stopped)
        out.note("stopping; open runs go on when the database is served again")


def _announce(out: Output, hosting: Hosting, control: Control) -> None:
    registry = default_registry()
    names = sorted((*registry.workflows, *registry.tasks))
    data = {
        "address": control.address,
        "url": url_of(control),
        "database": str(Path(hosting.database).absolute()),
        "queues": hosting.queues,
        "workflows": sorted(registry.workflows),
        "tasks": sorted(registry.tasks),
        "pid": os.getpid(),
    }
    host = control.address
    out.answer(
        data,
        f"serving {', '.join(names) or 'nothing: no workflow was defined'}",
        f"database {data['database']}",
        f"open     {data['url']}",
        f"or       everact search --address {host}",
        "Ctrl-C stops it; nothing is lost.",
    )
    sys.stdout.flush()


@click.command()
@click.argument("workflow", metavar="MODULE:WORKFLOW")
@click.argument("args", nargs=-1)
@click.option("--id", help="ID of the run; one that is there is waited for.")
@click.option("--kwarg", multiple=True, metavar="NAME=VALUE", help="Named argument.")
@click.option("--run-timeout", type=DURATION, help="Limit of the run, as 90s or 1h.")
@click.option("--timeout", type=DURATION, help="How long to wait, as 30s [for ever].")
@hosted
@logged("error")  # how the run ended it says itself
@common
def run(
    out: Output,
    hosting: Hosting,
    workflow: str,
    args: tuple[str, ...],
    id: str | None,
    kwarg: tuple[str, ...],
    run_timeout: float | None,
    timeout: float | None,
) -> None:
    """Run a workflow here, without a server, and print its result.

    Opens the database, starts the run (with --id: or takes the one that is there),
    and waits. Interrupted or killed, the same command with the same --id goes on.
    For a program that connects to an engine see `everact exec`.

    \b
    Examples:
      everact run flows.py:greet Ada
      everact run shop.flows:import_all '["a.csv"]' --id nightly --database shop.db
    """
    if ":" not in workflow:
        raise Mistake(
            f"{workflow!r} names no workflow: write {workflow}:WORKFLOW; to run a "
            f"program beside an engine, `everact exec {workflow}`"
        )
    found = find(workflow)
    options = {
        "args": json_values(args),
        "kwargs": named_values(kwarg, "--kwarg"),
        "id": id,
        "on_conflict": "attach" if id else None,
        "run_timeout": run_timeout,
    }
    asyncio.run(_run(out, hosting, found, options, timeout))


async def _run(
    out: Output,
    hosting: Hosting,
    workflow: Any,
    options: dict[str, Any],
    timeout: float | None,
) -> None:
    async with hosting.runtime() as runtime:
        with bad_input():
            handle = await runtime.start(workflow, **options)
        out.note(f"run {handle.id}")
        try:
            result = await wait_for(handle, out, timeout)
        except asyncio.CancelledError:
            out.note(f"the run goes on with the same command and --id {handle.id}")
            raise
        answer_result(out, handle.id, result)


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--module", multiple=True, help="Serve this module too.")
@hosted
@logged("warning")
@common
def exec_(
    out: Output,  # noqa: ARG001 — only errors are said here
    hosting: Hosting,
    command: tuple[str, ...],
    module: tuple[str, ...],
) -> None:
    """Start an engine, run a program that connects to it, stop the engine.

    The program is a Python file, whose workflows the engine serves too, or any COMMAND
    after --. It finds the engine by EVERACT_ADDRESS, EVERACT_API_URL and
    EVERACT_TOKEN, so that `Client.connect()` needs no settings; a server of its own
    takes a free port. Its exit code is the command's.

    \b
    Examples:
      everact exec program.py --its-option
      everact exec --module flows -- pytest tests
    """
    for name in module:
        load(name)
    program = list(command)
    if program[0].endswith(".py"):
        load(program[0])
        program.insert(0, sys.executable)
    code = asyncio.run(_exec(hosting, program))
    sys.exit(code if code >= 0 else 128 - code)


async def _exec(hosting: Hosting, program: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="everact-") as folder:
        tokens = TokenFile(Path(folder) / "tokens")
        _, text = tokens.create("program", scope=Scope.ADMIN)
        async with (
            hosts.stopping() as stopped,
            serving(hosting, LOCAL, tokens=tokens) as (runtime, control),
        ):
            environment = _environment(control, text)
            return await _run_program(runtime, program, environment, stopped)


def _environment(control: Control, token: str) -> dict[str, str]:
    return os.environ | {
        ADDRESS: control.address,
        "EVERACT_API_URL": f"{control.settings.scheme}://{control.address}",
        "EVERACT_TOKEN": token,
        "EVERACT_API_KEY": token,
        "EVERACT_CONTROL_ADDRESS": FREE,
    }


async def _run_program(
    runtime: Runtime,
    program: list[str],
    environment: dict[str, str],
    stopped: "asyncio.Future[signal.Signals]",
) -> int:
    """Run the program to its end; what should stop us stops it first.

    A terminal sends Ctrl-C to both of us, so only SIGTERM is passed on.
    """
    try:
        child = await asyncio.create_subprocess_exec(*program, env=environment)
    except OSError as error:
        raise Mistake(f"{program[0]} cannot be run: {error}") from error
    ending = asyncio.ensure_future(child.wait())
    try:
        await hosts.until_stopped(runtime, ending, stopped)
        if not ending.done() and stopped.result() is signal.SIGTERM:
            child.terminate()
        return await ending
    finally:
        if not ending.done():
            child.kill()
            await ending


exec_.name = "exec"
COMMANDS: Final = (serve, run, exec_)
