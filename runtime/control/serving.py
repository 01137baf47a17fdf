"""A control endpoint beside a running runtime."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

from everact.runtime.control.app import make_app
from everact.runtime.control.guard import Guard
from everact.runtime.control.listening import Listener, listening
from everact.runtime.control.settings import ControlSettings
from everact.runtime.core.addresses import parse_address
from everact.runtime.definitions.context import EndpointAccess
from everact.runtime.door.callers import Callers
from everact.runtime.door.door import Door
from everact.runtime.door.tokens import TokenFile
from everact.runtime.engine.engine import Engine


class Served(Protocol):
    """What is served: a `Runtime`, of which this is all that the endpoint knows."""

    @property
    def engine(self) -> Engine:
        """The engine that answers."""

    @property
    def database_file(self) -> Path | None:
        """Where its database is, if that is a file of this machine."""


class Control:
    """Serves a runtime over HTTP, for as long as it is entered.

    Use it as ``async with Runtime("file.db") as runtime, Control(runtime):``. Without
    an `address` (``host:port``) and `settings`, ``EVERACT_CONTROL_ADDRESS`` and the
    other variables count, then ``127.0.0.1:7575``. Port 0 takes a free one; `address`
    and `port` then tell which. `tokens` are those beside the database.

    While workflow code blocks the loop and cannot be interrupted, every request is
    answered that the engine is not ready; in the end the process exits, see
    `standing_in`.

    Entering raises EndpointError, and nothing is served, for an address that is not
    safe or cannot be had; AddressInUse if it is taken.
    """

    def __init__(
        self,
        runtime: Served,
        address: str = "",
        *,
        settings: ControlSettings | None = None,
        tokens: TokenFile | None = None,
    ) -> None:
        given: dict[str, Any] = {}
        if address:
            given["host"], given["port"] = parse_address(address)
        if settings is None:
            settings = ControlSettings.from_environment(**given)
        elif given:
            settings = replace(settings, **given)
        self.settings = settings
        self.address = ""
        self.port = 0
        self._runtime = runtime
        self._tokens = tokens
        self._serving: AbstractAsyncContextManager[Listener] | None = None

    async def __aenter__(self) -> Self:
        callers = Callers(
            self._tokens or self._beside(),
            self._runtime.engine.task_secrets,
            authentication=self.settings.authentication,
        )
        guard = Guard(self.settings, callers)
        serving = listening(make_app(Door(self._runtime.engine, callers), guard), guard)
        found = await serving.__aenter__()
        self._serving = serving
        self.address, self.port = found.address, found.port
        self._runtime.engine.endpoint = self._of_tasks
        self._runtime.engine.watchdog.observer = found.stand_in
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Take no more requests, and end those that wait. Closing twice is harmless."""
        serving, self._serving = self._serving, None
        if serving is not None:
            engine = self._runtime.engine
            if engine.endpoint == self._of_tasks:  # not that of another front
                engine.endpoint = None
                engine.task_secrets.forget()
                engine.watchdog.observer = None
            await serving.__aexit__(None, None, None)

    def _of_tasks(self, workspace: str) -> EndpointAccess:
        """How tasks of this engine reach it: a client made in one needs no settings."""
        scheme = "http" if self.settings.tls is None else "https"
        host, _, port = self.address.rpartition(":")
        if host in ("0.0.0.0", "[::]"):  # noqa: S104 (every address: this machine's)
            host = "127.0.0.1" if host == "0.0.0.0" else "[::1]"  # noqa: S104
        secret = self._runtime.engine.task_secrets.of(workspace)
        return EndpointAccess(f"{scheme}://{host}:{port}", secret)

    def _beside(self) -> TokenFile | None:
        database = self._runtime.database_file
        return None if database is None else TokenFile.for_database(database)


async def serve(
    runtime: Served, address: str = "", *, settings: ControlSettings | None = None
) -> None:
    """Serve `runtime` until this is cancelled."""
    async with Control(runtime, address, settings=settings):
        await asyncio.get_running_loop().create_future()
