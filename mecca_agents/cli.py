"""The command line: mecca train | evaluate | benchmark | report | record | annotate | demo | data check."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg, subcommand

from mecca_agents.annotate_command import Annotate
from mecca_agents.benchmark_commands import DESCRIPTION, Benchmark, Report
from mecca_agents.preset_flags import PresetFlags, given_settings, preset_table
from mecca_agents.presets import find_preset
from mecca_agents.record_command import Record
from mecca_agents.stopping import Stopped
from mecca_env.data.cache import CacheError


@dataclass(frozen=True)
class Train:
    """Train a method and leave a run folder (settings, log, checkpoints), or go on with one that was stopped.

    Attributes:
        method: Name of a method (mecca, iter-mrl), or module:class of your own.
        env: Environment id.
        out: The run's folder.
        resume: Go on with the run in this folder, which knows all its settings; only --device may be given as well.
        root: Folder of the data set; by default looked for under $MECCA_DATA.
        label: Label values that are foreground; by default the data set's own, or all above 0.
        labelled_fraction: Share of the cases whose labels give rewards; by default all.
        preset: paper, fast, brief or demo; fast by default. Every setting of it has a flag of its own below.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        checkpoint_every: Updates between two checkpoints; 100 by default.
        seed: Seed of the environment, the weights and the sampling; 0 by default.
        device: auto, cpu or cuda; by default auto, or with --resume what the run began with.
        overwrite: Replace a run that is there already.
        override: Settings in place of the preset's.
    """

    method: Annotated[Positional[str | None], arg(metavar="[METHOD]", help_behavior_hint="")] = None
    env: Annotated[str | None, arg(metavar="ID", help_behavior_hint="")] = None
    out: Annotated[Path | None, arg(metavar="RUN", help_behavior_hint="")] = None
    resume: Annotated[Path | None, arg(metavar="RUN", help_behavior_hint="")] = None
    root: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    label: Annotated[tuple[int, ...] | None, arg(metavar="N...", help_behavior_hint="")] = None
    labelled_fraction: Annotated[float | None, arg(metavar="F", help_behavior_hint="")] = None
    preset: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    skip_bad: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    checkpoint_every: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    seed: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    device: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    overwrite: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    override: Annotated[PresetFlags, OmitArgPrefixes] = field(default_factory=PresetFlags)  # type: ignore[valid-type]

    def run(self) -> int:
        """Do it; the exit code."""
        given = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default and f.name != "override"}
        changes = given_settings(self.override)
        if self.resume is not None:
            return self._go_on(sorted({*given, *changes} - {"resume", "device"}))
        missing = [flag for name, flag in _NEEDED.items() if name not in given]
        if missing:
            raise ValueError(f"train: expected METHOD, --env and --out, or --resume RUN; missing: {', '.join(missing)}")
        from mecca_agents.distributed import restarted
        from mecca_agents.runs import is_run
        from mecca_agents.training import train

        method, env, out = (given.pop(name) for name in _NEEDED)
        if restarted() and is_run(out):
            return self._resume(out)
        preset = replace(find_preset(given.pop("preset", "fast")), **changes)
        settings = {name: given.pop(name) for name in ("labelled_fraction",) if name in given}
        train(method, env, out, preset=preset, settings=settings, **given)
        return _trained(out)

    def _go_on(self, others: Sequence[str]) -> int:
        if others:
            flags = ", ".join(name if name == "method" else f"--{name.replace('_', '-')}" for name in others)
            raise ValueError(f"--resume: expected no other flag than --device, the run knows its settings; got {flags}")
        assert self.resume is not None
        return self._resume(self.resume)

    def _resume(self, run: Path) -> int:
        from mecca_agents.training import resume

        resume(run, device=self.device)
        return _trained(run)


def _trained(run: Path) -> int:
    """Say so, once; the exit code."""
    if int(os.environ.get("RANK", "0")) == 0:  # of the processes that torchrun started
        print(f"trained in {run}; next: mecca evaluate {run}")
    return 0


_NEEDED = {"method": "METHOD", "env": "--env", "out": "--out"}


@dataclass(frozen=True)
class Evaluate:
    """Play every case of a split once with a trained run; print a table, and how far the confidence can be trusted.

    Attributes:
        run_folder: The run's folder.
        checkpoint: last, or best: the one with the highest smoothed training Dice.
        root: Folder of the data set; by default the one it was trained on.
        split: train, test or all.
        out: CSV file to write, one row for each case and step.
        figures: Folder for a picture of every case, made if missing.
        masks: Folder for the final mask of every case, NIfTI on the scan's own grid, made if missing.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        seed: Seed of the simulated user.
        device: auto, cpu or cuda.
    """

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    checkpoint: str = "last"
    root: Path | None = None
    split: str = "test"
    out: Path | None = None
    figures: Path | None = None
    masks: Path | None = None
    skip_bad: bool = False
    seed: int = 0
    device: str = "auto"

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_agents.evaluation import evaluate, table
        from mecca_agents.reliability import Reliability

        reliability = Reliability()
        results = evaluate(
            self.run_folder,
            checkpoint=self.checkpoint,
            root=self.root,
            split=self.split,
            out=self.out,
            figures=self.figures,
            masks=self.masks,
            skip_bad=self.skip_bad,
            seed=self.seed,
            device=self.device,
            observers=[reliability],
        )
        print(table(results))
        if reliability.voxels:
            print(f"\n{reliability.table()}")
        return 0


@dataclass(frozen=True)
class Demo:
    """Train on the built-in phantom, compare with the untrained network, draw a picture: two to three minutes.

    Attributes:
        out: Folder for the run, the table and the picture; an earlier demo there is replaced.
        updates: Number of updates, in place of the preset's.
        seed: Seed of everything.
    """

    out: Path = Path("runs/demo")
    updates: int | None = None
    seed: int = 0

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_agents.demo import demo

        demo(self.out, updates=self.updates, seed=self.seed)
        return 0


@dataclass(frozen=True)
class Data:
    """Look at a data set: `mecca data check ROOT` lists every fault of a folder, with exit code 1 where there is one.

    Attributes:
        command: What to do.
        root: The folder.
        label: Label values that are foreground; by default all above 0.
        modalities: Images read of a BraTS case.
    """

    command: Positional[Literal["check"]]
    root: Positional[Path]
    label: tuple[int, ...] | None = None
    modalities: tuple[str, ...] = ("flair",)

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_env.data.checking import check_folder

        faults = check_folder(self.root, labels=self.label, modalities=self.modalities)
        for fault in faults:
            print(fault)
        print(f"{self.root}: {len(faults) or 'no'} fault{'' if len(faults) == 1 else 's'}")
        return 1 if faults else 0


_TRAIN = f"""{(Train.__doc__ or "").partition("Attributes:")[0].strip()}

  mecca train METHOD --env ID --out RUN [--preset NAME] ...
  mecca train --resume RUN

