"""Addresses of the protocol that napari, 3D Slicer and MITK speak (nnInteractive's client from 2.5 on).

Viewers send arrays, points and boxes in the order (z, y, x), and all of this package thinks in (x, y, z): this is where
one is turned into the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mecca_agents.serve.bodies import (
    ROOM,
    BoundingBox,
    FirstMask,
    Image,
    ImageProperties,
    Mark,
    Point,
    Refused,
    TargetBuffer,
    Zoom,
    affine_of,
    meta,
    read_body,
    read_message,
    read_meta,
)
from mecca_agents.serve.capabilities import capabilities
from mecca_agents.serve.leases import Lease
from mecca_agents.serve.prompting.prompts import Answer
from mecca_agents.serve.service import Held, Service
from mecca_agents.serve.wire import TYPES, pack, unpack
from mecca_env.data.base import Box

Doing = Callable[[Request, Lease[Held]], Awaitable[Response]]

_WIDEST = 8  # bytes of a value


class ViewerRoutes:
    """The addresses.

    Args:
        service: The sessions.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._settings = service, service.settings
        self._capabilities = capabilities(service.model)

    def routes(self) -> list[Route]:
        """All of them."""
        leased: dict[str, Doing] = {
            "set_image": self._set_image,
            "set_target_buffer": self._set_target_buffer,
            "set_do_autozoom": self._set_do_autozoom,
            "reset_interactions": self._reset,
            "undo": self._undo,
            "predict": self._predict,
            "add_point_interaction": self._add_point,
            "add_bbox_interaction": self._add_box,
            "add_scribble_interaction": self._add_mark,
            "add_lasso_interaction": self._add_mark,
            "add_initial_seg_interaction": self._set_mask,
        }
        return [
            Route("/healthz", self._healthz),
            Route("/capabilities", self._ask_capabilities),
            Route("/claim", self._claim, methods=["POST"]),
            Route("/release", self._release, methods=["POST"]),
            Route("/heartbeat", self._heartbeat, methods=["POST"]),
            Route("/lease_status", self._lease_status),
            *(Route(f"/{name}", self._leased(name, doing), methods=["POST"]) for name, doing in leased.items()),
        ]

    # Leases

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"ok": True})

    async def _ask_capabilities(self, request: Request) -> Response:
        return JSONResponse(self._capabilities)

    async def _claim(self, request: Request) -> Response:
        lease = self._service.leases.claim()
        return JSONResponse(
            {
                "lease_token": lease.token,
                "idle_timeout_seconds": lease.idle,
                "liveness_timeout_seconds": lease.liveness,
                "max_sessions": self._settings.sessions,
            }
        )

    async def _release(self, request: Request) -> Response:
        token, leases = _token(request), self._service.leases
        for lease in leases:
            if lease.token == token:
                leases.release(lease)
        return JSONResponse({"released": True})

    async def _heartbeat(self, request: Request) -> Response:
        leases = self._service.leases
        return JSONResponse({"remaining_seconds": leases.beat(leases.find(_token(request)))})

    async def _lease_status(self, request: Request) -> Response:
        leases = self._service.leases
        lease = leases.find(_token(request))
        return JSONResponse({"remaining_seconds": leases.remaining(lease), "idle_timeout_seconds": lease.idle})

    def _leased(self, name: str, doing: Doing) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            async with self._service.at_work(_token(request), name.removesuffix("_interaction")) as lease:
                return await doing(request, lease)

        return endpoint

    # What is done with a lease

    async def _set_image(self, request: Request, lease: Lease[Held]) -> Response:
        properties = read_meta(request, Image).image_properties or ImageProperties()
        body = await read_body(request, self._settings.most_bytes + ROOM, self._settings)
        affine = affine_of(properties.spacing[::-1])

        def open_scan(held: Held) -> list[int]:
            array = unpack(body, most=self._settings.most_bytes)
            body.clear()
            if array.ndim != 4 or len(array) != 1:
                raise Refused(400, f"image: expected one channel, (1, z, y, x), got shape {array.shape}")
            self._service.open_scan(held, array[0].T, affine)
            return list(array.shape)

        return JSONResponse({"original_image_shape": await self._service.do(lease, open_scan)})

    async def _set_target_buffer(self, request: Request, lease: Lease[Held]) -> Response:
        wanted = await read_message(request, TargetBuffer, self._settings)
        if wanted.dtype not in TYPES or np.dtype(wanted.dtype).kind not in "bui":
            raise Refused(400, f"dtype: expected bool or an integer type, got {wanted.dtype[:40]!r}")
        dtype = np.dtype(wanted.dtype)
        if int(np.prod(wanted.shape, dtype=object)) * dtype.itemsize > self._settings.most_bytes:
            raise Refused(413, f"shape: expected at most {self._settings.most_bytes} bytes, got {wanted.shape}")
        prompts = lease.held.prompts
        if tuple(wanted.shape[::-1]) != prompts.session.shape:
            raise Refused(400, f"shape: expected the image's {prompts.session.shape[::-1]}, got {wanted.shape}")
        lease.held.dtype = dtype
        await self._service.do(lease, lambda held: held.prompts.show_nothing())
        return JSONResponse({})

    async def _set_do_autozoom(self, request: Request, lease: Lease[Held]) -> Response:
        await read_message(request, Zoom, self._settings)  # a session that finds its view always does
        return JSONResponse({})

    async def _reset(self, request: Request, lease: Lease[Held]) -> Response:
        await self._service.do(lease, self._service.reset)
        return JSONResponse({})

    async def _undo(self, request: Request, lease: Lease[Held]) -> Response:
        return await self._answered(lease, lambda held: held.prompts.undo())

    async def _predict(self, request: Request, lease: Lease[Held]) -> Response:
        return await self._answered(lease, lambda held: held.prompts.predict())

    async def _add_point(self, request: Request, lease: Lease[Held]) -> Response:
        point = await read_message(request, Point, self._settings)
        place, inside, at_once = point.coordinates[::-1], point.include_interaction, point.run_prediction
        return await self._answered(lease, lambda held: held.prompts.add_point(place, inside, at_once))

    async def _add_box(self, request: Request, lease: Lease[Held]) -> Response:
        box = await read_message(request, BoundingBox, self._settings)
        low, high = zip(*box.bbox_coords[::-1], strict=True)
        inside, at_once = box.include_interaction, box.run_prediction
        return await self._answered(lease, lambda held: held.prompts.add_box(low, high, inside, at_once))

    async def _add_mark(self, request: Request, lease: Lease[Held]) -> Response:
        mark = read_meta(request, Mark)
        (low, high) = box = _part(mark, lease.held)
        sides = tuple(b - a for a, b in zip(low, high, strict=True))
        body = await self._mask_body(request, sides)
        lasso = request.url.path.endswith("lasso_interaction")

        def add(held: Held) -> Answer:
            adding = held.prompts.add_lasso if lasso else held.prompts.add_scribble
            return adding(_mask(body, sides), box[0], mark.include_interaction, mark.run_prediction)

        return await self._answered(lease, add)

    async def _set_mask(self, request: Request, lease: Lease[Held]) -> Response:
        first = read_meta(request, FirstMask)
        shape = lease.held.prompts.session.shape
        body = await self._mask_body(request, shape)
        return await self._answered(lease, lambda held: held.prompts.set_mask(_mask(body, shape), first.run_prediction))

    async def _mask_body(self, request: Request, shape: tuple[int, ...]) -> bytearray:
        return await read_body(request, int(np.prod(shape)) * _WIDEST + ROOM, self._settings)

    async def _answered(self, lease: Lease[Held], doing: Callable[[Held], Answer]) -> Response:
        """The change of the mask that something leads to, as viewers want it."""

        def done(held: Held) -> Response:
            held.prompts.session.shape  # noqa: B018 (a session without a scan says so)
            answer = doing(held)
            if answer.box is None or answer.part is None:
                head = meta(ran_prediction=answer.ran, bbox=None, dtype=held.dtype.name, shape=[0, 0, 0])
                return Response(b"", headers=head, media_type="application/octet-stream")
            values = answer.part.T.astype(held.dtype)
            box = [[a, b] for a, b in zip(*answer.box, strict=True)][::-1]
            head = meta(ran_prediction=answer.ran, bbox=box, dtype=held.dtype.name, shape=list(values.shape))
            return Response(pack(values), headers=head, media_type="application/octet-stream")

        return await self._service.do(lease, done)


def _token(request: Request) -> str:
    return str(request.headers.get("x-lease-token", ""))


def _part(mark: Mark, held: Held) -> Box:
    """The part of the scan that a mark's array is of. Raises `Refused`."""
    shape = held.prompts.session.shape
    if mark.interaction_bbox is None:
        return (0, 0, 0), shape
    (a, d), (b, e), (c, f) = mark.interaction_bbox[::-1]
    if not all(0 <= low < high <= n for low, high, n in zip((a, b, c), (d, e, f), shape, strict=True)):
        raise Refused(400, f"interaction_bbox: expected a part of {shape[::-1]} voxels, got {mark.interaction_bbox}")
    return (a, b, c), (d, e, f)


def _mask(body: bytearray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask of a shape (x, y, z), from a packed array (z, y, x). Raises `Refused` and as `unpack`."""
    array = unpack(body, most=int(np.prod(shape)) * _WIDEST)
    if array.shape != shape[::-1]:
        raise Refused(400, f"mask: expected shape {shape[::-1]}, got {array.shape}")
    return np.asarray(array.T > 0)
