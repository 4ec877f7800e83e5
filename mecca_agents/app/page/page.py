"""The page: controls on the left, three views, and what each step took; one session for each browser tab."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nicegui import ui

from mecca_agents.app.page.controls import Controls
from mecca_agents.app.page.elements import STYLE, Viewer
from mecca_agents.app.page.runner import Desk
from mecca_agents.app.page.side_panel import Side
from mecca_agents.app.page.view_controls import Looks
from mecca_agents.app.tab.tabs import Workplaces
from mecca_agents.session import SessionError

_STYLE = """
body { background: #14171c; color: #e8ebf0; overflow: hidden; }
.nicegui-content { padding: 0; gap: 0; }
.desk { display: grid; grid-template: 40px minmax(0, 1fr) / 268px minmax(0, 1fr); width: 100vw; height: 100vh; }
.desk-top { grid-column: 1 / span 2; background: #1d222a; padding: 0 10px; }
.desk-left { overflow-y: auto; overflow-x: hidden; padding: 6px 8px; background: #1a1e25; scrollbar-width: thin; }
.desk-views { padding: 4px; min-width: 0; min-height: 0; }
.desk-left .q-btn { min-height: 28px; }
.q-table tbody td, .q-table thead th { height: 24px !important; padding: 1px 8px !important; }
"""


def add_page(
    workplaces: Workplaces, workers: ThreadPoolExecutor, scan: Sequence[Path], reconnect: float, path: str = "/"
) -> None:
    """Serve the page.

    Args:
        workplaces: Where each page gets its own.
        workers: Threads for what takes long.
        scan: Opened with every page; may be empty.
        reconnect: Seconds that a page waits for its browser to come back before it is thrown away.
        path: Of its address.
    """

    @ui.page(path, title="mecca annotate", dark=True, reconnect_timeout=reconnect)
    async def annotate() -> None:
        ui.add_css(STYLE + _STYLE)
        client = ui.context.client
        await client.connected()
        if client.is_deleted:
            return
        try:
            place = workplaces.add()
        except SessionError as error:
            ui.label(str(error)).classes("q-pa-lg text-lg")
            return
        client.on_delete(lambda: workplaces.remove(place))
        client.on_connect(lambda: setattr(place, "connected", True))
        client.on_disconnect(lambda: setattr(place, "connected", client.has_socket_connection))
        desk = Desk(place, workers)
        _build(desk)
        if scan:
            await desk.do("the scan is opened", place.open_scan, list(scan), [path.name for path in scan])


def _build(desk: Desk) -> None:
    with ui.element("div").classes("desk"):
        with ui.row().classes("desk-top items-center no-wrap gap-3"):
            title = _top(desk)
        left = ui.column().classes("desk-left gap-1 no-wrap")
        with ui.element("div").classes("desk-views"):
            viewer = Viewer(desk.place)
        side, looks = Side(desk.place, viewer), Looks(desk.place, viewer)
        with viewer:
            side.build()
        controls = Controls(desk, viewer, looks, side)
        with left:
            controls.build()
    viewer.on("boxdrawn", desk.guarded(controls.acting.boxdrawn))
    viewer.on("pointset", desk.guarded(controls.acting.pointset))
    viewer.on("windowset", desk.guarded(looks.windowset))
    viewer.on("command", desk.guarded(controls.command))
    viewer.on("failed", lambda event: desk.told(event.args))
    desk.shown.extend([title, looks.refresh, viewer.refresh, side.refresh, controls.refresh])
    desk.refresh()

    def tick() -> None:
        if not desk.over():
            side.tick()
            controls.tick()

    ui.timer(1.0, tick)


def _top(desk: Desk) -> Any:
    """The line at the top; what brings it up to date."""
    ui.label("mecca annotate").classes("text-base font-bold whitespace-nowrap")
    scan = ui.label().classes("text-sm ellipsis").mark("scan")
    ui.space()
    model = desk.place.session.model
    agent = ui.row().classes("items-center no-wrap gap-1 text-xs max-w-[60%]")
    with agent:
        if model.run.dataset == "phantom":
            ui.icon("warning", color="amber-5").classes("text-base")
        text = f"{model.method}, trained on {model.trained_on}"
        ui.label(text).classes("ellipsis").mark("trained").tooltip(text)

    def refresh() -> None:
        place = desk.place
        if not place.planes:
            scan.set_text("no scan yet")
            return
        shape = " × ".join(map(str, place.session.shape))
        spacing = " × ".join(f"{s:.3g}" for s in place.session.spacing)
        scan.set_text(f"{place.name}: {shape}, {spacing} mm")

    return refresh
