"""The command mecca train."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from mecca_agents.commands.preset_flags import PresetFlags, given_settings, preset_table
from mecca_agents.commands.prompt_flags import PromptFlags, given_prompts
from mecca_agents.presets import find_preset


@dataclass(frozen=True)
class Train:
    """Train a method and leave a run folder (settings, log, checkpoints), or go on with one that was stopped.

    Attributes:
        method: Name of a method (mecca, iter-mrl), or module:class of your own.
        env: Environment id; several: each episode is of one of their data sets.
        out: The run's folder.
        from_run: Begin with the weights, the settings and the prompts of this run, or of one that comes with the
            package (general); METHOD and --preset need not be given then. Other flags overrule what it has; which
            cases are labelled is not taken from it.
        resume: Go on with the run in this folder, which knows all its settings; only --device may be given as well.
        root: Folder of the data set; by default looked for under $MECCA_DATA. With several ids one for each, "-" where
            there is none to name.
        weights: How often each of several ids comes; by default equally often.
        label: Label values that are foreground, by default the data set's own, or all above 0; each makes every value
            of every scan a case of its own.
        labelled_fraction: Share of the cases whose labels give rewards; by default all.
        labelled_cases: So many cases whose labels give rewards, in place of a share.
        labelled_draw: Which draw of these cases; 0 by default.
        preset: paper, paper-grid, fast, brief, general, online or demo; fast by default. Each setting has a flag below.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        tolerance: Millimetres that image and label may lie apart; by default next to nothing.
        checkpoint_every: Updates between two checkpoints; 100 by default.
        seed: Seed of the environment, the weights and the sampling; 0 by default.
        device: auto, cpu or cuda; by default auto, or with --resume what the run began with.
        overwrite: Replace a run that is there already.
        prompts: Who prompts, with what and when; by default as in the paper.
        settings: Settings in place of the preset's: what every run has.
    """

    method: Annotated[Positional[str | None], arg(metavar="[METHOD]", help_behavior_hint="")] = None
    env: Annotated[tuple[str, ...], arg(metavar="ID...", help_behavior_hint="")] = ()
    out: Annotated[Path | None, arg(metavar="RUN", help_behavior_hint="")] = None
    from_run: Annotated[str | None, arg(name="from", metavar="RUN", help_behavior_hint="")] = None
    resume: Annotated[Path | None, arg(metavar="RUN", help_behavior_hint="")] = None
    root: Annotated[tuple[Path, ...], arg(metavar="DIR...", help_behavior_hint="")] = ()
    weights: Annotated[tuple[float, ...], arg(metavar="W...", help_behavior_hint="")] = ()
    label: Annotated[tuple[int, ...] | Literal["each"] | None, arg(metavar="each|N...", help_behavior_hint="")] = None
    labelled_fraction: Annotated[float | None, arg(metavar="F", help_behavior_hint="")] = None
    labelled_cases: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    labelled_draw: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    preset: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    skip_bad: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    tolerance: Annotated[float | None, arg(metavar="MM", help_behavior_hint="")] = None
    checkpoint_every: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    seed: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    device: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    overwrite: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    prompts: Annotated[PromptFlags, OmitArgPrefixes] = field(default_factory=lambda: PromptFlags())
    settings: Annotated[PresetFlags, OmitArgPrefixes] = field(default_factory=dict)

    def run(self) -> int:
        """Do it; the exit code."""
        own = [field for field in fields(self) if field.name not in ("prompts", "settings")]
        given = {field.name: value for field in own if (value := getattr(self, field.name)) != field.default}
        changes = given_settings(self.settings)
        if self.resume is not None:
            return self._go_on(sorted({*given, *self.prompts, *changes} - {"resume", "device"}))
        prompts = given_prompts(self.prompts)
        start = given.pop("from_run", None)
        inherited: dict[str, Any] = {}
        if start is not None:
            given, inherited = _as_in(start, given, prompts)
        missing = [flag for name, flag in _NEEDED.items() if name not in given]
        if missing:
            raise ValueError(f"train: expected METHOD, --env and --out, or --resume RUN; missing: {', '.join(missing)}")
        from mecca_agents.agent import check_effect
        from mecca_agents.runs.config import is_run
        from mecca_agents.runtime.distributed import restarted
        from mecca_agents.training.loop import train

        method, envs, out = (given.pop(name) for name in _NEEDED)
        given |= _mixed(envs, given.pop("root", ()), given.pop("weights", ()))
        env = given.pop("env")
        if restarted() and is_run(out):
            return self._resume(out)
        chosen = given.pop("preset", "fast")
        preset = (find_preset(chosen) if isinstance(chosen, str) else chosen).replace(**changes)
        settings = inherited | {name: given.pop(name) for name in _LABELLED if name in given} | prompts
        check_effect([method], preset, changes, settings)
        train(method, env, out, preset=preset, settings=settings, begin_from=start, **given)
        return _trained(out)

    def _go_on(self, others: Sequence[str]) -> int:
        if others:
            flags = ", ".join(name if name == "method" else f"--{name.replace('_', '-')}" for name in others)
            raise ValueError(f"--resume: expected no other flag than --device, the run knows its settings; got {flags}")
        assert self.resume is not None
        return self._resume(self.resume)

    def _resume(self, run: Path) -> int:
        from mecca_agents.training.loop import resume

        resume(run, device=self.device)
        return _trained(run)


def _trained(run: Path) -> int:
    """Say so, once; the exit code."""
    if int(os.environ.get("RANK", "0")) == 0:  # of the processes that torchrun started
        print(f"trained in {run}; next: mecca evaluate {run}{_split(run)}")
    return 0


def _split(run: Path) -> str:
    """The flag without which an evaluation of this run would have nothing to play: of one case alone none is kept."""
    from mecca_agents.runs.config import read_config
    from mecca_env.data.layouts import discover

    config = read_config(run)
    alone = config.root is not None and len(discover(config.root)[1].cases) == 1
    return " --split all  (there is no other case to test on)" if alone else ""


def _as_in(run: str, given: dict[str, Any], prompts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was given, and where nothing was what a run was trained with: its method and preset; and its prompts.

    Which cases are labelled belongs to the data set, and what the run's method set by itself the method sets again.
    """
    from mecca_agents.agent import find_method
    from mecca_agents.evaluation.adapting import prompted
    from mecca_agents.runs.config import read_config
    from mecca_agents.runs.shipped import find_run
    from mecca_env.process.config import ALL_LABELLED

    config = read_config(find_run(run))
    own = find_method(config.method).env_settings(config.preset, config.settings)
    kept = {k: v for k, v in config.settings.items() if k not in ALL_LABELLED and (k not in own or own[k] != v)}
    return {"method": config.method, "preset": config.preset, **given}, prompted(kept, prompts)


