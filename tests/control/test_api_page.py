"""Every example of docs/api.md is run by curl, in order, against a real endpoint."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from everact.runtime import Runtime, wire
from everact.runtime.control.serving import Control
from everact.runtime.operations.table import OPERATIONS
from everact.runtime.wire.refusals import HTTP_STATUS

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
EXAMPLES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.real_time
@pytest.mark.feature("CT-04")
async def test_every_example_of_the_page_is_answered(runtime: Runtime) -> None:
    assert shutil.which("curl"), "the examples are curl's: install it"
    event_id = ""
    async with Control(runtime, "127.0.0.1:0") as control:
        for example in EXAMPLES:
            here = example.replace("localhost:7575", control.address)
            arguments = shlex.split(here.replace("EVENT_ID", event_id))
            endless = "--max-time" in arguments
            process = await asyncio.create_subprocess_exec(
                *arguments, "--silent", "--fail-with-body", stdout=-1
            )
            out, _ = await process.communicate()
            assert process.returncode == (28 if endless else 0), (example, out)
            assert out, example
            if example.endswith("/events/push"):
                event_id = json.loads(out)["event_id"]
                assert event_id
    assert event_id, "no example pushes an event"


def test_every_operation_has_an_example() -> None:
    shown = {path for line in EXAMPLES for path in re.findall(r"/api/v1/[\w/]+", line)}
    known = {wire.path_of(kind) for kind in OPERATIONS}
    assert known - shown == {"/api/v1/clock/lock", "/api/v1/clock/advance"}
    assert shown <= known


def test_the_table_of_statuses_is_the_one_that_is_used() -> None:
    rows = re.findall(r"^\| ([A-Z_, ]+) \| (\d+) \|", PAGE, flags=re.MULTILINE)
    told = {name: int(code) for names, code in rows for name in names.split(", ")}
    used = {status.name: code for status, code in HTTP_STATUS.items()}
    assert told == {name: code for name, code in used.items() if name != "CANCELLED"}