Presets, where they differ:

{preset_table()}"""

Command = (
    Annotated[Train, subcommand("train", description=_TRAIN)]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Benchmark, subcommand("benchmark", description=DESCRIPTION)]
    | Annotated[Report, subcommand("report")]
    | Annotated[Record, subcommand("record")]
    | Annotated[Annotate, subcommand("annotate")]
    | Annotated[Demo, subcommand("demo")]
    | Annotated[Data, subcommand("data")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; what the user did wrong, or memory that ran out, is one line on standard error and exit code 2."""
    sys.path.insert(0, "")  # methods of one's own, as "module:class", from the folder one stands in
    command = tyro.cli(Command, args=arguments, prog="mecca", description=__doc__)
    try:
        return int(command.run())
    except (ValueError, TypeError, FloatingPointError, CacheError, OSError, ImportError) as error:
        print(f"mecca: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        reason = (str(error).strip() or "of this machine").splitlines()[0]
        hint = "a smaller --num-envs, --channels or --shape needs less"
        print(f"mecca: out of memory, {hint} ({reason})", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"mecca: {stopped}", file=sys.stderr)
        return 128 + stopped.signal
    except KeyboardInterrupt:
        print("mecca: stopped", file=sys.stderr)
        return 130


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: NumPy and a GPU's allocator have a class for it, other parts of torch only a text."""
    texts = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or any(text in str(error) for text in texts)


if __name__ == "__main__":
    sys.exit(main())
