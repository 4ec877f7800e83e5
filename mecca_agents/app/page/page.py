"""The page: controls on the left, three views, and what each step took; one session for each browser tab."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nicegui import ui

from mecca_agents.app.page.controls import Controls
from mecca_agents.app.page.elements import STYLE, Viewer
from mecca_agents.app.page.panels.learning_panel import LearningPanel
from mecca_agents.app.page.panels.objects_panel import ObjectsPanel
from mecca_agents.app.page.panels.side_panel import SidePanel
from mecca_agents.app.page.question_card import STYLE as QUESTION_STYLE
from mecca_agents.app.page.runner import Runner
from mecca_agents.app.page.session_commands import SessionCommands
from mecca_agents.app.page.view_controls import ViewControls
from mecca_agents.app.tab.tabs import Tabs
from mecca_agents.session import SessionError

_STYLE = """
body { background: #14171c; color: #e8ebf0; overflow: hidden; }
.nicegui-content { padding: 0; gap: 0; }
.annotate { display: grid; grid-template: 40px minmax(0, 1fr) / 268px minmax(0, 1fr); width: 100vw; height: 100vh; }
.annotate-top { grid-column: 1 / span 2; background: #1d222a; padding: 0 10px; }
.annotate-controls { overflow: hidden auto; padding: 6px 8px; background: #1a1e25; scrollbar-width: thin; }
.annotate-views { padding: 4px; min-width: 0; min-height: 0; }
.annotate-controls .q-btn { min-height: 28px; }
.annotate-object { background: transparent; color: inherit; font-size: 12px; border: 1px solid transparent; }
.annotate-object:hover, .annotate-object:focus { border-color: #56606e; }
.q-table tbody td, .q-table thead th { height: 24px !important; padding: 1px 8px !important; }
"""


def add_page(tabs: Tabs, workers: ThreadPoolExecutor, scan: Sequence[Path], reconnect: float, path: str = "/") -> None:
    """Serve the page.

    Args:
        tabs: Gives each page its own.
        workers: Threads for what takes long.
        scan: Opened with every page; may be empty.
        reconnect: Seconds that a page waits for its browser to come back before it is thrown away.
        path: Of its address.
    """

    @ui.page(path, title="mecca annotate", dark=True, reconnect_timeout=reconnect)
    async def annotate() -> None:
        ui.add_css(STYLE + _STYLE + QUESTION_STYLE)
        client = ui.context.client
        await client.connected()
        if client.is_deleted:
            return
        try:
            tab = tabs.add()
        except SessionError as error:
            ui.label(str(error)).classes("q-pa-lg text-lg")
            return
        client.on_delete(lambda: tabs.remove(tab))
        client.on_connect(lambda: setattr(tab, "connected", True))
        client.on_disconnect(lambda: setattr(tab, "connected", client.has_socket_connection))
        runner = Runner(tab, workers)
        _build(runner)
        if scan:
            await runner.do("the scan is opened", tab.open_scan, list(scan), [path.name for path in scan])


def _build(runner: Runner) -> None:
    with ui.element("div").classes("annotate"):
        with ui.row().classes("annotate-top items-center no-wrap gap-3"):
            refresh_title = _top_line(runner)
        left = ui.column().classes("annotate-controls gap-1 no-wrap")
        with ui.element("div").classes("annotate-views"):
            viewer = Viewer(runner.tab)
        commands, view_controls = SessionCommands(runner), ViewControls(runner.tab, viewer)
        learner = runner.tab.learner
        learning = None if learner is None else LearningPanel(runner, learner)
        side_panel = SidePanel(runner.tab, viewer, ObjectsPanel(runner, commands), learning)
        with viewer:
            side_panel.build()
        controls = Controls(runner, commands, viewer, view_controls, side_panel)
        with left:
            controls.build()
    viewer.on("boxdrawn", runner.guarded(commands.box_drawn))
    viewer.on("pointset", runner.guarded(commands.point_set))
    viewer.on("scribbledrawn", runner.guarded(commands.scribble_drawn))
    viewer.on("lassodrawn", runner.guarded(commands.lasso_drawn))
    viewer.on("brushdrawn", runner.guarded(commands.brush_drawn))
    viewer.on("windowset", runner.guarded(view_controls.window_set))
    viewer.on("command", runner.guarded(controls.command))
    viewer.on("failed", lambda event: runner.say_for_browser(event.args))
    runner.refreshers.extend(
        [refresh_title, view_controls.refresh, viewer.refresh, side_panel.refresh, controls.refresh]
    )
    runner.refresh()

    def tick() -> None:
        if not runner.say_if_closed():
            side_panel.tick()
            controls.tick()

    ui.timer(1.0, tick)


def _top_line(runner: Runner) -> Callable[[], None]:
    """Make the line at the top; the function that brings it up to date."""
    ui.label("mecca annotate").classes("text-base font-bold whitespace-nowrap")
    scan = ui.label().classes("text-sm ellipsis").mark("scan")
    ui.space()
    agent = ui.row().classes("items-center no-wrap gap-1 text-xs max-w-[60%]")
    with agent:
        warning = ui.icon("warning", color="amber-5").classes("text-base")
        trained = ui.label().classes("ellipsis").mark("trained")
        with trained:
            tip = ui.tooltip("")

    def refresh() -> None:
        tab, model = runner.tab, runner.tab.session.model
        text = f"{model.method}, trained on {model.trained_on}"
        if tab.learner is not None and model.weights != tab.learner.first:
            text = f"{tab.learner.name_of(model.weights)}: {text}"
        for label in (trained, tip):
            label.set_text(text)
        warning.visible = model.run.built_in is not None
        if not tab.planes:
            scan.set_text("no scan yet")
            return
        shape = " × ".join(map(str, tab.session.shape))
        spacing = " × ".join(f"{s:.3g}" for s in tab.session.spacing)
        scan.set_text(f"{tab.name}: {shape}, {spacing} mm")

    return refresh
