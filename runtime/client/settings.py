"""How a client reaches an engine elsewhere: values, and the arithmetic of retries.

Nothing here touches the network; bad settings are refused when they are made.
"""

import os
import ssl
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from everact.runtime.core.addresses import Address, parse_address
from everact.runtime.core.bounds import GROWTH, shown, whole
from everact.runtime.core.durations import Duration, optional_seconds, seconds
from everact.runtime.core.keywords import suggesting
from everact.runtime.core.statuses import RPCStatus

File: TypeAlias = str | os.PathLike[str]

TRANSIENT: Final = frozenset(
    {
        RPCStatus.UNAVAILABLE,
        RPCStatus.RESOURCE_EXHAUSTED,
        RPCStatus.ABORTED,
        RPCStatus.INTERNAL,
        RPCStatus.UNKNOWN,
        RPCStatus.DATA_LOSS,
        RPCStatus.OUT_OF_RANGE,
    }
)
"""Statuses that a repetition of the request may cure; the others are answers."""


def parse_target(text: str, what: str = "target") -> Address:
    """`text`, written ``host:port``, as where an engine listens; else ValueError."""
    return parse_address(text, what, least=1)


@suggesting
@dataclass(frozen=True, kw_only=True, slots=True)
class RetryConfig:
    """When a request that met a transient refusal is sent again.

    The waits begin with `first`, grow by `growth` up to `longest`, and are spread by
    the share `jitter` up and down. No wait is begun that would end later than `total`
    after the first try (None: no such limit); `retries` counts repetitions.
    """

    first: Duration = 0.1
    jitter: float = 0.2
    growth: float = 1.5
    longest: Duration = 5.0
    total: Duration | None = 10.0
    retries: int = 10

    def __post_init__(self) -> None:
        seconds(self.first, what="first")
        seconds(self.longest, what="longest")
        optional_seconds(self.total, what="total")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be between 0 and 1, not {self.jitter!r}")
        if not 1 <= self.growth <= GROWTH[1]:
            raise ValueError(
                f"growth must be 1 to {GROWTH[1]:,.0f}, not {shown(self.growth)}"
            )
        whole(self.retries, "retries")

    def pause(self, retry: int, elapsed: float, chance: float) -> float | None:
        """Seconds until retry number `retry` (from 1); None if there is none.

        `elapsed` are the seconds since the first try, `chance` is in [0, 1).
        """
        if retry > self.retries:
            return None
        wait = self.endless_pause(retry, chance)
        total = optional_seconds(self.total, what="total")
        return None if total is not None and elapsed + wait > total else wait

    def endless_pause(self, retry: int, chance: float) -> float:
        """Like `pause`, for what is repeated without a limit."""
        longest = seconds(self.longest, what="longest")
        try:
            wait = seconds(self.first, what="first") * float(self.growth) ** (retry - 1)
        except OverflowError:
            wait = longest
        return min(wait, longest) * (1 + self.jitter * (2 * chance - 1))


@suggesting
@dataclass(frozen=True, kw_only=True, slots=True)
class KeepAliveConfig:
    """When a silent connection is probed, and when it counts as lost.

    After `interval` without an answer the engine is asked for a sign of life; if none
    comes within `timeout`, its connections are dropped and what waits on them is sent
    again on new ones.
    """

    interval: Duration = 30.0
    timeout: Duration = 15.0

    def __post_init__(self) -> None:
        for what in ("interval", "timeout"):
            if not seconds(getattr(self, what), what=what):
                raise ValueError(f"{what} must not be zero")


@suggesting
@dataclass(frozen=True, kw_only=True, slots=True)
class TLSConfig:
    """How the engine's certificate is checked, and what this client shows of itself.

    All certificates and keys are files in PEM form. `root_certificate` is what is
    trusted in place of the system's roots; `server_name` is the name that the
    engine's certificate must have (default: the host of the target). Certificate and
    key of the client, for mutual TLS, are given together.
    """

    root_certificate: File | None = None
    server_name: str | None = None
    client_certificate: File | None = None
    client_key: File | None = None

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("give client_certificate and client_key together")

    def context(self) -> ssl.SSLContext:
        """An SSL context with these settings.

        OSError for files that cannot be read, ValueError for an encrypted key.
        """
        context = ssl.create_default_context(cafile=self.root_certificate)
        if self.client_certificate is not None:
            # An encrypted key would otherwise be asked for at the terminal.
            context.load_cert_chain(
                self.client_certificate, self.client_key, password=_no_password
            )
        return context


def _no_password() -> str:
    raise ValueError("client_key is encrypted: give an unencrypted one")


@suggesting
@dataclass(frozen=True, kw_only=True, slots=True)
class HttpConnectProxyConfig:
    """A proxy, as ``host:port``, that all traffic is tunnelled through.

    `basic_auth` is a user name and a password for it.
    """

    target: str
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parse_target(self.target, "the proxy's target")
