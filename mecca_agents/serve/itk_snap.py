"""Addresses that ITK-SNAP (4.4 and later) asks for deep learning: whole volumes, and whole masks back.

It sends where the scan lies, so logs have it. It knows no key and does not say that it is there.
"""

from __future__ import annotations

import base64
import gzip
import math
import zlib
from collections.abc import Awaitable, Callable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, FiniteFloat
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

import mecca_env
from mecca_agents.serve.bodies import MOST_MESSAGE, ROOM, Refused, Three, checked, read_body
from mecca_agents.serve.leases import Lease
from mecca_agents.serve.prompting.prompts import Answer
from mecca_agents.serve.service import Held, Service

Side = Annotated[FiniteFloat, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Doing = Callable[[Request, Lease[Held]], Awaitable[Response]]

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's axes point left, back and up; NIfTI's right, forward and up


class Metadata(BaseModel):
    """What it says of a scan; x runs fastest in the voxels that come with it."""

    dimensions: tuple[Count, Count, Count]
    spacing: tuple[Side, Side, Side] = (1.0, 1.0, 1.0)
    origin: Three = (0.0, 0.0, 0.0)
    direction: list[FiniteFloat] | list[Three] = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    components_per_pixel: int = 1

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel to world millimetres (RAS+), (4, 4). Raises `Refused`."""
        turned = np.array(self.direction, float).ravel()
        if turned.size != 9 or abs(abs(np.linalg.det(turned.reshape(3, 3))) - 1) > 1e-3:
            raise Refused(400, f"direction: expected a rotation, nine numbers, got {self.direction}")
        affine = np.eye(4)
        affine[:3, :3] = turned.reshape(3, 3) * np.array(self.spacing)
        affine[:3, 3] = self.origin
        return np.asarray(_TO_RAS @ affine)


class ItkSnapRoutes:
    """The addresses, with and without the prefix that newer clients use.

    Args:
        service: The sessions.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._settings = service, service.settings

    def routes(self) -> list[Route]:
        """All of them."""
        leased: dict[str, tuple[str, Doing]] = {
            "upload_raw": ("POST", self._upload),
            "process_point_interaction": ("GET", self._point),
            "process_scribble_interaction": ("POST", self._mark),
            "process_lasso_interaction": ("POST", self._mark),
            "reset_interactions": ("GET", self._reset),
        }
        found = [Route("/status", self._status), Route("/v2/models", self._models)]
        for prefix in ("", "/v2"):
            found += [
                Route(f"{prefix}/start_session", self._start),
                Route(f"{prefix}/start_session/{{model}}", self._start),
                Route(f"{prefix}/end_session/{{session}}", self._end),
            ]
            found += [
                Route(f"{prefix}/{name}/{{session}}", self._leased(name, doing), methods=[method])
                for name, (method, doing) in leased.items()
            ]
        return found

    async def _status(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": f"mecca {mecca_env.__version__}"})

    async def _models(self, request: Request) -> Response:
        model = {"id": "mecca", "channels": 1, "dimensions": 3, "interactions": ["point", "scribble", "lasso"]}
        return JSONResponse({"models": [model]})

    async def _start(self, request: Request) -> Response:
        return JSONResponse({"session_id": self._service.leases.claim(beats=False).token})

    async def _end(self, request: Request) -> Response:
        leases = self._service.leases
        leases.release(leases.find(request.path_params["session"]))
        return JSONResponse({"status": "ended"})

    def _leased(self, name: str, doing: Doing) -> Callable[[Request], Awaitable[Response]]:
        what = name.removeprefix("process_").removesuffix("_interaction")

        async def endpoint(request: Request) -> Response:
            async with self._service.at_work(request.path_params["session"], what) as lease:
                return await doing(request, lease)

        return endpoint

    async def _upload(self, request: Request, lease: Lease[Held]) -> Response:
        form = await self._form(request)
        metadata = checked("metadata", form["metadata"], Metadata)
        if metadata.components_per_pixel != 1:
            raise Refused(400, f"image: expected one channel, got {metadata.components_per_pixel}")
        if math.prod(metadata.dimensions) * 4 > self._settings.most_bytes:
            raise Refused(413, f"dimensions: expected at most {self._settings.most_bytes} bytes, got more")
        affine = metadata.affine

        def open_scan(held: Held) -> None:
            self._service.open_scan(held, _volume(form["file"], metadata.dimensions), affine)

        await self._service.do(lease, open_scan)
        return JSONResponse({"status": "ok"})

    async def _point(self, request: Request, lease: Lease[Held]) -> Response:
        asked = request.query_params
        given = asked.getlist("point") or [asked.get(name, "") for name in "xyz"]
        try:
            x, y, z = (float(value) for value in given)
        except ValueError as error:
            raise Refused(400, f"point: expected three numbers, got {given!s:.80}") from error
        inside = _side(request)
        return await self._answered(lease, lambda held: held.prompts.add_point((x, y, z), inside))

    async def _mark(self, request: Request, lease: Lease[Held]) -> Response:
        inside, lasso = _side(request), "lasso" in request.url.path
        form = await self._form(request)

        def add(held: Held) -> Answer:
            mark = _volume(form["file"], held.prompts.session.shape) > 0
            return (held.prompts.add_lasso if lasso else held.prompts.add_scribble)(mark, (0, 0, 0), inside)

        return await self._answered(lease, add)

    async def _reset(self, request: Request, lease: Lease[Held]) -> Response:
        await self._service.do(lease, self._service.reset)
        return JSONResponse({"status": "ok"})

    async def _form(self, request: Request) -> dict[str, bytes]:
        """The parts of a form by name, with something for `file` and `metadata`. Raises `Refused`."""
        body = bytes(await read_body(request, self._settings.most_bytes + ROOM, self._settings))

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        parts = {"metadata": b"{}"}
        async with Request(request.scope, receive).form(max_files=2, max_fields=8, max_part_size=MOST_MESSAGE) as form:
            for name, value in form.items():
                parts[name] = value.encode() if isinstance(value, str) else await value.read()
        if "file" not in parts:
            raise Refused(400, f"file: expected a part of this name, got {sorted(parts)!s:.80}")
        return parts

    async def _answered(self, lease: Lease[Held], doing: Callable[[Held], Answer]) -> Response:
        def done(held: Held) -> Response:
            doing(held)
            mask = held.prompts.shown.T.astype(np.int8).tobytes()
            return JSONResponse({"result": base64.b64encode(gzip.compress(mask, 1)).decode()})

        return await self._service.do(lease, done)


def _side(request: Request) -> bool:
    given = str(request.query_params.get("foreground", "true")).lower()
    if given not in ("true", "false"):
        raise Refused(400, f"foreground: expected true or false, got {given!r:.40}")
    return given == "true"


def _volume(packed: bytes, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """A volume (x, y, z) of float32, x fastest, that gzip has packed. Raises `Refused`."""
    size = math.prod(shape) * 4
    try:
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        raw = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        raise Refused(400, f"file: expected gzip, found something else ({error})") from error
    if len(raw) != size or not unpacker.eof:
        raise Refused(400, f"file: expected {size} bytes, float32 of {shape} voxels, found more or fewer")
    return np.frombuffer(raw, "<f4").reshape(shape[::-1]).T
