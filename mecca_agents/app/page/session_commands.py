"""Commands of a person to the session: the box, clicks and lines, steps and the way back, and saving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from typing_extensions import ParamSpec

from mecca_agents.app.page.browser_input import (
    read_brush,
    read_entry,
    read_line,
    read_point,
    read_side,
    read_stroke,
)
from mecca_agents.app.page.runner import Runner
from mecca_agents.app.tab.question import QUESTION
from mecca_agents.session import Click, SessionError
from mecca_agents.session.actions import AddClicks, Choose, Reset, SetBox, SetMask, Step

Given = ParamSpec("Given")


class SessionCommands:
    """Commands of the page that change the session or save it.

    Args:
        runner: Runs them.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner, self.tab = runner, runner.tab
        self._saved: tuple[int, int] | None = None

    @property
    def unsaved(self) -> bool:
        """Whether something would be lost with the page."""
        tab, session = self.tab, self.tab.session
        if not tab.planes or self._saved == self._state():
            return False
        given = session.steps > 0 or len(session.clicks) > 0 or tab.painted
        return given or any(item.mask is not None for item in tab.objects.items)

    async def box_drawn(self, sent: Any) -> None:
        """Take a rectangle that was drawn in one view: with one in another view it is a box.

        Where nothing would be lost, the box is used at once; else the person says so (`use_box`).
        """
        axis, start, end = read_stroke(sent)
        tab = self.tab
        tab.question.end()
        tab.draft = tab.draft.drawn(axis, start, end, tab.session.shape)
        if tab.draft.box is not None and tab.session.pristine:
            await self.use_box()
        else:
            self.runner.refresh()

    async def use_box(self) -> None:
        """Begin anew in the box that was drawn."""
        box, session = self.tab.draft.box, self.tab.session
        if box is None:
            raise SessionError("box: expected rectangles in two views, got fewer; draw one in another view as well")
        if box != session.box:
            await self.runner.do("", self.tab.set_box, *box)

    async def whole_scan(self) -> None:
        """Begin anew without a box."""
        await self.runner.do("", self.tab.set_box)

    async def point_set(self, sent: Any) -> None:
        """Take a click: on an edge, or with signs inside or outside the target."""
        points, inside = [read_point(read_entry(sent, "point"))], read_side(sent)
        self._say_if_known(await self.runner.do("", self.tab.add_clicks, points, inside))

    async def scribble_drawn(self, sent: Any) -> None:
        """Take a line that was drawn."""
        points, inside = read_line(read_entry(sent, "points"), 1), read_side(sent)
        self._say_if_known(await self.runner.do("", self.tab.add_scribble, points, inside))

    async def lasso_drawn(self, sent: Any) -> None:
        """Take an outline that was drawn: all that it encloses is marked."""
        points, inside = read_line(read_entry(sent, "points"), 3), read_side(sent)
        self._say_if_known(await self.runner.do("", self.tab.add_lasso, points, inside))

    async def brush_drawn(self, sent: Any) -> None:
        """Take a stroke of the brush or the eraser."""
        if await self.runner.do("", self.tab.paint, *read_brush(sent)) is False:
            self.runner.say("Nothing was changed there.", "info")

    async def step(self) -> None:
        """Let the agent act."""
        await self.runner.do("the step", self.tab.step)

    async def propose(self) -> None:
        """Ask which of two proposals of the next step is better."""
        await self.runner.do("asking for two proposals", self.tab.question.ask)

    async def take(self, index: int) -> None:
        """Take one of the two, 0 or 1."""
        await self.runner.do("", self.tab.choose, index)

    def take_neither(self) -> None:
        """Leave everything as it was before the two."""
        self.tab.question.end()
        self.runner.refresh()

    async def undo(self) -> None:
        """Take back the last action."""
        self._say_what("Taken back", await self.runner.do("", self.tab.undo))

    async def redo(self) -> None:
        """Do it again."""
        self._say_what("Done again", await self.runner.do("", self.tab.redo))

    async def reset(self) -> None:
        """Begin anew in the same box."""
        await self.runner.do("", self.tab.reset)

    async def save_mask(self) -> None:
        """Hand the mask to the browser."""
        self.tab.question.refuse("save")
        if await self._save(self.tab.mask_file) and len(self.tab.objects.items) == 1:
            self._all_saved()

    async def save_log(self) -> None:
        """Hand the log to the browser."""
        if await self._save(self.tab.log_file) and len(self.tab.objects.items) == 1:
            self._all_saved()

    async def accept(self) -> None:
        """Put scan, mask and log of the chosen object into the project."""
        self.tab.question.refuse("accept")
        name = await self.runner.do("the mask is accepted", self.tab.accept)
        if name is None:
            return
        self.runner.say(f"Accepted as {name}.", "positive")
        if len(self.tab.objects.items) == 1:
            self._all_saved()

    async def save_labels(self) -> None:
        """Hand all objects to the browser: a label map, and their names beside it."""
        self.tab.question.refuse("save")
        made = await self.runner.do("saving", self.tab.labels_files)
        if made is None:
            return
        files, contested = made
        if self._hand_over(files):
            self._all_saved()
        if contested:
            keeps = "later" if self.tab.objects.overwrite else "earlier"
            are = "voxel is" if contested == 1 else "voxels are"
            self.runner.say(f"{contested} {are} claimed by several objects: the {keeps} one has them.", "info")

    async def save_times(self, ending: str) -> None:
        """Hand the table of times to the browser."""
        await self._save(self.tab.times_file, ending)

    def _say_if_known(self, made: list[Click] | None) -> None:
        if made and all(click.repeated for click in made):
            self.runner.say("There was a click in this voxel of the agent's grid before; nothing was added.", "info")

    def _say_what(self, done: str, action: str | None) -> None:
        if action is not None:
            mark = {AddClicks.name: "the last mark"} if self.tab.signed else {}
            self.runner.say(f"{done}: {(_IN_WORDS | mark).get(action, action)}.", "info")

    async def _save(
        self, make: Callable[Given, tuple[str, bytes]], *arguments: Given.args, **named: Given.kwargs
    ) -> bool:
        made = await self.runner.do("saving", make, *arguments, **named)
        return made is not None and self._hand_over([made])

    def _hand_over(self, files: list[tuple[str, bytes]]) -> bool:
        if self.runner.client.is_deleted:
            return False
        with self.runner.client:
            for name, content in files:
                ui.download.content(content, name)
        return True

    def _all_saved(self) -> None:
        self._saved = self._state()
        self.runner.refresh()

    def _state(self) -> tuple[int, int]:
        return self.tab.session.version, self.tab.objects.changes


_IN_WORDS = {
    SetBox.name: "the box",
    SetMask.name: "the loaded mask",
    AddClicks.name: "the last click",
    Step.name: "the step",
    Choose.name: "the choice",
    QUESTION: "the two proposals",
    Reset.name: "the reset",
    "brush": "the stroke of the brush",
    "eraser": "the stroke of the eraser",
}
