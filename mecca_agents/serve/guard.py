"""Guard before every request: who may ask, and no error but a sentence in JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mecca_agents.runtime.addresses import host_name, host_of, is_local, same_secret

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = "/healthz"
"""Address that needs no key: whether there is a server."""

_LOG = logging.getLogger("mecca.serve")


class Guard:
    """Passes on what comes from a program of this machine, or of one that knows the key.

    A browser would send `Origin` or `Sec-Fetch-Site` with what a foreign page makes it ask, and the foreign name in
    `Host` where that leads here; programs send neither.

    Args:
        app: The server.
        key: What a viewer must know; None: nothing.
        local: Whether the server listens on this machine's own address alone.
    """

    def __init__(self, app: App, *, key: str | None, local: bool) -> None:
        self._app, self._key, self._local = app, key, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope["path"], headers)
        if refused is not None:
            await _refuse(send, *refused)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            _LOG.exception("%s %s", scope.get("method"), scope["path"])
            if not begun:
                await _refuse(send, 500, "the server met an error of its own; its terminal shows which")

    def _refusal(self, path: str, headers: dict[bytes, str]) -> tuple[int, str] | None:
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if self._local and not is_local(host_name(host)):
            return 403, f"host: expected this machine (localhost), got {host[:80]!r}"
        if origin is not None and host_of(origin) != host:
            return 403, f"origin: expected a program and no web page, got {origin[:80]!r}"
        if headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "origin: expected a program and no web page, got a page of another site"
        given = headers.get(b"authorization", "")
        if self._key is not None and path != OPEN and not same_secret(given, f"Bearer {self._key}"):
            return 401, "key: expected 'Authorization: Bearer KEY' with the key of this server, got another or none"
        return None


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
