"""The page's own elements: the views, and the button that sends files. Their other half is in the .js files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nicegui.element import Element

from mecca_agents.app.drawing.colours import LINES, MARKS
from mecca_agents.app.page.shortcuts import commands_by_key
from mecca_agents.app.tab.box_draft import BoxDraft
from mecca_agents.app.tab.tab import Tab

_WEB = Path(__file__).parents[1] / "web"

STYLE = (_WEB / "parts" / "viewer.css").read_text(encoding="utf-8")
"""Of the views, CSS."""


RADIUS = 3
"""Of the brush at first, voxels."""


class Viewer(Element, component=_WEB / "viewer.js", esm={"mecca-viewer": str(_WEB / "parts")}):  # type: ignore[call-arg]
    """Three linked views of the scan of a tab; what stands in it fills the fourth quarter.

    Events: `boxdrawn` {axis, start, end}, `pointset` {point, inside}, `scribbledrawn` and `lassodrawn` {points,
    inside}, `brushdrawn` {points, axis, radius, inside}, `windowset` [low, high], `command` (see `shortcuts`), `failed`
    (a message); `inside` is null where the agent is told no sides. What they bring comes from a browser and may be
    anything.

    Args:
        tab: The page that has the scan.
    """

    def __init__(self, tab: Tab) -> None:
        super().__init__()
        self._tab = tab
        self.set(base=f"/session/{tab.key}", lines=_lines(tab), colours=MARKS, planes=[], radius=RADIUS)
        self.set(keys=commands_by_key(tab.signed, tab.learner is not None))
        self.set(tool="move", hidden=[], marks=[], version=0, shape=[1, 1, 1], spacing=[1, 1, 1], window=[0, 1])
        self.set(range=[0, 1], display={}, box=None, view=None, draft=None, goto=None, dirty=False)

    def set(self, **props: Any) -> None:
        """Change what it is given; the browser hears of what is really new."""
        new = {name: value for name, value in props.items() if self._props.get(name, _NOTHING) != value}
        if new:
            self._props.update(new)
            self.update()

    def refresh(self) -> None:
        """Show where the session stands."""
        tab, session = self._tab, self._tab.session
        if not tab.planes:
            return
        self.set(
            planes=[asdict(plane) for plane in tab.planes],
            shape=list(session.shape),
            spacing=list(session.spacing),
            version=_version(tab),
            lines=_lines(tab),
            keys=commands_by_key(tab.signed, tab.learner is not None, tab.question.masks is not None),
            marks=[asdict(mark) for mark in tab.marks],
            box=_extents(BoxDraft.of(session.box)),
            view=_extents(BoxDraft.of(session.view)),
            draft=_extents(tab.draft),
        )


class Picker(Element, component=_WEB / "picker.js"):  # type: ignore[call-arg]
    """A button that sends files of the person's computer; each gets a key (`Uploads.take`).

    Args:
        tab: The page that gets them.
        label: On the button.
        accept: Endings, as in HTML.
        sent: Called with what the browser says are the keys.
        failed: Called with a message.
        multiple: Several files at once.
    """

    def __init__(
        self,
        tab: Tab,
        label: str,
        accept: str,
        sent: Callable[[Any], Any],
        failed: Callable[[Any], Any],
        multiple: bool = False,
    ) -> None:
        super().__init__()
        self._props.update(url=f"/session/{tab.key}/upload", label=label, accept=accept, icon="upload")
        self._props["multiple"] = multiple
        self.on("sent", lambda event: sent(event.args))
        self.on("failed", lambda event: failed(event.args))


_NOTHING = object()


def _extents(draft: BoxDraft) -> list[list[int] | None] | None:
    """As the views have them; None where nothing is drawn."""
    if not any(draft.extents):
        return None
    return [list(extent) if extent else None for extent in draft.extents]


def _version(tab: Tab) -> str:
    """Changes with everything that a slice shows."""
    return f"{tab.session.version}.{id(tab.review) if tab.review else 0}.{tab.objects.changes}.{tab.question.number}"


def _lines(tab: Tab) -> dict[str, dict[str, Any]]:
    """The looks of outlines; the mask's has the colour of its object."""
    lines = LINES | {"mask": replace(LINES["mask"], colour=tab.objects.now.colour)}
    return {name: asdict(line) for name, line in lines.items()}
