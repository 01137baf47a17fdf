"""Kill the engine again and again while clients in another process use its endpoint.

Every life listens on the same address. The clients go on through all of them: no
request may fail, and what was acknowledged over HTTP is compared with the file and the
effects whenever no engine lives.
"""

from __future__ import annotations

import random
import subprocess
import time
from functools import partial
from pathlib import Path

from tests.client.servers import free_port
from tests.kills.chaos import (
    RUNS_PER_KILL,
    Life,
    LifeEnded,
    Report,
    live_and_die,
)
from tests.kills.marks import Marks
from tests.kills.witness import Witness

ENGINE = "tests.kills.endpoint"
CLIENTS = "tests.kills.clients"
LAST_LIFE = 120.0
"""Seconds that all clients together may take to finish what they are at."""


def run_http_chaos(
    folder: Path, kills: int = 5, connections: int = 100, seed: str = ""
) -> Report:
    """Kill `kills` engines under `connections` clients, let the last one serve."""
    seed = seed or f"{random.SystemRandom().getrandbits(32):x}"
    chance, began = random.Random(seed), time.monotonic()
    report, witness = Report(seed, kills), Witness(folder)
    marks = Marks(folder / "marks")
    address = f"127.0.0.1:{free_port()}"
    clients = Life(CLIENTS, address, connections, seed)
    coming = Life(ENGINE, folder, address)
    heard = 0
    try:
        for number in range(kills):
            life, coming = coming, Life(ENGINE, folder, address)
            goal = done(clients) + max(2 * RUNS_PER_KILL, connections // 10)
            hit = live_and_die(
                life, marks, chance, number, partial(has_done, clients, goal)
            )
            report.kills[hit] += 1
            said = clients.lines[heard:]
            heard += len(said)
            witness.hear(said)
            witness.look()
            if clients.process.poll() is not None:
                raise LifeEnded("the clients gave up")
        report.completed_between = len(witness.done)
        coming.begin()
        clients.begin()
        if clients.end(LAST_LIFE) != 0:
            witness.problems.append("a client met an error")
    except LifeEnded as error:
        witness.problems.append(str(error))
    except subprocess.TimeoutExpired:
        witness.problems.append(f"clients were not done within {LAST_LIFE:g} s")
    finally:
        clients.kill()
        coming.kill()
    witness.hear(clients.lines[heard:])
    witness.look()
    witness.close()
    return report.conclude(witness, time.monotonic() - began)


def done(clients: Life) -> int:
    """How many results the clients have."""
    return sum(line.startswith("done") for line in list(clients.lines))


def has_done(clients: Life, goal: int) -> bool:
    return done(clients) >= goal
