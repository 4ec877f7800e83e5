"""Guard before every request: refuses whoever is not the page itself, and bodies that are too large."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from mecca_agents.runtime.addresses import host_name, host_of, is_local, same_secret

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY = 1 << 20
"""Bytes of a request that is no upload."""

_METHODS = {"http": ("GET", "HEAD", "POST"), "websocket": ("GET",)}
_PLACES = ("/_nicegui/", "/_nicegui_ws/", "/session/")
_HEADERS = [
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Guard:
    """Passes on what comes from the page itself.

    On this machine's own address alone, requests must be for that address by name, so that no foreign site gets in
    by a name of its own that leads here; on others, the token must be given once (`?token=`) and is then a cookie.
    Requests that other sites make (`Origin`) are refused in any case.

    Two of its rules look like middleware of Starlette and are not. `TrustedHostMiddleware` compares with a list of
    names, which cannot hold all of 127.0.0.0/8. `RequestBodyLimitMiddleware` lets the application begin with a body
    that is too large, or has no known length, and stops it when it reads or answers: NiceGUI would build a page for
    it, and write a traceback to the log.

    Args:
        app: The server.
        token: What a browser must know; None: nothing.
        local: Whether the server listens on this machine's own address alone.
        cookie: The cookie's name.
    """

    def __init__(self, app: App, *, token: str | None, local: bool, cookie: str = "mecca_token") -> None:
        self._app, self._token, self._local, self._cookie = app, token, local, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in _METHODS:
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _refuse(scope, send, *refused)
        elif self._gives_token(scope):
            await self._welcome(scope, send)
        elif not self._knows_token(headers):
            await _refuse(scope, send, 401, "token: expected the address with ?token=... as the server printed it")
        else:
            await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """A status and a reason, where the request is refused whoever it comes from."""
        path, method = scope["path"], scope.get("method", "GET")
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin")
        if self._local and not is_local(host_name(host)):
            return 403, f"host: expected this machine (localhost), got {host[:80]!r}"
        if origin is not None and host_of(origin.decode("latin-1")) != host:
            return 403, f"origin: expected this page, got {origin[:80].decode('latin-1')!r}"
        if path not in ("/", "/favicon.ico") and not path.startswith(_PLACES):
            return 404, "no such page"
        if method not in _METHODS[scope["type"]] or (method == "POST" and path == "/"):
            return 405, f"method: expected GET, got {method[:20]!r}"
        if not _is_upload(path) and not _is_short(headers):
            return 413, f"body: expected at most {MOST_BODY} bytes and their number, got more or none"
        return None

    def _gives_token(self, scope: Scope) -> bool:
        if self._token is None or scope["type"] != "http" or scope["path"] != "/":
            return False
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
        return any(same_secret(word, self._token) for word in given)

    def _knows_token(self, headers: dict[bytes, bytes]) -> bool:
        if self._token is None:
            return True
        try:
            cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
        except CookieError:
            return False
        return self._cookie in cookies and same_secret(cookies[self._cookie].value, self._token)

    async def _welcome(self, scope: Scope, send: Send) -> None:
        """Keep the token as a cookie, and take it out of the address, which ends up in histories."""
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Lax; Path=/"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode("latin-1")), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 303, "headers": [*headers, *_HEADERS]})
        await send({"type": "http.response.body", "body": b""})


def _is_upload(path: str) -> bool:
    """Whether a request has a longer limit: its body is counted while it arrives (`Uploads.receive`)."""
    return path.startswith("/session/") and path.endswith("/upload")


def _is_short(headers: dict[bytes, bytes]) -> bool:
    """Whether the length of a body is known before it arrives, and is little: NiceGUI reads all of it."""
    length = headers.get(b"content-length", b"0")
    fits = length.isdigit() and len(length) < 20 and int(length) <= MOST_BODY
    return fits and b"transfer-encoding" not in headers


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_HEADERS]
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason[:100]})
        return
    body = reason.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope.get("method") == "HEAD" else body})
