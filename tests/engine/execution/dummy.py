"""A polled executor in two kinds of processes: an engine, and workers elsewhere.

usage: python -m tests.engine.execution.dummy (engine | worker) FOLDER NAME

The engine runs `RUNS` runs of two tasks each, one that is leased and one whose taking
is recorded, and prints their results as JSON when all have ended. Workers ask it for
work through a socket in FOLDER, and say what became of it; they try again while there
is no engine. Each line on the socket is one request or one answer, as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from everact.runtime import Registry, Runtime, task, workflow
from everact.runtime.definitions.executors import register_executor
from everact.runtime.engine.execution.polled import Polled
from everact.runtime.errors import EveractError, RPCError
from everact.runtime.values.payloads import PickleConverter

RUNS = 30
TAKES = 0.03
"""Seconds that a task takes where it runs."""
LEASE = 0.5

LEASED, RECORDED = "dummy, leased", "dummy, recorded"
register_executor(LEASED, partial(Polled, name=LEASED, lease=LEASE))
register_executor(RECORDED, partial(Polled, name=RECORDED))

registry = Registry()
payloads = PickleConverter()


@task(registry=registry, executor=LEASED)
async def double(number: int) -> int:
    raise AssertionError("it runs elsewhere")


@task(registry=registry, executor=RECORDED, heartbeat_timeout=LEASE, retries=100)
async def increase(number: int) -> int:
    raise AssertionError("it runs elsewhere")


@workflow(registry=registry)
async def calculate(number: int) -> int:
    return await increase(await double(number))


# -- the engine ------------------------------------------------------------------------


async def engine(folder: Path) -> None:
    async with Runtime(folder / "a.db", registry=registry) as runtime:
        path = folder / "socket"
        path.unlink(missing_ok=True)
        serve = partial(answer_each, runtime)
        async with await asyncio.start_unix_server(serve, path):
            handles = [
                await runtime.start(calculate, n, id=f"run-{n}", on_conflict="attach")
                for n in range(RUNS)
            ]
            results = await asyncio.gather(*(each.result() for each in handles))
            print(json.dumps(results), flush=True)


async def answer_each(
    runtime: Runtime, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while line := await reader.readline():
            answer = await answered(runtime, json.loads(line))
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
    except (OSError, EveractError):
        return
    finally:
        writer.close()


async def answered(runtime: Runtime, request: dict[str, Any]) -> dict[str, Any]:
    if "poll" in request:
        executor = runtime.engine.executors.named(request["poll"])
        assert isinstance(executor, Polled)
        taken = await executor.poll(["default"], worker=request["worker"])
        return {
            "token": base64.b64encode(taken.token).decode(),
            "task": taken.task,
            "id": taken.task_id,
            "number": payloads.decode(taken.args[0]),
        }
    handle = runtime.task_handle(token=base64.b64decode(request["token"]))
    try:
        await handle.complete(request["result"])
    except RPCError as refusal:
        return {"refused": str(refusal)}
    return {"done": True}


# -- a worker --------------------------------------------------------------------------


async def worker(folder: Path, name: str) -> None:
    """Work for ever, for whatever engine is there."""
    works = (work(folder, name, executor) for executor in (LEASED, RECORDED))
    await asyncio.gather(*works)


async def work(folder: Path, name: str, executor: str) -> None:
    report: dict[str, Any] | None = None
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(folder / "socket")
        except OSError:
            await asyncio.sleep(0.01)
            continue
        try:
            while True:
                request = report or {"poll": executor, "worker": name}
                writer.write(json.dumps(request).encode() + b"\n")
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    break  # the engine is gone: ask the next one
                answer = json.loads(line)
                if report is not None:
                    report = None
                    print("refused" if "refused" in answer else "done", flush=True)
                    continue
                print("took", flush=True)
                note(folder, f"{answer['task']} {answer['id']}")
                await asyncio.sleep(TAKES)
                change = {"double": lambda n: 2 * n, "increase": lambda n: n + 1}
                result = change[answer["task"]](answer["number"])
                report = {"token": answer["token"], "result": result}
        except OSError:
            pass
        finally:
            writer.close()


def note(folder: Path, text: str) -> None:
    """Note what a task does to the world."""
    descriptor = os.open(folder / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


if __name__ == "__main__":
    _, what, place, *rest = sys.argv
    if what == "engine":
        asyncio.run(engine(Path(place)))
    else:
        asyncio.run(worker(Path(place), *rest))
