"""`everact doctor`: what is wrong here, and what to do about it."""

import sys
import time
from collections.abc import Iterator
from typing import Final

import click

from everact.runtime.cli import checks
from everact.runtime.cli.exits import Exit, NotYet
from everact.runtime.cli.findings import Finding, Level, ok, problem, warning
from everact.runtime.cli.options import Remote, database_option, remote
from everact.runtime.cli.output import Output, plain, table
from everact.runtime.cli.versions import check_versions
from everact.runtime.client.client import Client
from everact.runtime.client.credentials import read_settings, settings_file
from everact.runtime.errors import EngineUnreachable, EveractError, SecretFileError
from everact.runtime.operations.engines import (
    DescribeEngine,
    EngineInfo,
    everact_version,
)

_STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@click.command()
@database_option("The database to look at [EVERACT_DATABASE].")
@click.option(
    "--thorough", is_flag=True, help="Read the whole file too; takes its time."
)
@remote
@click.pass_context
def doctor(
    ctx: click.Context, engine: Remote, out: Output, database: str, thorough: bool
) -> None:
    """Look whether all is well here, and say what to do if not.

    Versions, the database with its key, tokens, durability and clock, what is saved
    for the engine's address, and, if --address or EVERACT_ADDRESS is given, the engine
    itself. Nothing is changed. Exit code 1 if there is a problem.

    \b
    Examples:
      everact doctor --database orders.db
      everact doctor --address 127.0.0.1:7575 --json
    """
    findings = [
        *check_versions(),
        *checks.check_database(database, thorough=thorough),
        *checks.check_tokens(database),
        *_check_saved(engine),
    ]
    if _is_given(ctx, "address"):
        findings += _check_engine(engine)
    wrong = sum(finding.level is Level.PROBLEM for finding in findings)
    rows = [
        (
            plain(finding.level.value, _STYLES[finding.level]),
            finding.check,
            finding.message + (f"\n→ {finding.advice}" if finding.advice else ""),
        )
        for finding in findings
    ]
    data = {"problems": wrong, "findings": [f._asdict() for f in findings]}
    out.answer(data, table(("", "WHAT", "FOUND"), rows))
    if wrong:
        sys.exit(Exit.FAILED)


def _is_given(ctx: click.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not click.core.ParameterSource.DEFAULT


def _check_saved(engine: Remote) -> Iterator[Finding]:
    file = settings_file(engine.address)
    try:
        saved = read_settings(engine.address)
    except (SecretFileError, OSError) as error:
        yield problem("saved", str(error), "then `everact token save` again")
        return
    if saved.get("token"):
        yield ok("saved", f"a token for {engine.address} in {file}")


def _check_engine(engine: Remote) -> Iterator[Finding]:
    async def work(client: Client) -> EngineInfo:
        request = DescribeEngine()
        return await client.operator_service.call(request, rpc_timeout=5.0)

    try:
        found = engine.call(work, limit=15.0)
    except EngineUnreachable as error:
        yield problem(
            "engine", str(error), "start it with `everact serve`, or correct --address"
        )
        return
    except (EveractError, NotYet) as error:
        yield problem(
            "engine",
            f"{engine.address} refused or did not answer: {error}",
            "if it asks for a token: `everact token save`",
        )
        return
    yield from _judge(engine, found)


def _judge(engine: Remote, found: EngineInfo) -> Iterator[Finding]:
    yield ok("engine", f"everact {found.version} answers at {engine.address}")
    if found.version != everact_version():
        yield warning(
            "engine",
            f"it is version {found.version}, this command is {everact_version()}",
            "use the same version on both sides",
        )
    if abs(found.now - time.time()) > checks.SKEW:
        yield warning(
            "clock",
            f"the engine's clock is {found.now - time.time():+.0f} s off this one",
            "set both clocks (NTP)",
        )
    if found.disk_full:
        yield problem("disk", "the engine's disk is full", "make room: work is held")
    if found.runs_aside:
        yield warning(
            "runs",
            f"{found.runs_aside} runs are put aside",
            "`everact describe ID` says why; they go on when fitting code is served",
        )
    if not found.workers:
        yield warning("workers", "no worker is there", "serve a queue with --queue")


COMMANDS: Final = (doctor,)
