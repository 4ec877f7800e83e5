"""Make the run that comes with the package, and measure it on phantoms that were not trained on.

    python -m experiments.built_in --train runs/phantom   # five minutes; then copies what the package needs
    python -m experiments.built_in                        # measures what the package has

The box of a person is not as tight as that of a label, and some make no click: the lines below the first say what
becomes of that.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from mecca_agents.evaluation import dice_by_step, evaluate_agent
from mecca_agents.presets import PRESETS
from mecca_agents.runs.checkpoints import MODEL, checkpoint_folder
from mecca_agents.runs.config import CONFIG
from mecca_agents.session.model import BUILT_IN, load_model
from mecca_agents.tables import grid
from mecca_agents.training import train

WAYS: dict[str, dict[str, Any]] = {
    "as in an evaluation": {},
    "a box 3 voxels too tight on every side": {"evaluation_extension": 3},
    "a box 3 voxels too wide": {"evaluation_extension": 9},
    "a box 6 voxels too wide": {"evaluation_extension": 12},
    "a box 14 voxels too wide": {"evaluation_extension": 20},
    "no clicks": {"user": "none"},
    "clicks up to 2 voxels off": {"user": "imprecise"},
}


def make(run: Path) -> None:
    """Train it in a new folder and copy its settings and weights into the package."""
    train("mecca-expected", "MECCA-Phantom-v0", run, preset=PRESETS["brief"], seed=0, device="cpu")
    for source in (run / CONFIG, checkpoint_folder(run) / MODEL):
        target = BUILT_IN / source.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def table(cases: int) -> str:
    """Mean Dice after each step, as Markdown."""
    model = load_model(device="cpu")
    lines = []
    for name, settings in WAYS.items():
        results = evaluate_agent(model.agent, model.run, cases=cases, settings=settings)
        lines.append([name, *(f"{value:.1f}" for value in dice_by_step(results))])
    return grid([f"Dice %, {cases} phantoms", "step 1", "2", "3", "4", "5"], lines, padded=False)


def main() -> None:
    """Make it, if asked to, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, metavar="RUN", help="train it in this new folder")
    parser.add_argument("--cases", type=int, default=20)
    options = parser.parse_args()
    if options.train is not None:
        make(options.train)
    print(table(options.cases))


if __name__ == "__main__":
    main()
