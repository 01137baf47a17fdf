"""The examples run and print what the documentation says; public names are declared."""

from __future__ import annotations

import importlib
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import everact.actors
from everact.actors import EveractError

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs" / "actors.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(
    r"```python\n(.*?)```\s+```output\n(.*?)```", PAGE, flags=re.DOTALL
)

PUBLIC = [
    "NORMAL",
    "STOPPED",
    "Actor",
    "ActorDeadError",
    "ActorError",
    "ActorFuture",
    "ActorRef",
    "ActorState",
    "ActorSystem",
    "ActorView",
    "AskTimeout",
    "BlockingCallError",
    "ChildSpec",
    "Clock",
    "EveractError",
    "Exit",
    "Failed",
    "Killed",
    "MailboxFull",
    "NameTakenError",
    "Normal",
    "Registry",
    "Restart",
    "RestartIntensityExceeded",
    "Stopped",
    "Strategy",
    "Supervisor",
    "SystemClock",
    "SystemStoppedError",
    "Terminated",
    "ThreadActor",
    "TimerHandle",
    "VirtualClock",
    "VirtualLoop",
    "WrongThreadError",
    "run_virtual",
]


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        check=False,
        cwd=CHECKOUT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


# -- the reference page


def test_every_program_of_the_page_has_an_output() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") > 5


@pytest.mark.parametrize(
    ("program", "output"), PROGRAMS, ids=map(str, range(len(PROGRAMS)))
)
def test_programs_of_the_page_print_what_it_says(program: str, output: str) -> None:
    assert run("-c", program) == output


def test_the_page_names_every_error() -> None:
    public = [getattr(everact.actors, name) for name in everact.actors.__all__]
    for error in public:
        if isinstance(error, type) and issubclass(error, EveractError):
            assert f"`{error.__name__}`" in PAGE


# -- examples


def test_ping_pong_plays_to_the_end() -> None:
    assert run("-m", "examples.ping_pong", "10").splitlines() == [
        "ping leaves after 5 hits",
        "the game ended: Normal()",
        "the other one's hits: 5",
        "pong leaves after 5 hits",
    ]


def test_the_supervision_example_restarts_twice_and_gives_up() -> None:
    assert run("-m", "examples.supervision").splitlines() == [
        *("connection 1 is open", "reader is ready"),
        "hello, over connection 1",
        *("connection 2 is open", "reader is ready"),
        "hello again, over connection 2",
        *("connection 3 is open", "reader is ready"),
        "and again, over connection 3",
        "the supervisor gave up: Failed",
        "is the connection alive? False",
    ]


# -- names and errors


def test_public_names_are_exactly_these() -> None:
    assert sorted(everact.actors.__all__) == sorted(PUBLIC)


def test_every_error_has_a_message_of_its_own_and_can_be_pickled() -> None:
    errors = importlib.import_module("everact.actors.errors")
    messages = set()
    for name in errors.__all__:
        error = getattr(errors, name)()
        assert isinstance(error, EveractError)
        messages.add(str(error))
        for original in (error, getattr(errors, name)("exactly this")):
            copy = pickle.loads(pickle.dumps(original))
            assert type(copy) is type(original)
            assert str(copy) == str(original)
    assert len(messages) == len(errors.__all__)
