"""The decision process of B episodes side by side, in pure tensors; knows nothing of Gymnasium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from mecca_env.kernels.dispatch import loops
from mecca_env.process.boundary import boundary_weights
from mecca_env.process.choices import WORDS, Purpose, draw_choice, read_choice
from mecca_env.process.config import EnvConfig
from mecca_env.process.contracts import SignedClicks
from mecca_env.process.guide import advise
from mecca_env.process.hints import HintMaps
from mecca_env.process.signs import append_signs, signs_of
from mecca_env.process.transitions import Transition, make_transition
from mecca_env.process.users import MixedUser, make_user
from mecca_env.process.users.named import click_room
from mecca_env.state import OF_A_STREAM, Progress, State
from mecca_env.tensors.rng import fold, word
from mecca_env.tensors.transfer import to_device

_AT_ONCE = 64  # clicks that become hints together: torch takes the memory of a patch for each


@dataclass(frozen=True, eq=False)
class GivenPrompts:
    """What was recorded for an episode, in voxels of its grid; of the same size in all episodes of an env.

    Attributes:
        voxels: Before each step, (T, N, 3) int64, then rows of -1.
        signs: Of those, (T, N) int8: 1 inside the target, -1 outside, 0 what the label says.
        steps: So many steps have no other prompts; 0: nothing was recorded.
        most: What any episode of the env can be given in all.
    """

    voxels: Tensor
    signs: Tensor
    steps: int
    most: int


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
        box: What is shown of a box, (D, H, W) float32; needed where `EnvConfig.shows_box`.
        mask: What the episode goes on from, (D, H, W) bool; None: every probability is a half.
        first_click: A voxel inside the target that is clicked before all others; None: the user begins.
        place: Where it stands in a stream, and in which segment; None: in no stream.
        given: What is given in place of the user's prompts; None: no episode of the env has such.
    """

    volume: Tensor
    label: Tensor
    case_index: int
    labelled: bool
    key: int
    regions: Tensor | None = None
    box: Tensor | None = None
    mask: Tensor | None = None
    first_click: tuple[int, int, int] | None = None
    place: tuple[int, int] | None = None
    given: GivenPrompts | None = None


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
        self._users = read_choice("user", config.user, None)
        self._hints = HintMaps(config)
        self._transition = make_transition(config, device)
        self._ranges = config.click_ranges
        self._most_clicks = max((most for _, most in self._ranges[1:]), default=0)  # at once, after the first
        self._room = click_room(config)
        self._some_unlabelled = False  # of all episodes so far; as long as none is, a step saves a pass over the grid
        self._most_regions = 0  # all region numbers of all episodes so far are below it
        self._budgets = torch.tensor((*(most for _, most in self._ranges), 0), device=device)

    def begin(self, episodes: Sequence[EpisodeStart]) -> State:
        """The first state of each episode: every probability a half, the user's first clicks made (Sec. 4.3).

        An episode that goes on from a mask is as sure of it as one step can make it.
        """
        self._some_unlabelled |= not all(e.labelled for e in episodes)
        label = torch.stack([e.label for e in episodes])
        room = self._room + max((e.given.most for e in episodes if e.given is not None), default=0)
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
            hint=self._hints.empty(label),
            clicks=torch.full((count, room, 3), -1, dtype=torch.int64, device=self.device),
            n_clicks=zero,
            dice=torch.zeros(count, dtype=torch.float32, device=self.device),  # nothing is above a half yet
            regions=regions,
            situation=self._transition.start(label),
            weights=self._weights(surface),
            **self._prompting(episodes, room),
        )
        state = self._going_on(state, episodes)
        budget = self._budgets[:1].expand(count) if state.budgets is None else state.budgets[:, 0]
        state, budget = self._begun_by_click(state, budget, [e.first_click for e in episodes])
        state, budget = self._with_given(state, budget)
        state = self._with_clicks(state, budget.contiguous(), self._ranges[0][1], state.keys[:, 0].contiguous())
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
        if state.time is not None:
            after = after.changed(time=self._time_left(progress.step))
        if state.budgets is not None:
            progress = _with_own_budgets(progress, state.budgets)
        if config.guide and confidence is not None:
            advice = advise(self.regions(after), confidence, config.advised, self._most_regions)
            after = after.changed(advice=advice)
        after, budget = self._with_given(after, progress.budget, progress.over)
        return self._with_clicks(after, budget, self._most_clicks, progress.key), earned, progress.over

    def add_clicks(self, state: State, new_clicks: Tensor, signs: Tensor | None = None) -> State:
        """The state after these clicks have been noted and have become hints.

        Args:
            state: B episodes.
            new_clicks: What `SimulatedUser.click` may return, (B, K, 3) int64; `state.clicks` has room for them.
            signs: 1 inside the target, -1 outside, (B, K) integers; 0 or None: those of the label at the click.
        """
        clicks, n_clicks = loops(self.device).append(state.clicks, state.n_clicks, new_clicks)
        after = state.changed(clicks=clicks, n_clicks=n_clicks)
        meant = None
        if state.signs is not None:
            meant = signs_of(new_clicks, state.label, signs)
            after = after.changed(signs=append_signs(state.signs, state.n_clicks, meant))
        regions = self.regions(state) if self._hints.reads_regions else None
        return after.changed(hint=self._hints.add(state, new_clicks, meant, regions, self._most_regions))

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

    def _prompting(self, episodes: Sequence[EpisodeStart], room: int) -> dict[str, Tensor]:
        """The fields of a state that only some envs have: signs, box, time, users, budgets, what is given, places."""
        config, made = self.config, dict[str, Tensor]()
        if config.signed:
            made["signs"] = torch.zeros((len(episodes), room), dtype=torch.int8, device=self.device)
        if config.shows_box:
            made["box"] = torch.stack([e.box for e in episodes if e.box is not None])
        if config.time:
            made["time"] = torch.ones((len(episodes), 1), dtype=torch.float32, device=self.device)
        if isinstance(self._user, MixedUser):
            kinds = list(self._users)
            drawn = [kinds.index(draw_choice(self._users, e.key, Purpose.USER)) for e in episodes]
            made["user"] = to_device(torch.tensor(drawn), self.device)
        if any(least < most for least, most in self._ranges):
            made["budgets"] = to_device(torch.tensor([self._drawn_budgets(e.key) for e in episodes]), self.device)
        given = [e.given for e in episodes if e.given is not None]
        if given:
            made["given"] = to_device(torch.stack([one.voxels for one in given]), self.device)
            made["given_signs"] = to_device(torch.stack([one.signs for one in given]), self.device)
            made["given_steps"] = to_device(torch.tensor([one.steps for one in given]), self.device)
        places = [e.place for e in episodes if e.place is not None]
        for name, column in zip(OF_A_STREAM, zip(*places, strict=True), strict=False):
            made[name] = to_device(torch.tensor(column), self.device)
        return made

    def _drawn_budgets(self, key: int) -> list[int]:
        """Clicks before each step of an episode, and none after the last."""
        drawn = [word(key, Purpose.CLICKS, step) for step in range(len(self._ranges))]
        spans = zip(self._ranges, drawn, strict=True)
        return [*(least + (most - least + 1) * value // WORDS for (least, most), value in spans), 0]

    def _going_on(self, state: State, episodes: Sequence[EpisodeStart]) -> State:
        """The state after the episodes that go on from a mask have been made as sure of it as a step can make them."""
        masks = [e.mask for e in episodes]
        if all(mask is None for mask in masks):
            return state
        inside = torch.stack(
            [torch.zeros_like(e.label) if mask is None else mask for e, mask in zip(episodes, masks, strict=True)]
        )
        made = self._transition(state, mask_action(inside, self.config))
        begun = to_device(torch.tensor([mask is not None for mask in masks]), self.device)
        rows = begun.view(-1, 1, 1, 1)
        after = state.changed(
            probability=torch.where(rows, made.probability, state.probability),
            dice=torch.where(begun, made.dice, state.dice),
        )
        if state.situation is None or made.situation is None:
            return after
        return after.changed(situation=torch.where(rows, made.situation, state.situation))

    def _begun_by_click(
        self, state: State, budget: Tensor, clicks: Sequence[tuple[int, int, int] | None]
    ) -> tuple[State, Tensor]:
        """The state after the clicks that some episodes begin with, and how many more there may be."""
        if all(click is None for click in clicks):
            return state, budget
        given = to_device(torch.tensor([[(-1, -1, -1) if c is None else c] for c in clicks]), self.device)
        inside = torch.ones_like(given[..., 0])
        left = (budget - (given[:, 0, 0] >= 0).to(budget.dtype)).clamp_min(0)
        return self.add_clicks(state, given, inside), left

    def _time_left(self, step: Tensor) -> Tensor:
        """Share of the episode that is left after so many steps, (B, 1)."""
        left = (self.config.horizon - step).clamp_min(0).to(torch.float32)
        return (left * (1.0 / self.config.horizon)).unsqueeze(1)

    def _with_given(self, state: State, budget: Tensor, over: Tensor | None = None) -> tuple[State, Tensor]:
        """The state after what was recorded for the next step, and how often the user may click besides.

        Nobody else prompts before the steps of the recording, also where it has nothing; nor is it given in episodes
        that are `over`, (B,) bool.
        """
        if state.given is None or state.given_signs is None or state.given_steps is None:
            return state, budget
        theirs = state.step < state.given_steps
        there = theirs if over is None else theirs & ~over
        rows, at = torch.arange(len(state.step), device=self.device), state.step.clamp_max(self.config.horizon - 1)
        clicks = torch.where(there[:, None, None], state.given[rows, at], -1)  # (B, N, 3)
        signs = state.given_signs[rows, at]
        most = int((clicks[..., 0] >= 0).sum(1).max())  # whoever has recordings waits for the device here
        for part in (slice(first, min(first + _AT_ONCE, most)) for first in range(0, most, _AT_ONCE)):
            state = self.add_clicks(state, clicks[:, part].contiguous(), signs[:, part])
        return state, budget.masked_fill(theirs, 0)

    def _with_clicks(self, state: State, budget: Tensor, most: int, key: Tensor) -> State:
        """The state after the user has clicked (`SimulatedUser.click`) and the clicks have become hints."""
        if most == 0:
            return state
        made = self._user.click(state, budget, most, key)
        return self.add_clicks(state, *made) if isinstance(made, SignedClicks) else self.add_clicks(state, made)


def mask_action(mask: Tensor, config: EnvConfig) -> Tensor:
    """The action that goes as far towards a mask, (B, D, H, W) bool, as one step can."""
    if config.action == "continuous":
        return mask.to(torch.float32).mul_(2).sub_(1)
    lowest, highest = (config.adjustments.index(end(config.adjustments)) for end in (min, max))
    return torch.where(mask, highest, lowest).to(torch.uint8)


def _with_own_budgets(progress: Progress, budgets: Tensor) -> Progress:
    """The progress of episodes that have drawn how often the user clicks."""
    at = progress.step.clamp_max(budgets.shape[1] - 1)
    return progress._replace(budget=budgets.gather(1, at[:, None]).squeeze(1).masked_fill(progress.over, 0))
