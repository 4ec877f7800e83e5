"""Controls of what is to be seen: overlays, window and level."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nicegui import ui

from mecca_agents.app.drawing.colours import HEATS, LINES, MARKS, Line, gradient
from mecca_agents.app.drawing.slices import OUTLINES
from mecca_agents.app.page.browser_input import read_window
from mecca_agents.app.page.elements import Viewer
from mecca_agents.app.tab.tab import Tab

_SWITCHES = {
    "mask": "M",
    "label": "L",
    "advice": "V",
    "objects": "I",
    "box": "O",
    "view": "",
    "clicks": "K",
    "cross": "T",
}
_WORDS = {
    "mask": "What is segmented",
    "label": "What it is compared with in a review",
    "advice": "Where the agent is least sure",
    "objects": "The other objects, in their colours",
    "box": "The box, as it is or as it is drawn",
    "view": "What the agent sees: the box and a little more; clicks count in there",
    "clicks": "Clicks: filled ones wait for the next step",
    "cross": "Where the other two views are",
}
_SIGNED_CLICKS = (
    "Marks: a circle with a plus is inside, a square with a minus outside, filled ones wait for the step; "
    "of a line or an area small ones, and not all of them"
)
_FOUND_VIEW = "What the agent sees; marks outside of it widen it"
_HEADROOM = 1.5  # the brightest hundredth of a scan is often what is looked for
_ENDS = {"action": ("lower", "raise"), "hint": ("", "near a click")}


class ViewControls:
    """Controls of a viewer.

    Args:
        tab: The page that has the scan.
        viewer: Shows it.
    """

    def __init__(self, tab: Tab, viewer: Viewer) -> None:
        self.tab, self.viewer = tab, viewer
        self.hidden: set[str] = set()
        self.modality = 0
        self._scan: Any = None  # the shape and the name of the scan that the window was made for
        self._switches: dict[str, Any] = {}

    def build(self) -> None:
        """Make the controls, at this spot of the page."""
        with ui.element("div").classes("grid grid-cols-2 w-full gap-x-1"):
            for name, key in _SWITCHES.items():
                self._switch(name, key)
        options: dict[str, str] = {"": "no colours", **{str(heat): str(heat) for heat in HEATS}}
        with ui.row().classes("w-full items-center no-wrap gap-2"):
            self.heat = ui.select(options, value="", label="Colours", on_change=self._changed)
            self.heat.props("dense options-dense outlined").classes("w-32").mark("heat")
            self.opacity = ui.slider(min=0, max=1, step=0.05, value=0.5, on_change=self._changed)
            self.opacity.props("dense").tooltip("How strongly the colours cover the scan")
        self._bar = ui.row().classes("w-full items-center no-wrap gap-1 text-xs")
        self._modality = ui.toggle({0: "1"}, value=0, on_change=self._changed).props("dense no-caps")
        self._modality.visible = False
        with ui.row().classes("w-full items-center no-wrap gap-2"):
            ui.label("Window").classes("text-xs")
            self.range = ui.range(min=0, max=1, step=0.01, value={"min": 0, "max": 1}, on_change=self._changed)
            self.range.props("dense").classes("grow").mark("window")
            button = ui.button(icon="auto_fix_high", on_click=self.auto_window).props("flat dense size=sm")
            button.tooltip("Window and level as at first (W)")
        self._changed()

    def refresh(self) -> None:
        """After another scan was opened: its window, its modalities."""
        tab = self.tab
        self._mask_sample.set_content(sample(replace(LINES["mask"], colour=tab.objects.now.colour)))
        if not tab.planes or self._scan is tab.planes:
            return
        self._scan = tab.planes
        count = tab.session.model.modalities
        self._modality.visible = count > 1
        self._modality.set_options({number: str(number + 1) for number in range(count)}, value=0)
        self.modality = 0
        self.auto_window()

    def auto_window(self) -> None:
        """As it is when a scan is opened: the 1st to the 99th percentile of the intensities, and headroom."""
        if not self.tab.planes:
            return
        low, high = self.tab.session.intensity_range(self.modality)
        high = low + _HEADROOM * (high - low) if high > low else low + 1
        wide = high - low
        self.viewer.set(range=[low, high])
        self.range.min, self.range.max, self.range.step = low - wide / 2, high + wide, wide / 500
        self.set_window(low, high)

    def window_set(self, sent: Any) -> None:
        """Take the window as the pointer has left it."""
        self.set_window(*read_window(sent))

    def set_window(self, low: float, high: float) -> None:
        """Show these intensities as black and white."""
        self.viewer.set(window=[low, high])
        self.range.set_value({"min": low, "max": high})

    def toggle(self, name: str) -> None:
        """Switch an overlay."""
        switch = self._switches[name]
        switch.set_value(not switch.value)

    def toggle_heat(self, heat: str) -> None:
        """Lay these colours over the scan, or none where they are there."""
        self.heat.set_value("" if self.heat.value == heat else heat)

    def _switch(self, name: str, key: str) -> None:
        with ui.row().classes("items-center no-wrap gap-1 h-6"):
            switch = ui.checkbox(value=True, on_change=self._changed).props("dense size=xs").mark(f"show-{name}")
            line = LINES.get(name)
            drawn = ui.html(sample(line) if line else self._other(name), sanitize=False)
            if name == "mask":
                self._mask_sample = drawn
            label = ui.label(line.name if line else name).classes("text-xs ellipsis")
            label.tooltip(f"{self._words(name)} ({key})" if key else self._words(name))
        self._switches[name] = switch

    def _words(self, name: str) -> str:
        """What an overlay is, for this agent."""
        if name == "clicks" and self.tab.signed:
            return _SIGNED_CLICKS
        return _FOUND_VIEW if name == "view" and self.tab.session.model.finds_its_view else _WORDS[name]

    def _other(self, name: str) -> str:
        """The sample of an overlay that is no line."""
        return _SIDES if name == "clicks" and self.tab.signed else _OTHERS[name]

    def _changed(self) -> None:
        self.hidden = {name for name, switch in self._switches.items() if not switch.value}
        heat, modality = self.heat.value or "", int(self._modality.value or 0)
        outlines = ",".join(name for name in OUTLINES if name not in self.hidden)
        display = {"heat": heat, "opacity": self.opacity.value, "modality": modality, "outlines": outlines}
        window = [self.range.value["min"], self.range.value["max"]]
        if window[0] < window[1] and self._scan is not None:
            self.viewer.set(window=window)
        self.viewer.set(display=display, hidden=sorted(self.hidden))
        self._show_bar(heat)
        if modality != self.modality:
            self.modality = modality
            self.auto_window()

    def _show_bar(self, heat: str) -> None:
        """Show what the colours mean."""
        self._bar.clear()
        self._bar.visible = bool(heat)
        if heat:
            with self._bar:
                low, high = _ENDS.get(heat, ("0", "1"))
                ui.label(low)
                ui.element("div").classes("grow h-2 rounded").style(f"background: {gradient(heat)}")  # type: ignore[arg-type]
                ui.label(high)


def sample(line: Line) -> str:
    """A piece of a line, as HTML."""
    return (
        '<svg width="30" height="10" aria-hidden="true">'
        f'<path d="M1 5H29" stroke="{line.colour}" stroke-width="{line.width}" stroke-dasharray="{line.dash}"/></svg>'
    )


_CLICK = MARKS["click"]
_OTHERS = {
    "clicks": f'<svg width="30" height="12"><circle cx="9" cy="6" r="4" fill="{_CLICK}" stroke="{_CLICK}"/>'
    f'<circle cx="22" cy="6" r="4" fill="none" stroke="{_CLICK}" stroke-width="1.6"/></svg>',
    "cross": '<svg width="30" height="12"><path d="M3 6H27M15 0V12" stroke="#fff" opacity="0.5"/></svg>',
}
_SIDES = (
    f'<svg width="30" height="12"><circle cx="8" cy="6" r="5" fill="{MARKS["inside"]}"/>'
    '<path d="M5 6H11M8 3V9" stroke="#000" stroke-width="1.6"/>'
    f'<path d="M17 1H27V11H17Z" fill="{MARKS["outside"]}"/><path d="M19 6H25" stroke="#000" stroke-width="1.6"/></svg>'
)
