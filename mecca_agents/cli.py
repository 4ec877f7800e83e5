"""The command line: mecca train | evaluate | demo | data check."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg, subcommand

from mecca_env.data.cache import CacheError


@dataclass(frozen=True)
class Train:
    """Train a method and leave a run folder: settings, log, checkpoints.

    Attributes:
        method: Name of a method (iter-mrl), or module:class of your own.
        env: Environment id.
        out: The run's folder.
        root: Folder of the data set; by default looked for under $MECCA_DATA.
        label: Label values that are foreground; by default the data set's own, or all above 0.
        shape: Grid D H W in voxels, in place of the preset's.
        preset: paper, fast, brief or demo.
        updates: Number of updates, in place of the preset's.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        checkpoint_every: Updates between two checkpoints.
        seed: Seed of the environment, the weights and the sampling.
        device: auto, cpu or cuda.
        overwrite: Replace a run that is there already.
    """

    method: Positional[str]
    env: str
    out: Path
    root: Path | None = None
    label: tuple[int, ...] | None = None
    shape: tuple[int, int, int] | None = None
    preset: str = "fast"
    updates: int | None = None
    skip_bad: bool = False
    checkpoint_every: int = 100
    seed: int = 0
    device: str = "auto"
    overwrite: bool = False

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_agents.presets import find_preset
        from mecca_agents.training import train

        preset = find_preset(self.preset)
        if self.shape is not None:
            preset = replace(preset, shape=self.shape)
        if self.updates is not None:
            preset = replace(preset, updates=self.updates)
        train(
            self.method,
            self.env,
            self.out,
            preset=preset,
            root=self.root,
            label=self.label,
            skip_bad=self.skip_bad,
            checkpoint_every=self.checkpoint_every,
            seed=self.seed,
            device=self.device,
            overwrite=self.overwrite,
        )
        print(f"trained {self.method} in {self.out}; next: mecca evaluate {self.out}")
        return 0


@dataclass(frozen=True)
class Evaluate:
    """Play every case of a split once with a trained run, print a table and write a CSV file.

    Attributes:
        run_folder: The run's folder.
        root: Folder of the data set; by default the one it was trained on.
        split: train, test or all.
        out: CSV file to write, one row for each case and step.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        seed: Seed of the simulated user.
        device: auto, cpu or cuda.
    """

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    root: Path | None = None
    split: str = "test"
    out: Path | None = None
    skip_bad: bool = False
    seed: int = 0
    device: str = "auto"

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_agents.evaluation import evaluate, table

        results = evaluate(
            self.run_folder,
            root=self.root,
            split=self.split,
            out=self.out,
            skip_bad=self.skip_bad,
            seed=self.seed,
            device=self.device,
        )
        print(table(results))
        return 0


@dataclass(frozen=True)
class Demo:
    """Train on the built-in phantom, compare with the untrained network, draw a picture: about two minutes.

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


Command = (
    Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Demo, subcommand("demo")]
    | Annotated[Data, subcommand("data")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; what the user did wrong is one line on standard error and exit code 2."""
    sys.path.insert(0, "")  # methods of one's own, as "module:class", from the folder one stands in
    command = tyro.cli(Command, args=arguments, prog="mecca", description=__doc__)
    try:
        return int(command.run())
    except (ValueError, TypeError, FloatingPointError, CacheError, OSError) as error:
        print(f"mecca: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mecca: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
