"""The command mecca evaluate."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from mecca_agents.commands.prompt_flags import PromptFlags, given_prompts


@dataclass(frozen=True)
class Evaluate:
    """Play every case of a split once with a trained run; print a table, and how far the confidence can be trusted.

    The prompts are those of the training, but for the flags that are given; with --protocol those of the protocol.

    Attributes:
        run_folder: The run's folder, or the name of one that comes with the package: general, hippocampus, phantom.
        checkpoint: last, or best: the one with the highest smoothed training Dice.
        env: Environment id of another data set than it was trained on, with its own folder and label.
        root: Folder of the data set; by default the one it was trained on.
        label: Label values that are foreground, or each, for every value as a case; by default as in the training, with
            --env the data set's own.
        split: train, test or all.
        out: CSV file to write, one row for each case and step.
        curves: PNG file to draw, Dice on the scan's own grid against prompts.
        figures: Folder for a picture of every case, made if missing.
        masks: Folder for the final mask of every case, NIfTI on the scan's own grid, made if missing; of the CVPR 2025
            challenge's files also all classes of a scan as segs.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        tolerance: Millimetres that image and label may lie apart; by default as in the training.
        seed: Seed of the simulated user.
        device: auto, cpu or cuda.
        prompts: Who prompts, with what and when; by default as in the training.
    """

    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    checkpoint: str = "last"
    env: Annotated[str | None, arg(metavar="ID", help_behavior_hint="")] = None
    root: Path | None = None
    label: Annotated[tuple[int, ...] | Literal["each"] | None, arg(metavar="each|N...", help_behavior_hint="")] = None
    split: str = "test"
    out: Path | None = None
    curves: Annotated[Path | None, arg(metavar="FILE.png", help_behavior_hint="")] = None
    figures: Path | None = None
    masks: Path | None = None
    skip_bad: bool = False
    tolerance: Annotated[float | None, arg(metavar="MM", help_behavior_hint="")] = None
    seed: int = 0
    device: str = "auto"
    prompts: Annotated[PromptFlags, OmitArgPrefixes] = field(default_factory=lambda: PromptFlags())

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_agents.evaluation.adapting import adapted
        from mecca_agents.evaluation.obedience import Obedience
        from mecca_agents.evaluation.reliability import Reliability
        from mecca_agents.evaluation.resampling import Bound
        from mecca_agents.evaluation.runner import evaluate, table
        from mecca_agents.report.evaluated.challenge import challenge_table, other_than_challenge
        from mecca_agents.report.evaluated.curves import check_picture, save_curve
        from mecca_agents.runs.config import read_config
        from mecca_agents.runs.shipped import find_run

        settings = given_prompts(self.prompts)
        led = adapted(read_config(find_run(self.run_folder)), settings)
        adaptation = str(led)
        if self.curves is not None:
            check_picture(self.curves)  # fail now rather than after the work
        if adaptation:
            print(adaptation)
        reliability, obedience, bound = Reliability(), Obedience(), Bound()
        results = evaluate(
            self.run_folder,
            checkpoint=self.checkpoint,
            env=self.env,
            root=self.root,
            label=self.label,
            split=self.split,
            out=self.out,
            figures=self.figures,
            masks=self.masks,
            skip_bad=self.skip_bad,
            tolerance=self.tolerance,
            seed=self.seed,
            device=self.device,
            observers=[reliability, obedience, bound],
            settings=settings,
        )
        print(table(results, adaptation))
        print(f"{obedience.line()}\n{bound.line()}")
        if challenge := challenge_table(results, bound.mean, other_than_challenge(led.settings)):
            print(f"\n{challenge}")
        if reliability.voxels:
            print(f"\n{reliability.table()}")
        if self.curves is not None:
            save_curve(results, self.curves)
        return 0
