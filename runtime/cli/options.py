"""What many commands take: ``--json``, where the engine is, and values as JSON."""

import asyncio
import functools
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import click
import msgspec
from click.core import ParameterSource

from everact.runtime.cli.exits import Mistake, NotYet
from everact.runtime.cli.output import Output
from everact.runtime.cli.unserved import Unserved
from everact.runtime.client.client import Client
from everact.runtime.client.connecting import ADDRESS
from everact.runtime.client.pending import Pending
from everact.runtime.client.remote import HttpTransport
from everact.runtime.client.settings import (
    KeepAliveConfig,
    TLSConfig,
    parse_target,
)
from everact.runtime.control.settings import DEFAULT_HOST, DEFAULT_PORT
from everact.runtime.core.durations import seconds
from everact.runtime.embedded import DEFAULT_FILE
from everact.runtime.errors import EveractError

T = TypeVar("T")
Command = Callable[..., Any]

KEEP_ALIVE: Final = KeepAliveConfig(interval=10.0, timeout=35.0)
"""A silent engine is given up as late as by other clients, and probed sooner, so that
whoever waits at the terminal is told of the silence."""

DEFAULT_ADDRESS: Final = f"{DEFAULT_HOST}:{DEFAULT_PORT}"


def taking(*parameters: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Let a command take all of these, shown in this order."""

    def decorate(function: Command) -> Command:
        for parameter in reversed(parameters):
            function = parameter(function)
        return function

    return decorate


def database_option(help: str) -> Callable[[Command], Command]:
    """Let a command take the file of a database."""
    return click.option(
        "--database",
        envvar="EVERACT_DATABASE",
        default=DEFAULT_FILE,
        metavar="FILE",
        show_default=True,
        help=help,
    )


def limited(default: int, most: int = 10_000) -> Callable[[Command], Command]:
    """Let a command take how many things it shows, as `limit`."""
    return click.option(
        "--limit",
        type=click.IntRange(1, most),
        default=default,
        show_default=True,
        help="At most so many.",
    )


def common(function: Command) -> Command:
    """Let a command take ``--json`` and ``--debug``; it gets them as `out`."""

    @functools.wraps(function)
    def call(*args: Any, as_json: bool, debug: bool, **options: Any) -> Any:  # noqa: ARG001 — `main` looks at --debug
        return function(*args, out=Output(as_json), **options)

    return _COMMON(call)


_COMMON: Final = taking(
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON with stable keys instead; errors too.",
    ),
    click.option(
        "--debug", is_flag=True, help="Show the traceback of an error, for a report."
    ),
)


@dataclass(frozen=True, slots=True)
class Remote:
    """The engine that a command talks to, and how."""

    address: str
    workspace: str
    tls: bool | TLSConfig

    @property
    def url(self) -> str:
        """Where its page is."""
        return f"{'https' if self.tls else 'http'}://{self.address}/"

    def call(
        self, work: Callable[[Client], Awaitable[T]], *, limit: float | None = 60.0
    ) -> T:
        """Do `work` with a client; NotYet if it takes more than `limit` seconds."""
        return asyncio.run(self._call(work, limit))

    def _tell_of_silence(self, silent: float) -> None:
        if sys.stderr.isatty():
            click.echo(
                f"no answer from {self.address} for {silent:.0f} s, still trying",
                err=True,
            )

    async def _call(
        self, work: Callable[[Client], Awaitable[T]], limit: float | None
    ) -> T:
        with bad_input():
            opening = Client.connect(
                self.address,
                namespace=self.workspace,
                tls=self.tls,
                keep_alive_config=KEEP_ALIVE,
                lazy=True,
            )
            client = await opening
        async with client:
            assert isinstance(client.transport, HttpTransport)
            client.transport.connection.on_silence = self._tell_of_silence
            await client.transport.reach()
            async with Pending().within(limit, lambda: self._too_late(limit)):
                return await work(client)

    def _too_late(self, limit: float | None) -> NotYet:
        return NotYet(
            f"{self.address} gave no answer within {limit:g} s; ask again, or wait "
            "longer with --timeout where there is one"
        )


def remote(function: Command) -> Command:
    """Let a command take where the engine is; it gets that as `engine`."""

    @functools.wraps(function)
    def call(
        *args: Any,
        address: str,
        workspace: str,
        tls: bool,
        tls_ca: str | None,
        tls_certificate: str | None,
        tls_key: str | None,
        **options: Any,
    ) -> Any:
        chosen: bool | TLSConfig = tls
        with bad_input():
            target = parse_target(address, "--address")
            if tls_ca or tls_certificate or tls_key:
                chosen = TLSConfig(
                    root_certificate=tls_ca,
                    client_certificate=tls_certificate,
                    client_key=tls_key,
                )
        engine = Remote(str(target), workspace, chosen)
        return function(*args, engine=engine, **options)

    return common(_REMOTE(call))


_FILE: Final = click.Path(exists=True, dir_okay=False)
_REMOTE: Final = taking(
    click.option(
        "--address",
        envvar=ADDRESS,
        default=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help=f"Where the engine listens [{ADDRESS}; {DEFAULT_ADDRESS}].",
    ),
    click.option(
        "--workspace",
        envvar="EVERACT_WORKSPACE",
        default="default",
        help="Workspace of the runs [EVERACT_WORKSPACE; default].",
    ),
    click.option("--tls", is_flag=True, envvar="EVERACT_TLS", help="Use TLS."),
    click.option(
        "--tls-ca",
        type=_FILE,
        envvar="EVERACT_TLS_CA",
        help="Use TLS, and trust this authority.",
    ),
    click.option(
        "--tls-certificate",
        type=_FILE,
        envvar="EVERACT_TLS_CERTIFICATE",
        help="Show this certificate (mutual TLS); its key with --tls-key.",
    ),
    click.option("--tls-key", type=_FILE, envvar="EVERACT_TLS_KEY", hidden=True),
)


def unserved(function: Command) -> Command:
    """Let a command for an engine take a file that no engine has, in its place."""

    @functools.wraps(function)
    def call(*args: Any, engine: Remote, database: str | None, **options: Any) -> Any:
        if database is None:
            return function(*args, engine=engine, **options)
        _check_alone(database)
        alone = Unserved(database, engine.workspace)
        return function(*args, engine=alone, **options)

    return remote(
        click.option(
            "--database",
            type=_FILE,
            metavar="FILE",
            help="Work on this database, which no engine has; runs no code of yours.",
        )(call)
    )


def _check_alone(database: str) -> None:
    context = click.get_current_context()
    if context.get_parameter_source("address") is ParameterSource.COMMANDLINE:
        raise Mistake(
            f"--address and --database exclude each other: leave out --database "
            f"{database} if an engine has the file"
        )


@contextmanager
def bad_input() -> Iterator[None]:
    """Whatever ValueError or TypeError comes up is the caller's Mistake.

    So is a certificate or key that cannot be used; what an engine refused is not.
    """
    try:
        yield
    except EveractError:
        raise
    except (ValueError, TypeError) as error:
        raise Mistake(str(error)) from error
    except ssl.SSLError as error:
        raise Mistake(f"the certificate or key cannot be used: {error}") from error


def json_value(text: str, what: str) -> Any:
    """An argument: JSON, or else plain text if it does not begin like JSON.

    So ``3``, ``true`` and ``[1, 2]`` are what they look like, ``Ada`` is text, and
    ``'"3"'`` is the text 3. Mistake for broken JSON.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if text[:1] in ("{", "[", '"'):
            raise Mistake(f"{what} is not JSON: {error}: {text}") from error
        return text
    except UnicodeEncodeError as error:
        raise Mistake(f"{what} is not UTF-8 text") from error


def json_values(texts: tuple[str, ...]) -> tuple[Any, ...]:
    """Arguments, see `json_value`."""
    return tuple(json_value(t, f"argument {n}") for n, t in enumerate(texts, 1))


def named_values(texts: tuple[str, ...], option: str) -> dict[str, Any]:
    """What was given as ``NAME=VALUE``, values as in `json_value`."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Mistake(f"{option} takes NAME=VALUE, not {text!r}")
        found[name] = json_value(value, f"{option} {name}")
    return found


class Read(click.ParamType):  # type: ignore[type-arg]
    """A value that `read` makes of text; it says by a ValueError what is wrong."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """The value; a default that is none of text is one already."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no moment: write it as 2026-01-31T12:00:00Z"
        ) from None


DURATION: Final = Read("duration", seconds)
"""A duration such as 90s, 1h30m or 7d, as seconds."""

MOMENT: Final = Read("moment", _moment)
"""A moment in ISO 8601 as a datetime, perhaps naive; without a zone it is in UTC."""
