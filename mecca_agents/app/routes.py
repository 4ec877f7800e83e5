"""What the page fetches besides itself: slices, and where it sends files."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mecca_agents.app.drawing.slices import draw_slice, read_look
from mecca_agents.app.tab.tab import Workplace
from mecca_agents.app.tab.tabs import Workplaces
from mecca_agents.session import SessionError

_NO_STORE = {"cache-control": "no-store"}


def routes(workplaces: Workplaces) -> list[Route]:
    """The addresses, all below /session/ and the secret name of a page."""

    async def slice_of(request: Request) -> Response:
        return await _answer(workplaces, request, _slice)

    async def upload(request: Request) -> Response:
        return await _answer(workplaces, request, _upload)

    return [
        Route("/session/{key}/slice/{plane}/{index}", slice_of, methods=["GET"]),
        Route("/session/{key}/upload", upload, methods=["POST"]),
    ]


async def _answer(workplaces: Workplaces, request: Request, do: Any) -> Response:
    """What `do` returns as JSON; where it is refused, why."""
    try:
        place = workplaces.find(request.path_params["key"])
    except SessionError as error:
        return JSONResponse({"error": str(error)}, 404, _NO_STORE)
    try:
        return JSONResponse(await do(place, request), headers=_NO_STORE)
    except SessionError as error:
        return JSONResponse({"error": str(error)}, 400, _NO_STORE)
    except ClientDisconnect:
        return Response(status_code=400)


async def _slice(place: Workplace, request: Request) -> dict[str, Any]:
    name, number = request.path_params["plane"], request.path_params["index"]
    plane = next((plane for plane in place.planes if plane.name.lower() == name), None)
    if plane is None or not number.isascii() or not number.isdigit() or len(number) > 6:
        raise SessionError(
            f"slice: expected axial, coronal or sagittal and a number, got {name[:20]!r}, {number[:20]!r}"
        )
    look, index = read_look(request.query_params), int(number)
    label = place.review.label if place.review is not None else None
    drawn: dict[str, Any] = await run_in_threadpool(draw_slice, place.session, plane, index, look, label)
    return drawn


async def _upload(place: Workplace, request: Request) -> dict[str, str]:
    upload = await place.uploads.receive(request.query_params.get("name", ""), request.stream())
    return {"key": upload.key}
