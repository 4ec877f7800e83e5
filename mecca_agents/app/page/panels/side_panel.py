"""The panel beside the views: steps and what they scored, objects, where the agent asks for clicks, and the keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from mecca_agents.app.page.elements import Viewer
from mecca_agents.app.page.panels.learning_panel import LearningPanel
from mecca_agents.app.page.panels.objects_panel import ObjectsPanel
from mecca_agents.app.page.shortcuts import mouse, shortcuts
from mecca_agents.app.tab.tab import Tab
from mecca_agents.session import StepTime

_COLUMNS = (("step", "Step"), ("clicks", "Clicks"), ("person", "You, s"), ("agent", "Agent, s"))
_SCORES = (("dice", "Dice"), ("assd", "ASSD, mm"))


class SidePanel:
    """The fourth quarter of the viewer.

    Args:
        tab: The page that has the session.
        viewer: Goes to the advised regions.
        objects: The list of objects, a tab of the panel.
        learning: Another one; None where there is no project.
    """

    def __init__(self, tab: Tab, viewer: Viewer, objects: ObjectsPanel, learning: LearningPanel | None = None) -> None:
        self.tab, self.viewer, self.objects, self.learning = tab, viewer, objects, learning
        self._advised = -1
        self._went = 0

    def build(self) -> None:
        """Make it, at this spot of the page."""
        with ui.tabs().props("dense no-caps align=left").classes("w-full h-8 min-h-0") as headings:
            names = ("Steps", "Objects", "Advice", "Keys and mouse")
            steps, objects, advice, keys = (ui.tab(name) for name in names)
            learning = None if self.learning is None else ui.tab("Learning")
        with ui.tab_panels(headings, value=steps).classes("w-full bg-transparent").props("keep-alive"):
            with ui.tab_panel(steps).classes("q-pa-xs"):
                self._table = ui.table(rows=[], columns=[], row_key="step").props("dense flat hide-bottom square")
                self._table.classes("w-full bg-transparent").mark("steps")
                self._note = ui.label().classes("text-xs opacity-80 q-pa-xs")
            with ui.tab_panel(objects).classes("q-pa-xs"):
                self.objects.build()
            with ui.tab_panel(advice).classes("q-pa-xs"):
                self._advice = ui.column().classes("w-full gap-0")
            with ui.tab_panel(keys).classes("q-pa-xs"):
                _keys(self.tab)
            if self.learning is not None:
                with ui.tab_panel(learning).classes("q-pa-xs"):
                    self.learning.build()
        self.refresh()

    def refresh(self) -> None:
        """Show where the session stands."""
        self.tick()
        self.objects.refresh()
        self._show_advice()

    def tick(self) -> None:
        """Let the time go on."""
        if self.learning is not None:
            self.learning.refresh()
        if not self.tab.planes:
            self._table.visible = False
            self._note.set_text("Times, clicks and scores of each step stand here.")
            return
        self._table.visible = True
        session, review = self.tab.session, self.tab.review
        scores = [] if review is None else review.scores
        rows = [_row(step) for step in session.timing()]
        for row, found in zip(rows, scores, strict=False):
            row.update(dice=f"{found.dice:.3f}", assd=f"{found.assd:.2f}")
        rows.append(_row(session.waiting(), waiting=True))
        columns = [*_COLUMNS, *(_SCORES if review is not None else ())]
        self._table.columns = [{"name": n, "label": w, "field": n, "align": "right"} for n, w in columns]
        self._table.rows = rows
        reviewed = "" if review is None else f"Reviewed with {review.name}. "
        cases = self.tab.cases
        self._note.set_text(f"{reviewed}The table of times has {cases} case{'' if cases == 1 else 's'} of this page.")

    def next_advice(self) -> None:
        """Go to the next advised region."""
        regions = self.tab.session.advice() if self.tab.planes else []
        if regions:
            self._advised = (self._advised + 1) % len(regions)
            self._go(self._advised)

    def _go(self, number: int) -> None:
        regions = self.tab.session.advice()
        if number < len(regions):
            self._advised, self._went = number, self._went + 1
            self.viewer.set(goto=[*regions[number].centre, self._went])  # the last number makes it new each time

    def _show_advice(self) -> None:
        regions = self.tab.session.advice() if self.tab.planes else []
        self._advice.clear()
        self._advised = min(self._advised, len(regions) - 1)
        with self._advice:
            mark = "mark what is wrong there" if self.tab.signed else "click on wrong edges there"
            words = f"Where the agent is least sure; {mark} first (G goes to the next one)."
            none = "No regions yet: a method that gives advice does so after each step."
            ui.label(words if regions else none).classes("text-xs opacity-80 q-pa-xs")
            for number, region in enumerate(regions):
                button = ui.button(on_click=_going(self._go, number)).props("flat dense no-caps align=left size=sm")
                voxel = ", ".join(str(v + 1) for v in region.centre)
                button.set_text(f"{number + 1}. at voxel {voxel}: confidence {region.confidence:.2f}")


def _going(go: Callable[[int], None], number: int) -> Callable[[], None]:
    return lambda: go(number)


def _row(step: StepTime, waiting: bool = False) -> dict[str, Any]:
    agent = "…" if waiting else f"{step.agent:.2f}"
    person = f"{step.person:.0f}" if waiting else f"{step.person:.1f}"
    return {"step": step.step, "clicks": step.clicks, "person": person, "agent": agent, "dice": "", "assd": ""}


def _keys(tab: Tab) -> None:
    listed = shortcuts(tab.signed, tab.learner is not None)
    with ui.element("div").classes("grid gap-x-3 text-xs").style("grid-template-columns: auto 1fr"):
        for keys, words in (*((s.label, s.words) for s in listed if s.words), *mouse(tab.signed)):
            ui.label(keys).classes("font-mono whitespace-nowrap")
            ui.label(words).classes("opacity-80")
