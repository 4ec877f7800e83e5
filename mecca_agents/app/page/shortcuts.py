"""The keys of the page: what each does, for the browser, and in words, for the list on the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shortcut:
    """Keys and what they do.

    Attributes:
        label: The keys, for people.
        keys: As browsers call them, with each command.
        words: What they do.
    """

    label: str
    keys: dict[str, str]
    words: str


_TOOLS = Shortcut("N B C", {"n": "tool move", "b": "tool box", "c": "tool click"}, "look around, draw the box, click")
_SIGNED_TOOLS = Shortcut(
    "N B C D E",
    {"n": "tool move", "b": "tool box", "c": "tool inside", "d": "tool outside", "e": "tool lasso"},
    "look around, box, mark inside, mark outside, lasso",
)
_SHORTCUTS = (
    Shortcut("↑ ↓", {"ArrowUp": "next", "ArrowDown": "previous"}, "next, previous slice (also the wheel, ← →)"),
    Shortcut("← →", {"ArrowRight": "next", "ArrowLeft": "previous"}, ""),
    Shortcut("PgUp PgDn", {"PageUp": "next 10", "PageDown": "previous 10"}, "ten slices"),
    Shortcut("1 2 3", {"1": "view 1", "2": "view 2", "3": "view 3"}, "choose a view"),
    Shortcut("X", {"x": "alone"}, "this view alone, or all"),
    Shortcut(
        "+ − 0", {"+": "zoom in", "=": "zoom in", "-": "zoom out", "0": "fit"}, "zoom (also Ctrl + wheel), all of it"
    ),
    _TOOLS,
    Shortcut("R U", {"r": "tool brush", "u": "tool eraser"}, "brush, eraser"),
    Shortcut("[ ]", {"[": "smaller brush", "]": "larger brush"}, "smaller, larger brush"),
    Shortcut("Enter", {"Enter": "use box"}, "begin anew in the drawn box"),
    Shortcut("S", {"s": "step"}, "step"),
    Shortcut("Q", {"q": "two proposals"}, "two proposals of the step, to choose from"),
    Shortcut("Z Y", {"z": "undo", "y": "redo", "Ctrl+z": "undo", "Ctrl+y": "redo", "Ctrl+Z": "redo"}, "undo, redo"),
    Shortcut("Shift + Delete", {"Shift+Delete": "reset"}, "reset"),
    Shortcut(
        "M L V", {"m": "show mask", "l": "show label", "v": "show advice"}, "mask, label, advised regions on or off"
    ),
    Shortcut("I", {"i": "show objects"}, "other objects on or off"),
    Shortcut("K O T", {"k": "show clicks", "o": "show box", "t": "show cross"}, "clicks, box, cross on or off"),
    Shortcut(
        "P A F H",
        {"p": "heat probability", "a": "heat action", "f": "heat confidence", "h": "heat hint"},
        "probability, action, confidence, hint over the scan",
    ),
    Shortcut("G", {"g": "next advice"}, "go to the next advised region"),
    Shortcut("W", {"w": "auto window"}, "window and level as at first"),
)
_TAKE = Shortcut(
    "1 2 Esc",
    {"1": "take first", "2": "take second", "Escape": "take neither"},
    "while there are two proposals: the first, the second, neither",
)
_ACCEPT = Shortcut("J", {"j": "accept"}, "accept the mask into the project")

_MOUSE = (
    ("Wheel", "next, previous slice"),
    ("Ctrl + wheel", "zoom at the pointer"),
    ("Right button", "drag: window (sideways) and level (up, down)"),
    ("Brush, Eraser", "click or drag; Ctrl or Alt held: the other one"),
    ("Shift + drag", "move the picture (also the middle button)"),
)
_SIGNED_MOUSE = (
    ("Inside, Outside", "click, or drag to draw a line"),
    ("Lasso", "drag around an area, which is inside"),
    ("Ctrl or Alt", "held: the other side; so does a right click of Inside, Outside"),
    *_MOUSE,
)


def shortcuts(signed: bool, project: bool = False) -> tuple[Shortcut, ...]:
    """All keys, in the order of the list.

    Args:
        signed: Whether the agent is told on which side of the target's border a click is.
        project: Whether masks are accepted into one.
    """
    every = (*_SHORTCUTS, _TAKE, *((_ACCEPT,) if project else ()))
    return tuple(_SIGNED_TOOLS if signed and each is _TOOLS else each for each in every)


def mouse(signed: bool) -> tuple[tuple[str, str], ...]:
    """What the mouse does, besides the chosen tool where that is plain, in words."""
    return _SIGNED_MOUSE if signed else _MOUSE


def commands_by_key(signed: bool, project: bool = False, asking: bool = False) -> dict[str, str]:
    """The command of every key (`shortcuts`).

    Args:
        signed: As there.
        project: As there.
        asking: Whether two proposals are shown: then 1 and 2 take one of them, in place of choosing a view.
    """
    known = {key: word for each in shortcuts(signed, project) if each is not _TAKE for key, word in each.keys.items()}
    return known | _TAKE.keys if asking else known
