"""One decision for each supervoxel in place of one for each voxel: about a hundred, as many as any library can take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.actions import ActionReader, observation_space
from mecca_env.arguments import read_count
from mecca_env.env import MeccaEnv, Observation
from mecca_env.episodes.snapshot import Snapshot
from mecca_env.infos import Info
from mecca_env.process.config import EnvConfig
from mecca_env.process.guide import region_sums
from mecca_env.vector_env import MeccaVectorEnv, StepResult
from mecca_env.wrappers.base import TorchWrapper


class SupervoxelActionWrapper(gym.Wrapper[Observation, Any, Observation, Any], gym.utils.RecordConstructorArgs):
    """A single env in which every supervoxel acts as one.

    Action: (N,) for N decisions, `MultiDiscrete` of indices into the adjustments, or with `action="continuous"` a `Box`
    of values in [-1, 1]. All voxels of a supervoxel do the same.

    Observation: `volume`, `probability` and `hint`, each (N,) float32, `volume` (M * N,) of M modalities: the mean over
    the supervoxel of the first two, and the largest hint in it; signed, `hint` is (2 * N,). A `box` is a mean, `time`
    is as it was.

    Decisions are ordered by mean intensity, dark first, since supervoxels' own numbers mean nothing in another scan. An
    episode shows the part of a case's supervoxels that its crop meets. Of fewer than N, some decisions are idle, evenly
    spread, and see 0; of more, neighbours in that order share a decision. Rewards and infos are those of the env.

    Args:
        env: An env of this package, `gym.make("MECCA-Phantom-v0")`, wrapped or not, without a guide.
        decisions: N; None: as many as a case has at most, 100 with its defaults (`EnvConfig.supervoxels`).

    Raises:
        TypeError: The env is of another package.
        ValueError: The env has a guide, or a number is out of range.
    """

    def __init__(self, env: gym.Env[Any, Any], decisions: int | None = None) -> None:
        if not isinstance(env.unwrapped, MeccaEnv):
            raise TypeError(f"env: expected a single env of mecca_env, got {type(env.unwrapped).__name__}")
        gym.utils.RecordConstructorArgs.__init__(self, decisions=decisions)
        gym.Wrapper.__init__(self, env)
        vector = env.unwrapped.vector
        self._decisions = Decisions(vector, decisions)
        self.action_space = decision_space(vector.config, self._decisions.count)
        self.observation_space = summary_space(  # type: ignore[assignment]
            vector.config, vector.dataset.modalities, self._decisions.count
        )

    @property
    def decision_map(self) -> NDArray[np.int64]:
        """The decision that each voxel obeys now, (D, H, W). Raises `ResetNeeded` before the first reset."""
        return self._decisions.current()[0].cpu().numpy().copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a new episode; see `mecca_env.env.MeccaEnv.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._decisions.look()
        return self._summary(observation), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Every supervoxel acts. Raises `ValueError` and `TypeError` for actions that are none."""
        voxels = self._decisions.to_voxels(action[None] if isinstance(action, Tensor) else np.asarray(action)[None])[0]
        observation, reward, terminated, truncated, info = self.env.step(voxels.cpu().numpy())
        self._decisions.look()
        return self._summary(observation), float(reward), terminated, truncated, info

    def _summary(self, observation: Observation) -> Observation:
        batched = {key: torch.from_numpy(value)[None] for key, value in observation.items()}
        found = self._decisions.summary({key: value.to(self._decisions.map.device) for key, value in batched.items()})
        return {key: value[0].cpu().numpy() for key, value in found.items()}


