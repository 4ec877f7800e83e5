"""Requests that the server answers: of this machine by its own names, the token, and never another site."""

from __future__ import annotations

from typing import Any

import pytest

from mecca_agents.app.guard import MOST_BODY, Guard
from mecca_agents.app.server import Settings, new_token
from mecca_agents.runtime.addresses import is_local
from tests.support.annotation import run

TOKEN = "a-token-of-some-length"


class Answer:
    """Outcome of a request."""

    def __init__(self) -> None:
        self.passed = False
        self.messages: list[dict[str, Any]] = []

    @property
    def status(self) -> int:
        return int(self.messages[0].get("status", 0))

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}


def ask(
    path: str = "/", host: str = "localhost:8080", token: str | None = None, local: bool = True, **other: Any
) -> Answer:
    """One request to a guard."""
    answer = Answer()
    headers = {"host": host, **other.pop("headers", {})}
    scope = {
        "type": other.pop("type", "http"),
        "method": other.pop("method", "GET"),
        "path": path,
        "query_string": other.pop("query", "").encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer.passed = True
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        answer.messages.append(message)

    run(Guard(app, token=token, local=local, cookie="t")(scope, None, send))  # type: ignore[arg-type]
    return answer


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:1", "127.8.9.1", "[::1]:8080", "LOCALHOST."]
)
def test_this_machine_is_answered(host: str) -> None:
    answer = ask(host=host)
    assert answer.passed and answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "192.168.0.1", "[", "localhost@evil"]
)
def test_a_foreign_name_that_leads_here_is_not(host: str) -> None:
    for kind in ("http", "websocket"):
        answer = ask(host=host, type=kind)
        assert not answer.passed
    assert ask(host=host).status == 403


def test_other_sites_are_refused() -> None:
    assert ask(headers={"origin": "http://localhost:8080"}).passed
    for origin in ("http://evil.example", "null", "http://localhost:9", "http://[", ""):
        assert ask(headers={"origin": origin}).status == 403
    socket = ask("/_nicegui_ws/socket.io", type="websocket", headers={"origin": "http://evil.example"})
    assert not socket.passed and socket.messages[0]["type"] == "websocket.close"


def test_only_the_places_that_there_are() -> None:
    for path in ("/", "/_nicegui/x", "/_nicegui_ws/socket.io/", "/session/k/slice/axial/1", "/favicon.ico"):
        assert ask(path).passed
    for path in ("/docs", "/openapi.json", "/etc/passwd", "/../x", "//", "/sessions", ""):
        assert ask(path).status == 404


def test_methods_and_bodies() -> None:
    assert ask("/session/k/upload", method="POST", headers={"content-length": str(10 * MOST_BODY)}).passed
    assert ask("/_nicegui_ws/socket.io/", method="POST", headers={"content-length": "10"}).passed
    for length in (str(MOST_BODY + 1), "-1", "x", "9" * 5000, "²"):
        answer = ask("/_nicegui_ws/socket.io/", method="POST", headers={"content-length": length})
        assert answer.status == 413 and not answer.passed  # the application never sees it
    for path in ("/_nicegui_ws/socket.io/upload", "/_nicegui/client/x/upload", "/session/k/slice"):
        assert ask(path, method="POST", headers={"content-length": str(MOST_BODY + 1)}).status == 413
        assert ask(path, method="POST", headers={"transfer-encoding": "chunked"}).status == 413
    assert ask("/session/k/upload", method="POST", headers={"transfer-encoding": "chunked"}).passed
    for method in ("PUT", "DELETE", "TRACE", "CONNECT", "X" * 100):
        assert ask(method=method).status == 405
    assert ask(method="POST").status == 405


def test_the_token_opens_once_and_is_a_cookie_from_then_on() -> None:
    given = {"token": TOKEN, "local": False, "host": "scanner.example:8080"}
    assert ask(**given).status == 401
    for wrong in ("token=", "token=wrong", f"token={TOKEN}x", f"TOKEN={TOKEN}", "token=%ff", "token=é"):
        assert ask(query=wrong, **given).status == 401
    welcome = ask(query=f"token={TOKEN}", **given)
    assert welcome.status == 303 and welcome.headers["location"] == "/" and not welcome.passed
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert ask(headers={"cookie": cookie.partition(";")[0]}, **given).passed
    for wrong in ("t=wrong", "t=", "x=" + TOKEN, 't="', "t=\xff", "=" * 50):
        assert ask(headers={"cookie": wrong}, **given).status == 401
    for path, kind in (("/session/k/upload", "http"), ("/_nicegui_ws/socket.io", "websocket"), ("/_nicegui/x", "http")):
        assert not ask(path, query=f"token={TOKEN}", type=kind, **given).passed


def test_another_address_needs_a_token(tmp_path: Any) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "scanner.example", ""):
        assert not is_local(host)
        with pytest.raises(ValueError, match="token: expected one"):
            Settings(tmp_path, host=host)
        assert Settings(tmp_path, host=host, token=new_token()).token
    for token in ("short", "", "with spaces in it, and more", "a-very-long-one;and=more"):
        with pytest.raises(ValueError, match="token: expected at least 16"):
            Settings(tmp_path, token=token)
    assert Settings(tmp_path).host == "127.0.0.1"
