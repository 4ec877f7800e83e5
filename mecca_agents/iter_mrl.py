"""IteR-MRL (Liao et al., 2020): voxel-wise advantage actor-critic on the relative gain of cross-entropy (Eq. 3-5, 9).

One update plays one episode in every env and takes one optimiser step:

    for t in 1..T:                        (rollout.collect)
        a ~ pi(. | s)                     one action for each voxel
        s, gain <- env.step(a)
    R_t = gain_t + gamma R_{t+1}          Eq. 3, for each voxel
    loss = -log pi(a) (R - V)             Eq. 5
         + value_weight (R - V)^2 / 2     Eq. 4
         - entropy_weight H(pi)           PixelRL (Furuta et al., 2020)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mecca_agents.a2c import a2c_losses
from mecca_agents.agent import Learned, Observation, TaskSpec
from mecca_agents.distributions import VoxelCategorical
from mecca_agents.networks import PNet
from mecca_agents.presets import Preset
from mecca_agents.rollout import Decision, collect, stack_observation
from mecca_env.vector_env import MeccaVectorEnv

BALANCE_SETTLES = 0.5
"""Share of the training after which the weights of foreground and background stay as they are.

Where the target is small, lowering every probability pays at once, and a policy that has learned to do so no longer
explores. Weighting the classes alike at the start avoids that; keeping it up would make the target come out too large.
"""


class IterMRL:
    """The method; an `Agent`.

    Args:
        preset: Its settings.
        task: What it plays; discrete actions.
        device: Where its network lives.
        seed: Fixes its initial weights and its sampling.

    Raises:
        ValueError: The grid is smaller than the network's dilations need, or the actions are of another kind.
    """

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        if task.action != "discrete" or task.guide:
            given = f"action={task.action!r}, guide={task.guide}"
            raise ValueError(f"iter-mrl: expected discrete actions and no guide, got {given}")
        self.preset = preset
        self.task = task
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            heads = {"policy": task.choices, "value": 1}
            self.network = PNet(task.modalities + 2, heads, preset.channels, preset.dilations)
        if min(task.shape) < self.network.min_side:
            raise ValueError(f"shape: expected sides of at least {self.network.min_side}, got {task.shape}")
        self.network.to(device)
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=preset.learning_rate)
        self.generator = torch.Generator(device).manual_seed(seed)

    @torch.no_grad()
    def act(self, observation: Observation) -> Tensor:
        """The most probable action of every voxel, (B, D, H, W) int64."""
        return self._policy(observation)[0].mode()

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Play one episode in every env and take one optimiser step."""
        preset = self.preset
        for group in self.optimizer.param_groups:
            group["lr"] = preset.learning_rate * _between(1.0, preset.final_learning_rate, progress)
        rollout = collect(envs, observation, self._decide, envs.config.horizon, self.task.choices)
        losses = a2c_losses(
            rollout,
            gamma=preset.gamma,
            entropy_weight=preset.entropy_weight,
            value_weight=preset.value_weight,
            credit=preset.credit,
            balance=_between(*preset.balance, min(progress / BALANCE_SETTLES, 1.0)),
        )
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), preset.clip_norm)
        self.optimizer.step()
        raising = rollout.actions[torch.tensor(envs.config.adjustments, device=rollout.actions.device) > 0].sum()
        numbers = {
            "loss": losses.total,
            "policy_loss": losses.policy,
            "value_loss": losses.value,
            "entropy": losses.entropy,
            "gradient_norm": norm,
            "return": rollout.reward.sum(0).mean(),
            "dice": rollout.dice[-1].mean(),
            "dice_first": rollout.dice[0].mean(),
            "misunderstanding": rollout.misunderstanding.mean(),
            "raising": raising,
        }
        return Learned(rollout.observation, {key: float(value.detach()) for key, value in numbers.items()})

    def weights(self) -> dict[str, Tensor]:
        """The network's parameters."""
        return {key: value.detach().contiguous() for key, value in self.network.state_dict().items()}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over a network's parameters. Raises `ValueError` where names or shapes differ."""
        try:
            self.network.load_state_dict(dict(weights))
        except RuntimeError as error:
            raise ValueError(f"weights do not fit this network: {error}") from error

    def _policy(self, observation: Observation) -> tuple[VoxelCategorical, Tensor]:
        inputs = stack_observation(observation).to(memory_format=torch.channels_last_3d)
        outputs = self.network(inputs)
        return VoxelCategorical(outputs["policy"]), outputs["value"].squeeze(1)

    def _decide(self, observation: Observation) -> Decision:
        policy, value = self._policy(observation)
        action = policy.sample(self.generator)
        return Decision(action, policy.log_prob(action), policy.entropy(), value)


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share
