"""The command `everact`: its commands, and how their errors are told."""

import io
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec

from everact.runtime.cli import (
    actors,
    builds,
    demo,
    doctor,
    events,
    looking,
    programs,
    runs,
    schedules,
    search_attributes,
    tasks,
    tokens,
)
from everact.runtime.cli.exits import Exit, exit_of
from everact.runtime.cli.options import common
from everact.runtime.cli.output import Output, facts, plain, to_json
from everact.runtime.cli.versions import versions
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import EveractError, RPCError, StoreInUse, WorkflowFailure
from everact.runtime.wire import encode_error

COMPLETE_VARIABLE: Final = "_EVERACT_COMPLETE"
SHELLS: Final = ("bash", "zsh", "fish")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def everact() -> None:
    """Durable workflows and actors for Python.

    \b
    See it:          everact demo
    Serve yours:     everact serve flows.py
    Start a run:     everact start greet Ada --wait
    Look at runs:    everact search    everact describe ID    everact history ID
    Something off?   everact doctor

    Every command takes --json, and --help with examples. Where the engine is:
    --address or EVERACT_ADDRESS, else 127.0.0.1:7575. Its token: EVERACT_TOKEN, else
    what `everact token save` keeps for the address.
    """


@everact.command()
@common
def version(out: Output) -> None:
    """Show the versions of everact and of what it runs on."""
    found = versions()
    out.answer(found, facts(found))


@everact.command()
@click.argument("shell", type=click.Choice(SHELLS))
@common
def completion(shell: str, out: Output) -> None:
    """Print the script that lets SHELL complete commands and options.

    \b
    Examples:
      everact completion bash >> ~/.bashrc
      everact completion zsh >> ~/.zshrc
      everact completion fish > ~/.config/fish/completions/everact.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    script = found(everact, {}, "everact", COMPLETE_VARIABLE).source()
    out.answer({"shell": shell, "script": script}, script)


for module in (
    programs,
    runs,
    looking,
    events,
    tasks,
    builds,
    schedules,
    search_attributes,
    actors,
    tokens,
    doctor,
    demo,
):
    for command in module.COMMANDS:
        everact.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with the exit code of `Exit`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    ours = given[: given.index("--")] if "--" in given else given
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever text comes, it is shown
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show
            code = everact.main(
                given,
                prog_name="everact",
                standalone_mode=False,
                complete_var=COMPLETE_VARIABLE,
            )
    except BaseException as error:
        if isinstance(error, (SystemExit, GeneratorExit)):
            raise
        if "--debug" in ours:
            traceback.print_exc()
        code = exit_of(error)
        tell(error, code, as_json="--json" in ours)
    sys.exit(code if isinstance(code, int) else Exit.OK)


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as a line on stderr: its place in our code is nothing to a caller."""
    Output(False).notes.print(plain(f"warning: {message}", "yellow"), soft_wrap=True)


def tell(error: BaseException, code: Exit, *, as_json: bool) -> None:
    """Say on stderr what went wrong: a line, or the JSON of the API's errors."""
    if as_json:
        click.echo(to_json({"error": described(error, code)}), err=True)
        return
    notes = Output(False).notes
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path
        click.echo(f"Try '{path} --help' for help.", err=True)
    notes.print(plain(f"error: {text_of(error, code)}", "red"), soft_wrap=True)


def text_of(error: BaseException, code: Exit) -> str:
    """The message of an error, with what to do where only the command knows."""
    if code is Exit.INTERRUPTED:
        return "interrupted; what was started goes on"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, StoreInUse):
        return (
            f"{error}. `--wait-for-lock 10s` waits for it; `everact start` asks the "
            "engine that has it"
        )
    if _is_denied(error):
        return (
            f"{error}. It needs a token of another scope or workspace: "
            "`everact token create --help`, where the database is"
        )
    if code is Exit.NOT_ALLOWED:
        return (
            f"{error}. Save a token with `everact token save`, or set EVERACT_TOKEN; "
            "`everact token create` makes one where the database is"
        )
    if code is Exit.UNREACHABLE:
        return f"{error}. Is it running? `everact serve MODULE` starts one"
    if isinstance(error, EveractError):
        return str(error)
    return (
        f"{type(error).__name__}: {error}. This is a fault of everact itself: please "
        "report it with what --debug shows"
    )


def _is_denied(error: BaseException) -> bool:
    return isinstance(error, RPCError) and error.status is RPCStatus.PERMISSION_DENIED


def described(error: BaseException, code: Exit) -> dict[str, Any]:
    """An error as the API tells it, with the exit code, and the cause if it has one."""
    if isinstance(error, EveractError):
        found: dict[str, Any] = msgspec.json.decode(encode_error(error)[1])["error"]
    else:
        usage = code is Exit.USAGE
        status = _STATUSES.get(code, RPCStatus.UNKNOWN)
        found = {
            "type": "UsageError" if usage else type(error).__name__,
            "status": status.name,
            "message": text_of(error, code),
            "data": {},
        }
    found["exit_code"] = int(code)
    if isinstance(error, WorkflowFailure) and error.cause is not None:
        cause = error.cause
        kind = getattr(cause, "type", "") or type(cause).__name__
        message = getattr(cause, "message", "") or str(cause)
        found["cause"] = {"type": kind, "message": message}
    return found


_STATUSES: Final = {
    Exit.USAGE: RPCStatus.INVALID_ARGUMENT,
    Exit.NOT_FOUND: RPCStatus.NOT_FOUND,
    Exit.NOT_YET: RPCStatus.DEADLINE_EXCEEDED,
    Exit.SETUP: RPCStatus.FAILED_PRECONDITION,
    Exit.INTERRUPTED: RPCStatus.CANCELLED,
    Exit.FAULT: RPCStatus.INTERNAL,
}
