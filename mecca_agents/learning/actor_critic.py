"""The base of all voxel-wise actor-critics: one P-Net with a policy and a value branch, and how it acts and learns.

Where a method learns from all actions at once (`samples` is False), there is no value branch: nothing would use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from mecca_agents.agent import Observation, TaskSpec
from mecca_agents.learning.a2c import Losses, a2c_losses, all_actions_losses
from mecca_agents.learning.distributions import VoxelCategorical, target_policy
from mecca_agents.learning.network_agent import NetworkAgent, between
from mecca_agents.learning.proposals import smooth_noise, two_samples
from mecca_agents.learning.rollout import Decision, Rollout, collect, stack_observation
from mecca_agents.presets import Preset
from mecca_agents.runtime.distributed import total, world_size
from mecca_env.process.dynamics import DiscreteDynamics
from mecca_env.process.rewards import make_reward
from mecca_env.vector_env import MeccaVectorEnv


class ActorCritic(NetworkAgent):
    """The A2C update of a policy and a value for every voxel; subclasses say how they learn.

    Args:
        preset: Its settings.
        task: What it plays; discrete actions.
        device: Where its networks live.
        seed: Fixes its initial weights and its sampling.

    Attributes:
        networks: Every network by name; "segmentation" is S of Algorithm 1.
        samples: Whether actions are sampled in the training (A2C). If not, it plays as in a test, and the policy's
            gradient is summed over all actions (`a2c.all_actions_losses`).

    Raises:
        ValueError: The grid is smaller than the network's dilations need, or the actions are of another kind.
    """

    families: ClassVar[tuple[str, ...]] = ("actor_critic",)
    samples: ClassVar[bool] = True

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)
        self.adjustments = torch.tensor(task.adjustments, dtype=torch.float32, device=device)
        settings = preset.actor_critic
        branches = {"policy": 2 if settings.policy_head == "target" else len(task.adjustments)}
        if self.samples:
            branches["value"] = 1
        # The policy's own layers may learn more slowly (Sec. 3.2).
        rate = settings.policy_rate
        pulled = ("policy",) if settings.policy_head == "target" else ()
        self.add_cnn("segmentation", task.channels, branches, pulled=pulled, slow="policy", slow_rate=rate)

    @classmethod
    def without_effect(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, str]:
        """Besides those of other methods, what only a critic or a longer return has a use for."""
        none = super().without_effect(preset, settings)
        if not cls.samples:
            none |= dict.fromkeys(
                ("gamma", "gae_lambda", "value_weight", "credit"), "it has no critic and looks no further"
            )
        elif preset.n_steps == 1:
            none["gae_lambda"] = "with n_steps=1 a return is the reward and the value of the next state"
        if len(set(preset.actor_critic.balance)) == 1:
            none["balance_settles"] = "the balance is the same at the start and at the end"
        return none

    def check_task(self, task: TaskSpec) -> None:
        """Raise `ValueError` where the method cannot play this."""
        if task.action != "discrete" or task.guide:
            given = f"action={task.action!r}, guide={task.guide}"
            raise ValueError(f"{self.name}: expected discrete actions and no guide, got {given}")

    @torch.no_grad()
    def act(self, observation: Observation) -> Any:
        """The action that `choose` takes for every voxel, (B, D, H, W) int64."""
        return self.best_action(stack_observation(observation))

    @torch.no_grad()
    def propose(self, observation: Observation, seed: int) -> tuple[Any, Any] | None:
        """Two samples of the policy."""
        state = stack_observation(observation)
        with torch.inference_mode():
            policy = self.policy(self.outputs("segmentation", state, only="policy")["policy"], state)

        def sample(noise: Tensor) -> tuple[Any, Tensor]:
            action = policy.at(noise.sigmoid().unsqueeze(0))
            return self.answer(state, action), observation["probability"] + self.adjustments[action] > 0.5

        return two_samples(sample, smooth_noise(self.task.shape, seed, self.device))

    def answer(self, state: Tensor, action: Tensor) -> Any:
        """An action taken in B states, (B, D, H, W) int64, as the environment wants it."""
        return action

    def best_action(self, state: Tensor) -> Tensor:
        """The action that `choose` takes in B states, (B, D, H, W) int64."""
        with torch.inference_mode():
            policy = self.policy(self.outputs("segmentation", state, only="policy")["policy"], state)
        return self.choose(policy)

    def choose(self, policy: VoxelCategorical) -> Tensor:
        """The adjustment of every voxel that is nearest to the expected one, (B, D, H, W) int64.

        Not the most probable one: of a voxel that is lowered by 0.4 with probability 0.45 and otherwise raised, the
        most probable action gives up what the policy keeps open (docs/choices.md).
        """
        return policy.nearest_to_mean(self.adjustments)

    def policy_and_value(self, state: Tensor) -> tuple[VoxelCategorical, Tensor | None]:
        """S of Algorithm 1: the policy pi(. | s), and the value V(s), (B, D, H, W), where there is a critic.

        Args:
            state: s: the observation as channels (`stack_observation`), (B, C, D, H, W).
        """
        outputs = self.outputs("segmentation", state)
        value = outputs["value"].squeeze(1) if "value" in outputs else None
        return self.policy(outputs["policy"], state), value

    def policy(self, outputs: Tensor, state: Tensor) -> VoxelCategorical:
        """pi(. | s) from what its branch gives."""
        if self.preset.actor_critic.policy_head == "actions":
            return VoxelCategorical(outputs)
        return target_policy(outputs, state[:, self.task.modalities], self.adjustments)

    def value(self, state: Tensor) -> Tensor:
        """V(s) alone, (B, D, H, W)."""
        return self.outputs("segmentation", state, only="value")["value"].squeeze(1)

    def decide(self, state: Tensor) -> Decision:
        """Sample an action for every voxel (Eq. 1); where the gradient needs no samples, act as in a test."""
        return self.decision(state, *self.policy_and_value(state))

    def decision(self, state: Tensor, policy: VoxelCategorical, value: Tensor | None) -> Decision:
        """The action that a policy takes in B states, and what is learned from it."""
        action = policy.sample(self.generator) if self.samples else self.choose(policy)
        every = None if self.samples else policy.log_probs
        return Decision(action, policy.log_prob(action), policy.entropy(), value, every)

    def with_rewards(self, rollout: Rollout, envs: MeccaVectorEnv) -> Rollout:
        """The rollout with what every action would have earned towards its labels, where that is learned from."""
        if self.samples:
            return rollout
        config = envs.config
        earned = make_reward(config.reward, config)
        move = DiscreteDynamics(config.adjustments, config.lattice, self.device)
        rewards = []
        for before, label in zip(rollout.before, rollout.label, strict=True):
            actions = (torch.full_like(before, a, dtype=torch.int64) for a in range(len(config.adjustments)))
            rewards.append(torch.stack([earned(before, move(before, action), label) for action in actions], dim=1))
        return replace(rollout, rewards=torch.stack(rewards))

    def rollouts(self, envs: MeccaVectorEnv, observation: Observation) -> Iterator[Rollout]:
        """One episode in every env, in parts of `n_steps`; the next part is played when the last was learned from.

        Raises:
            ValueError: `n_steps` is no divisor of the horizon.
        """
        horizon = envs.config.horizon
        steps = self.steps_at_once(horizon)
        for first in range(0, horizon, steps):
            rollout = collect(envs, observation, self.decide, steps, first, self.value if self.samples else None)
            yield rollout
            observation = rollout.observation

    def balance(self, progress: float) -> float:
        """Exponent by which the rarer class is weighted up when this much of the training is done."""
        settings = self.preset.actor_critic
        return between(*settings.balance, min(progress / settings.balance_settles, 1.0))

    def losses(self, rollout: Rollout, progress: float) -> Losses:
        """Eq. 3-5 and 11 with this method's settings; `progress` in [0, 1) is how much of the training is done."""
        settings, balance = self.preset.actor_critic, self.balance(progress)
        if not self.samples:
            return all_actions_losses(rollout, entropy_weight=settings.entropy_weight, balance=balance)
        return a2c_losses(
            rollout,
            gamma=settings.gamma,
            gae_lambda=settings.gae_lambda,
            entropy_weight=settings.entropy_weight,
            value_weight=settings.value_weight,
            credit=settings.credit,
            balance=balance,
        )

    def numbers(self, rollout: Rollout, losses: Losses) -> dict[str, float]:
        """Numbers for the log of every actor-critic; reward, Dice and misunderstanding of labelled episodes alone."""
        values = {
            "loss": total(losses.total),
            "policy_loss": total(losses.policy),
            **({"value_loss": total(losses.value)} if self.samples else {}),
            "entropy": total(losses.entropy),
            "raising": total((self.adjustments > 0)[rollout.action].float().mean()) / world_size(),
        }
        labelled = rollout.labelled
        begun = labelled[0].sum() if rollout.first == 0 else labelled.new_zeros((), dtype=torch.int64)
        values |= {"optimizer_steps": torch.ones(()), "labelled_episodes": total(begun)}
        if bool(total(labelled.sum())):

            def mean(numbers: Tensor, where: Tensor) -> Tensor:
                return total(numbers[where].sum()) / total(where.sum())

            values |= {
                "return": len(labelled) * mean(rollout.reward.mean(dim=(2, 3, 4)), labelled),
                "dice": mean(rollout.dice[-1], labelled[-1]),
                "dice_first": mean(rollout.dice[0], labelled[0]),
                "misunderstanding": mean(rollout.misunderstanding, labelled),
            }
        return {key: float(value.detach()) for key, value in values.items()}


def merged(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The numbers of an episode from those of its parts: what they sum to, begin or end with, or are in the mean."""
    numbers: dict[str, float] = {}
    for key in dict.fromkeys(key for part in parts for key in part):
        values = [part[key] for part in parts if key in part]
        match key:
            case "return" | "optimizer_steps" | "labelled_episodes":
                numbers[key] = sum(values)
            case "dice":
                numbers[key] = values[-1]
            case "dice_first":
                numbers[key] = values[0]
            case _:
                numbers[key] = sum(values) / len(values)
    return numbers
