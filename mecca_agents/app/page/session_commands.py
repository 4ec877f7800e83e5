"""Commands of a person to the session: the box, clicks and lines, steps and the way back, and saving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from typing_extensions import ParamSpec

from mecca_agents.app.page.browser_input import read_entry, read_line, read_point, read_side, read_stroke
from mecca_agents.app.page.runner import Runner
from mecca_agents.session import Click, SessionError
from mecca_agents.session.actions import AddClicks, Reset, SetBox, SetMask, Step

Given = ParamSpec("Given")


class SessionCommands:
    """Commands of the page that change the session or save it.

    Args:
        runner: Runs them.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner, self.tab = runner, runner.tab

    async def box_drawn(self, sent: Any) -> None:
        """Take a rectangle that was drawn in one view: with one in another view it is a box.

        Where nothing would be lost, the box is used at once; else the person says so (`use_box`).
        """
        axis, start, end = read_stroke(sent)
        tab = self.tab
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

    async def step(self) -> None:
        """Let the agent act."""
        await self.runner.do("the step", self.tab.step)

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
        await self._save(self.tab.mask_file)

    async def save_log(self) -> None:
        """Hand the log to the browser."""
        await self._save(self.tab.log_file)

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
    ) -> None:
        made = await self.runner.do("saving", make, *arguments, **named)
        if made is not None and not self.runner.client.is_deleted:
            name, content = made
            with self.runner.client:
                ui.download.content(content, name)


_IN_WORDS = {
    SetBox.name: "the box",
    SetMask.name: "the loaded mask",
    AddClicks.name: "the last click",
    Step.name: "the step",
    Reset.name: "the reset",
}
