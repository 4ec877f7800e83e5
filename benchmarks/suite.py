"""The contenders, and the rounds in which they take turns.

A round is one episode of B phantoms: its first step is taken, then each of the paper's steps 2 to 5 is timed for every
contender, in random order, on the same state and with the same actions. The horizon is one step longer than the
paper's, so that the user clicks after every timed step and no episode ends. Actions are drawn beforehand.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.rivals.error_clicks import error_clicks
from benchmarks.rivals.monai_clicks import DeepEditClicks, DeepgrowClicks, channel
from benchmarks.rivals.reference import FormulaEpisode, ReferenceEpisode, ReferenceStep
from benchmarks.timing import BYTES_PER_VOXEL, Copy, machine, median, milliseconds
from mecca_env.data.phantom import PhantomSource
from mecca_env.kernels.backend import plain_torch
from mecca_env.process.hints import GaussianHint
from mecca_env.process.users import EdgeUser
from mecca_env.vector_env import MeccaVectorEnv

CLICKS = 5
TIMED_STEPS = 4

Times = dict[str, list[float]]


@dataclass
class Measured:
    """Measurements for one batch size.

    Attributes:
        batch: B.
        voxels: Of one grid.
        copy: The copy that takes its turn, too.
        times: Milliseconds of every timed call, by contender; for all B episodes, `deepgrow_click` and `deepedit` for
            one of them.
    """

    batch: int
    voxels: int
    copy: Copy
    times: Times = field(default_factory=lambda: defaultdict(list))

    def row(self) -> dict[str, float]:
        """The line of the table."""
        names = ("ours", "torch", "formula", "tuned", "deepgrow", "error_clicks")
        ours, eager, formula, tuned, monai, random_clicks = (median(self.times[name]) for name in names)
        bandwidth = self.copy.gb_per_s(self.times["copy"])
        reached = BYTES_PER_VOXEL * self.batch * self.voxels / ours / 1e6
        return {
            "batch": self.batch,
            "ours_ms": ours,
            "ours_ms_per_env": ours / self.batch,
            "torch_ms": eager,
            "formula_ms": formula,
            "formula_ratio": formula / ours,
            "formula_torch_ratio": formula / eager,
            "tuned_ms": tuned,
            "tuned_ratio": tuned / ours,
            "monai_ms": monai,
            "monai_ratio": monai / ours,
            "error_clicks_ms": random_clicks,
            "error_clicks_ratio": random_clicks / ours,
            "gb_per_s": reached,
            "copy_gb_per_s": bandwidth,
            "copy_share": reached / bandwidth,
        }

    def parts(self) -> dict[str, float]:
        """Milliseconds for one episode: parts of our step, MONAI's single calls, our reset."""
        each = {name: median(self.times[name]) / self.batch for name in ("click", "hint", "reset")}
        return each | {name: median(self.times[name]) for name in ("deepgrow_click", "deepedit")}


