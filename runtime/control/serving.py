"""A control endpoint beside a running runtime."""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiohttp import web

from everact.runtime.control.app import make_app

if TYPE_CHECKING:
    from everact.runtime.embedded import Runtime

DEFAULT_ADDRESS = "127.0.0.1:7575"


class Control:
    """Serves a runtime over HTTP, for as long as it is entered.

    Use it as ``async with Runtime("file.db") as runtime, Control(runtime):``. Port 0
    takes a free one; `address` then tells which.
    """

    def __init__(self, runtime: "Runtime", address: str = DEFAULT_ADDRESS) -> None:
        self._runtime = runtime
        self._asked = address
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def __aenter__(self) -> Self:
        host, _, port = self._asked.rpartition(":")
        app = make_app(self._runtime.engine)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, host.strip("[]"), int(port))
        try:
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        bound_host, bound_port = runner.addresses[0][:2]
        self.address = f"{bound_host}:{bound_port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Take no more requests, and end those that wait. Closing twice is harmless."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


async def serve(runtime: "Runtime", address: str = DEFAULT_ADDRESS) -> None:
    """Serve `runtime` until this is cancelled."""
    async with Control(runtime, address):
        await asyncio.get_running_loop().create_future()
