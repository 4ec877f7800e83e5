"""The presets on the command line: a flag for every setting, by family, and a table of where the presets differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, get_type_hints

from typing_extensions import TypedDict
from tyro.conf import arg

from mecca_agents.commands.prompt_flags import SWITCHES
from mecca_agents.presets import PRESETS, PURPOSES, Preset
from mecca_agents.tables import columns


def preset_table() -> str:
    """What the presets are for, and the settings in which they differ, a line for each, as text."""
    settings = [preset.flat() for preset in PRESETS.values()]
    rows = [["", *PRESETS]]
    for name in settings[0]:
        values = [preset[name] for preset in settings]
        if len(set(values)) > 1:
            rows.append([name.replace("_", "-"), *(_text(value) for value in values)])
    table = columns(rows[0], rows[1:], left=len(rows[0])).splitlines()
    purposes = [f"{name:<{max(map(len, PURPOSES))}}  {purpose}" for name, purpose in PURPOSES.items()]
    return "\n".join(f"  {line}".rstrip() for line in [*purposes, "", *table])


def given_settings(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given, by name, whatever their family; `flags` is a `PresetFlags`."""
    given: dict[str, Any] = {}
    for name, value in flags.items():
        given |= value if isinstance(value, dict) else {name: value}
    return given


def check_switches(arguments: Sequence[str]) -> None:
    """Raise `ValueError` where a switch of presets or prompts is turned both on and off."""
    given = {argument.replace("_", "-") for argument in arguments}
    switches = [*(name for name, value in Preset().flat().items() if isinstance(value, bool)), *SWITCHES]
    for flag in (name.replace("_", "-") for name in switches):
        if {f"--{flag}", f"--no-{flag}"} <= given:
            raise ValueError(f"--{flag}: expected this or --no-{flag}, got both")


def _text(value: Any) -> str:
    return " ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def _flags(family: Any) -> Any:
    """A type of dict with what a dataclass has, described as there: whatever was not given is not in it."""
    kinds = {
        name: _flags(kind) if is_dataclass(kind) else Annotated[kind, arg(help_behavior_hint="")]
        for name, kind in get_type_hints(family).items()
    }
    made = TypedDict(family.__name__, kinds, total=False)  # type: ignore[misc]
    made.__doc__ = family.__doc__
    return made


PresetFlags = _flags(Preset)
"""A flag for every setting of `Preset`, in place of the preset's value."""
