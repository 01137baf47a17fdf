"""The settings of the endpoint: safe when nothing is said, refused when mistaken."""

from __future__ import annotations

from typing import Any

import pytest

from everact.runtime.control.settings import ControlSettings
from everact.runtime.control.tls import ServerTLS
from everact.runtime.core.addresses import parse_address


@pytest.mark.feature("CT-05", "CT-02")
def test_nothing_said_means_this_machine_only() -> None:
    settings = ControlSettings()
    assert (settings.host, settings.port) == ("127.0.0.1", 7575)
    assert settings.authentication is None
    assert not settings.open_to_network
    assert settings.body_limit == 4 * 1024 * 1024


@pytest.mark.feature("CT-02")
def test_an_argument_goes_before_the_environment_and_that_before_the_default() -> None:
    environ = {"EVERACT_CONTROL_ADDRESS": "[::1]:9000"}
    found = ControlSettings.from_environment(environ)
    assert (found.host, found.port) == ("::1", 9000)
    found = ControlSettings.from_environment(environ, host="127.0.0.2", port=0)
    assert (found.host, found.port) == ("127.0.0.2", 0)
    assert ControlSettings.from_environment({}) == ControlSettings()


def test_every_variable_is_read() -> None:
    found = ControlSettings.from_environment(
        {
            "EVERACT_CONTROL_ADDRESS": "0.0.0.0:80",
            "EVERACT_CONTROL_PUBLIC_ADDRESS": "https://flows.example",
            "EVERACT_CONTROL_AUTHENTICATION": "on",
            "EVERACT_CONTROL_OPEN_TO_NETWORK": "no",
            "EVERACT_CONTROL_ALLOWED_HOSTS": "a.example, b.example:8000",
            "EVERACT_CONTROL_ALLOWED_ORIGINS": "https://a.example",
            "EVERACT_CONTROL_BODY_LIMIT": "1000",
            "EVERACT_CONTROL_TLS_CERTIFICATE": "c.pem",
            "EVERACT_CONTROL_TLS_KEY": "k.pem",
            "EVERACT_CONTROL_TLS_CLIENT_CA": "ca.pem",
            "EVERACT_KEY": "the journal's, not ours",
        }
    )
    assert found == ControlSettings(
        host="0.0.0.0",
        port=80,
        public_address="https://flows.example",
        authentication=True,
        allowed_hosts=frozenset({"a.example", "b.example:8000"}),
        allowed_origins=frozenset({"https://a.example"}),
        body_limit=1000,
        tls=ServerTLS(certificate="c.pem", key="k.pem", client_ca="ca.pem"),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ADDRESS", "nowhere"),
        ("ADDRESS", "http://a:80"),
        ("ADDRESS", "a:65536"),
        ("AUTHENTICATION", "perhaps"),
        ("OPEN_TO_NETWORK", "maybe"),
        ("BODY_LIMIT", "4M"),
        ("TLS_CERTIFICATE", "alone.pem"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    variable = f"EVERACT_CONTROL_{name}"
    with pytest.raises(ValueError, match=variable):
        ControlSettings.from_environment({variable: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"port": -1},
        {"port": 65536},
        {"body_limit": 0},
        {"header_count": 0},
        {"idle_timeout": 0},
        {"body_timeout": "0s"},
        {"public_address": "flows.example"},
        {"public_address": "ftp://flows.example"},
        {"public_address": "https://user@flows.example"},
        {"public_address": "https://flows.example/?q"},
        {"allowed_origins": frozenset({"https://a.example/path/"})},
        {"allowed_origins": frozenset({"*"})},
        {"allowed_origins": frozenset({"null"})},
        {"allowed_hosts": frozenset({"*.example"})},
        {"allowed_hosts": frozenset({""})},
        {"allowed_hosts": frozenset({"https://a.example"})},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ControlSettings(**wrong)


def test_addresses_are_split_as_they_are_written() -> None:
    assert parse_address("localhost:1") == ("localhost", 1)
    assert parse_address("[::1]:65535") == ("::1", 65535)
    for wrong in ("", "a", "a:", ":1", "::1:80", "a:b", "a:1/x", "u@a:1", "a:123456"):
        with pytest.raises(ValueError):
            parse_address(wrong)


@pytest.mark.feature("AU-09")
def test_the_page_of_a_thing_is_built_from_the_public_address() -> None:
    settings = ControlSettings(public_address="https://flows.example/base/")
    page = settings.page("flow-run", "id-1", "slug")
    assert page == "https://flows.example/base/slug/flow-run/id-1"
    assert settings.page("flow-run", "a/../b") == (
        "https://flows.example/base/flow-run/a%2F..%2Fb"
    )
    assert ControlSettings().page("runs", "x") == "http://127.0.0.1:7575/runs/x"
