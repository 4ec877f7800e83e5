"""Addresses and secrets of servers: which are this machine's own, and which cannot be guessed."""

from __future__ import annotations

import socket

import pytest

from mecca_agents.runtime.addresses import (
    check_secret,
    host_name,
    host_of,
    in_url,
    is_local,
    listen,
    new_secret,
    same_secret,
)


def test_names_are_read_from_headers_whatever_these_hold() -> None:
    hosts = {"a.b:80": "a.b", "[::1]:9": "::1", "127.0.0.1": "127.0.0.1", "": "", "[::1": ""}
    assert {host: host_name(host) for host in hosts} == hosts
    assert [host_of(text) for text in ("http://a:1", "null", "http://[", "")] == ["a:1", "", "", ""]


def test_own_addresses() -> None:
    assert all(map(is_local, ("localhost", "LOCALHOST.", "127.8.8.8", "::1")))
    assert not any(map(is_local, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")))
    assert in_url("::1") == "[::1]" and in_url("10.0.0.1") == "10.0.0.1" and in_url("0.0.0.0") == socket.gethostname()


def test_secrets() -> None:
    assert new_secret() != new_secret()
    check_secret("key", new_secret(), "0.0.0.0")
    check_secret("key", None, "127.0.0.1")
    for secret, host in ((None, "0.0.0.0"), ("short", "127.0.0.1"), ("with blanks in it, long", "127.0.0.1")):
        with pytest.raises(ValueError, match="key: expected"):
            check_secret("key", secret, host)
    assert same_secret("\xe9" * 16, "\xe9" * 16) and not same_secret("", "a" * 16)


def test_an_address_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: cannot be listened on"):
            listen("127.0.0.1", port)
