"""The controls on the left, and every command of the keyboard."""

from __future__ import annotations

import time
from collections.abc import Callable
from inspect import iscoroutine
from typing import Any

from nicegui import ui

from mecca_agents.app.page.browser_input import read_radius
from mecca_agents.app.page.elements import RADIUS, Viewer
from mecca_agents.app.page.open_dialogs import OpenDialogs
from mecca_agents.app.page.panels.side_panel import SidePanel
from mecca_agents.app.page.question_card import QuestionCard
from mecca_agents.app.page.runner import Runner
from mecca_agents.app.page.session_commands import SessionCommands
from mecca_agents.app.page.view_controls import ViewControls
from mecca_agents.app.page.what_next import what_next
from mecca_agents.app.tab.brush import MOST_RADIUS
from mecca_agents.app.tab.question import cannot_ask
from mecca_agents.session import SessionError

_TOOLS = {"move": "Look", "box": "Box", "click": "Click"}
_PAINTING = {"brush": "Brush", "eraser": "Eraser"}
_PROPOSES = "Two masks where the agent is in doubt: which is better? (Q)"
_SIGNED_TOOLS = {"move": "Look", "box": "Box", "inside": "Inside", "outside": "Outside", "lasso": "Lasso"}


class Controls:
    """Buttons and what they do.

    Args:
        runner: Runs what they ask for.
        commands: What they ask for of the session.
        viewer: Shows the scan.
        view_controls: Overlays, window and level.
        side_panel: The quarter beside the views.
    """

    def __init__(
        self,
        runner: Runner,
        commands: SessionCommands,
        viewer: Viewer,
        view_controls: ViewControls,
        side_panel: SidePanel,
    ) -> None:
        self.runner, self.viewer, self.view_controls, self.side_panel = runner, viewer, view_controls, side_panel
        self.session_commands, self.open_dialogs = commands, OpenDialogs(runner)
        self._question = QuestionCard(runner, commands)
        self._tools = _SIGNED_TOOLS if runner.tab.signed else _TOOLS
        self._taken = "move"
        self._needs_scan: list[Any] = []
        self._by_command = self._known_commands()

    def build(self) -> None:
        """Make them, at this spot of the page."""
        commands, dialogs = self.session_commands, self.open_dialogs
        with ui.row().classes("w-full no-wrap gap-1"):
            self._button("Open scan", "folder_open", dialogs.scan, "grow", primary=True)
            self._button("Review", "fact_check", dialogs.label, "", needs_scan=True, tip="Review with a label")
        self._tool = ui.toggle(self._tools, value="move", on_change=lambda event: self._take(event.value))
        size = "size=13px" if len(self._tools) > len(_TOOLS) else ""  # five words in the room of three
        self._tool.props(f"spread no-caps dense {size}").classes("w-full").mark("tool")
        with ui.row().classes("w-full no-wrap items-center gap-1"):
            self._painting = ui.toggle(_PAINTING, on_change=lambda event: self._take(event.value))
            self._painting.props("spread no-caps dense size=13px").classes("grow").mark("painting")
            self._radius = ui.number(
                value=RADIUS, min=0, max=MOST_RADIUS, on_change=self._guarded(self._radius_changed)
            )
            self._radius.props("dense outlined aria-label=Radius").classes("w-16").mark("radius")
            self._radius.tooltip("Radius of brush and eraser, voxels ([ and ])")
        self._next_hint = ui.label().classes("text-xs opacity-80 h-[46px] leading-tight").mark("what-next")
        with ui.column().classes("w-full gap-1 no-wrap") as self._acting:
            with ui.row().classes("w-full no-wrap gap-1"):
                tip = "Begin anew in it (Enter)"
                self._use = self._button("Use box", "crop_free", commands.use_box, "grow", tip=tip)
                self._whole = self._button("Whole scan", "", commands.whole_scan, "", needs_scan=True)
            with ui.row().classes("w-full no-wrap gap-1"):
                step = self._button("Step", "play_arrow", commands.step, "grow", primary=True, needs_scan=True, tip="S")
                step.mark("step")
                with ui.element("div").classes("propose") as around:  # since a button that is off tells no pointer why
                    self._propose = self._button("Two proposals", "", commands.propose, "")
                with around:
                    self._why = ui.tooltip(_PROPOSES)
            with ui.row().classes("w-full no-wrap gap-1"):
                self._undo = self._button("Undo", "undo", commands.undo, "grow", tip="Z")
                self._redo = self._button("Redo", "redo", commands.redo, "grow", tip="Y")
                self._reset = self._button("Reset", "", commands.reset, "", needs_scan=True, tip="Shift + Delete")
        self._question.build()
        self._progress = ui.linear_progress(show_value=False).props("indeterminate size=4px").classes("w-full")
        self._doing = ui.label().classes("text-xs min-h-[16px]").mark("doing")
        self.view_controls.build()
        ui.separator()
        with ui.row().classes("w-full no-wrap gap-1"):
            self._button("Save mask", "", commands.save_mask, "grow", needs_scan=True, tip="As NIfTI")
            self._button("Save session", "", commands.save_log, "grow", needs_scan=True, tip="Its log, as JSON")
        if self.runner.tab.learner is not None:
            tip = "Into the project, with scan and log (J)"
            self._button("Accept", "check", commands.accept, "w-full", needs_scan=True, tip=tip)
        with ui.row().classes("w-full no-wrap gap-1"):
            self._button("Load mask", "", dialogs.mask, "grow", needs_scan=True, tip="And go on from it")
            self._button("Load session", "", dialogs.log, "grow", needs_scan=True, tip="And do all of it again")
            with self._button("", "timer", lambda: None, "", needs_scan=True).props("aria-label=Times"):
                ui.tooltip("Table of times").props("anchor='top middle' self='bottom middle'")
                with ui.menu():
                    for ending in (".csv", ".md"):
                        ui.menu_item(f"Table 7 as {ending}", on_click=self._saving_times(ending))

    async def command(self, sent: Any) -> None:
        """A command of the keyboard. Raises `SessionError` where there is none of this name."""
        if not isinstance(sent, str) or sent not in self._by_command:
            raise SessionError(f"command: expected one of {', '.join(self._by_command)}, got {sent!r:.40}")
        result = self._by_command[sent]()
        if iscoroutine(result):
            await result

    def refresh(self) -> None:
        """Enable what can be done now."""
        tab, session = self.runner.tab, self.runner.tab.session
        there, idle = bool(tab.planes), not self.runner.doing
        for button in self._needs_scan:
            button.set_enabled(there and idle)
        self._undo.set_enabled(there and idle and session.can_undo)
        self._redo.set_enabled(there and idle and session.can_redo)
        self._use.set_enabled(there and idle and tab.draft.box not in (None, session.box))
        self._whole.set_enabled(there and idle and session.box is not None)
        fault = cannot_ask(session)
        self._propose.set_enabled(there and idle and not fault)
        self._why.set_text(f"Off: {fault}" if fault else _PROPOSES)
        self._question.refresh()
        self._acting.visible = not self._question.asks
        self._next_hint.set_text(what_next(self.runner.tab, self._taken))
        self.viewer.set(dirty=self.session_commands.unsaved)
        self.tick()

    def tick(self) -> None:
        """Show what takes long, and for how long already."""
        doing = self.runner.doing
        self._progress.style("visibility: visible" if doing else "visibility: hidden")
        seconds = time.perf_counter() - self.runner.since
        self._doing.set_text(f"{doing[:1].upper()}{doing[1:]} … {seconds:.0f} s" if doing else "")

    def _button(
        self,
        text: str,
        icon: str,
        clicked: Callable[[], Any],
        classes: str,
        *,
        primary: bool = False,
        needs_scan: bool = False,
        tip: str = "",
    ) -> Any:
        button = ui.button(text, icon=icon or None, on_click=self._guarded(clicked))
        button.props(f"dense no-caps {'' if primary else 'outline'} color={'primary' if primary else 'grey-5'}")
        button.classes(classes)
        if tip:
            button.tooltip(tip)
        if needs_scan:
            self._needs_scan.append(button)
        return button

    def _guarded(self, clicked: Callable[[], Any]) -> Callable[[], Any]:
        handle = self.runner.guarded(lambda _: clicked())

        async def run() -> None:
            await handle(_NoArguments())

        return run

    def _known_commands(self) -> dict[str, Callable[[], Any]]:
        commands, view_controls = self.session_commands, self.view_controls
        known: dict[str, Callable[[], Any]] = {
            "use box": commands.use_box,
            "step": commands.step,
            "two proposals": commands.propose,
            "take first": lambda: commands.take(0),
            "take second": lambda: commands.take(1),
            "take neither": commands.take_neither,
            "undo": commands.undo,
            "redo": commands.redo,
            "reset": commands.reset,
            "next advice": self.side_panel.next_advice,
            "auto window": view_controls.auto_window,
        }
        if self.runner.tab.learner is not None:
            known["accept"] = commands.accept
        for step, name in ((-1, "smaller"), (1, "larger")):
            known[f"{name} brush"] = lambda step=step: self._grow(step)  # type: ignore[misc]
        for tool in (*self._tools, *_PAINTING):
            known[f"tool {tool}"] = lambda tool=tool: self._take(tool)  # type: ignore[misc]
        for name in ("mask", "label", "advice", "objects", "clicks", "box", "cross"):
            known[f"show {name}"] = lambda name=name: view_controls.toggle(name)  # type: ignore[misc]
        for heat in ("probability", "action", "confidence", "hint"):
            known[f"heat {heat}"] = lambda heat=heat: view_controls.toggle_heat(heat)  # type: ignore[misc]
        return known

    def _take(self, tool: str | None) -> None:
        """Take a tool; None comes of the row that has it no longer."""
        if tool is None:
            return
        self._taken = tool
        self._tool.set_value(tool if tool in self._tools else None)
        self._painting.set_value(tool if tool in _PAINTING else None)
        self.viewer.set(tool=tool)
        self._next_hint.set_text(what_next(self.runner.tab, tool))

    def _grow(self, step: int) -> None:
        self._radius.set_value(min(max(round(read_radius(self._radius.value)) + step, 0), MOST_RADIUS))

    def _radius_changed(self) -> None:
        self.viewer.set(radius=read_radius(self._radius.value))

    def _saving_times(self, ending: str) -> Callable[[], Any]:
        return self._guarded(lambda: self.session_commands.save_times(ending))


class _NoArguments:
    """Of a button's event, which says nothing."""

    args: Any = None
