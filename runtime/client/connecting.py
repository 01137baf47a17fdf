"""`Client.connect`: which engine is meant, and how it is reached."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, Unpack

from everact.runtime.client.client import Client
from everact.runtime.client.connection import Connection
from everact.runtime.client.credentials import located_token
from everact.runtime.client.interceptors import ClientInterceptor
from everact.runtime.client.remote import HttpTransport
from everact.runtime.client.rpc import NO_METADATA, checked_metadata
from everact.runtime.client.settings import (
    HttpConnectProxyConfig,
    KeepAliveConfig,
    RetryConfig,
    TLSConfig,
    parse_target,
)
from everact.runtime.core.keywords import closed
from everact.runtime.definitions import active
from everact.runtime.definitions.interceptors import WorkerInterceptor
from everact.runtime.errors import RuntimeStateError
from everact.runtime.values.converter import DataConverter
from everact.runtime.values.payloads import PickleConverter

ADDRESS: Final = "EVERACT_ADDRESS"


class Connecting(TypedDict, total=False):
    """The keyword options of `Client.connect`.

    `namespace`, `data_converter` (default: JSON, for an engine elsewhere), `identity`,
    `default_query_reject_condition` and `interceptors` are the client's, see `Client`.
    The others concern the connection. `api_key` is sent as the bearer credential
    (default: `EVERACT_TOKEN` or `EVERACT_API_KEY` of the environment, then what was
    saved for the address);
    `rpc_metadata` are headers of every request. `tls` is False, True (the system's
    roots) or settings. `retry_config` says when to repeat, `keep_alive_config` when to
    give a silent engine up (None: never). `http_connect_proxy_config` tunnels
    everything through a proxy. With `lazy` nothing is sent before the first call.
    `runtime` is the runtime of this process to attach to, and excludes a target; in
    process there is no connection to set up.
    """

    namespace: str
    data_converter: DataConverter | None
    identity: str
    default_query_reject_condition: str
    api_key: str | None
    rpc_metadata: Mapping[str, str]
    tls: bool | TLSConfig
    retry_config: RetryConfig | None
    keep_alive_config: KeepAliveConfig | None
    http_connect_proxy_config: HttpConnectProxyConfig | None
    lazy: bool
    runtime: Client | None
    interceptors: Sequence[ClientInterceptor | WorkerInterceptor]


_OF_CLIENT = {
    "namespace",
    "data_converter",
    "identity",
    "default_query_reject_condition",
    "interceptors",
}


async def connect(target: str | None, **options: Unpack[Connecting]) -> Client:
    """See `Client.connect`."""
    closed(options, Connecting.__annotations__, "connect")
    runtime = options.get("runtime")
    if target is not None and runtime is not None:
        raise ValueError("give a target or a runtime, not both")
    if target is None:
        host = runtime or _active()
        if host is not None:
            return _attached(host, options)
        target = os.environ.get(ADDRESS)
    if not target:
        raise RuntimeStateError(
            "there is no engine to connect to: give a target as host:port, set "
            f"{ADDRESS}, or use it inside `async with Runtime(…)`"
        )
    given = options.get("data_converter")
    if isinstance(given, DataConverter) and isinstance(given.values, PickleConverter):
        raise TypeError(
            "a remote engine takes JSON, and no pickles: give "
            "data_converter=DataConverter(JsonConverter(), …)"
        )
    transport = _transport(target, options)
    client = Client(transport, **_of_client(options))
    client._owned, client._lazy = True, options.get("lazy", False)
    if not options.get("lazy", False):
        try:
            await transport.reach()
        except BaseException:
            await client.close()
            raise
    return client


def _active() -> Client | None:
    try:
        found = active.active()
    except RuntimeError:
        return None
    return found if isinstance(found, Client) else None


def _attached(host: Client, options: Connecting) -> Client:
    """A client that shares the transport of a runtime, which it does not end."""
    checked_metadata(options.get("rpc_metadata", NO_METADATA))
    shared: dict[str, Any] = {
        "data_converter": host.data_converter,
        "interceptors": host.interceptors,
    }
    return Client(host.transport, **(shared | _of_client(options)))


def _of_client(options: Connecting) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in _OF_CLIENT}


def _transport(target: str, options: Connecting) -> HttpTransport:
    connection = Connection(
        parse_target(target),
        tls=options.get("tls", False),
        keep_alive=options.get("keep_alive_config", KeepAliveConfig()),
        proxy=options.get("http_connect_proxy_config"),
    )
    key = located_token(str(connection.target), options.get("api_key"))
    return HttpTransport(
        connection,
        api_key=key.token,
        key_place=key.place,
        rpc_metadata=options.get("rpc_metadata", NO_METADATA),
        retry=options.get("retry_config") or RetryConfig(),
    )