class Rounds:
    """Times all contenders on B phantoms.

    Args:
        batch: B.
        seed: Of episodes and actions.
    """

    def __init__(self, batch: int, seed: int = 0) -> None:
        clicks = (25, *[CLICKS] * (TIMED_STEPS + 1))
        self.env, self.eager = (
            MeccaVectorEnv(batch, "Phantom", cases=batch, horizon=len(clicks), clicks=clicks) for _ in range(2)
        )
        self.measured = Measured(batch, int(np.prod(self.env.config.shape)), Copy())
        self._seed = seed
        self._generator = torch.Generator().manual_seed(seed)
        self._deepgrow, self._deepedit = DeepgrowClicks(self.env.config.hint_sigma), DeepEditClicks()
        self._user, self._hint = EdgeUser(), GaussianHint(self.env.config.hint_sigma, self.env.config.hint_radius)
        self._order = random.Random(seed)
        for env in (self.env, self.eager):
            for index in env.cases.indices:
                env._episodes.maker.case(int(index))  # drawn now and kept, so that a reset only resamples

    def run(self, repeats: int) -> Measured:
        """`repeats` rounds after one that warms up and checks that ours and the plain step agree."""
        self.env.reset(seed=self._seed)
        self.eager.reset(seed=self._seed)
        self._round(timed=False)
        for _ in range(repeats):
            self._round(timed=True)
        self.env.close()
        self.eager.close()
        return self.measured

    def _round(self, timed: bool) -> None:
        env, batch = self.env, self.measured.batch
        actions = torch.randint(
            6, (TIMED_STEPS + 1, batch, *env.config.shape), dtype=torch.uint8, generator=self._generator
        )
        reset = milliseconds(env.reset)
        self.eager.reset()
        env.step(actions[0])
        self.eager.step(actions[0])
        formula, tuned = ([self._episode(kind, i) for i in range(batch)] for kind in (FormulaEpisode, ReferenceEpisode))
        for action in actions[1:]:
            times = self._step(action, formula, tuned)
            if timed:
                for name, value in times.items():
                    self.measured.times[name].append(value)
        if timed:
            self.measured.times["reset"].append(reset)

    def _step(
        self, action: Tensor, formula: Sequence[ReferenceEpisode], tuned: Sequence[ReferenceEpisode]
    ) -> dict[str, float]:
        """One step of every contender, from the env's present state, and what each took."""
        state, batch = self.env.state, self.measured.batch
        arrays = action.numpy()
        image, label, prediction = (
            [channel(grid) for grid in grids.numpy()] for grids in (state.volume[:, 0], state.label, state.prediction)
        )
        budget, last = torch.full((batch,), CLICKS), state.clicks[:, CLICKS : 2 * CLICKS]
        results: dict[str, Any] = {}

        def ours() -> None:
            results["ours"] = self.env.step(action)

        def by_torch() -> None:
            with plain_torch():
                results["torch"] = self.eager.step(action)

        def by_numpy(name: str, episodes: Sequence[ReferenceEpisode]) -> None:
            results[name] = [episode.step(arrays[i], CLICKS) for i, episode in enumerate(episodes)]

        def by_deepgrow() -> None:
            for i in range(batch):
                self._deepgrow(image[i], label[i], prediction[i], CLICKS)

        work = {
            "ours": ours,
            "torch": by_torch,
            "formula": lambda: by_numpy("formula", formula),
            "tuned": lambda: by_numpy("tuned", tuned),
            "copy": self.measured.copy,
            "error_clicks": lambda: error_clicks(state.label, state.prediction, CLICKS),
            "deepgrow": by_deepgrow,
            "deepgrow_click": lambda: self._deepgrow(image[0], label[0], prediction[0], 1),
            "deepedit": lambda: self._deepedit(image[0], label[0], prediction[0]),
            "click": lambda: self._user.click(state, budget, CLICKS, state.keys[:, 0].contiguous()),
            "hint": lambda: self._hint.add(state.hint, last, state.volume),
        }
        order = self._order.sample(list(work), len(work))  # or each would always follow the same other one
        times = {name: milliseconds(work[name]) for name in order}
        for name in ("formula", "tuned"):
            _check(state.n_clicks, results["ours"], results[name])
        assert torch.equal(self.env.state.hint, self.eager.state.hint)
        return times

    def _episode(self, kind: type[ReferenceEpisode], index: int) -> ReferenceEpisode:
        state = self.env.state
        volume, label, probability, hint = (
            grids[index].numpy() for grids in (state.volume[:, 0], state.label, state.probability, state.hint)
        )
        clicks = state.clicks[index, : int(state.n_clicks[index])].numpy()
        rng = np.random.default_rng([self._seed, index])
        return kind(self.env.config, volume, label, probability, hint, clicks, rng)


def _check(clicks_before: Tensor, ours: tuple[Any, ...], plain: list[ReferenceStep]) -> None:
    """Both made all their clicks, and what does not depend on where those are is the same."""
    _, reward, terminated, _, info = ours
    assert not terminated.any() and bool((info["n_clicks"] - clicks_before == CLICKS).all())
    assert all(len(step.clicks) == CLICKS for step in plain)
    np.testing.assert_allclose(reward, [step.reward for step in plain], atol=1e-5)
    np.testing.assert_allclose(info["dice"], [step.dice for step in plain], atol=1e-6)


def phantom_ms(count: int = 6) -> float:
    """Milliseconds to draw one phantom and cut it around its label, median of `count`."""
    source = PhantomSource()
    source.case(0)
    return median([milliseconds(lambda i=i: source.case(i)) for i in range(1, count + 1)])  # type: ignore[misc]


def run(batches: list[int], repeats: int) -> dict[str, Any]:
    """Everything, as plain numbers."""
    torch.set_num_threads(1)
    random.seed(0)  # DeepEdit draws from it
    logging.disable(logging.INFO)  # DeepEdit logs every call
    measured = [Rounds(batch).run(repeats) for batch in batches]
    return {
        "machine": machine(),
        "repeats": repeats * TIMED_STEPS,
        "table": [m.row() for m in measured],
        "parts_ms_per_episode": {str(m.batch): m.parts() for m in measured} | {"phantom": phantom_ms()},
        "times_ms": {str(m.batch): dict(m.times) for m in measured},
    }
