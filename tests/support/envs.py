"""Small cases, states and envs, made in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mecca_env.data.base import PreparedCase
from mecca_env.kernels.dispatch import loops
from mecca_env.state import State
from mecca_env.vector_env import MeccaVectorEnv
from mecca_env.wrappers.base import Result, TorchWrapper
from tests.support.volumes import ellipsoid, prepared

GRID = (16, 14, 12)
SETTINGS: dict[str, Any] = {"shape": GRID, "horizon": 3, "clicks": (6, 3, 2)}


class Blobs:
    """A data set of ellipsoids of different sizes, in memory."""

    def __init__(self, count: int = 6, modalities: int = 1) -> None:
        self.name = "blobs"
        self.modalities = modalities
        self._cases = [
            prepared(ellipsoid(radii=(4 + i % 3, 6 - i % 4, 3 + i % 2)), channels=modalities) for i in range(count)
        ]

    def __len__(self) -> int:
        return len(self._cases)

    def case_name(self, index: int) -> str:
        return f"blob_{index}"

    def case(self, index: int) -> PreparedCase:
        return self._cases[index]


VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "guide": {"guide": True, "supervoxels": (12, 10, 8)},
    "continuous": {"action": "continuous"},
    "imprecise": {"user": "imprecise", "hint": "euclidean", "reward": "focal"},
    "region-centre": {"user": "region-centre", "hint": "geodesic", "reward": "error"},
    "supervoxel": {"hint": "supervoxel", "supervoxels": (12, 10, 8), "reward": "boundary"},
    "guided supervoxel": {"hint": "supervoxel", "supervoxels": (12, 10, 8), "guide": True},
    "target": {"target_dice": 0.3},
    "two modalities": {"dataset": Blobs(modalities=2)},
    "half labelled": {"labelled_fraction": 0.5},
    "cut short": {"max_episode_steps": 2},
    "cut short or done": {"max_episode_steps": 2, "target_dice": 0.25},
    "cut at its end": {"max_episode_steps": 3},
    "never cut": {"max_episode_steps": 4},
    "signed": {"signed": True, "user": "random-error", "time": True},
    "mixed": {"protocol": "mixed", "clicks": ((0, 1), (0, 2), (0, 3)), "augment": True},
    "box of a slice": {"box": "middle-slice", "crop": "box", "user": "largest-error"},
    "first click": {"protocol": "first-click", "clicks": (1, 1, 1), "start": "mask", "augment": True},
}
"""Settings that take every part of the decision process, by what they are called in tests."""


def make_envs(num_envs: int = 3, **keywords: Any) -> MeccaVectorEnv:
    """A small vector env over `Blobs`."""
    return MeccaVectorEnv(num_envs, **{"dataset": Blobs(), **SETTINGS, **keywords})


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """A context in which torch's default dtype is another one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class Rows(TorchWrapper):
    """Observations (B, n) in torch, hint, probability and volume, as somebody's own wrapper may make them."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self.single_observation_space = spaces.flatten_space(env.single_observation_space)

    def observations(self, seen: dict[str, Tensor]) -> Tensor:
        """(B, n)."""
        return torch.cat([seen[key].flatten(1) for key in sorted(seen)], dim=1)

    def reset(self, **keywords: Any) -> tuple[Tensor, dict[str, Any]]:
        """As the env's."""
        seen, info = self.env.reset(**keywords)
        return self.observations(seen), info

    def step(self, actions: Any) -> Result:
        """As the env's, the last observation of an episode in rows too."""
        seen, *rest, info = self.env.step(actions)
        if "final_obs" in info:
            info = info | {"final_obs": self.observations(info["final_obs"])}
        return self.observations(seen), *rest, info


def random_actions(envs: MeccaVectorEnv, steps: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """Actions for every env and step, each env's own whatever their number."""
    choices = len(envs.config.adjustments)
    rows = [np.random.default_rng([seed, i]) for i in range(envs.num_envs)]
    return [np.stack([rng.integers(choices, size=envs.config.shape) for rng in rows]) for _ in range(steps)]


def full_actions(envs: MeccaVectorEnv, steps: int) -> list[Any]:
    """Actions in the form that the env takes; every env's own whatever their number."""
    discrete = random_actions(envs, steps)
    adjustment = discrete if envs.config.action == "discrete" else [(a / 3 - 1).astype(np.float32) for a in discrete]
    if not envs.config.guide:
        return adjustment
    confidence = [(a / 6).astype(np.float32) for a in discrete]
    return [{"adjustment": a, "confidence": c} for a, c in zip(adjustment, confidence, strict=True)]


def make_state(label: ArrayLike, probability: ArrayLike | None = None, clicks: Any = (), **other: Any) -> State:
    """A state in the middle of nowhere: these labels (B, D, H, W), these clicks already made in every episode."""
    truth = torch.from_numpy(np.array(label, dtype=bool))
    batch = len(truth)
    value = np.full(truth.shape, 0.5) if probability is None else np.asarray(probability)
    made = torch.as_tensor(clicks, dtype=torch.int64).reshape(-1, 3)
    surface = loops(truth.device).label_surface(truth)
    depth, height, width = truth.shape[1:]
    fields: dict[str, Any] = {
        "volume": torch.zeros((batch, 1, *truth.shape[1:])),
        "label": truth,
        "surface": surface,
        "neighbours": loops(truth.device).face_neighbours(surface, (depth, height, width)),
        "case_index": torch.zeros(batch, dtype=torch.int64),
        "labelled": torch.ones(batch, dtype=torch.bool),
        "keys": torch.arange(2 * batch).view(batch, 2),
        "step": torch.zeros(batch, dtype=torch.int64),
        "probability": torch.as_tensor(value.astype(np.float32)),
        "hint": torch.zeros(truth.shape),
        "clicks": made.expand(batch, -1, -1),
        "n_clicks": torch.full((batch,), len(made)),
        "dice": torch.zeros(batch),
    }
    return State(**(fields | other))


def host(tensor: Tensor) -> NDArray[Any]:
    """As a NumPy array."""
    return np.asarray(tensor.cpu())
