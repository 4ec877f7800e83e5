"""What the other examples have to beat: masks that see neither scan nor click, on phantoms of the same grids.

    python examples/floors.py
    python examples/floors.py --cases 4 --test-cases 2    # a look, in seconds

The crop of an episode is made from the label's box, so one mask for all cases knows much of where the label is. In a
minute of one CPU core this prints, for every grid, the mean Dice of random actions (0.17), of the mean label of the
training phantoms (0.82) and of an ellipsoid in the label's box (0.84). What stays below has learned nothing that a
constant does not know.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from mecca_agents import PRESETS, evaluate_agent, train
from mecca_agents.evaluation.runner import dice_by_step
from mecca_agents.runs import read_config

FLOORS = ("random", "mean-mask", "ellipsoid")
GRIDS = ((12, 12, 10), (16, 16, 12), (20, 20, 16), (24, 24, 16))


@dataclass(frozen=True)
class Options:
    """Measure the floors.

    Attributes:
        cases: Training phantoms, which the mean label is the mean of.
        test_cases: Phantoms that none of it is made from.
        seed: Of everything.
    """

    cases: int = 64
    test_cases: int = 64
    seed: int = 0


def floor(method: str, shape: tuple[int, int, int], options: Options) -> float:
    """Mean Dice of a method after the last step, trained and tested as any other."""
    preset = PRESETS["demo"].replace(shape=shape, updates=1)  # one update looks at every case
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        agent = train(method, "MECCA-Phantom-v0", run, preset=preset, cases=options.cases, seed=options.seed)
        results = evaluate_agent(agent, read_config(run), cases=options.test_cases, seed=options.seed)
    return dice_by_step(results)[-1] / 100


def main(options: Options) -> dict[str, list[float]]:
    """The Dice of each floor, by its name, on each of `GRIDS`."""
    return {name: [floor(name, shape, options) for shape in GRIDS] for name in FLOORS}


if __name__ == "__main__":
    print(f"{'Dice':>10}", *(f"{'x'.join(map(str, shape)):>10}" for shape in GRIDS))
    for name, values in main(tyro.cli(Options)).items():
        print(f"{name:>10}", *(f"{value:10.3f}" for value in values))
