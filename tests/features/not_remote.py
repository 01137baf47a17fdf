"""What does not run on the remote site, and why."""

from __future__ import annotations

REMOTE_MODULES = frozenset(
    {
        "test_cancellation",
        "test_handles",
        "test_identity",
        "test_messages",
        "test_starting",
    }
)

NOT_REMOTE: dict[str, str] = {}
"""Tests of these modules that only an engine in the same process can pass."""
