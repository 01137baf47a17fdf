"""A client made in a task: it reaches the task's own engine, and is let in."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import HttpClient, Registry, Runtime, context, task
from everact.runtime.client.credentials import save_token
from everact.runtime.client.simple import API_KEY, API_URL
from everact.runtime.control.serving import Control
from everact.runtime.door.tokens import TokenFile
from everact.runtime.errors import AuthorizationError
from everact.runtime.operations.tasks import text_of

pytestmark = pytest.mark.real_time

REGISTRY = Registry()


@task(registry=REGISTRY)
async def count_runs(url: str | None, key: str | None) -> Any:
    """Ask the engine over HTTP, with as many settings as were given."""
    async with HttpClient(key, url) as client:
        return await client.get("api/v1/runs/count"), client.auth_token()


@task(registry=REGISTRY)
async def make_a_token_of_all() -> None:
    async with HttpClient() as client:
        await client.get("api/v1/runs/count", params={"workspace": "other"})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (API_KEY, API_URL, "EVERACT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EVERACT_SETTINGS", str(tmp_path / "settings"))


@pytest.mark.feature("CX-21")
async def test_server_and_token_come_from_argument_configuration_task_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "everact.db"
    tokens = TokenFile.for_database(path)
    given = tokens.create("given")[1]
    configured = tokens.create("configured")[1]
    saved = tokens.create("saved")[1]
    async with Runtime(path, registry=REGISTRY) as runtime:
        async with Control(runtime, "127.0.0.1:0") as control:
            url = f"http://{control.address}"
            save_token(control.address, saved)

            async def used(url: str | None, key: str | None) -> str:
                answer, token = await asyncio.wait_for(count_runs(url, key), timeout=30)
                assert answer["count"] > 0
                return str(token)

            # In a task its own engine lets it in, before what was saved.
            injected = await used(None, None)
            assert injected.startswith("everact_task_")
            assert await used(url, None) == injected
            monkeypatch.setenv(API_KEY, configured)
            assert await used(None, None) == configured
            assert await used(None, given) == given
            monkeypatch.delenv(API_KEY)
            async with HttpClient(api_url=url) as outside:
                assert outside.auth_token() == saved
                assert (await outside.get("api/v1/runs/count"))["count"] == 4
            async with HttpClient(injected, url) as outside:
                assert await outside.get("healthz")
        # The token is gone with the endpoint.
        async with Control(runtime, "127.0.0.1:0") as again:
            async with HttpClient(injected, f"http://{again.address}") as late:
                with pytest.raises(AuthorizationError):
                    await late.get("api/v1/runs/count")


@pytest.mark.feature("CX-21")
async def test_the_token_of_a_task_reaches_the_workspace_of_its_run_only(
    tmp_path: Path,
) -> None:
    path = tmp_path / "everact.db"
    TokenFile.for_database(path).create("somebody")
    async with Runtime(path, registry=REGISTRY) as runtime:
        async with Control(runtime, "127.0.0.1:0"):
            with pytest.raises(Exception, match="other"):
                await asyncio.wait_for(make_a_token_of_all(), timeout=30)


codes: list[int] = []
"""How helpers ended, which may be after the tasks that they completed."""


@task(registry=REGISTRY)
async def leave_it_to_a_helper() -> str:
    """Start a process that completes this task with what it is given: a token each."""
    async with HttpClient() as client:
        address = client.api_url.removeprefix("http://")
        access = {"EVERACT_TOKEN": client.auth_token()}
    token = text_of(context().task_token)
    told = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "everact.runtime",
            "tasks",
            "complete",
            '"by a helper"',
        ),
        *("--token", token, "--address", address),
        env=os.environ | access,
        stdout=asyncio.subprocess.DEVNULL,
    )
    codes.append(await told.wait())
    context().complete_elsewhere()


@pytest.mark.feature("AC-01", "CX-21")
async def test_a_process_that_a_task_starts_may_complete_it(tmp_path: Path) -> None:
    path = tmp_path / "everact.db"
    TokenFile.for_database(path).create("somebody")  # so that tokens are asked for
    async with Runtime(path, registry=REGISTRY) as runtime:
        async with Control(runtime, "127.0.0.1:0"):
            called = runtime.call(leave_it_to_a_helper, (), {})
            assert await asyncio.wait_for(called, timeout=60) == "by a helper"
            while not codes:
                await asyncio.sleep(0.01)
            assert codes == [0]
