"""Who may ask: this machine by its own names, programs and no web page, and whoever knows the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.serve import Settings
from mecca_agents.serve.service import Service
from tests.support.viewers import Viewer

Asked = Callable[..., tuple[Viewer, Service]]
KEY = "a-key-of-some-length"


@pytest.mark.parametrize("host", ["localhost:1527", "127.0.0.1", "127.9.9.9:80", "[::1]:1527"])
def test_this_machine_is_answered_by_its_own_names(asked: Asked, host: str) -> None:
    assert asked()[0].ask("POST", "/claim", headers={"host": host}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": ""},
        {"host": "localhost.evil.example:1527"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},  # of an image on a page, which sends no origin
        {"sec-fetch-site": "same-site"},
    ],
)
def test_foreign_pages_and_names_are_refused(asked: Asked, headers: dict[str, str]) -> None:
    viewer, service = asked(itk_snap=True)
    for method, path in (("POST", "/claim"), ("GET", "/start_session"), ("GET", "/healthz")):
        refused = viewer.ask(method, path, headers=headers)
        assert refused.status == 403 and "expected" in refused.detail
    assert len(service.leases) == 0


def test_a_key_is_asked_for_by_everything_but_the_sign_of_life(asked: Asked) -> None:
    viewer, service = asked(host="0.0.0.0", key=KEY)
    assert viewer.ask("POST", "/claim", headers={"host": "machine.example:1527"}).status == 200
    for given in ({"authorization": "Bearer another-key-of-length"}, {"authorization": KEY}, {"authorization": ""}):
        for method, path in (("POST", "/claim"), ("GET", "/capabilities"), ("GET", "/nothing")):
            refused = viewer.ask(method, path, headers=given)
            assert refused.status == 401 and "expected 'Authorization: Bearer KEY'" in refused.detail
    assert viewer.ask("GET", "/healthz", headers={"authorization": ""}).json == {"ok": True}
    assert len(service.leases) == 1


def test_addresses_and_methods_that_there_are_not(asked: Asked) -> None:
    viewer, _ = asked()
    assert viewer.ask("GET", "/nothing").status == 404 and viewer.ask("GET", "/claim/").detail == "Not Found"
    wrong = viewer.ask("GET", "/claim")
    assert wrong.status == 405 and wrong.detail == "Method Not Allowed"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"host": "0.0.0.0"}, "key: expected one, since 0.0.0.0 can be reached by other machines"),
        ({"key": "short"}, "key: expected at least 16 letters"),
        ({"key": "a key with blanks in it"}, "key: expected at least 16 letters"),
        ({"host": "10.0.0.1", "key": KEY, "itk_snap": True}, "itk_snap: expected this machine's own address"),
        ({"key": KEY, "itk_snap": True}, "itk_snap: expected no key"),
        ({"sessions": 0}, "sessions: expected at least 1"),
        ({"idle": 0.0}, "idle: expected seconds above 0"),
        ({"idle": float("nan")}, "idle: expected seconds above 0"),
        ({"port": 70000}, "port: expected 0 to 65535"),
        ({"logs": Path("/nowhere/at/all")}, "logs: expected a folder"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Settings(**settings)
