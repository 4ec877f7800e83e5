"""The presets on the command line: a flag for every setting, and a table of where the presets differ."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, make_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro
from tyro.conf import arg

from mecca_agents.presets import PRESETS, Preset

_PRESETS = "preset"  # value of a flag that was not given; None is a value


def preset_table() -> str:
    """The settings in which the presets differ, a line for each, as text."""
    names = list(PRESETS)
    rows = [["", *names]]
    for setting in fields(Preset):
        values = [getattr(PRESETS[name], setting.name) for name in names]
        if len(set(values)) > 1:
            rows.append([setting.name.replace("_", "-"), *(_shown(value) for value in values)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(names) + 1)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line.rstrip()}" for line in padded)


def given_settings(flags: Any) -> dict[str, Any]:
    """The settings of a `PresetFlags` that were given. Raises `ValueError` for a switch turned both on and off."""
    types, given = get_type_hints(Preset), {}
    for setting in fields(Preset):
        name = setting.name
        if types[name] is not bool:
            if getattr(flags, name) != _PRESETS:
                given[name] = getattr(flags, name)
        elif getattr(flags, name) or getattr(flags, f"no_{name}"):
            if getattr(flags, name) and getattr(flags, f"no_{name}"):
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag}: expected this or --no-{flag}, got both")
            given[name] = getattr(flags, name)
    return given


def _descriptions() -> dict[str, str]:
    """What `Preset` says of each of its settings."""
    text = inspect.cleandoc(Preset.__doc__ or "").partition("Attributes:")[2]
    joined = re.sub(r"\n {8}", " ", text)  # one line for each
    return dict(re.findall(r"^ {4}(\w+): (.*)$", joined, re.MULTILINE))


def _metavar(kind: Any) -> str:
    if isinstance(kind, UnionType):
        return "|".join(_metavar(part) for part in get_args(kind))
    if kind is NoneType:
        return "None"
    if get_origin(kind) is Literal:
        return "{" + ",".join(get_args(kind)) + "}"
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        return f"{_metavar(inner[0])}..." if Ellipsis in inner else " ".join(_metavar(part) for part in inner)
    return str(kind.__name__).upper()


def _shown(value: Any) -> str:
    return " ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def _flags() -> list[tuple[str, Any, Any]]:
    """Fields of `PresetFlags`: a setting that is not given is the preset's; a switch is two flags."""
    types, described = get_type_hints(Preset), _descriptions()
    made: list[tuple[str, Any, Any]] = []
    for setting in fields(Preset):
        name, kind, words = setting.name, types[setting.name], described[setting.name]
        if kind is bool:
            for flag, help in ((name, words), (f"no_{name}", "Without that.")):
                off = arg(help=help, help_behavior_hint="")
                made.append((flag, Annotated[bool, tyro.conf.FlagCreatePairsOff, off], False))
        else:
            options = arg(help=words, metavar=_metavar(kind), help_behavior_hint="")
            made.append((name, Annotated[kind | Literal["preset"], options], _PRESETS))
    return made


PresetFlags = make_dataclass("PresetFlags", _flags(), frozen=True)
"""A flag for every setting of `Preset`, in place of the preset's value."""
