"""Routes of the page besides itself: the slices that it fetches, and the files that it sends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mecca_agents.app.drawing.slices import draw_slice, read_display
from mecca_agents.app.tab.tab import Tab
from mecca_agents.app.tab.tabs import Tabs
from mecca_agents.session import SessionError

_NO_STORE = {"cache-control": "no-store"}


def routes(tabs: Tabs) -> list[Route]:
    """The addresses, all below /session/ and the secret name of a page."""

    async def slice_of(request: Request) -> Response:
        return await _answer(tabs, request, _slice)

    async def upload(request: Request) -> Response:
        return await _answer(tabs, request, _upload)

    return [
        Route("/session/{key}/slice/{plane}/{index}", slice_of, methods=["GET"]),
        Route("/session/{key}/upload", upload, methods=["POST"]),
    ]


async def _answer(
    tabs: Tabs, request: Request, handle: Callable[[Tab, Request], Awaitable[dict[str, Any]]]
) -> Response:
    """Handle a request and answer with JSON; where it is refused, with the reason."""
    try:
        tab = tabs.find(request.path_params["key"])
    except SessionError as error:
        return JSONResponse({"error": str(error)}, 404, _NO_STORE)
    try:
        return JSONResponse(await handle(tab, request), headers=_NO_STORE)
    except SessionError as error:
        return JSONResponse({"error": str(error)}, 400, _NO_STORE)
    except ClientDisconnect:
        return Response(status_code=400)


async def _slice(tab: Tab, request: Request) -> dict[str, Any]:
    name, number = request.path_params["plane"], request.path_params["index"]
    plane = next((plane for plane in tab.planes if plane.name.lower() == name), None)
    if plane is None or not number.isascii() or not number.isdigit() or len(number) > 6:
        raise SessionError(
            f"slice: expected axial, coronal or sagittal and a number, got {name[:20]!r}, {number[:20]!r}"
        )
    display, index = read_display(request.query_params), int(number)
    label = tab.review.label if tab.review is not None else None
    objects = [(item.colour, item.mask) for item in tab.objects.others if item.mask is not None]
    proposed = tab.question.masks or ()
    what = (tab.session, plane, index, display, label, objects, proposed)
    drawn: dict[str, Any] = await run_in_threadpool(draw_slice, *what)
    return drawn


async def _upload(tab: Tab, request: Request) -> dict[str, str]:
    upload = await tab.uploads.receive(request.query_params.get("name", ""), request.stream())
    return {"key": upload.key}
