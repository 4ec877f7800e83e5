"""Four ways to go on learning while the scans change: never, from the last case alone, with a memory, with a gate.

    python examples/continual.py
    python examples/continual.py --cases 1 --updates 1 --begin 1 --test-cases 1    # a look, in seconds
    python examples/continual.py --drift scanner

An agent that has learned bright tumours meets a stream of phantoms whose contrast changes from segment to segment
(`MECCA-Stream-v0`). Each case is played when it comes, its Dice counts, and only then it is learned from. After each
segment the agent plays cases of all segments that it never learns from. In three minutes of one core:

                     Dice online  regret  forgetting  Dice at the end  prompts to 0.85  not reached
    never                   0.70    9.06        0.00             0.66             2.03          33%
    fine-tune               0.86    4.33        0.27             0.70             1.53           3%
    memory                  0.85    4.39        0.00             0.90             1.20          10%
    memory and gate         0.79    6.20       -0.01             0.90             1.77          20%

Learning from the last case alone does best on the next one, which is of the same kind, and forgets the others. The gate
costs cases that are never learned from, and here there is nothing that it has to keep away.
"""

from __future__ import annotations

import tempfile
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import gymnasium as gym
import numpy as np
import tyro

from mecca_agents import PRESETS, load_agent, train
from mecca_agents.online.gate import judge
from mecca_agents.report.evaluated.continual import Met, forgetting, meet, prompts_to, regret
from mecca_agents.tables import columns
from mecca_env.vector_env import MeccaVectorEnv

WAYS = ("never", "fine-tune", "memory", "memory and gate")
PRESET = PRESETS["general"].replace(shape=(16, 16, 12), channels=8, levels=2, num_envs=4, learning_rate=4e-3)
PROMPTS = {"protocol": "one-click"}  # a box, then five single clicks
KEPT_OUT = 4  # one case of so many judges and is never learned from, where there is a gate


@dataclass(frozen=True)
class Options:
    """Compare them.

    Attributes:
        drift: What changes: organ, contrast or scanner.
        cases: Of each segment.
        updates: After each case.
        begin: Updates before the stream begins.
        memory: Earlier cases that are kept.
        test_cases: Of each segment, for the table of what is remembered.
        target: Dice that prompts are counted to.
        seed: Of everything.
    """

    drift: str = "contrast"
    cases: int = 10
    updates: int = 8
    begin: int = 100
    memory: int = 12
    test_cases: int = 6
    target: float = 0.85
    seed: int = 0


def make_stream(options: Options, split: str, cases: int, num_envs: int = 1, augment: bool = False) -> MeccaVectorEnv:
    """The stream, or with `split="test"` other cases of the same segments."""
    keywords = {"shape": PRESET.shape, "augment": augment, "autoreset_mode": "Disabled", "action": "continuous"}
    envs = gym.make_vec(
        "MECCA-Stream-v0", num_envs, drift=options.drift, split=split, cases=cases, **keywords, **PROMPTS
    )
    return envs.unwrapped


@dataclass
class Learner:
    """An agent in a stream.

    Attributes:
        way: One of `WAYS`.
        run: Whose weights it begins with.
        options: As given.
        memory: Cases that it remembers, a reservoir: each that was learned from is as likely to be there.
        judges: Cases that it never learns from, where there is a gate.
    """

    way: str
    run: Path
    options: Options
    memory: list[int] = field(default_factory=list)
    judges: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.agent, _ = load_agent(self.run)
        self.rng = np.random.default_rng(self.options.seed)
        self.playing = make_stream(self.options, "train", self.options.cases)
        self.learning = make_stream(self.options, "train", self.options.cases, PRESET.num_envs, augment=True)
        self.learning.reset(seed=self.options.seed)
        self.met = self.learned = 0

    def learn(self, case: int) -> None:
        """Learn from a case that was met, in this learner's way."""
        self.met += 1
        if self.way == "never":
            return
        if self.way == "memory and gate" and self.met % KEPT_OUT == 0:
            self.judges.append(case)
            return
        before = deepcopy((self.agent.weights(), self.agent.training_state()))
        scores = self.scores()
        for update in range(self.options.updates):
            cases = [case] * PRESET.num_envs
            if self.way != "fine-tune" and self.memory:
                cases[::2] = [int(old) for old in self.rng.choice(self.memory, len(cases[::2]))]
            observation, _ = self.learning.reset(options={"cases": cases})
            self.agent.learn(self.learning, observation, update / self.options.updates)
        if scores and not judge(scores, self.scores()).counts:
            self.agent.load_weights(before[0])
            self.agent.load_training_state(before[1])
        self.remember(case)

    def remember(self, case: int) -> None:
        """Keep a case, or not, in a memory of bounded size."""
        self.learned += 1
        if len(self.memory) < self.options.memory:
            self.memory.append(case)
        elif (place := int(self.rng.integers(self.learned))) < len(self.memory):
            self.memory[place] = case

    def scores(self) -> dict[str, float]:
        """Dice on the cases that judge, with the same prompts each time."""
        return {str(case): self.dice(self.playing, case) for case in self.judges}

    def dice(self, envs: MeccaVectorEnv, case: int) -> float:
        """Dice on a case that is asked for."""
        observation, _ = envs.reset(seed=self.options.seed, options={"cases": [case]})
        return meet(self.agent, envs, observation).dice[-1]


def through_the_stream(learner: Learner) -> tuple[list[Met], np.ndarray]:
    """Every case as it was met, and the Dice on test cases of each segment (columns) after each of them (rows)."""
    options = learner.options
    stream, test = make_stream(options, "train", options.cases), make_stream(options, "test", options.test_cases)
    segments = [test.dataset.cases_of(number) for number in range(len(test.dataset.segments))]
    met, table = [], []
    for number in range(len(stream.cases)):
        observation, info = stream.reset(seed=options.seed if number == 0 else None)
        met.append(meet(learner.agent, stream, observation))
        learner.learn(int(info["case_index"][0]))
        if (number + 1) % options.cases == 0:
            table.append([np.mean([learner.dice(test, case) for case in cases]) for cases in segments])
    return met, np.array(table)


def main(options: Options) -> dict[str, list[str]]:
    """The cells of the table, by way."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        preset, settings = PRESET.replace(updates=options.begin), {**PROMPTS, "action": "continuous"}
        train("intercnn", "MECCA-Phantom-v0", run, preset=preset, settings=settings, seed=options.seed)
        for way in WAYS:
            met, table = through_the_stream(Learner(way, run, options))
            dice = [case.dice[-1] for case in met]
            prompts, failed = prompts_to(met, options.target)
            numbers = [np.mean(dice), regret(dice)[-1], np.mean(forgetting(table)), np.mean(table[-1]), prompts]
            rows[way] = [*(f"{number:.2f}" for number in numbers), f"{failed:.0%}"]
    return rows


if __name__ == "__main__":
    chosen = tyro.cli(Options)
    head = [
        "",
        "Dice online",
        "regret",
        "forgetting",
        "Dice at the end",
        f"prompts to {chosen.target:g}",
        "not reached",
    ]
    print(columns(head, [[way, *cells] for way, cells in main(chosen).items()], left=1))