def _mixed(envs: Sequence[str], roots: Sequence[Path], weights: Sequence[float]) -> dict[str, Any]:
    """What `train` is given of one data set or several."""
    for flag, values in (("--root", roots), ("--weights", weights)):
        if values and len(values) != len(envs):
            raise ValueError(f"{flag}: expected one for each of the {len(envs)} ids of --env, got {len(values)}")
    folders = [None if str(root) == "-" else root for root in roots] or [None] * len(envs)
    shares = list(weights) or [1.0] * len(envs)
    first: dict[str, Any] = {"env": envs[0], "root": folders[0]}
    if len(envs) == 1:
        return first
    others = zip(envs[1:], folders[1:], shares[1:], strict=True)
    sources = [{"env": env, "weight": share} | ({} if root is None else {"root": root}) for env, root, share in others]
    return {**first, "weight": shares[0], "sources": sources}


_NEEDED = {"method": "METHOD", "env": "--env", "out": "--out"}
_LABELLED = ("labelled_fraction", "labelled_cases", "labelled_draw")


_TRAIN = f"""{(Train.__doc__ or "").partition("Attributes:")[0].strip()}

  mecca train METHOD --env ID --out RUN [--preset NAME] ...
  mecca train --resume RUN

Presets, what they are for and where they differ:

{preset_table()}"""
