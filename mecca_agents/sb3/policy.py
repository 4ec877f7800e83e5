"""A policy and a value for every voxel as a policy of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import Tensor

from mecca_agents.learning.distributions import VoxelCategorical, target_policy
from mecca_agents.learning.rollout import stack_observation
from mecca_agents.networks.pnet import PNet
from mecca_agents.presets import PolicyHead
from mecca_env.process.config import EnvConfig


class VoxelActorCriticPolicy(ActorCriticPolicy):  # type: ignore[misc]
    """P-Net with one categorical distribution over the actions of all voxels, for stock `A2C` at full resolution.

    Stable-Baselines3 would make one distribution object for each of 90,750 voxels, and a linear layer of 35 million
    weights before them.

    What it hands to a stock algorithm, which knows one number for each volume, are means over voxels: log-probability,
    entropy and value. A sum of log-probabilities would be 90,750 times the value's size, and with it the gradient
    beside that of the critic. So stock PPO's ratio is the geometric mean of the voxels' ratios; `VoxelPPO` has one for
    each voxel, and their own rewards.

    The action of `predict(deterministic=True)` is that nearest to the expected adjustment, as `ActorCritic.choose` has
    it.

    Args:
        observation_space: Of a `mecca_env.adapters.sb3.VoxelVecEnv`.
        action_space: Likewise, of discrete actions.
        lr_schedule: Learning rate by the share of the training that remains.
        channels: Channels of P-Net.
        dilations: Dilations of its blocks.
        shared_blocks: Blocks that policy and value share.
        policy_head: "target", the probability to go to, or "actions", a logit for each
            (`mecca_agents.presets.Preset`).
        adjustments: What each action adds to the probability, as in the env.
        use_sde: False: state-dependent exploration is not for discrete actions.
        optimizer_class: Makes the optimiser.
        optimizer_kwargs: What it is made with besides the learning rate.

    Raises:
        ValueError: The spaces are of other observations or actions; the message says which setting to change.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Any,
        channels: int = 16,
        dilations: Sequence[int] = (1, 2, 3),
        shared_blocks: int = 3,
        policy_head: PolicyHead = "target",
        adjustments: Sequence[float] = EnvConfig.adjustments,
        use_sde: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.channels, self.grid = _check_spaces(observation_space, action_space, len(adjustments))
        if use_sde:
            raise ValueError("use_sde: expected False, since it is not for discrete actions, got True")
        if policy_head not in ("target", "actions"):
            raise ValueError(f"policy_head: expected 'target' or 'actions', got {policy_head!r}")
        if min(self.grid) <= max(dilations):
            raise ValueError(f"shape: expected sides of at least {max(dilations) + 1}, got {self.grid}")
        self.settings: dict[str, Any] = {
            "channels": channels,
            "dilations": tuple(dilations),
            "shared_blocks": shared_blocks,
            "policy_head": policy_head,
            "adjustments": tuple(adjustments),
        }
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=[],
            features_extractor_class=FlattenExtractor,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def policy_and_value(self, observation: Mapping[str, Tensor]) -> tuple[VoxelCategorical, Tensor]:
        """The policy of every voxel and its value, (B, D, H, W), of observations (B, D, H, W) in float32."""
        outputs = self.network(stack_observation(dict(observation)))
        policy, value = outputs["policy"], outputs["value"].squeeze(1)
        if self.settings["policy_head"] == "actions":
            return VoxelCategorical(policy), value
        return target_policy(policy, observation["probability"], self.adjustments), value

    def choose(self, policy: VoxelCategorical, deterministic: bool) -> Tensor:
        """One action for each voxel, (B, D, H, W) int64."""
        return policy.nearest_to_mean(self.adjustments) if deterministic else policy.sample()

    def forward(self, obs: Mapping[str, Tensor], deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Actions (B, V) for V voxels, values (B, 1) and log-probabilities (B,), the last two means over voxels."""
        policy, value = self.policy_and_value(obs)
        action = self.choose(policy, deterministic)
        return action.flatten(1), _mean(value)[:, None], _mean(policy.log_prob(action))

    def evaluate_actions(self, obs: Mapping[str, Tensor], actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values (B, 1), log-probabilities (B,) of actions (B, V) and entropies (B,), all means over voxels."""
        policy, value = self.policy_and_value(obs)
        log_prob = policy.log_prob(actions.view(-1, *self.grid))
        return _mean(value)[:, None], _mean(log_prob), _mean(policy.entropy())

    def predict_values(self, obs: Mapping[str, Tensor]) -> Tensor:
        """Values, (B, 1), means over voxels."""
        return _mean(self.policy_and_value(obs)[1])[:, None]

    def predict_voxels(self, obs: Mapping[str, Tensor]) -> Tensor:
        """Value of every voxel, (B, D, H, W), without gradients."""
        with torch.no_grad():
            return self.policy_and_value(obs)[1]

    def get_distribution(self, obs: Mapping[str, Tensor]) -> VoxelCategorical:
        """The policy of every voxel."""
        return self.policy_and_value(obs)[0]

    def obs_to_tensor(self, observation: Mapping[str, NDArray[np.float32] | Tensor]) -> tuple[dict[str, Tensor], bool]:
        """Tensors on the policy's device, (B, ...), of NumPy arrays or tensors, and whether there was a batch axis."""
        if not isinstance(observation, Mapping):
            raise TypeError(f"observation: expected a dict of grids, got {type(observation).__name__}")
        batched = observation["probability"].ndim == len(self.grid) + 1
        tensors = {key: torch.as_tensor(value, device=self.device) for key, value in observation.items()}
        return (tensors if batched else {key: value[None] for key, value in tensors.items()}), batched

    def _predict(self, observation: Mapping[str, Tensor], deterministic: bool = False) -> Tensor:
        return self.choose(self.get_distribution(observation), deterministic)

    def _build(self, lr_schedule: Any) -> None:
        """Called by the parent's constructor."""
        settings = self.settings
        outputs = 2 if settings["policy_head"] == "target" else len(settings["adjustments"])
        branches = {"policy": outputs, "value": 1}
        sizes = (settings["channels"], settings["dilations"], settings["shared_blocks"])
        self.network = PNet(self.channels, branches, *sizes).float()  # as observations are
        adjustments = torch.tensor(settings["adjustments"], dtype=torch.float32)
        self.register_buffer("adjustments", adjustments, persistent=False)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
            **self.settings,
        }


