"""The decision process of B episodes side by side, in pure tensors; knows nothing of Gymnasium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mecca_env.config import EnvConfig
from mecca_env.dynamics import ContinuousDynamics, DiscreteDynamics, Dynamics
from mecca_env.guide import advise
from mecca_env.hints import make_hint
from mecca_env.metrics import dice, misunderstanding
from mecca_env.rewards import exact_mean, make_reward
from mecca_env.rng import fold
from mecca_env.state import State
from mecca_env.users import make_user
from mecca_env.voxels import label_surface


@dataclass(frozen=True, eq=False)
class Episode:
    """What one episode starts from.

    Attributes:
        volume: (M, D, H, W) float32.
        label: (D, H, W) bool.
        case_index: Which case of the data set it is.
        labelled: False: the episode earns no reward (Sec. 3.6).
        key: Its random stream (`mecca_env.rng.stream`).
        regions: Supervoxels of each step, (T, D, H, W) int16; needed with a guide.
    """

    volume: Tensor
    label: Tensor
    case_index: int
    labelled: bool
    key: int
    regions: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Transition:
    """What one step of B episodes earned.

    Attributes:
        reward: Mean voxel reward, (B,) float32.
        voxel_reward: (B, D, H, W) float32.
        terminated: (B,) bool.
        dice: After the step, (B,) float32.
        misunderstanding: Share of voxels that moved the wrong way by more than `config.wrong_way`, (B,) float32.
        misunderstanding_literal: Share that moved the wrong way at all (Definition 1 to the letter), (B,) float32.
    """

    reward: Tensor
    voxel_reward: Tensor
    terminated: Tensor
    dice: Tensor
    misunderstanding: Tensor
    misunderstanding_literal: Tensor


class Simulator:
    """Reset and step of the decision process.

    Args:
        config: Its settings.
        device: Where all states live.
    """

    def __init__(self, config: EnvConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self._user = make_user(config.user, config.guide)
        self._hint = make_hint(config.hint, config)
        self._reward = make_reward(config.reward, config)
        self._dynamics: Dynamics = ContinuousDynamics()
        if config.action == "discrete":
            self._dynamics = DiscreteDynamics(config.adjustments, config.lattice, device)
        assert config.clicks is not None
        self._budgets = torch.tensor((*config.clicks, 0), device=device)

    def begin(self, episodes: Sequence[Episode]) -> State:
        """The first state of each episode: every probability a half, the user's first clicks made (Sec. 4.3)."""
        label = torch.stack([e.label for e in episodes])
        count = len(episodes)
        zero = torch.zeros(count, dtype=torch.int64, device=self.device)
        regions = None
        if self.config.guide:
            regions = torch.stack([e.regions for e in episodes if e.regions is not None])
        state = State(
            volume=torch.stack([e.volume for e in episodes]),
            label=label,
            surface=label_surface(label),
            case_index=torch.tensor([e.case_index for e in episodes], device=self.device),
            labelled=torch.tensor([e.labelled for e in episodes], device=self.device),
            key=torch.tensor([e.key for e in episodes], device=self.device),
            step=zero,
            probability=torch.full(label.shape, 0.5, device=self.device),
            hint=torch.zeros(label.shape, device=self.device),
            clicks=torch.full((count, self.config.total_clicks, 3), -1, dtype=torch.int64, device=self.device),
            n_clicks=zero,
            regions=regions,
        )
        assert self.config.clicks is not None
        state = self._with_clicks(state, self._budgets[state.step], self.config.clicks[0])
        # Only now: the first clicks come before any confidence and are unguided.
        return replace(state, advice=torch.zeros_like(label)) if self.config.guide else state

    def step(self, state: State, action: Tensor, confidence: Tensor | None = None) -> tuple[State, Transition]:
        """Every voxel adjusts its probability, earns its reward, and the user looks again.

        Args:
            state: B episodes; what is returned for those that are over already has no meaning.
            action: (B, D, H, W), indices into the adjustments or values in [-1, 1].
            confidence: The agent's confidence in that action, (B, D, H, W) float32 in [0, 1]; needed with a guide.

        Returns:
            The next state, with the clicks made before the next step, and what was earned. No clicks are made in
            episodes that have ended.
        """
        config = self.config
        probability = self._dynamics(state.probability, action)
        voxel_reward = self._reward(state.probability, probability, state.label)
        voxel_reward = voxel_reward * state.labelled[:, None, None, None]
        step = state.step + 1
        score = dice(probability > 0.5, state.label)
        terminated = step >= config.horizon
        if config.target_dice is not None:
            terminated |= score >= config.target_dice
        wrong, wrong_literally = misunderstanding(state.probability, probability, state.label, config.wrong_way)
        after = replace(state, probability=probability, step=step)
        if state.regions is not None and confidence is not None:
            current = state.regions[torch.arange(len(step), device=self.device), step.clamp_max(config.horizon - 1)]
            after = replace(after, advice=advise(current, confidence, config.advised))
        assert config.clicks is not None
        budget = torch.where(terminated, 0, self._budgets[step.clamp_max(config.horizon)])
        after = self._with_clicks(after, budget, max(config.clicks[1:], default=0))
        reward = exact_mean(voxel_reward)
        return after, Transition(reward, voxel_reward, terminated, score, wrong, wrong_literally)

    def _with_clicks(self, state: State, budget: Tensor, most: int) -> State:
        """The state after the user has clicked, at most `budget` (B,) times, and the clicks have become hints."""
        if most == 0:
            return state
        made = self._user.click(state, budget, most, fold(state.key, state.step))
        valid = made[..., 0] >= 0
        spare = self.config.total_clicks  # one more row takes the rows of -1
        position = torch.where(valid, state.n_clicks[:, None] + valid.cumsum(1) - 1, spare)
        longer = torch.nn.functional.pad(state.clicks, (0, 0, 0, 1), value=-1)
        longer = longer.scatter(1, position[..., None].expand(-1, -1, 3), made)
        return replace(
            state,
            hint=self._hint.add(state.hint, made, state.volume),
            clicks=longer[:, :spare].clone(),
            n_clicks=state.n_clicks + valid.sum(1),
        )
