"""Make a run that comes with the package, and measure the one of phantoms.

    python -m experiments.built_in general --train runs/general    # an hour; stopped and begun again at will
    python -m experiments.built_in phantom --train runs/phantom    # five minutes
    python -m experiments.built_in hippocampus --train runs/hippocampus --root /data/Task04_Hippocampus  # ten minutes
    python -m experiments.built_in phantom                         # measures what the package has

What `--train` has made is copied into the package: settings, and weights in 16 bits. The box of a person is not as
tight as that of a label, and some make no click: the lines below the first say what becomes of the run of phantoms.
`experiments.sessions.general` measures the one for any organ.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from mecca_agents.evaluation import dice_by_step, evaluate_agent
from mecca_agents.presets import MECHANISMS, PRESETS
from mecca_agents.runs.checkpoints import MODEL, checkpoint_folder, read_tensors
from mecca_agents.runs.config import is_run, read_config, write_config
from mecca_agents.runs.shipped import SHIPPED
from mecca_agents.session.playing.model import load_model
from mecca_agents.tables import grid
from mecca_agents.training import resume, train


@dataclass(frozen=True)
class Recipe:
    """How a run is trained.

    Attributes:
        method: Name of the method.
        env: Environment id.
        preset: Name of the preset.
        settings: Of the environment, besides.
        changes: Settings in place of the preset's.
        files: Whether it is trained on a folder of scans.
        begun_from: The run that comes with the package whose weights it begins with; None: with none.
        first: What is trained before, in the folder NAME-first beside its own, and begun from; None: nothing.
    """

    method: str
    env: str
    preset: str
    settings: dict[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    files: bool = False
    begun_from: str | None = None
    first: Recipe | None = None

    @property
    def before(self) -> str | None:
        """What it begins with, in words that are nobody's folder; None: with random weights."""
        if self.first is None:
            return self.begun_from
        preset = PRESETS[self.first.preset].replace(**self.first.changes)
        return f"{preset.updates * preset.num_envs} episodes of the preset {self.first.preset}"


RECIPES = {
    "general": Recipe(
        "intercnn",
        "MECCA-Shapes-v0",
        "general",
        # more clicks on edges than in "mixed", else it reads many of them as if they were in the middle; and more masks
        # to go on from, else the first click makes a good one worse
        {
            "guide": True,
            "user": {"largest-error": 0.27, "random-error": 0.13, "edges": 0.45, "scribble": 0.15},
            "start": {"half": 0.6, "mask": 0.4},
        },
        changes={"updates": 700, "learning_rate": 1e-3},
        first=Recipe("intercnn", "MECCA-Shapes-v0", "general", {"guide": True}),
    ),
    "hippocampus": Recipe(
        "intercnn",
        "MECCA-Hippocampus-v0",
        "general",
        {"guide": True},
        changes={"updates": 400, "learning_rate": 1e-3},
        files=True,
        begun_from="general",
    ),
    "phantom": Recipe("mecca-expected", "MECCA-Phantom-v0", "brief", changes=MECHANISMS),
}
"""Of every run that comes with the package, by its name."""

WAYS: dict[str, dict[str, Any]] = {
    "as in an evaluation": {},
    "a box 3 voxels too tight on every side": {"evaluation_extension": 3},
    "a box 3 voxels too wide": {"evaluation_extension": 9},
    "a box 6 voxels too wide": {"evaluation_extension": 12},
    "a box 14 voxels too wide": {"evaluation_extension": 20},
    "no clicks": {"user": "none"},
    "clicks up to 2 voxels off": {"user": "imprecise"},
}


def make(name: str, run: Path, root: Path | None = None) -> None:
    """Train it, or go on, and copy its settings and weights into the package.

    Args:
        name: Of the run.
        run: Folder that it is trained in.
        root: Folder of the data set, for those that need one.
    """
    _train(RECIPES[name], run, root)
    package = SHIPPED / name
    weights = checkpoint_folder(package) / MODEL
    weights.parent.mkdir(parents=True, exist_ok=True)
    trained = read_tensors(checkpoint_folder(run) / MODEL)
    save_file({key: value.half() if value.dtype == torch.float32 else value for key, value in trained.items()}, weights)
    # these are somebody's folders
    write_config(package, replace(read_config(run), root=None, begun_from=RECIPES[name].before))


def _train(recipe: Recipe, run: Path, root: Path | None) -> None:
    if is_run(run):
        resume(run)
        return
    before = run.with_name(f"{run.name}-first")
    if recipe.first is not None:
        _train(recipe.first, before, root)
    train(
        recipe.method,
        recipe.env,
        run,
        preset=PRESETS[recipe.preset].replace(**recipe.changes),
        root=root,
        settings=recipe.settings,
        begin_from=recipe.begun_from if recipe.first is None else before,
        seed=0 if recipe.first is None else 1,  # other episodes
        device="cpu",
    )


def table(cases: int) -> str:
    """Mean Dice of the run of phantoms after each step, as Markdown."""
    model = load_model("phantom", device="cpu")
    lines = []
    for name, settings in WAYS.items():
        results = evaluate_agent(model.agent, model.run, cases=cases, settings=settings)
        lines.append([name, *(f"{value:.1f}" for value in dice_by_step(results))])
    return grid([f"Dice %, {cases} phantoms", "step 1", "2", "3", "4", "5"], lines, padded=False)


def main() -> None:
    """Make it, if asked to, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=tuple(RECIPES))
    parser.add_argument("--train", type=Path, metavar="RUN", help="train it in this folder, or go on, and take it over")
    parser.add_argument("--root", type=Path, help="folder of the data set, of a run that needs one")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if RECIPES[options.name].files and options.train is not None and options.root is None:
        parser.error("--root: expected the folder of its data set, got none")
    torch.set_num_threads(options.threads)
    if options.train is not None:
        make(options.name, options.train, options.root)
    if options.name == "phantom":
        print(table(options.cases))


if __name__ == "__main__":
    main()
