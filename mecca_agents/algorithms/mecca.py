"""MECCA (Shen et al., 2023): IteR-MRL with a critic of confidence in each action. This is Algorithm 1.

One update plays one episode in every env, of labelled and of unlabelled cases side by side:

    for t in 1..T:                                      lines 5, 13
        a ~ pi(. | s)                                   lines 6, 14   Eq. 1    segmentation network S
        c = C(s, a)                                                            confidence network C
        s, gain <- env.step(a, c)                       lines 7, 16   Eq. 2, 9 c guides the user (Sec. 3.5)
    y^ = direction of the calibrated action             line 15       Eq. 10   unlabelled cases only
    gain^ = gain towards y^                             line 16       Eq. 9    unlabelled cases only
    r = alpha (2 - c)^beta gain                         lines 7, 16   Eq. 8
    dS <- actor-critic on r                             line 8        Eq. 4, 5
          where M = [max(c, 1 - c) > delta]             line 17       Eq. 11   unlabelled cases only
    dC <- BCE(C(s, a), g) + BCE(C(s, -a), 1 - g)        line 9        Eq. 6, 7 labelled cases only

In line 7 the paper multiplies the gain by the confidence in the action taken. As C(s, a) + C(s, -a) = 1, that favours
no voxel over another in the mean over actions; the preset's `reward_weight` says which reading is taken.

Every mechanism has its switch in the preset. With none on, there is no confidence network and this is IteR-MRL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from mecca_agents.agent import Learned, Observation, TaskSpec, only_labelled
from mecca_agents.learning.a2c import class_weights
from mecca_agents.learning.actor_critic import ActorCritic, merged
from mecca_agents.learning.confidence import (
    certain,
    consistent,
    self_adaptive,
    simulated_gain,
    simulated_label,
    symmetric_loss,
)
from mecca_agents.learning.distributions import VoxelCategorical
from mecca_agents.learning.network_agent import between, check_finite
from mecca_agents.learning.rollout import Decision, Rollout, for_env, stack_observation
from mecca_agents.presets import FAMILIES, Preset
from mecca_agents.runs.envs import follows_advice
from mecca_agents.runtime.distributed import total
from mecca_env.process.config import some_unlabelled
from mecca_env.process.protocols import with_protocol
from mecca_env.process.rewards import make_reward
from mecca_env.vector_env import MeccaVectorEnv


class Mecca(ActorCritic):
    """The method; an `Agent`.

    Args:
        preset: Its settings, the switches of its mechanisms among them.
        task: What it plays; discrete actions, with or without a guide.
        device: Where its networks live.
        seed: Fixes its initial weights and its sampling.

    Raises:
        ValueError: The grid is smaller than the network's dilations need, or the actions are not discrete.
    """

    name = "mecca"
    footnote = (
        "The paper gives its confidence network six blocks; here it is as deep as the policy's path, and its logit has "
        "the sign of the action."
    )
    families: ClassVar[tuple[str, ...]] = ("actor_critic", "mecca")
    plays_unlabelled: ClassVar[bool] = True

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)  # line 1
        own = preset.mecca
        if own.self_adaptive_reward or own.simulated_labels or task.guide:
            pulled = ("confidence",) if own.confidence_head == "signed" else ()
            self.add_cnn("confidence", task.channels + 1, {"confidence": 1}, own.confidence_channels, pulled=pulled)

    @classmethod
    def without_effect(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, str]:
        """Besides those of every actor-critic, the settings of mechanisms that are off or have no case to work on."""
        none, own = super().without_effect(preset, settings), preset.mecca
        if not own.self_adaptive_reward:
            none |= dict.fromkeys(("alpha", "beta", "reward_weight"), "self_adaptive_reward is off")
        elif own.beta == 0:
            none["reward_weight"] = "beta is 0"
        if not own.simulated_labels or not some_unlabelled(settings):
            why = "all cases are labelled" if own.simulated_labels else "simulated_labels is off"
            none |= dict.fromkeys(("delta", "simulated_from", "labelled_share"), why)
        if not (own.self_adaptive_reward or own.simulated_labels or own.interaction_guide):
            none |= {name: "no mechanism is on" for name in FAMILIES if name.startswith("confidence_")}
        return none

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """A guide, and as many unlabelled cases as labelled ones (line 11), where the preset asks for them."""
        if preset.mecca.interaction_guide and not follows_advice(settings):
            user = with_protocol(settings)["user"]
            raise ValueError(
                f"{cls.name}: expected a user who follows advice, such as edge, for its interaction guide, "
                f"got {user!r}; without the guide (--no-interaction-guide) it takes any user"
            )
        share = only_labelled(settings)
        if share and preset.mecca.simulated_labels:
            share = {"labelled_share": preset.labelled_share}
            if preset.num_envs * (1 / preset.labelled_share - 1) < 1:
                given = f"num_envs={preset.num_envs}, labelled_share={preset.labelled_share}"
                raise ValueError(f"{cls.name}: expected labelled and unlabelled episodes in every batch, got {given}")
        return {"guide": preset.mecca.interaction_guide, **share}

    def check_task(self, task: TaskSpec) -> None:
        """Raise `ValueError` where the method cannot play this."""
        if task.action != "discrete":
            raise ValueError(f"{self.name}: expected discrete actions, got action={task.action!r}")

    @property
    def has_confidence(self) -> bool:
        """Whether any mechanism that needs the confidence network is on."""
        return "confidence" in self.networks

    @torch.no_grad()
    def act(self, observation: Observation) -> Any:
        """As every actor-critic acts, (B, D, H, W) int64; with a guide, the confidence in it goes along."""
        state = stack_observation(observation)
        return self.answer(state, self.best_action(state))

    def answer(self, state: Tensor, action: Tensor) -> Any:
        """An action taken in B states, (B, D, H, W) int64, with the confidence in it where there is a guide."""
        return for_env(action, self._confidence(state, action), guide=True) if self.task.guide else action

    @torch.no_grad()
    def confidence(self, observation: Observation, action: Any) -> Tensor | None:
        """C(s, a), (B, D, H, W) in [0, 1]; None where no mechanism needs it."""
        if isinstance(action, Mapping):
            given: Tensor = action["confidence"]
            return given
        return self._confidence(stack_observation(observation), action)

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        """Algorithm 1 for one episode in every env: an optimiser step of S after every `n_steps`, or after all of them.

        C takes one, too, where it learns from a step of that part.
        """
        parts, earlier = [], None
        drawn = self.draw_confidence_steps(envs.config.horizon)
        for rollout in self.rollouts(envs, observation):  # lines 4-7, 12-14, 16
            taught = self.teach(rollout, envs, progress, earlier)  # lines 7, 15, 16
            losses = self.losses(taught, progress)
            self.backward(losses.total)  # lines 8, 17, Eq. 4, 5 and 11
            numbers = {**self.numbers(rollout, losses), **_simulated_label_numbers(rollout, taught)}
            names = ["segmentation"]
            if len(steps := rollout.held(drawn)):
                numbers |= self.backward_confidence(rollout, steps)  # line 9, Eq. 6 and 7
                names.append("confidence")
            numbers["gradient_norm"] = self.descend(progress, names)["segmentation"]
            parts.append(numbers)
            earlier = taught.label[-1]
        return Learned(rollout.observation, merged(parts))

    def draw_confidence_steps(self, horizon: int) -> Tensor:
        """Steps of an episode, from 0, that C learns from, (N,) int64: all, or drawn anew; none where there is no C."""
        if not self.has_confidence:
            return torch.arange(0, device=self.device)
        order = torch.randperm(horizon, generator=self.generator, device=self.device)
        return order[: self.preset.mecca.confidence_steps]

    def decision(self, state: Tensor, policy: VoxelCategorical, value: Tensor | None) -> Decision:
        """The action that a policy takes in B states, what is learned from it, and how sure C is of it."""
        decision = super().decision(state, policy, value)
        if not self.has_confidence:
            return decision
        logits, opposite = self.both_confidences(state, decision.action)
        check_finite("confidence", float(logits.detach().sum()))
        decision = decision._replace(confidence=logits, opposite=opposite)
        if not self.preset.mecca.self_adaptive_reward:
            return decision
        return decision._replace(leans_up=policy.mean(self.adjustments).detach() > 0)

    def teach(self, rollout: Rollout, envs: MeccaVectorEnv, progress: float, earlier: Tensor | None = None) -> Rollout:
        """The rollout with simulated labels and their gain for unlabelled episodes, and self-adaptive rewards.

        Args:
            rollout: As it was played.
            envs: Where.
            progress: How much of the training is done, in [0, 1).
            earlier: Labels learned from in the step before, (B, D, H, W) bool; None at the start of an episode.
        """
        own = self.preset.mecca
        if rollout.confidence is None:
            return self.with_rewards(rollout, envs)
        confidence = rollout.confidence.detach().sigmoid()
        reward, label, mask = rollout.reward, rollout.label, rollout.mask
        if own.simulated_labels and not bool(mask.all()):
            simulated = simulated_label(self.adjustments[rollout.action] > 0, confidence)  # line 15, Eq. 10
            label = torch.where(mask, label, simulated)
            earned = make_reward(envs.config.reward, envs.config)
            gain = simulated_gain(earned, rollout.before, rollout.after, simulated, envs.config.epsilon, earlier)
            reward = torch.where(mask, reward, gain)  # line 16, Eq. 9
            if progress >= own.simulated_from:
                mask = mask | certain(confidence, between(*own.delta, progress))  # Eq. 11
        taught = self.with_rewards(replace(rollout, label=label, mask=mask, reward=reward), envs)
        return self._self_adaptive(taught) if own.self_adaptive_reward else taught

    def _self_adaptive(self, rollout: Rollout) -> Rollout:
        """The rollout with rewards weighed by confidence (Eq. 8), in the reading that the preset asks for."""
        own, leans_up = self.preset.mecca, rollout.leans_up
        assert rollout.confidence is not None and rollout.opposite is not None and leans_up is not None
        confidence, opposite = rollout.confidence.detach().sigmoid(), rollout.opposite.detach().sigmoid()
        raised = self.adjustments > 0
        taken, rewards = raised[rollout.action], rollout.rewards
        if own.reward_weight == "voxel":
            of_action = torch.where(taken == leans_up, confidence, opposite)
            of_every = of_action.unsqueeze(2)
        else:
            of_action = confidence
            same = taken.unsqueeze(2) == raised.view(-1, 1, 1, 1)  # C's target is about an action's direction alone
            of_every = torch.where(same, confidence.unsqueeze(2), opposite.unsqueeze(2))
        if rewards is not None:
            rewards = self_adaptive(rewards, of_every, own.alpha, own.beta)
        return replace(rollout, reward=self_adaptive(rollout.reward, of_action, own.alpha, own.beta), rewards=rewards)

    def backward_confidence(self, rollout: Rollout, steps: Tensor) -> dict[str, float]:
        """Gradients of C from the labelled episodes (line 9).

        Args:
            rollout: As it was played.
            steps: Which of its steps to learn from, (N,) int64.

        Returns:
            Loss and accuracy to log; nothing where no episode is labelled.

        Raises:
            FloatingPointError: The loss is NaN or infinite; nothing is updated.
        """
        assert rollout.confidence is not None and rollout.opposite is not None
        logits, opposite, label = rollout.confidence[steps], rollout.opposite[steps], rollout.label[steps]
        labelled = rollout.labelled[steps]
        mask = labelled[:, :, None, None, None].expand_as(label)
        agrees = consistent(self.adjustments[rollout.action[steps]] > 0, label)  # Eq. 7
        volumes = total(labelled.sum(1)).clamp_min(1)  # of each step, of all processes
        weight = class_weights(label, mask, self.preset.mecca.confidence_balance)
        weight = weight * (labelled.shape[1] / volumes).view(-1, 1, 1, 1, 1)
        loss = symmetric_loss(logits, opposite, agrees, weight)  # Eq. 6
        check_finite("confidence_loss", float(loss.detach()))
        loss.backward()  # type: ignore[no-untyped-call]
        right = (((logits > 0) == agrees) & mask).sum()
        sums = total(torch.stack([loss.detach().double(), right.double(), mask.sum().double()])).tolist()
        return {"confidence_loss": sums[0], "confidence_accuracy": sums[1] / sums[2]} if sums[2] else {}

    def _confidence(self, state: Tensor, action: Tensor) -> Tensor | None:
        return self._confidence_logits(state, action).sigmoid() if self.has_confidence else None

    def _confidence_logits(self, state: Tensor, action: Tensor) -> Tensor:
        """Logits of C(s, a), (B, D, H, W)."""
        change = (self.adjustments / self.adjustments.abs().max())[action]
        if self.preset.mecca.confidence_head == "signed":
            return self._confidence_outputs(state, change.abs()) * change.sign()
        return self._confidence_outputs(state, change)

    def both_confidences(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of C(s, a) and of C(s, -a), each (B, D, H, W)."""
        if self.preset.mecca.confidence_head == "signed":
            logits = self._confidence_logits(state, action)
            return logits, -logits
        change = (self.adjustments / self.adjustments.abs().max())[action]
        one, other = self._confidence_outputs(torch.cat((state, state)), torch.cat((change, -change))).chunk(2)
        return one, other

    def _confidence_outputs(self, state: Tensor, change: Tensor) -> Tensor:
        return self.outputs("confidence", torch.cat((state, change.unsqueeze(1)), dim=1))["confidence"].squeeze(1)


def _simulated_label_numbers(rollout: Rollout, taught: Rollout) -> dict[str, float]:
    """Share of the unlabelled voxels that are learned from, and how many of those simulated labels are right.

    Of all, and of the foreground alone, which a mask can leave out unnoticed. The only use of an unlabelled case's true
    label, and nothing is learned from it.
    """
    unlabelled = ~rollout.labelled[:, :, None, None, None].expand_as(taught.label)
    if taught is rollout or not bool(total(unlabelled.any().int())):
        return {}
    used, right = taught.mask & unlabelled, taught.label == rollout.label
    numbers = {}
    for suffix, voxels in (("", unlabelled), ("_foreground", unlabelled & rollout.label)):
        counts = torch.stack([voxels.sum(), (used & voxels).sum(), (used & voxels & right).sum()])
        there, seen, good = total(counts).tolist()
        numbers[f"mask_share{suffix}"] = seen / max(there, 1)
        numbers[f"simulated_accuracy{suffix}"] = good / max(seen, 1)
    return numbers
