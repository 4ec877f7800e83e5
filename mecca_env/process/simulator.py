"""The decision process of B episodes side by side, in pure tensors; knows nothing of Gymnasium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from mecca_env.kernels.dispatch import loops
from mecca_env.process.boundary import boundary_weights
from mecca_env.process.config import EnvConfig
from mecca_env.process.guide import advise
from mecca_env.process.hints import SupervoxelHint, make_hint
from mecca_env.process.transitions import Transition, make_transition
from mecca_env.process.users import make_user
from mecca_env.state import State
from mecca_env.tensors.rng import fold
from mecca_env.tensors.transfer import to_device


@dataclass(frozen=True, eq=False)
class EpisodeStart:
    """The start of one episode.

    Attributes:
        volume: (M, D, H, W) float32.
        label: (D, H, W) bool.
        case_index: Which case of the data set it is.
        labelled: False: the episode earns no reward, and nothing that is told of it comes from its label (Sec. 3.6).
        key: Its random stream (`mecca_env.tensors.rng.stream`).
        regions: Supervoxels of each step, (T, D, H, W) int16; needed where `EnvConfig.needs_regions`.
    """

    volume: Tensor
    label: Tensor
    case_index: int
    labelled: bool
    key: int
    regions: Tensor | None = None


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
        self._transition = make_transition(config, device)
        assert config.clicks is not None
        self._most_clicks = max(config.clicks[1:], default=0)  # at once, after the first
        self._some_unlabelled = False  # of all episodes so far; as long as none is, a step saves a pass over the grid
        self._most_regions = 0  # all region numbers of all episodes so far are below it
        self._budgets = torch.tensor((*config.clicks, 0), device=device)

    def begin(self, episodes: Sequence[EpisodeStart]) -> State:
        """The first state of each episode: every probability a half, the user's first clicks made (Sec. 4.3)."""
        self._some_unlabelled |= not all(e.labelled for e in episodes)
        label = torch.stack([e.label for e in episodes])
        surface = loops(self.device).label_surface(label)
        count = len(episodes)
        zero = torch.zeros(count, dtype=torch.int64, device=self.device)
        regions = None
        if self.config.needs_regions:
            regions = torch.stack([e.regions for e in episodes if e.regions is not None])
            self._most_regions = max(self._most_regions, int(regions.max()) + 1)
        state = State(
            volume=torch.stack([e.volume for e in episodes]),
            label=label,
            surface=surface,
            neighbours=loops(self.device).face_neighbours(surface, self.config.shape),
            case_index=to_device(torch.tensor([e.case_index for e in episodes]), self.device),
            labelled=to_device(torch.tensor([e.labelled for e in episodes]), self.device),
            keys=to_device(self._keys(episodes), self.device),
            step=zero,
            probability=torch.full(label.shape, 0.5, dtype=torch.float32, device=self.device),
            hint=torch.zeros(label.shape, dtype=torch.float32, device=self.device),
            clicks=torch.full((count, self.config.total_clicks, 3), -1, dtype=torch.int64, device=self.device),
            n_clicks=zero,
            dice=torch.zeros(count, dtype=torch.float32, device=self.device),  # nothing is above a half yet
            regions=regions,
            situation=self._transition.start(label),
            weights=self._weights(surface),
        )
        assert self.config.clicks is not None
        budget = torch.full((count,), self.config.clicks[0], device=self.device)
        state = self._with_clicks(state, budget, self.config.clicks[0], state.keys[:, 0].contiguous())
        # Only now: the first clicks come before any confidence and are unguided.
        return state.changed(advice=torch.zeros_like(label)) if self.config.guide else state

    def step(self, state: State, action: Tensor, confidence: Tensor | None = None) -> tuple[State, Transition, Tensor]:
        """Every voxel adjusts its probability, earns its reward, and the user looks again.

        Args:
            state: B episodes; what is returned for those that are over already has no meaning.
            action: (B, D, H, W), indices into the adjustments or values in [-1, 1].
            confidence: The agent's confidence in that action, (B, D, H, W) float32 in [0, 1]; with a guide,
                None leaves the advice as it was.

        Returns:
            The next state, with the clicks made before the next step; what was earned, nothing by unlabelled episodes,
            whose measures are NaN; and which episodes are over, (B,) bool: no more clicks are made in those.
        """
        config = self.config
        made = earned = self._transition(state, action)  # Eq. 1-2 and the reward, Eq. 9: `process.transitions`
        if self._some_unlabelled:
            earned = made.hidden(state.labelled)
        target = inf if config.target_dice is None else config.target_dice
        # Where there is no label nobody can see that the target is reached.
        known = torch.where(state.labelled, made.dice, 0.0) if self._some_unlabelled else made.dice
        progress = loops(self.device).advance(state.step, known, state.keys, self._budgets, target)
        after = state.changed(
            probability=made.probability, dice=made.dice, situation=made.situation, step=progress.step
        )
        if config.guide and confidence is not None:
            advice = advise(self.regions(after), confidence, config.advised, self._most_regions)
            after = after.changed(advice=advice)
        return self._with_clicks(after, progress.budget, self._most_clicks, progress.key), earned, progress.over

    def add_clicks(self, state: State, new_clicks: Tensor) -> State:
        """The state after these clicks have been noted and have become hints.

        Args:
            state: B episodes.
            new_clicks: What `SimulatedUser.click` may return, (B, K, 3) int64; `state.clicks` has room for them.
        """
        clicks, n_clicks = loops(self.device).append(state.clicks, state.n_clicks, new_clicks)
        return state.changed(hint=self._hinted(state, new_clicks), clicks=clicks, n_clicks=n_clicks)

    def regions(self, state: State) -> Tensor:
        """The supervoxels of the step that is next, (B, D, H, W) int16; of the last one where the episode is over."""
        assert state.regions is not None
        rows = torch.arange(len(state.step), device=self.device)
        return state.regions[rows, state.step.clamp_max(self.config.horizon - 1)]

    def _keys(self, episodes: Sequence[EpisodeStart]) -> Tensor:
        """`State.keys`."""
        return fold(torch.tensor([[e.key] for e in episodes]), torch.arange(self.config.horizon + 1))

    def _weights(self, surface: Tensor) -> Tensor | None:
        """`State.weights`."""
        config = self.config
        if config.reward != "boundary":
            return None
        return boundary_weights(surface, config.shape, config.boundary_weight, config.boundary_sigma)

    def _hinted(self, state: State, new_clicks: Tensor) -> Tensor:
        """`State.hint` with the clicks just made, (B, K, 3)."""
        if isinstance(self._hint, SupervoxelHint):
            return self._hint.mark(state.hint, new_clicks, self.regions(state), self._most_regions)
        return self._hint.add(state.hint, new_clicks, state.volume)

    def _with_clicks(self, state: State, budget: Tensor, most: int, key: Tensor) -> State:
        """The state after the user has clicked (`SimulatedUser.click`) and the clicks have become hints."""
        return state if most == 0 else self.add_clicks(state, self._user.click(state, budget, most, key))
