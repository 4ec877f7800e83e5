"""Measure two choices that the paper leaves open: epsilon of Eq. 9, and who is paid what (Eq. 4 against Eq. 8).

    python -m experiments.choices                        # about fifteen minutes on two cores

Every row is one training of the demo's preset on the phantom from the same seed, tested on the same unseen phantoms.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import torch

from mecca_agents import PRESETS, evaluate_agent, train
from mecca_agents.evaluation import dice_by_step
from mecca_agents.presets import Credit
from mecca_agents.runs import read_config

EPSILONS = (1e-6, 1e-3, 1e-2, 5e-2)
TRAINING_CASES, TEST_CASES = 64, 40


def dice_per_step(epsilon: float, credit: Credit, seed: int) -> list[float]:
    """Mean test Dice after each step, in per cent."""
    preset = PRESETS["demo"].replace(credit=credit)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        agent = train(
            "iter-mrl",
            "MECCA-Phantom-v0",
            run,
            preset=preset,
            cases=TRAINING_CASES,
            settings={"epsilon": epsilon},
            seed=seed,
            device="cpu",
            stream=io.StringIO(),
        )
        return dice_by_step(evaluate_agent(agent, read_config(run), cases=TEST_CASES))


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("epsilon  credit  seed  Dice % after steps 1 to 5")
    rows: list[tuple[float, Credit]] = [*((epsilon, "voxel") for epsilon in EPSILONS), (1e-2, "mean")]
    for epsilon, credit in rows:
        for seed in options.seeds:
            dice = "  ".join(f"{value:5.1f}" for value in dice_per_step(epsilon, credit, seed))
            print(f"{epsilon:7g}  {credit:6}  {seed:4}  {dice}", flush=True)


if __name__ == "__main__":
    main()
