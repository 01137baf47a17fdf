"""Room for a thousand sockets in one process."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

ENOUGH = 4_096


def allow_many_sockets() -> None:
    """Raise this process's limit of open files as far as it is needed and allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < ENOUGH:
        wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def sockets_allowed() -> Iterator[None]:
    """The same until the end of the block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_many_sockets()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