def _mean(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1)


def _check_spaces(
    observation: spaces.Space[Any], action: spaces.Space[Any], choices: int
) -> tuple[int, tuple[int, int, int]]:
    """Channels of an observation (`stack_observation`) and grid, (D, H, W)."""
    shapes = {key: space.shape for key, space in observation.items()} if isinstance(observation, spaces.Dict) else {}
    grid, volume = shapes.get("probability") or (), shapes.get("volume") or ()
    known = {"volume": volume, "probability": grid, "hint": grid}
    more = {"hint": (2, *grid), "box": grid, "time": (1,)}
    fits = set(known) <= set(shapes) and all(known.get(key) == s or more.get(key) == s for key, s in shapes.items())
    if not fits or len(grid) != 3 or volume[-3:] != grid or len(volume) > 4:
        raise ValueError(f"observation space: expected grids of volume, probability and hint, got {observation}")
    if not isinstance(action, spaces.MultiDiscrete):
        raise ValueError(f"action: expected action='discrete' when the env is made, got actions of {action}")
    if action.shape != (prod(grid),):
        raise ValueError(
            f"action space: expected one action for each of {prod(grid)} voxels, flat, as VoxelVecEnv has them "
            f"without supervoxel actions, got shape {action.shape}"
        )
    if set(action.nvec.tolist()) != {choices}:
        raise ValueError(f"adjustments: expected those of the env, {action.nvec.flat[0]} of them, got {choices}")
    channels = sum(1 if key == "time" else prod(shape or ()) // prod(grid) for key, shape in shapes.items())
    return channels, (grid[0], grid[1], grid[2])
