"""A database that no engine has: a command looks at its runs, or ends them.

The engine that answers has no code and serves no queue. Runs are read only when they
are asked for, schedules and timers stand still, and how the last engine ended is left
for the next one to see. The command talks to it through an endpoint of its own, so its
answers are those of any engine, and no stored value is unpickled.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from everact.runtime.cli.exits import Taken
from everact.runtime.client.client import Client
from everact.runtime.control.serving import Control
from everact.runtime.control.settings import ControlSettings
from everact.runtime.definitions.registry import Registry
from everact.runtime.door.tokens import Scope, TokenFile
from everact.runtime.embedded import Runtime
from everact.runtime.errors import StoreInUse

T = TypeVar("T")


class _Resting(Runtime):
    """A runtime that brings nothing back by itself."""

    _recovers = False


@dataclass(frozen=True, slots=True)
class Unserved:
    """The database that a command works on, and the workspace of the runs."""

    database: str
    workspace: str

    def call(
        self,
        work: Callable[[Client], Awaitable[T]],
        *,
        limit: float | None = 60.0,
    ) -> T:
        """Do `work` with a client of the file; Taken if an engine has it."""
        try:
            return asyncio.run(self._call(work))
        except StoreInUse as error:
            raise Taken(
                f"{error}. Without --database the command asks the engine that has it; "
                "with it, stop that engine first"
            ) from error

    async def _call(self, work: Callable[[Client], Awaitable[T]]) -> T:
        with tempfile.TemporaryDirectory(prefix="everact-") as folder:
            tokens = TokenFile(Path(folder) / "tokens")
            _, token = tokens.create("command", scope=Scope.ADMIN)
            settings = ControlSettings(port=0, authentication=True)
            async with (
                _Resting(
                    self.database,
                    workers=(),
                    registry=Registry(),
                    retention=None,
                    grace=0.0,
                ) as runtime,
                Control(runtime, settings=settings, tokens=tokens) as control,
                await Client.connect(
                    control.address, namespace=self.workspace, api_key=token, tls=False
                ) as client,
            ):
                return await work(client)
