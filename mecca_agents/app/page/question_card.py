"""The card that asks which of two proposals is better; it takes the place of the buttons that act."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nicegui import ui

from mecca_agents.app.drawing.colours import LINES
from mecca_agents.app.drawing.slices import PROPOSED
from mecca_agents.app.page.runner import Runner
from mecca_agents.app.page.session_commands import SessionCommands
from mecca_agents.app.page.view_controls import sample

STYLE = """
.propose .q-btn[disabled] { pointer-events: none; }
.annotate:has(.take-first:is(:hover, :focus-visible)) :is(.mv-is-second, .mv-case-second) { display: none; }
.annotate:has(.take-second:is(:hover, :focus-visible)) :is(.mv-is-first, .mv-case-first) { display: none; }
"""
"""While the pointer is on a button, its proposal alone is drawn; the one that asks says why it is off. CSS."""


class QuestionCard:
    """Three answers, and what each line is.

    Args:
        runner: Runs what they ask for.
        commands: What that is.
    """

    def __init__(self, runner: Runner, commands: SessionCommands) -> None:
        self.runner, self.commands = runner, commands

    def build(self) -> None:
        """Make it, at this spot of the page."""
        with ui.column().classes("w-full h-[104px] gap-1 no-wrap justify-end question") as self._card:
            ui.label("Which is better?").classes("text-sm font-bold leading-tight")
            with ui.row().classes("w-full no-wrap gap-1"):
                for index, name in enumerate(PROPOSED):
                    tip = f"The {LINES[name].name} one alone while you are here; click to take it ({index + 1})"
                    button = self._button(f"Take {name}", partial(self.commands.take, index), tip)
                    button.classes(f"grow take-{name}")
                    with button:
                        ui.html(sample(LINES[name]), sanitize=False).classes("q-ml-sm")
            self._button("Neither", self.commands.take_neither, "All stays as it was (Esc)").classes("w-full")
        self._card.visible = False

    @property
    def asks(self) -> bool:
        """Whether there is a question."""
        return self.runner.tab.question.masks is not None

    def refresh(self) -> None:
        """Show it where there is a question."""
        self._card.visible = self.asks

    def _button(self, text: str, clicked: Callable[[], Any], tip: str) -> Any:
        button = ui.button(text).props("dense no-caps outline color=grey-3")
        button.on("click", self.runner.guarded(lambda _: clicked()), [])
        button.tooltip(tip)
        return button
