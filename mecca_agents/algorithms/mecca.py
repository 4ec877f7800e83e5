"""MECCA (Shen et al., 2023): IteR-MRL with a critic of confidence in each action. This is Algorithm 1.

One update plays one episode in every env, of labelled and of unlabelled cases side by side:

    for t in 1..T:                                      lines 5, 13
        a ~ pi(. | s)                                   lines 6, 14   Eq. 1    segmentation network S *
        c = C(s, a)                                                            confidence network C
        s, gain <- env.step(a, c)                       lines 7, 16   Eq. 2, 9 c guides the user (Sec. 3.5)
    y^ = direction of the calibrated action             line 15       Eq. 10   unlabelled cases only
    gain^ = gain towards y^                             line 16       Eq. 9    unlabelled cases only
    r = alpha (2 - c)^beta gain                         lines 7, 16   Eq. 8
    dS <- actor-critic on r                             line 8        Eq. 4, 5
          where M = [max(c, 1 - c) > delta]             line 17       Eq. 11   unlabelled cases only
    dC <- BCE(C(s, a), g) + BCE(C(s, -a), 1 - g)        line 9        Eq. 6, 7 labelled cases only

* Where the preset's gradient is the expected one (Eq. 5 as printed), no action is drawn: a is the one of a test.

Every mechanism has its switch in the preset. With none on, there is no confidence network and this is IteR-MRL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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
from mecca_agents.learning.network_agent import between, check_finite
from mecca_agents.learning.rollout import Decision, Rollout, for_env, stack_observation
from mecca_agents.presets import Preset
from mecca_agents.runtime.distributed import total
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

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        super().__init__(preset, task, device=device, seed=seed)  # line 1
        own = preset.mecca
        if own.self_adaptive_reward or own.simulated_labels or task.guide:
            self.add_pnet("confidence", task.modalities + 3, {"confidence": 1}, own.confidence_channels)

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """A guide, and as many unlabelled cases as labelled ones (line 11), where the preset asks for them."""
        share = only_labelled(settings)
        if share and preset.mecca.simulated_labels:
            share = {"labelled_share": preset.labelled_share}
            if preset.num_envs * min(preset.labelled_share, 1 - preset.labelled_share) < 1:
                given = f"num_envs={preset.num_envs}, labelled_share={preset.labelled_share}"
                raise ValueError(f"mecca: expected labelled and unlabelled episodes in every batch, got {given}")
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
        action = self.best_action(state)
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
        """Steps of an episode, from 0, that C learns from, (N,) int64: drawn anew; none where there is no C."""
        if not self.has_confidence:
            return torch.arange(0, device=self.device)
        order = torch.randperm(horizon, generator=self.generator, device=self.device)
        return order[: self.preset.mecca.confidence_steps]

    def decide(self, state: Tensor) -> Decision:
        """Choose an action for every voxel (Eq. 1; with the expected gradient none is drawn) and say how sure it is."""
        decision = super().decide(state)
        if not self.has_confidence:
            return decision
        with torch.no_grad():
            both = decision.log_probs is not None
            found = [c.sigmoid() for c in self._confidence_logits(state, decision.action, both)]
        check_finite("confidence", float(found[0].sum()))
        return decision._replace(confidence=found[0], opposite=found[1] if both else None)

    def teach(self, rollout: Rollout, envs: MeccaVectorEnv, progress: float, earlier: Tensor | None = None) -> Rollout:
        """The rollout with simulated labels and their gain for unlabelled episodes, and self-adaptive rewards.

        Args:
            rollout: As it was played.
            envs: Where.
            progress: How much of the training is done, in [0, 1).
            earlier: Labels learned from in the step before, (B, D, H, W) bool; None at the start of an episode.
        """
        own, confidence = self.preset.mecca, rollout.confidence
        if confidence is None:
            return self.with_rewards(rollout, envs)
        reward, label, mask = rollout.reward, rollout.label, rollout.mask
        if own.simulated_labels and not bool(mask.all()):
            simulated = simulated_label(self.adjustments[rollout.action] > 0, confidence)  # line 15, Eq. 10
            label = torch.where(mask, label, simulated)
            earned = make_reward(envs.config.reward, envs.config)
            gain = simulated_gain(earned, rollout.before, rollout.after, simulated, envs.config.epsilon, earlier)
            reward = torch.where(mask, reward, gain)  # line 16, Eq. 9
            if progress >= own.simulated_from:
                mask = mask | certain(confidence, between(*own.delta, progress))  # Eq. 11
        taught = self.with_rewards(replace(rollout, label=label, mask=mask), envs)
        rewards = taught.rewards
        if own.self_adaptive_reward:
            reward = self_adaptive(reward, confidence, own.alpha, own.beta)  # Eq. 8
            if rewards is not None:
                every = self._every_confidence(taught)
                rewards = self_adaptive(rewards, every, own.alpha, own.beta)
        return replace(taught, reward=reward, rewards=rewards)

    def _every_confidence(self, rollout: Rollout) -> Tensor:
        """In every action, (T, B, A, D, H, W): the target of C is about an action's direction alone (Eq. 7)."""
        assert rollout.confidence is not None and rollout.opposite is not None
        raised = self.adjustments > 0
        same = raised[rollout.action].unsqueeze(2) == raised.view(-1, 1, 1, 1)
        return torch.where(same, rollout.confidence.unsqueeze(2), rollout.opposite.unsqueeze(2))

    def backward_confidence(self, rollout: Rollout, steps: Tensor) -> dict[str, float]:
        """Gradients of C from the labelled episodes (line 9), of all steps in one pass, or by the preset's chunks.

        Args:
            rollout: As it was played.
            steps: Which of its steps to learn from, (N,) int64.

        Returns:
            Loss and accuracy to log; nothing where no episode is labelled.

        Raises:
            FloatingPointError: The loss is NaN or infinite; nothing is updated.
        """
        where = rollout.labelled[steps]
        share = 1.0 / (total(where.sum(1)).clamp_min(1) * len(steps))  # of a volume, among those of all processes
        share = share.unsqueeze(1).expand_as(where)[where]
        action, label = rollout.action[steps][where], rollout.label[steps][where]
        state = torch.stack(rollout.states)[steps][where]
        loss, right, chunk = 0.0, 0, self.preset.network.chunk or max(len(share), 1)
        for part in torch.split(torch.arange(len(share), device=self.device), chunk):
            if len(part) == 0:
                break
            logits, opposite = self._confidence_logits(state[part], action[part], both=True)
            agrees = consistent(self.adjustments[action[part]] > 0, label[part])  # Eq. 7
            weight = class_weights(label[part], torch.ones_like(label[part]), self.preset.mecca.confidence_balance)
            weight = weight * (share[part] * len(part)).view(-1, 1, 1, 1)
            part_loss = symmetric_loss(logits, opposite, agrees, weight)  # Eq. 6
            check_finite("confidence_loss", float(part_loss.detach()))
            part_loss.backward()  # type: ignore[no-untyped-call]
            loss += float(part_loss.detach())
            right += int(((logits > 0) == agrees).sum())
        sums = total(torch.tensor([loss, right, label.numel()], dtype=torch.float64, device=self.device)).tolist()
        return {"confidence_loss": sums[0], "confidence_accuracy": sums[1] / sums[2]} if sums[2] else {}

    def _confidence(self, state: Tensor, action: Tensor) -> Tensor | None:
        return self._confidence_logits(state, action)[0].sigmoid() if self.has_confidence else None

    def _confidence_logits(self, state: Tensor, action: Tensor, both: bool = False) -> tuple[Tensor, ...]:
        """Logits of C(s, a), and with `both` of C(s, -a), in one pass; each (B, D, H, W)."""
        change = (self.adjustments / self.adjustments.abs().max())[action].unsqueeze(1)
        signs = (1.0, -1.0) if both else (1.0,)
        inputs = torch.cat([torch.cat((state, sign * change), dim=1) for sign in signs])
        return tuple(self.outputs("confidence", inputs)["confidence"].squeeze(1).chunk(len(signs)))


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
