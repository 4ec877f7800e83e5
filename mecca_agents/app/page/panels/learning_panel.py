"""Learning from accepted masks: a switch, how far it is, which weights are at work, and what each case took."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from nicegui import ui

from mecca_agents.app.page.runner import Runner
from mecca_agents.online.enough import FEWEST_TO_JUDGE, FEWEST_TO_LEARN, ChoiceCount
from mecca_agents.online.live import ProjectLearner, Status
from mecca_agents.runs.shipped import SHIPPED
from mecca_agents.session import SessionError
from mecca_agents.tables import plural

_COLUMNS = (("case", "Case"), ("prompts", "Prompts"), ("steps", "Steps"), ("seconds", "You, s"), ("weights", "Weights"))
_MEANS = (("weights", "Weights"), ("cases", "Cases"), ("prompts", "Prompts"), ("steps", "Steps"), ("seconds", "You, s"))


class LearningPanel:
    """A tab of the panel beside the views; it shows and asks, and `ProjectLearner` does.

    Args:
        runner: Runs what is asked for.
        learner: Of the project, one for all pages.
    """

    def __init__(self, runner: Runner, learner: ProjectLearner) -> None:
        self.runner, self.learner = runner, learner
        self._shown: Status | None = None
        self._news = learner.status.news

    def build(self) -> None:
        """Make it, at this spot of the page."""
        with ui.column().classes("w-full gap-1 no-wrap"):
            self._build()

    def refresh(self) -> None:
        """Show where it stands."""
        status = self.learner.status
        scan = self.runner.tab.session.model.weights if self.runner.tab.planes else self.learner.model.weights
        self._at_work.set_text(_weights_line(status, self.learner.name_of(scan)))
        if status == self._shown:
            return
        self._shown = status
        self._switch.set_value(status.on)
        self._stop.set_enabled(status.learning)
        self._back.set_enabled(status.can_go_back)
        self._bar.style("visibility: visible" if status.learning else "visibility: hidden")
        self._bar.set_value(status.share)
        share = f" {100 * status.share:.0f} %" if status.learning else ""
        self._doing.set_text(f"{status.doing[:1].upper()}{status.doing[1:]}{share}")
        self._verdict.set_text(f"Last learning: {status.verdict}." if status.verdict else "")
        self._fault.set_text(f"{status.fault[:1].upper()}{status.fault[1:]}" if status.fault else "")
        self._choices.set_text(choices_line(status.choices, self.learner.project, self.learner.model.folder))
        self._show_tables(status)
        if status.news != self._news:
            self._news = status.news
            self.runner.say(f"From the next scan on: {status.at_work}.", "info")

    def _build(self) -> None:
        with ui.row().classes("w-full items-center no-wrap gap-2"):
            self._switch = ui.switch("Learn from accepted scans").props("dense size=sm").classes("text-xs")
            # of a person alone: what `refresh` sets would come back late and count as one's wish
            self._switch.on("update:model-value", self.runner.guarded(self._switched), [None])
            ui.space()
            self._stop = self._button("Stop", "stop", self.learner.stop, "What is being learned is lost")
            self._back = self._button(
                "Back", "history", self.learner.back, "To the earlier weights, from the next scan on"
            )
        self._bar = ui.linear_progress(value=0, show_value=False).props("size=4px instant-feedback").classes("w-full")
        self._doing = ui.label().classes("text-xs min-h-[16px] learning-doing")
        self._at_work = ui.label().classes("text-xs at-work")
        self._verdict = ui.label().classes("text-xs opacity-80 verdict")
        self._fault = ui.label().classes("text-xs text-amber-5 learning-fault")
        self._choices = ui.label().classes("text-xs opacity-80 choices")
        self._means = self._table(_MEANS, "learned-means")
        self._cases = self._table(_COLUMNS, "learned-cases")
        self._note = ui.label().classes("text-xs opacity-80")

    def _show_tables(self, status: Status) -> None:
        name_of = self.learner.name_of
        self._means.visible = self._cases.visible = bool(status.cases)
        self._means.rows = [
            {
                **{"weights": name_of(mean.weights), "cases": mean.cases, "prompts": f"{mean.prompts:.1f}"},
                **{"steps": f"{mean.steps:.1f}", "seconds": f"{mean.seconds:.0f}"},
            }
            for mean in status.means
        ]
        self._cases.rows = [
            {
                **{"case": case.case, "prompts": case.prompts, "steps": case.steps},
                **{"seconds": f"{case.seconds:.0f}", "weights": name_of(case.weights)},
            }
            for case in status.cases
        ]
        note = f"{status.without_log} more without a log. " if status.without_log else ""
        means = "Above the mean of each weights' cases, below case by case in the order of acceptance."
        self._note.set_text(note + (means if status.cases else "What each accepted case took stands here."))

    async def _switched(self, value: Any) -> None:
        if not isinstance(value, bool):
            raise SessionError(f"learn: expected true or false, got {value!r:.40}")
        self._shown = None
        await self.runner.do("", self.learner.switch, value)

    def _button(self, text: str, icon: str, clicked: Any, tip: str) -> Any:
        button = ui.button(text, icon=icon).props("dense no-caps outline color=grey-5 size=sm")
        button.on("click", self.runner.guarded(lambda _: self.runner.do("", clicked)))
        button.tooltip(tip)
        return button

    @staticmethod
    def _table(columns: tuple[tuple[str, str], ...], mark: str) -> Any:
        made = [
            {"name": n, "label": w, "field": n, "align": "left" if n in ("case", "weights") else "right"}
            for n, w in columns
        ]
        table = ui.table(rows=[], columns=made, row_key=columns[0][0]).props("dense flat hide-bottom square")
        return table.classes(f"w-full bg-transparent {mark}")


def choices_line(choices: ChoiceCount, project: Path, run: Path) -> str:
    """How many choices between two proposals the accepted logs hold, and what learns from them; empty without any.

    Args:
        choices: As a learning would part them.
        project: The project's folder.
        run: Folder of the run that would go on.
    """
    if not choices.total:
        return ""
    held = f"The accepted logs hold {plural(choices.total, 'choice')} between two proposals"
    if choices.enough:
        name = run.name if run.parent == SHIPPED else str(run)
        command = shlex.join(["mecca", "learn", str(project), "--preferences", "--run", name, "--out", "RUN"])
        return f"{held}, enough to learn from: {command}"
    parts = f"{choices.learn} to learn from and {choices.judge} to judge by"
    return f"{held}: {parts}; mecca learn --preferences wants {FEWEST_TO_LEARN} and {FEWEST_TO_JUDGE}."


def _weights_line(status: Status, scan: str) -> str:
    """Which weights are at work, in one line."""
    if scan == status.at_work:
        return f"At work: {scan}"
    return f"At work on this scan: {scan}; from the next scan on: {status.at_work}"
