"""`mecca_agents.sb3.VoxelPPO` as a row of the benchmark: `--methods benchmarks.voxel_ppo:VoxelPPO`.

A learner that owns its loop, driven one update at a time: `collect_rollouts` and `train` are Stable-Baselines3's.
Network, rates and weights are the preset's, so that it learns under the conditions of all methods.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.logger import Logger
from torch import Tensor

from mecca_agents import sb3
from mecca_agents.agent import Agent, Learned, Observation, TaskSpec, only_labelled
from mecca_agents.learning.network_agent import between
from mecca_agents.learning.optimizer_state import pack, unpack
from mecca_agents.presets import Preset
from mecca_env.adapters.sb3 import VoxelVecEnv
from mecca_env.vector_env import MeccaVectorEnv

RANDOM = "random"
"""Name of the random generator's state: torch's own, which Stable-Baselines3 draws from."""


class VoxelPPO(Agent):
    """Plays and learns by `mecca_agents.sb3.VoxelPPO`.

    Args:
        preset: Its settings.
        task: What it learns.
        device: Where.
        seed: Of weights, actions and minibatches.
    """

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        self.preset, self.device = preset, device
        settings = {name: preset.flat()[name] for name in ("channels", "dilations", "shared_blocks", "policy_head")}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.policy = sb3.VoxelActorCriticPolicy(
                *_spaces(preset.shape, task.modalities, len(task.adjustments)),
                lambda _: preset.learning_rate,
                adjustments=task.adjustments,
                **settings,
            ).to(device)
            self._random = torch.get_rng_state()
        self._model: sb3.VoxelPPO | None = None

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Unlabelled cases teach it nothing."""
        return only_labelled(settings)

    @classmethod
    def passes(cls, preset: Preset) -> int:
        """An update passes what it plays through the network in every epoch."""
        return preset.ppo.epochs

    def act(self, observation: Observation) -> Tensor:
        """The actions nearest to the expected adjustments, (B, D, H, W)."""
        with torch.no_grad():
            return self.policy.choose(self.policy.get_distribution(observation), deterministic=True)

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """One episode in every env, then `epochs` passes over it."""
        model = self._model = self._model or self._made(envs)
        view = model.env
        assert isinstance(view, VoxelVecEnv)
        view.observation = model._last_obs = observation
        model._current_progress_remaining = 1.0 - progress
        with torch.random.fork_rng():
            torch.set_rng_state(self._random)
            model.collect_rollouts(view, _callback(model), model.rollout_buffer, envs.config.horizon)
            model.train()
            self._random = torch.get_rng_state()
        numbers = {key.split("/")[1]: float(value) for key, value in model.logger.name_to_value.items()}
        model.logger.name_to_value.clear()
        names = ("dice", "entropy", "loss", "policy_loss", "value_loss", "clip_fraction")
        found = {name: numbers[name] for name in names if name in numbers}
        return Learned(view.observation, found | {"return": _return(model)})

    def weights(self) -> dict[str, Tensor]:
        """Those of the policy's network."""
        return dict(self.policy.network.state_dict())

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` returned. Raises `ValueError` where it does not fit."""
        try:
            self.policy.network.load_state_dict(dict(weights))
        except RuntimeError as error:
            raise ValueError(f"weights: expected those of this network: {error}") from error

    def training_state(self) -> dict[str, Tensor]:
        """Optimiser and random generator."""
        return {**pack({"policy": self.policy.optimizer}, {}), RANDOM: self._random}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `training_state` returned. Raises `ValueError` where it does not fit."""
        if RANDOM not in state:
            raise ValueError(f"training state: expected {RANDOM!r}, found none")
        unpack({key: value for key, value in state.items() if key != RANDOM}, {"policy": self.policy.optimizer}, {})
        self._random = state[RANDOM].cpu()

    def _made(self, envs: MeccaVectorEnv) -> sb3.VoxelPPO:
        """The algorithm on these envs, with this policy."""
        with torch.random.fork_rng():  # its own network is thrown away
            model = self._configured(VoxelVecEnv(envs, numpy=False))
        model.policy = self.policy
        model.set_logger(Logger(None, []))
        model.ep_info_buffer, model.ep_success_buffer = deque(maxlen=1), deque(maxlen=1)  # `learn` would make them
        return model

    def _configured(self, view: VoxelVecEnv) -> sb3.VoxelPPO:
        preset, horizon = self.preset, view.base.config.horizon
        own, clipping = preset.actor_critic, preset.ppo
        return sb3.VoxelPPO(
            "VoxelPolicy",
            view,
            lambda left: preset.learning_rate * between(1.0, preset.final_learning_rate, 1.0 - left),
            n_steps=horizon,
            batch_size=view.num_envs * (preset.n_steps or horizon),
            n_epochs=clipping.epochs,
            clip_range=clipping.clip_ratio,
            gamma=own.gamma,
            gae_lambda=own.gae_lambda,
            ent_coef=own.entropy_weight,
            vf_coef=own.value_weight,
            max_grad_norm=preset.clip_norm,
            balance=lambda left: between(*own.balance, min((1.0 - left) / own.balance_settles, 1.0)),
            policy_kwargs=dict(self.policy.settings),
            device=self.device,
        )


def _spaces(shape: tuple[int, int, int], modalities: int, choices: int) -> tuple[spaces.Dict, spaces.MultiDiscrete]:
    """Those of a `VoxelVecEnv` on this grid; their bounds play no part."""
    volume = shape if modalities == 1 else (modalities, *shape)
    grids = {"volume": volume, "probability": shape, "hint": shape}
    seen = {key: spaces.Box(-np.inf, np.inf, size, np.float32) for key, size in grids.items()}
    return spaces.Dict(seen), spaces.MultiDiscrete(np.full(prod(shape), choices))


def _callback(model: sb3.VoxelPPO) -> CallbackList:
    callback = CallbackList([])
    callback.init_callback(model)
    return callback


def _return(model: sb3.VoxelPPO) -> float:
    """Mean over voxels of what an episode earned."""
    rewards = [step.reward.mean() for step in model.rollout_buffer._steps]
    return float(torch.stack(rewards).sum())
