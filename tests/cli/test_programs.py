"""Commands that bring an engine up, and how they end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from everact.runtime.cli.exits import Exit
from tests.cli.conftest import SECONDS, WORKS, Shell

pytestmark = pytest.mark.real_time

TEN_LINES = """
import asyncio, sys
from everact.runtime import Client, workflow

@workflow
async def double(number: int) -> int:
    return number * 2

async def main() -> None:
    async with await Client.connect() as client:
        print(await client.execute(double, 21), *sys.argv[1:])

if __name__ == "__main__":
    asyncio.run(main())
"""

ASLEEP = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(os.environ["EVERACT_ADDRESS"], flush=True)
time.sleep(60)
"""

PLAIN = """
import asyncio, os
from everact.runtime import HttpClient

async def main() -> None:
    async with HttpClient() as client:
        print((await client.get("/api/v1/engine/info"))["version"])

asyncio.run(main())
"""


@pytest.mark.feature("CT-03")
def test_a_program_without_settings_runs_beside_a_local_engine(
    processes: Shell,
) -> None:
    (processes.folder / "program.py").write_text(TEN_LINES)
    done = processes("exec", "program.py", "--its", "--json")
    assert (done.code, done.out, done.err) == (0, "42 --its --json\n", "")
    assert not (processes.folder / "everact.db.tokens").exists()


@pytest.mark.feature("CT-03")
def test_any_command_gets_address_key_and_endpoint(processes: Shell) -> None:
    names = ("ADDRESS", "API_KEY", "TOKEN", "API_URL", "CONTROL_ADDRESS")
    script = "import os, json; print(json.dumps(dict(os.environ)))"
    done = processes("exec", "--", sys.executable, "-c", script)
    found = {name: done.data[f"EVERACT_{name}"] for name in names}
    assert found["API_URL"] == f"http://{found['ADDRESS']}"
    assert found["API_KEY"] == found["TOKEN"]
    assert found["CONTROL_ADDRESS"] == "127.0.0.1:0"

    plain = processes("exec", "--", sys.executable, "-c", PLAIN)
    assert (plain.code, plain.err) == (0, "")


def test_a_program_keeps_its_exit_code(processes: Shell) -> None:
    assert (
        processes("exec", "--", sys.executable, "-c", "raise SystemExit(9)").code == 9
    )
    assert processes("exec", "no-such-program").code == Exit.USAGE


def test_sigterm_reaches_the_program_and_its_engine_closes(shell: Shell) -> None:
    with shell.begin("exec", "--", sys.executable, "-c", ASLEEP) as command:
        assert command.stdout is not None
        assert command.stdout.readline()
        command.send_signal(signal.SIGTERM)
        command.communicate(timeout=SECONDS)
    assert command.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_stops_in_good_order(shell: Shell, number: signal.Signals) -> None:
    with shell.begin("serve", WORKS, "--address", "127.0.0.1:0") as command:
        assert command.stdout is not None
        said = [command.stdout.readline() for _ in range(5)]
        command.send_signal(number)
        _, err = command.communicate(timeout=SECONDS)
    assert command.returncode == 0
    assert "stopping" in err
    assert said[2].startswith("open     http://127.0.0.1:")
    doctor = shell.json("doctor")
    assert doctor["problems"] == 0


def test_ctrl_c_while_waiting_leaves_the_run_alone(engine: Shell) -> None:
    engine.json("start", "Basket", "--id", "patient")
    with engine.begin(
        "start", "Basket", "--id", "patient", "--on-conflict", "attach", "--wait"
    ) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == "started patient\n"
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=SECONDS)
    assert waiting.returncode == Exit.INTERRUPTED
    assert err == "\nerror: interrupted; what was started goes on\n"
    assert engine.json("describe", "patient")["status"] == "running"


