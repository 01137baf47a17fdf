"""Interceptors: code around the calls of a client, and what a worker runs."""

from everact.runtime.client.interceptors import (
    ClientCall,
    ClientInterceptor,
)
from everact.runtime.definitions.interceptors import (
    Invocation,
    WorkerInterceptor,
)

__all__ = [
    "ClientCall",
    "ClientInterceptor",
    "Invocation",
    "WorkerInterceptor",
]
