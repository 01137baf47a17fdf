"""The settings of the endpoint: where it listens, what it takes, whom it trusts."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from everact.runtime.control.tls import ServerTLS
from everact.runtime.core.addresses import Address, parse_address
from everact.runtime.core.durations import Duration, seconds
from everact.runtime.door.limits import LARGEST_BODY

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 7575

_AUTHENTICATION = {"on": True, "off": False, "auto": None}
_SWITCH = {
    "1": True,
    "0": False,
    "true": True,
    "false": False,
    "yes": True,
    "no": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlSettings:
    """All of them; ValueError for what cannot be meant. The defaults are safe.

    `port` 0 takes a free one. `public_address` is how others reach the endpoint, as
    in ``https://flows.example.org``: behind a proxy, or in links. `authentication`
    None asks for tokens as soon as one was ever made. `open_to_network` allows a bind
    beyond this machine without authentication: whoever reaches the port is then an
    administrator.

    A request must name one of the endpoint's own addresses as its host: those of the
    socket, the public address, and `allowed_hosts` (each ``name`` or ``name:port``,
    compared exactly). A browser's request must come from a page of one of these or of
    `allowed_origins` (each as ``https://name:port``).

    `body_limit` is in bytes, `header_limit` too and for each line; `header_count` is
    how many there may be. A connection is closed when a request's head is not there
    within `idle_timeout` of the connection or of the last answer; a body must be there
    within `body_timeout`.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    public_address: str = ""
    authentication: bool | None = None
    open_to_network: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    allowed_origins: frozenset[str] = frozenset()
    body_limit: int = LARGEST_BODY
    header_limit: int = 8190
    header_count: int = 64
    idle_timeout: Duration = 30.0
    body_timeout: Duration = 30.0
    tls: ServerTLS | None = None

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("host must not be empty; every interface is 0.0.0.0")
        if not 0 <= self.port < 65536:
            raise ValueError(f"port must be between 0 and 65535, not {self.port}")
        for what in ("body_limit", "header_limit", "header_count"):
            if getattr(self, what) <= 0:
                raise ValueError(f"{what} must be positive")
        for what in ("idle_timeout", "body_timeout"):
            if not seconds(getattr(self, what), what=what):
                raise ValueError(f"{what} must not be zero")
        if self.public_address:
            origin_of(self.public_address, "public_address")
        for allowed in self.allowed_origins:
            if origin_of(allowed, "an allowed origin") != allowed.lower():
                raise ValueError(f"an origin has no path: {allowed!r}")
        for allowed in self.allowed_hosts:
            if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]+)?", allowed):
                raise ValueError(
                    "an allowed host is name or name:port, without wildcards, not "
                    f"{allowed!r}"
                )

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, **given: Any
    ) -> Self:
        """Settings from ``EVERACT_CONTROL_…``; what is `given` goes first.

        ``EVERACT_CONTROL_ADDRESS`` (host:port), ``_PUBLIC_ADDRESS``,
        ``_AUTHENTICATION`` (on, off, auto), ``_OPEN_TO_NETWORK`` (yes, no),
        ``_ALLOWED_HOSTS`` and ``_ALLOWED_ORIGINS`` (separated by commas),
        ``_BODY_LIMIT`` (bytes), ``_TLS_CERTIFICATE``, ``_TLS_KEY`` and
        ``_TLS_CLIENT_CA`` (files). ValueError names the variable that is wrong.
        """
        found = _Environment(os.environ if environ is None else environ)
        if "host" in given or "port" in given:
            found.known.pop("ADDRESS", None)
        return cls(**(found.settings() | given))

    def page(self, subdirectory: str, id: str, workspace: str = "") -> str:
        """The public address of a thing's page; whether there is one is not checked.

        Without a workspace that part of the address is left out.
        """
        base = self.public_address or f"{self.scheme}://{Address(self.host, self.port)}"
        parts = [part for part in (workspace, subdirectory, id) if part]
        return "/".join([base.rstrip("/"), *(quote(part, safe="") for part in parts)])

    @property
    def scheme(self) -> str:
        """``https`` if the endpoint itself speaks TLS."""
        return "https" if self.tls else "http"


class _Environment:
    def __init__(self, environ: Mapping[str, str]) -> None:
        prefix = "EVERACT_CONTROL_"
        self.known = {
            name.removeprefix(prefix): value
            for name, value in environ.items()
            if name.startswith(prefix) and value
        }

    def settings(self) -> dict[str, Any]:
        known = self.known
        read: dict[str, Any] = {}
        if "ADDRESS" in known:
            read["host"], read["port"] = parse_address(
                known["ADDRESS"], "EVERACT_CONTROL_ADDRESS"
            )
        if "PUBLIC_ADDRESS" in known:
            read["public_address"] = known["PUBLIC_ADDRESS"]
        for name, words in (
            ("AUTHENTICATION", _AUTHENTICATION),
            ("OPEN_TO_NETWORK", _SWITCH),
        ):
            if name in known:
                read[name.lower()] = self._word(name, words)
        for name in ("ALLOWED_HOSTS", "ALLOWED_ORIGINS"):
            if name in known:
                items = (item.strip() for item in known[name].split(","))
                read[name.lower()] = frozenset(item for item in items if item)
        if "BODY_LIMIT" in known:
            read["body_limit"] = self._number("BODY_LIMIT")
        tls = {
            name.lower(): known[f"TLS_{name}"]
            for name in ("CERTIFICATE", "KEY", "CLIENT_CA")
            if f"TLS_{name}" in known
        }
        if tls:
            if not {"certificate", "key"} <= tls.keys():
                raise ValueError(
                    "for TLS set both EVERACT_CONTROL_TLS_CERTIFICATE and "
                    "EVERACT_CONTROL_TLS_KEY"
                )
            read["tls"] = ServerTLS(**tls)
        return read

    def _word(self, name: str, words: Mapping[str, bool | None]) -> bool | None:
        try:
            return words[self.known[name].lower()]
        except KeyError:
            raise ValueError(
                f"EVERACT_CONTROL_{name} must be one of {', '.join(words)}, not "
                f"{self.known[name]!r}"
            ) from None

    def _number(self, name: str) -> int:
        try:
            return int(self.known[name])
        except ValueError:
            raise ValueError(
                f"EVERACT_CONTROL_{name} must be a number, not {self.known[name]!r}"
            ) from None


def origin_of(url: str, what: str = "address") -> str:
    """Scheme, host and port of a URL as a browser writes them; else ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError(f"{what} must be like https://name:port, not {url!r}")
    if parts.query or parts.fragment:
        raise ValueError(f"{what} has no query and no fragment: {url!r}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{shown}"


_PORTS = {"http": 80, "https": 443}
