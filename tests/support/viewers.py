"""What viewers send to a server of sessions: arrays packed by hand, and requests without a network."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOST = "127.0.0.1:1527"


def packed(array: NDArray[Any], codec: int = 1, parts: int = 1) -> bytes:
    """An array as the protocol has it, in so many chunks."""
    import blosc2

    name = array.dtype.name.encode()
    raw = np.ascontiguousarray(array).tobytes()
    size = -(-len(raw) // parts)
    chunks = [raw[start : start + size] for start in range(0, len(raw), size)]
    known = {1: blosc2.Codec.ZSTD, 2: blosc2.Codec.LZ4}[codec]
    found = b"NNIA" + struct.pack("<4B", 1, codec, array.ndim, len(name)) + name
    found += struct.pack(f"<{array.ndim}q", *array.shape) + struct.pack("<I", len(chunks))
    for chunk in chunks:
        frame = blosc2.compress2(chunk, typesize=array.itemsize, codec=known, nthreads=1)
        found += struct.pack("<QQ", len(chunk), len(frame)) + frame
    return found


def unpacked(data: bytes) -> NDArray[Any]:
    """The array of a packed one, by the protocol."""
    import blosc2

    ndim, named = data[6], data[7]
    dtype = np.dtype(data[8 : 8 + named].decode())
    shape = struct.unpack_from(f"<{ndim}q", data, 8 + named)
    (chunks,) = struct.unpack_from("<I", data, 8 + named + 8 * ndim)
    at, raw = 12 + named + 8 * ndim, b""
    for _ in range(chunks):
        size, length = struct.unpack_from("<QQ", data, at)
        part = bytearray(size)
        blosc2.decompress2(data[at + 16 : at + 16 + length], dst=memoryview(part))
        raw, at = raw + bytes(part), at + 16 + length
    assert at == len(data)
    return np.frombuffer(raw, dtype).reshape(shape)


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def meta(self) -> Any:
        return json.loads(self.headers["x-meta"])

    @property
    def detail(self) -> str:
        """The sentence of an error."""
        assert self.headers["content-type"] == "application/json" and list(self.json) == ["detail"], self.body
        return str(self.json["detail"])


class Viewer:
    """A program that asks a server, without a network.

    Args:
        app: The server.
        key: What it knows.
    """

    def __init__(self, app: Any, key: str | None = None) -> None:
        self._app, self._loop = app, asyncio.new_event_loop()
        self.headers = {"host": HOST} | ({"authorization": f"Bearer {key}"} if key else {})

    def claim(self) -> str:
        """A lease; it is sent along from now on."""
        token = str(self.ask("POST", "/claim").json["lease_token"])
        self.headers["x-lease-token"] = token
        return token

    def open(self, image: NDArray[Any], spacing: Sequence[float] = (1, 1, 1)) -> Reply:
        """Send an image, (z, y, x)."""
        return self.post("/set_image", packed(image[None]), {"image_properties": {"spacing": list(spacing)}})

    def post(self, path: str, body: Any = b"", meta: Any = None) -> Reply:
        """Send a message or an array."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, content, {} if meta is None else {"x-meta": json.dumps(meta)})

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        messages: Sequence[dict[str, Any]] | None = None,
    ) -> Reply:
        """One request; `messages` are what arrives in place of the body, and then nothing more."""
        found = {**self.headers, "content-length": str(len(body)), **(headers or {})}
        bare, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": bare,
            "raw_path": bare.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in found.items()],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 1527),
        }
        arriving = list(messages or [{"type": "http.request", "body": body, "more_body": False}])
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not arriving:
                await asyncio.sleep(3600)
            return arriving.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        self._loop.run_until_complete(self._app(scope, receive, send))
        there = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], there, b"".join(message.get("body", b"") for message in sent[1:]))

    def close(self) -> None:
        """End its loop."""
        self._loop.close()
