"""What a person does to the session: the box, clicks, steps and the way back, and saving."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from mecca_agents.app.page.browser_input import read_entry, read_point, read_stroke
from mecca_agents.app.page.runner import Desk
from mecca_agents.session import SessionError


class Acting:
    """Commands of the page that change the session or save it.

    Args:
        desk: Does them.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk, self.place = desk, desk.place

    async def boxdrawn(self, sent: Any) -> None:
        """A rectangle was drawn in one view: with one in another view it is a box.

        Where nothing would be lost, the box is used at once; else the person says so (`use_box`).
        """
        axis, start, end = read_stroke(sent)
        place = self.place
        place.draft = place.draft.drawn(axis, start, end, place.session.shape)
        if place.draft.box is not None and place.session.pristine:
            await self.use_box()
        else:
            self.desk.refresh()

    async def use_box(self) -> None:
        """Begin anew in the box that was drawn."""
        box, session = self.place.draft.box, self.place.session
        if box is None:
            raise SessionError("box: expected rectangles in two views, got fewer; draw one in another view as well")
        if box != session.box:
            await self.desk.do("", self.place.act, "set_box", *box)

    async def whole_scan(self) -> None:
        """Begin anew without a box."""
        await self.desk.do("", self.place.act, "set_box")

    async def pointset(self, sent: Any) -> None:
        """A click on an edge."""
        made = await self.desk.do("", self.place.act, "add_clicks", [read_point(read_entry(sent, "point"))])
        if made and made[0].repeated:
            self.desk.say("There was a click in this voxel of the agent's grid before; nothing was added.", "info")

    async def step(self) -> None:
        """Let the agent act."""
        await self.desk.do("the step", self.place.act, "step")

    async def undo(self) -> None:
        """Take back the last action."""
        await self._back_or_forth("undo", "Taken back")

    async def redo(self) -> None:
        """Do it again."""
        await self._back_or_forth("redo", "Done again")

    async def reset(self) -> None:
        """Begin anew in the same box."""
        await self.desk.do("", self.place.act, "reset")

    async def save_mask(self) -> None:
        """Hand the mask to the browser."""
        await self._save(self.place.mask_file)

    async def save_log(self) -> None:
        """Hand the log to the browser."""
        await self._save(self.place.log_file)

    async def save_times(self, ending: str) -> None:
        """Hand the table of times to the browser."""
        await self._save(self.place.times_file, ending)

    async def _back_or_forth(self, name: str, words: str) -> None:
        what = await self.desk.do("", self.place.act, name)
        if what:
            self.desk.say(f"{words}: {_IN_WORDS.get(what, what)}.", "info")

    async def _save(self, make: Any, *arguments: Any) -> None:
        made = await self.desk.do("saving", make, *arguments)
        if made is not None and not self.desk.client.is_deleted:
            with self.desk.client:
                ui.download.content(made[1], made[0])


_IN_WORDS = {
    "set_box": "the box",
    "set_mask": "the loaded mask",
    "add_clicks": "the last click",
    "step": "the step",
    "reset": "the reset",
}
