"""What each exit code is for, and how errors are told."""

from __future__ import annotations

import pytest

from everact.runtime import errors
from everact.runtime.cli.exits import MEANING, Exit, exit_of
from everact.runtime.core.statuses import RPCStatus
from tests.cli.conftest import Shell


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("command", "code", "kind", "said"),
    [
        ("start unlucky bad --id e-1 --wait", Exit.FAILED, "WorkflowFailure", "bad"),
        ("start squares 2 --retries x", Exit.USAGE, "UsageError", "--retries"),
        ("start squares [1", Exit.USAGE, "UsageError", "argument 1 is not JSON"),
        ("list --status done", Exit.USAGE, "UsageError", "running"),
        ("list --address nowhere", Exit.USAGE, "UsageError", "host:port"),
        ("list --address 127.0.0.1:1", Exit.UNREACHABLE, "EngineUnreachable", ":1"),
        ("describe nobody", Exit.NOT_FOUND, "RPCError", "nobody"),
        ("start squars 2", Exit.NOT_FOUND, "RPCError", "did you mean 'squares'"),
        ("actors ask nobody 1", Exit.NOT_FOUND, "RPCError", "nobody"),
        ("start squares two", Exit.REFUSED, "RPCError", "'count'"),
        ("query e-open nothing", Exit.REFUSED, "QueryFailed", "articles"),
        ("start Basket --id e-open", Exit.REFUSED, "WorkflowAlreadyStarted", "e-open"),
        ("result e-open --timeout 100ms", Exit.NOT_YET, "NotYet", "everact result"),
    ],
)
def test_a_failed_command_tells_programs_why(
    engine: Shell, command: str, code: Exit, kind: str, said: str
) -> None:
    if "e-open" in command:
        engine.json("start", "Basket", "--id", "e-open", "--on-conflict", "attach")
    done = engine(*command.split(), "--json")
    assert (done.code, done.out) == (code, "")
    assert done.error["type"] == kind
    assert done.error["exit_code"] == code
    assert said in done.error["message"]
    assert done.error["status"] in RPCStatus.__members__


@pytest.mark.real_time
def test_a_person_gets_one_line_and_no_traceback(engine: Shell) -> None:
    done = engine("describe", "nobody")
    assert (done.code, done.out) == (Exit.NOT_FOUND, "")
    assert done.err == "error: no run of workflow ID 'nobody' is known\n"
    away = engine("list", "--address", "127.0.0.1:1")
    assert "everact serve" in away.err
    assert len(away.err.splitlines()) == 1


@pytest.mark.real_time
def test_only_debug_shows_a_traceback(engine: Shell) -> None:
    with engine.begin("describe", "nobody", "--debug") as command:
        _, err = command.communicate()
    assert command.returncode == Exit.NOT_FOUND
    assert "Traceback" in err


def test_every_code_has_a_meaning() -> None:
    assert set(MEANING) == set(Exit)


def test_every_error_of_the_family_has_a_code() -> None:
    made = {
        errors.StoreInUse("x"): Exit.SETUP,
        errors.StoreFull("x"): Exit.REFUSED,
        errors.AddressInUse("x"): Exit.SETUP,
        errors.SecretFileError("x"): Exit.SETUP,
        errors.RunPutAside("w", "r", "no code"): Exit.REFUSED,
        errors.RuntimeStateError("x"): Exit.UNREACHABLE,
        errors.RPCError("x", RPCStatus.UNAUTHENTICATED): Exit.NOT_ALLOWED,
        errors.RPCError("x", RPCStatus.PERMISSION_DENIED): Exit.NOT_ALLOWED,
        errors.RPCError("x", RPCStatus.INTERNAL): Exit.FAULT,
        KeyboardInterrupt(): Exit.INTERRUPTED,
        RuntimeError("x"): Exit.FAULT,
    }
    assert {error: exit_of(error) for error in made} == made