def test_a_workflow_runs_here_without_a_server(processes: Shell) -> None:
    done = processes.json("run", f"{WORKS}:squares", "3", "--id", "once")
    assert done == {"workflow_id": "once", "status": "completed", "result": [0, 1, 4]}
    again = processes.json("run", f"{WORKS}:squares", "9", "--id", "once")
    assert again == done
    failed = processes("run", f"{WORKS}:unlucky", "why", "--json")
    assert (failed.code, failed.error["cause"]["message"]) == (Exit.FAILED, "why")


@pytest.mark.kill
def test_a_killed_run_goes_on_with_the_same_command(processes: Shell) -> None:
    source = (
        "import asyncio\nfrom everact.runtime import task, workflow\n"
        "@task\nasync def mark() -> None:\n"
        "    with open('marks', 'a') as file:\n        file.write('x')\n"
        "@task\nasync def say() -> None:\n    print('marked', flush=True)\n"
        "@workflow\nasync def slow() -> str:\n"
        "    await mark()\n    await say()\n"
        "    await asyncio.sleep(2)\n    return 'done'\n"
    )
    (processes.folder / "slow.py").write_text(source)
    with processes.begin("run", "slow.py:slow", "--id", "s") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "marked\n"
        first.kill()
    done = processes("run", "slow:slow", "--id", "s")
    assert (done.code, done.out.splitlines()[-1]) == (0, "done")
    assert (processes.folder / "marks").read_text() == "x"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nothing_like_it", "nothing_like_it"),
        ("def (", "SyntaxError"),
        ("raise SystemExit(3)", "__main__"),
        ("1 / 0", "line 1"),
    ],
)
def test_a_module_that_cannot_be_imported_is_a_mistake(
    processes: Shell, source: str, said: str
) -> None:
    (processes.folder / "flows.py").write_text(source)
    done = processes("serve", "flows.py")
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_what_cannot_be_served_changes_nothing(shell: Shell, processes: Shell) -> None:
    for command in ("serve nothing", "run works.py", "serve ../x.py", "run x:y"):
        assert shell(*command.split()).code == Exit.USAGE
    everywhere = processes("serve", WORKS, "--address", "0.0.0.0:0")
    assert everywhere.code == Exit.SETUP
    assert "everact token create" in everywhere.err


def test_a_database_or_port_in_use_is_named(engine: Shell, processes: Shell) -> None:
    taken = engine.variables["EVERACT_ADDRESS"]
    port = processes("serve", WORKS, "--address", taken, "--json")
    assert (port.code, port.error["type"]) == (Exit.SETUP, "AddressInUse")
    database = str(engine.folder / "everact.db")
    file = processes("run", f"{WORKS}:squares", "1", "--database", database, "--json")
    assert (file.code, file.error["type"]) == (Exit.SETUP, "StoreInUse")


def test_the_demo_ships_three_orders(processes: Shell) -> None:
    done = processes("demo", "--once", "--pause", "100ms", "--address", "127.0.0.1:0")
    assert done.code == 0
    assert done.out.startswith("open http://127.0.0.1:")
    assert done.err.splitlines() == [
        f"shipped: parcel {number} from shelf {number}" for number in (1, 2, 3)
    ]


def test_the_demo_is_served_until_it_is_stopped(shell: Shell) -> None:
    arguments = ("demo", "--pause", "30s", "--address", "127.0.0.1:0", "--json")
    with shell.begin(*arguments) as command:
        assert command.stdout is not None
        ready = json.loads(command.stdout.readline())
        there = shell.within(EVERACT_ADDRESS=ready["address"])
        asked = there.json("query", "demo-approval", "state")
        assert asked["answer"] == "waiting"
        there.json("signal", "demo-approval", "decide", "true")
        assert there.json("result", "demo-approval")["result"] is True
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=SECONDS)
    assert command.returncode == 0


def test_the_installed_command_is_the_same(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("everact")
    if not command.exists():
        pytest.skip("everact is not installed here")
    done = subprocess.run(
        [command, "version", "--json"], capture_output=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["python"] == sys.version.split()[0]
