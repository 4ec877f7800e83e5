"""The command mecca evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


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
        tolerance: Millimetres that image and label may lie apart; by default as in the training.
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
    tolerance: Annotated[float | None, arg(metavar="MM", help_behavior_hint="")] = None
    seed: int = 0
    device: str = "auto"

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_agents.evaluation.reliability import Reliability
        from mecca_agents.evaluation.runner import evaluate, table

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
            tolerance=self.tolerance,
            seed=self.seed,
            device=self.device,
            observers=[reliability],
        )
        print(table(results))
        if reliability.voxels:
            print(f"\n{reliability.table()}")
        return 0
