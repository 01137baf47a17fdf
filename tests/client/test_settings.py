"""Settings of a connection: what is refused, and the arithmetic of retries."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everact.runtime.client.settings import TRANSIENT, parse_target
from everact.runtime.core.addresses import Address
from everact.runtime.settings import (
    HttpConnectProxyConfig,
    KeepAliveConfig,
    RetryConfig,
    TLSConfig,
)
from everact.runtime.statuses import RPCStatus


@pytest.mark.feature("CX-01")
@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("localhost:7575", Address("localhost", 7575)),
        ("10.0.0.7:1", Address("10.0.0.7", 1)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_a_target_is_a_host_and_a_port(text: str, target: Address) -> None:
    assert parse_target(text) == target
    assert str(target) == text


@pytest.mark.feature("CX-01")
@pytest.mark.parametrize(
    "text",
    [
        *("http://localhost:7575", "postgresql://x/y", "localhost", "localhost:"),
        *(":7575", "localhost:0", "localhost:65536", "localhost:７", "a b:1", "a:b:1"),
        *("localhost:7575/path", "user@localhost:7575", "::1:7575", "localhost:-1", ""),
    ],
)
def test_anything_else_is_refused_as_a_target(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        parse_target(text)


@pytest.mark.feature("CX-09")
def test_the_waits_of_the_default_grow_from_a_tenth_of_a_second() -> None:
    middle = 0.5  # of the spread
    waits = [RetryConfig().pause(n, 0.0, middle) for n in range(1, 12)]
    assert waits[:4] == pytest.approx([0.1, 0.15, 0.225, 0.3375])
    assert waits[9] == pytest.approx(0.1 * 1.5**9)
    assert waits[10] is None


@pytest.mark.feature("CX-09")
def test_no_wait_is_begun_that_would_end_after_the_total() -> None:
    config = RetryConfig(jitter=0)
    assert config.pause(1, 9.89, 0.0) == pytest.approx(0.1)
    assert config.pause(1, 9.91, 0.0) is None
    assert RetryConfig(total=None).pause(1, 1e9, 0.5) == pytest.approx(0.1)


@pytest.mark.feature("CX-09")
@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_longer_than_the_longest_and_its_spread(
    retry: int, chance: float
) -> None:
    config = RetryConfig(retries=10_000, total=None)
    wait = config.pause(retry, 0.0, chance)
    assert wait is not None
    assert 0.08 <= wait <= 6.0
    assert config.endless_pause(retry, chance) == wait


@pytest.mark.feature("CX-09")
def test_definite_answers_are_not_transient() -> None:
    assert set(RPCStatus) - TRANSIENT == {
        RPCStatus.CANCELLED,
        RPCStatus.INVALID_ARGUMENT,
        RPCStatus.DEADLINE_EXCEEDED,
        RPCStatus.NOT_FOUND,
        RPCStatus.ALREADY_EXISTS,
        RPCStatus.PERMISSION_DENIED,
        RPCStatus.FAILED_PRECONDITION,
        RPCStatus.UNIMPLEMENTED,
        RPCStatus.UNAUTHENTICATED,
    }


@pytest.mark.feature("CX-09", "CX-10", "CX-11", "CX-12")
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (RetryConfig, {"first": -1}),
        (RetryConfig, {"longest": "5"}),
        (RetryConfig, {"jitter": 1.5}),
        (RetryConfig, {"growth": 0.9}),
        (RetryConfig, {"retries": -1}),
        (RetryConfig, {"total": -1}),
        (KeepAliveConfig, {"interval": 0}),
        (KeepAliveConfig, {"timeout": "0s"}),
        (TLSConfig, {"client_certificate": "x"}),
        (TLSConfig, {"client_key": "x"}),
        (HttpConnectProxyConfig, {"target": "http://proxy:1"}),
    ],
)
def test_nonsense_is_refused_when_the_settings_are_made(
    make: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(options)).split("_")[0]):
        make(**options)


@pytest.mark.feature("CX-10")
def test_settings_do_not_change() -> None:
    settings: list[Any] = [
        KeepAliveConfig(),
        RetryConfig(),
        TLSConfig(),
        HttpConnectProxyConfig(target="p:1", basic_auth=("user", "secret")),
    ]
    for setting in settings:
        first = dataclasses.fields(setting)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(setting, first, None)
        assert "secret" not in repr(setting)


@pytest.mark.feature("CX-11")
def test_a_file_that_is_not_there_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TLSConfig(root_certificate=tmp_path / "none.pem").context()
