"""A run's folder: what was trained and how (`config.json`), its log (`metrics.csv`), its checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mecca_agents.presets import FAMILIES, LATER, Preset
from mecca_agents.runs.errors import RunError as RunError  # part of this module, too
from mecca_env.atomic import flush_to_disk, os_errors_as, write_text
from mecca_env.data.built_in import STAND_IN, built_in
from mecca_env.data.procedural.source import ProceduralSource
from mecca_env.data.targets import Foreground
from mecca_env.process.config import EnvConfig

FORMAT = 5
"""Version of the folder's layout."""

CONFIG = "config.json"


@dataclass(frozen=True)
class RunConfig:
    """Settings of a run: what was trained, and how.

    Attributes:
        method: Name of the method, or "module:class".
        env: Environment id.
        dataset: Name of the data set that was really played.
        root: Its folder, or None for a built-in one.
        label: Foreground values, "each" for every value of a scan as a case of its own, or None for the data set's own.
        settings: Further settings of the environment, the method's own and those that were asked for.
        preset: The method's settings.
        modalities: Channels of the volume.
        seed: Seed of the environment, the weights and the sampling.
        sources: Further data sets that were trained on (`mecca_env.data.mixture`).
        weight: How often the first of them came, beside those.
        begun_from: The run whose weights it began with, or what that was trained on; None: random ones.
        train_cases: Names of the cases trained on; empty where they are endless.
        cases: The cases that were asked for; None: the whole split.
        skip_bad: Whether unusable cases were left out.
        tolerance: Millimetres that the files of a case may lie apart; None: next to nothing.
        checkpoint_every: Updates between two checkpoints.
        device: The device that was asked for.
        environment: Every setting of the environment (`mecca_env.EnvConfig`), defaults included.
        versions: Versions of the packages that matter; None of one that does not say.
        commit: The git commit of the code, with "-dirty" where files were changed since; None outside of git.
        format: Version of the folder's layout.
    """

    method: str
    env: str
    dataset: str
    root: str | None
    label: Foreground
    settings: dict[str, Any]
    preset: Preset
    modalities: int
    seed: int
    sources: tuple[dict[str, Any], ...] = ()
    weight: float = 1.0
    begun_from: str | None = None
    train_cases: tuple[str, ...] = ()
    cases: int | tuple[str | int, ...] | None = None
    skip_bad: bool = False
    tolerance: float | None = None
    checkpoint_every: int = 100
    device: str = "auto"
    environment: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)
    commit: str | None = None
    format: int = FORMAT

    @property
    def built_in(self) -> type[ProceduralSource] | None:
        """The built-in data set that was played, or None."""
        return built_in(self.dataset, self.root)

    @property
    def stood_in(self) -> bool:
        """Whether what stands in for a missing data set was played, in its place or by itself."""
        return self.built_in is STAND_IN


def is_run(folder: Path) -> bool:
    """Whether a run was begun in a folder."""
    return (folder / CONFIG).exists()


def config_text(config: RunConfig) -> str:
    """The text of `config.json`, the preset flat. Raises `TypeError` where JSON cannot hold it."""
    try:
        return json.dumps({**asdict(config), "preset": config.preset.flat()}, indent=2) + "\n"
    except TypeError as error:
        raise TypeError(f"settings of the run: expected values that JSON can hold, got {config} ({error})") from None


def write_config(folder: Path, config: RunConfig) -> None:
    """Write `config.json`, and wait until it is on the disk. Raises `RunError` where it cannot be written."""
    path, text = folder / CONFIG, config_text(config)
    with os_errors_as(lambda reason: RunError(f"{path}: cannot be written: {reason}")):
        write_text(path, text, durable=True)
        flush_to_disk(folder.absolute().parent)  # the name of the folder, which may be new


def read_config(folder: Path) -> RunConfig:
    """Read `config.json`. Raises `RunError` where it is missing or not one."""
    path = folder / CONFIG
    try:
        older_runs: dict[str, Any] = {"tolerance": None, "sources": (), "weight": 1.0, "begun_from": None}
        data = older_runs | json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, found {data['format']!r}")
        found, default = data["preset"], Preset().flat()
        older = {name: default[name] for name in LATER if name not in found}
        preset = Preset().replace(**{name: _frozen((older | found)[name]) for name in FAMILIES})
        config = RunConfig(**{f.name: _frozen(data[f.name]) for f in fields(RunConfig)} | {"preset": preset})
        for name, kind in (("method", str), ("modalities", int), ("settings", dict)):
            if not isinstance(getattr(config, name), kind):
                raise TypeError(f"{name}: expected {kind.__name__}, found {data[name]!r:.80}")
        EnvConfig(shape=preset.shape, **config.settings)
        return config
    except FileNotFoundError:
        raise RunError(f"{folder}: expected a run with a config.json, found none") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path}: expected the settings of a run, found {type(error).__name__}: {error}") from error


def _frozen(value: Any) -> Any:
    """Lists of JSON back to the tuples they were."""
    if isinstance(value, dict):
        return {key: _frozen(v) for key, v in value.items()}
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
