"""The prompts on the command line: who prompts, with what and when. The same flags for all commands that play."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from typing_extensions import TypedDict
from tyro.conf import arg

from mecca_env.process.choices import read_choice
from mecca_env.process.config import BOXES, CROPS, STARTS
from mecca_env.process.protocols import PROTOCOLS

USERS = ("edge", "edges", "guided", "imprecise", "largest-error", "none", "random-error", "region-centre", "scribble")
"""Simulated users by name."""

HINTS = ("gaussian", "edt", "euclidean", "geodesic", "supervoxel")
"""Hints by name."""

SWITCHES = ("signed", "time")
"""The flags that are turned on or off."""


class PromptFlags(TypedDict, total=False):
    """Who prompts, with what and when; what was not given is not in it.

    Attributes:
        protocol: A set of all that follow, by its name: paper, cvpr25, one-click, first-click or mixed. Single flags
            overrule it.
        user: Who prompts: edge, edges, imprecise, guided, region-centre, largest-error, random-error, scribble or
            none; or several with weights, of whom each episode has one.
        clicks: Clicks before each step, a number or least-most for each: 1 0-2 0-2.
        horizon: Steps of an episode.
        hint: What the network sees of a click: gaussian, edt, euclidean, geodesic or supervoxel.
        signed: Whether it sees clicks inside the target and clicks outside of it as two maps.
        box: What box it sees: none, label or middle-slice; or several with weights.
        crop: What is cut out of the scan: label, box, click or scan; or several with weights.
        start: What an episode begins with: half, or a mask; or both with weights.
        time: Whether the network is told the share of the episode that is left.
    """

    protocol: Annotated[str, arg(metavar="NAME", help_behavior_hint="")]
    user: Annotated[tuple[str, ...], arg(metavar="NAME|NAME=WEIGHT...", help_behavior_hint="")]
    clicks: Annotated[tuple[str, ...], arg(metavar="N|LEAST-MOST...", help_behavior_hint="")]
    horizon: Annotated[int, arg(metavar="N", help_behavior_hint="")]
    hint: Annotated[str, arg(metavar="NAME", help_behavior_hint="")]
    signed: Annotated[bool, arg(help_behavior_hint="")]
    box: Annotated[tuple[str, ...], arg(metavar="KIND|KIND=WEIGHT...", help_behavior_hint="")]
    crop: Annotated[tuple[str, ...], arg(metavar="KIND|KIND=WEIGHT...", help_behavior_hint="")]
    start: Annotated[tuple[str, ...], arg(metavar="KIND|KIND=WEIGHT...", help_behavior_hint="")]
    time: Annotated[bool, arg(help_behavior_hint="")]


def given_prompts(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the environment (`mecca_env.EnvConfig`) that were given, as JSON can hold them.

    Args:
        flags: A `PromptFlags`.

    Raises:
        ValueError: A word means nothing; the message has the flag, what was expected and what was found.
    """
    return {name: _READERS[name](f"--{name}", value) if name in _READERS else value for name, value in flags.items()}


def _one_of(known: Sequence[str]) -> Callable[[str, str], str]:
    def read(flag: str, word: str) -> str:
        if word not in known:
            raise ValueError(f"{flag}: expected one of {', '.join(known)}, got {word!r}")
        return word

    return read


def _mixture_of(known: Sequence[str]) -> Callable[[str, Sequence[str]], str | dict[str, float]]:
    def read(flag: str, words: Sequence[str]) -> str | dict[str, float]:
        if len(words) == 1 and "=" not in words[0]:
            return _one_of(known)(flag, words[0])
        weights: dict[str, float] = {}
        for word in words:
            name, _, weight = word.partition("=")
            if name in weights or not _is_number(weight):
                raise ValueError(f"{flag}: expected one NAME, or NAME=WEIGHT for each of several, got {_shown(words)}")
            weights[_one_of(known)(flag, name)] = float(weight)
        read_choice(flag, weights, known)
        return weights

    return read


def _clicks(flag: str, words: Sequence[str]) -> tuple[int | tuple[int, int], ...]:
    found: list[int | tuple[int, int]] = []
    for word in words:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise ValueError(f"{flag}: expected N or LEAST-MOST for each step, such as 1 0-2, got {_shown(words)}")
        least = int(match[1])
        found.append((least, int(match[2])) if match[2] and int(match[2]) > least else least)
    return tuple(found)


def _horizon(flag: str, steps: int) -> int:
    if steps < 1:
        raise ValueError(f"{flag}: expected an integer of at least 1, got {steps}")
    return steps


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _shown(words: Sequence[str]) -> str:
    return repr(" ".join(words))


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "protocol": _one_of(tuple(PROTOCOLS)),
    "user": _mixture_of(USERS),
    "clicks": _clicks,
    "horizon": _horizon,
    "hint": _one_of(HINTS),
    "box": _mixture_of(BOXES),
    "crop": _mixture_of(CROPS),
    "start": _mixture_of(STARTS),
}
