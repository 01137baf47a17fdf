"""An engine in this process: opened with its endpoint, closed in good order."""

import asyncio
import functools
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import click

from everact.runtime.cli.options import DURATION, bad_input, database_option, taking
from everact.runtime.control.serving import Control
from everact.runtime.control.settings import ControlSettings
from everact.runtime.core.addresses import parse_address
from everact.runtime.door.tokens import TokenFile
from everact.runtime.embedded import Runtime
from everact.runtime.engine.workers import DEFAULT_SLOTS, DEFAULT_THREADS, Worker

STOPS = (signal.SIGINT, signal.SIGTERM)


class Hosting(NamedTuple):
    """How an engine is opened."""

    database: str
    queues: tuple[str, ...]
    slots: int
    threads: int
    retention: str
    wait_for_lock: float
    build_id: str

    def runtime(self) -> Runtime:
        """A runtime of that kind; Mistake for what cannot be meant."""
        with bad_input():
            return Runtime(
                self.database,
                workers=[
                    Worker(
                        self.queues,
                        slots=self.slots,
                        threads=self.threads,
                        build_id=self.build_id,
                    )
                ],
                retention=None if self.retention == "forever" else self.retention,
                wait_for_lock=self.wait_for_lock,
            )


def hosted(function: Any) -> Any:
    """Let a command take how its engine is opened; it gets that as `hosting`."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in Hosting._fields}
        return function(*args, hosting=Hosting(**given), **options)

    return _HOSTING(call)


_HOSTING: Final = taking(
    database_option("The database; made if it is not there [EVERACT_DATABASE]."),
    click.option(
        "--queue",
        "queues",
        multiple=True,
        default=("default",),
        help="Serve this queue; may be repeated [default].",
    ),
    click.option(
        "--slots",
        "--workers",
        type=click.IntRange(1),
        default=DEFAULT_SLOTS,
        show_default=True,
        help="Tasks at once.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        default=DEFAULT_THREADS,
        help="Tasks in threads at once.",
    ),
    click.option(
        "--retention",
        default="30d",
        show_default=True,
        help='How long closed runs are kept; "forever" keeps them.',
    ),
    click.option(
        "--wait-for-lock",
        type=DURATION,
        default=0.0,
        help="Wait so long for another process to let go of the database [0s].",
    ),
    click.option(
        "--build-id",
        envvar="EVERACT_BUILD_ID",
        default="",
        help="What the code is called in version sets [EVERACT_BUILD_ID].",
    ),
)

listening: Final = click.option(
    "--address",
    default="",
    metavar="HOST:PORT",
    help="Where to listen [EVERACT_CONTROL_ADDRESS; 127.0.0.1:7575]; port 0 is free.",
)
"""Lets a command take the address of its endpoint; see `settings_of`."""


def settings_of(address: str) -> ControlSettings:
    """Settings of the endpoint from the environment; `address` goes first, if given."""
    with bad_input():
        given: dict[str, Any] = {}
        if address:
            given["host"], given["port"] = parse_address(address, "--address")
        return ControlSettings.from_environment(**given)


@asynccontextmanager
async def serving(
    hosting: Hosting, settings: ControlSettings, *, tokens: TokenFile | None = None
) -> AsyncIterator[tuple[Runtime, Control]]:
    """A running engine and its endpoint."""
    async with (
        hosting.runtime() as runtime,
        Control(runtime, settings=settings, tokens=tokens) as control,
    ):
        yield runtime, control


def url_of(control: Control) -> str:
    """Where the page of an endpoint is."""
    settings = control.settings
    public = settings.public_address.rstrip("/")
    return f"{public or f'{settings.scheme}://{control.address}'}/"


async def until_stopped(
    runtime: Runtime, *signs: "asyncio.Future[Any] | asyncio.Task[Any]"
) -> None:
    """Wait for one of `signs`; raises why the engine gave up, if it did."""
    failed = runtime.engine.failed
    await asyncio.wait((*signs, failed), return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        raise failed.result()


@asynccontextmanager
async def stopping() -> AsyncIterator["asyncio.Future[signal.Signals]"]:
    """Done with the first SIGINT or SIGTERM, which it holds; a second one kills."""
    loop = asyncio.get_running_loop()
    stopped = loop.create_future()

    def stop(number: signal.Signals) -> None:
        if not stopped.done():
            stopped.set_result(number)
        for other in STOPS:
            loop.remove_signal_handler(other)

    for number in STOPS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield stopped
    finally:
        for number in STOPS:
            loop.remove_signal_handler(number)