class SupervoxelActionVectorWrapper(TorchWrapper):
    """The same for a vector env, in torch: actions (B, N), observations (B, N) on the env's device, `final_obs` too.

    Args:
        env: A vector env of this package, `gym.make_vec("MECCA-Phantom-v0", num_envs=8)`, without a guide.
        decisions: As for `SupervoxelActionWrapper`.

    Raises:
        TypeError: The env is of another package.
        ValueError: The env has a guide, or a number is out of range.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], decisions: int | None = None) -> None:
        if not isinstance(env.unwrapped, MeccaVectorEnv):
            raise TypeError(f"env: expected a vector env of mecca_env, got {type(env.unwrapped).__name__}")
        super().__init__(env)
        self._envs = env.unwrapped
        self._decisions = Decisions(self._envs, decisions)
        count = self._decisions.count
        self.single_action_space = decision_space(self._envs.config, count)
        self.single_observation_space = summary_space(self._envs.config, self._envs.dataset.modalities, count)

    @property
    def decision_map(self) -> Tensor:
        """The decision that each voxel obeys now, (B, D, H, W) int64. Raises `ResetNeeded` before the first reset."""
        return self._decisions.current()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Tensor], Info]:
        """Begin new episodes; see `mecca_env.vector_env.MeccaVectorEnv.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        self._decisions.look()
        return self._decisions.summary(observation), info

    def step(self, actions: Any) -> StepResult:
        """Every supervoxel of every env acts. Raises `ValueError` and `TypeError` for actions that are none."""
        observation, reward, terminated, truncated, info = self.env.step(self._decisions.to_voxels(actions))
        if "final_obs" in info:
            self._decisions.move(info["final_info"]["step"])
            info = {**info, "final_obs": self._decisions.summary(info["final_obs"])}
        self._decisions.look()
        return self._decisions.summary(observation), reward, terminated, truncated, info

    def restore(self, snapshot: Snapshot) -> tuple[dict[str, Tensor], Info]:
        """Go on from a snapshot of the env; see `mecca_env.vector_env.MeccaVectorEnv.restore`."""
        observation, info = self._envs.restore(snapshot)
        self._decisions.look()
        return self._decisions.summary(observation), info


class Decisions:
    """The decision that every voxel of B episodes obeys.

    Args:
        envs: The env that is played.
        count: N; None: as many as the env asks SLIC for at most.

    Attributes:
        count: N.

    Raises:
        ValueError: The env has a guide, or the number is out of range.
    """

    def __init__(self, envs: MeccaVectorEnv, count: int | None) -> None:
        if envs.config.guide:
            raise ValueError("guide: expected an env without one, got guide=True; make it with guide=False")
        assert envs.config.supervoxels is not None
        self.count = read_count("decisions", max(envs.config.supervoxels) if count is None else count)
        self._envs = envs
        self._actions = ActionReader(envs.config, envs.num_envs, envs.device, shape=(self.count,))
        grid = (envs.num_envs, envs.config.horizon, *envs.config.shape)
        self._maps = torch.zeros(grid, dtype=torch.int16, device=envs.device)
        self._volume: Tensor | None = None  # what the maps are of; a step keeps it, and whatever begins makes another
        self.move(torch.zeros(envs.num_envs, dtype=torch.int64, device=envs.device))

    def look(self) -> None:
        """Take in the episodes that have begun since, and the supervoxels of the step that each episode is at."""
        volume, before = self._envs.state.volume, self._volume
        if volume is not before:
            other = torch.ones(len(volume)) if before is None else (volume != before).flatten(1).any(1)
            rows = torch.nonzero(other).flatten().tolist()
            if rows:
                regions = self._envs.supervoxels(rows)
                numbered = [number_by_intensity(step, volume[rows, 0], self.count) for step in regions.unbind(1)]
                self._maps[rows] = torch.stack(numbered, dim=1).to(torch.int16)
            self._volume = volume
        self.move(self._envs.state.step)

    def current(self) -> Tensor:
        """`map`, also where somebody has reset or restored the env below its wrapper."""
        if self._envs.state.volume is not self._volume:
            self.look()
        return self.map

    def move(self, step: Tensor) -> None:
        """Take the supervoxels of these steps, (B,) int64; to those of the last one where an episode is over."""
        rows = torch.arange(len(step), device=step.device)
        self.map = self._maps[rows, step.clamp_max(self._maps.shape[1] - 1)].to(torch.int64)

    def to_voxels(self, action: Any) -> Tensor:
        """The action of every voxel, (B, D, H, W), of one for every decision, (B, N). Raises as `ActionReader.read`."""
        decided, _ = self._actions.read(action)
        where = self.current()
        return decided.gather(1, where.flatten(1)).view(where.shape)

    def summary(self, observation: dict[str, Tensor]) -> dict[str, Tensor]:
        """Observations of voxels, (B, ..., D, H, W), as observations of decisions, (B, ... * N)."""
        index = self.map.flatten(1)
        found: dict[str, Tensor] = {}
        for key, values in observation.items():
            if key == "time":
                found[key] = values
                continue
            channels = values.reshape(len(index), -1, index.shape[1]).unbind(1)
            rows = [_largest(index, c, self.count) if key == "hint" else _means(index, c, self.count) for c in channels]
            found[key] = torch.cat(rows, dim=1)
        return found


def number_by_intensity(regions: Tensor, volume: Tensor, count: int) -> Tensor:
    """Numbers for regions that mean the same in every scan: their rank in mean intensity, spread over 0 to N - 1.

    Args:
        regions: (B, D, H, W) integer region numbers from 0.
        volume: Intensities, (B, D, H, W) float32.
        count: N. Of fewer regions each has a number of its own; of more, neighbours in rank share one.

    Returns:
        (B, D, H, W) int64.
    """
    index = regions.flatten(1).to(torch.int64)
    total, size = region_sums(index, volume.flatten(1), int(index.max()) + 1)
    mean = torch.where(size > 0, total / size.clamp_min(1), torch.inf)
    rank = mean.argsort(dim=1, stable=True).argsort(dim=1)
    there = (size > 0).sum(dim=1, keepdim=True)
    number = (2 * rank + 1) * count // (2 * there)
    return number.gather(1, index).view(regions.shape)


def decision_space(config: EnvConfig, count: int) -> spaces.Space[Any]:
    """`MultiDiscrete` or `Box` of N decisions."""
    if config.action == "continuous":
        return spaces.Box(-1.0, 1.0, (count,), np.float32)
    return spaces.MultiDiscrete(np.full(count, len(config.adjustments)))


def summary_space(config: EnvConfig, modalities: int, count: int) -> spaces.Dict:
    """The env's observations (`mecca_env.actions.observation_space`), of N numbers where they have a grid."""
    voxels = math.prod(config.shape)
    found: dict[str, spaces.Space[Any]] = {}
    for key, box in observation_space(config, modalities).items():
        assert isinstance(box, spaces.Box)
        length = 1 if key == "time" else math.prod(box.shape) // voxels * count
        found[key] = spaces.Box(box.low.flat[0], box.high.flat[0], (length,), np.float32)
    return spaces.Dict(found)


def _largest(index: Tensor, values: Tensor, count: int) -> Tensor:
    return values.new_zeros((len(index), count)).scatter_reduce_(1, index, values, "amax")


def _means(index: Tensor, values: Tensor, count: int) -> Tensor:
    total, size = region_sums(index, values, count)
    return (total / size.clamp_min(1)).to(torch.float32)
