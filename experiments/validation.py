"""Compare settings of a preset on a fifth of the training cases that is kept out of the training.

    python -m experiments.validation --data /data/Task04_Hippocampus --set '{"gae_lambda": 1}' --set '{"gamma": 0}'

Test cases are never touched, so a preset may be chosen by what this prints. Every setting and seed is a run of its own
under `--runs`; a stopped command goes on where it was, and what is there is not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mecca_agents import PRESETS, evaluate_agent, load_agent, resume, train
from mecca_agents.benchmark.cells import shard_of
from mecca_agents.evaluation import dice_by_step
from mecca_agents.presets import FAMILIES
from mecca_agents.runs.envs import make_envs
from mecca_env.atomic import write_text

KEPT_OUT = 5
"""Every so many training cases, by name, one is kept out."""

DONE = "validation.json"
"""What was measured, in the folder of the run."""


def divided(env: str, root: Path, fold: int = KEPT_OUT) -> tuple[list[str], list[str]]:
    """Names of the cases to train on, and of those kept out: the `fold`-th of every five, counted from 1."""
    envs = make_envs(env, 1, root=root, split="train", fallback=False)
    names = sorted(envs.dataset.case_name(int(index)) for index in envs.cases.indices)
    envs.close()
    kept_out = names[fold - 1 :: KEPT_OUT]
    return [name for name in names if name not in kept_out], kept_out


@dataclass(frozen=True)
class Trial:
    """What is trained on the cases that are not kept out, but for its settings and its seed.

    Attributes:
        data: Folder of the data set.
        env: Environment id.
        method: Name of the method.
        preset: Name of the preset.
        runs: Folder of the runs.
        fold: Which fifth is kept out.
        updates: In place of the preset's.
    """

    data: Path
    env: str = "MECCA-Hippocampus-v0"
    method: str = "iter-mrl"
    preset: str = "fast"
    runs: Path = Path("runs/validation")
    fold: int = KEPT_OUT
    updates: int | None = None

    def run(self, setting: dict[str, Any], seed: int) -> Path:
        """The folder of a training."""
        parts = [self.method, *(f"{k}={v}" for k, v in setting.items()), f"seed{seed}"]
        return self.runs / "-".join(parts + [f"fold{self.fold}"] * (self.fold != KEPT_OUT))

    def found(self, setting: dict[str, Any], seed: int) -> list[float] | None:
        """What `measured` gave for it before; None where it has not been measured yet."""
        path = self.run(setting, seed) / DONE
        return [float(value) for value in json.loads(path.read_text())] if path.exists() else None

    def measured(self, setting: dict[str, Any], seed: int) -> list[float]:
        """Mean Dice on the cases kept out after each step and misunderstanding, in per cent; trained first, if need be.

        Args:
            setting: What differs from the preset and from the environment's own settings, by name.
            seed: Of the training.
        """
        if (there := self.found(setting, seed)) is not None:
            return there
        run = self.run(setting, seed)
        cases, kept_out = divided(self.env, self.data, self.fold)
        if (run / "config.json").exists():
            resume(run)
        else:
            changes = {key: value for key, value in setting.items() if key in FAMILIES}
            if self.updates is not None:
                changes.setdefault("updates", self.updates)
            train(
                self.method,
                self.env,
                run,
                preset=PRESETS[self.preset].replace(**changes),
                root=self.data,
                cases=cases,
                settings={key: value for key, value in setting.items() if key not in FAMILIES},
                checkpoint_every=20,
                seed=seed,
                overwrite=run.exists(),  # killed before it had begun
            )
        agent, config = load_agent(run)
        if set(kept_out) & set(config.train_cases):
            raise SystemExit(f"{run}: trained on cases that are kept out")
        results = evaluate_agent(agent, config, split="train", cases=kept_out)
        dice = dice_by_step(results)
        dice.append(100 * float(np.mean([r.misunderstanding for r in results])))
        write_text(run / DONE, json.dumps([round(value, 2) for value in dice]))
        return dice


def main() -> None:
    """Train what this shard lacks and print a line for each setting and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--env", default="MECCA-Hippocampus-v0")
    parser.add_argument("--method", default="iter-mrl")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--updates", type=int, help="in place of the preset's")
    parser.add_argument(
        "--set", type=json.loads, action="append", help="what differs from preset and environment, as JSON"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--fold", type=int, choices=range(1, KEPT_OUT + 1), default=KEPT_OUT, help="which fifth is kept out"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/validation"))
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th of the runs, from the i-th")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    trial = Trial(*(getattr(options, field.name) for field in fields(Trial)))
    print(f"{'setting':<32} seed  Dice % on the cases kept out, after each step; voxels that moved the wrong way, %")
    for seed, setting in shard_of(list(product(options.seeds, options.set or [{}])), options.shard):
        print(f"--- {json.dumps(setting)} seed {seed}", file=sys.stderr, flush=True)
        dice = trial.measured(setting, seed)
        print(f"{json.dumps(setting):<32} {seed:4}  {'  '.join(f'{value:5.1f}' for value in dice)}", flush=True)


if __name__ == "__main__":
    main()
