"""The hint below the tools: what a person can do next, in a sentence or two."""

from __future__ import annotations

from mecca_agents.app.tab.tab import Tab


def what_next(tab: Tab, tool: str) -> str:
    """The hint.

    Args:
        tab: Where the session stands.
        tool: The tool that is taken.
    """
    if not tab.planes:
        return "Open a scan to begin."
    if tab.question.masks is not None:
        return "Two proposals: they differ where one line runs alone. Whatever else you do passes both over."
    if tool == "box":
        return _box_next(tab)
    if tool in ("brush", "eraser"):
        return _paint_next(tab, tool)
    if tool != "move":
        return _mark_next(tab, tool)
    if tab.session.box is None and not tab.session.steps:
        return _begin_with(tab)
    return "Drag to look around; the wheel turns slices."


def _begin_with(tab: Tab) -> str:
    if tab.session.model.finds_its_view:
        return "Click inside the target (C), or draw a box around it (B), then step (S)."
    marks = "mark what is inside (C) and outside (D)" if tab.signed else "click on its edges (C)"
    return f"Draw a box (B) around what is to be segmented, {marks}, then step (S)."


def _mark_next(tab: Tab, tool: str) -> str:
    session = tab.session
    waiting = session.waiting().clicks
    waits = f"{waiting} click{'' if waiting == 1 else 's'} wait{'s' if waiting == 1 else ''} for the step."
    if tool == "click":
        return f"Click on wrong edges, then step. {waits}"
    if session.model.finds_its_view and session.box is None and session.pristine:
        first = "Click inside the target" if tool == "inside" else "First click inside the target (C)"
        return f"{first}, or draw a box around it (B)."
    if tool == "lasso":
        return f"Drag around an area that is inside; with Ctrl or Alt: outside. {waits}"
    other = "outside" if tool == "inside" else "inside"
    return f"Click {tool} the target, or drag a line; right click: {other}. {waits}"


def _paint_next(tab: Tab, tool: str) -> str:
    does, other = ("adds", "erases") if tool == "brush" else ("erases", "adds")
    lost = "Clicks that wait go with it." if tab.session.waiting().clicks else "The step goes on from it."
    return f"Drag: {does} voxels of the slice; with Ctrl or Alt: {other}. {lost}"


def _box_next(tab: Tab) -> str:
    draft, box = tab.draft, tab.session.box
    if draft.box is not None and draft.box != box:
        return "Use box (Enter) begins anew in it; clicks and steps go, Undo brings them back."
    if draft.box is not None:
        return "Drag a rectangle in any view to change the box."
    missing = [plane.name for plane in tab.planes if plane.axis not in draft.missing]
    if any(draft.extents):
        return f"Now drag a rectangle in the {' or '.join(missing).lower()} view."
    return "Drag a rectangle around it in one view, then in another one."
