"""How a client connects: TLS, proxies, what is probed and tried again."""

from everact.runtime.client.settings import (
    HttpConnectProxyConfig,
    KeepAliveConfig,
    RetryConfig,
    TLSConfig,
)

__all__ = [
    "HttpConnectProxyConfig",
    "KeepAliveConfig",
    "RetryConfig",
    "TLSConfig",
]
