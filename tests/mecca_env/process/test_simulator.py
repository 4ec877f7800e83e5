"""The decision process against a second one, written plainly in NumPy, voxel lists and Python integers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from mecca_env.process.config import EnvConfig
from mecca_env.process.simulator import EpisodeStart, Simulator
from mecca_env.state import State
from mecca_env.tensors.rng import fold, shuffle_keys, stream
from tests.support.envs import GRID, make_envs, random_actions

ADJUSTMENTS = np.array(EnvConfig().adjustments)
CROSS = ndimage.generate_binary_structure(3, 1)


def surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask, CROSS, border_value=0)


def gaussian(shape: tuple[int, ...], click: tuple[int, ...], sigma: float = 2.0, radius: int = 8) -> np.ndarray:
    offsets = np.indices(shape) - np.reshape(click, (3, 1, 1, 1))
    inside = (np.abs(offsets) <= radius).all(0)
    return np.where(inside, np.exp(-(offsets**2).sum(0) / (2 * sigma**2)), 0)


@dataclass
class PlainEpisode:
    """One episode, slowly: what is expected of every number of the fast one."""

    label: np.ndarray
    key: int
    budgets: tuple[int, ...]
    labelled: bool = True
    target_dice: float | None = None
    clicks: list[tuple[int, ...]] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self.probability = np.full(self.label.shape, 0.5)
        self.hint = np.zeros(self.label.shape)
        self.click()

    def click(self) -> None:
        """The voxels of smallest sort key among the edges that are wrong and not clicked."""
        edges = surface(self.label) & ~surface(self.probability > 0.5)
        voxels = [tuple(int(x) for x in v) for v in np.argwhere(edges)]
        voxels = [v for v in voxels if v not in self.clicks]
        key = fold(torch.tensor([self.key]), self.steps)
        flat = [int(np.ravel_multi_index(v, self.label.shape)) for v in voxels]
        order = shuffle_keys(key, torch.tensor([flat], dtype=torch.int64))[0].tolist()
        for _, voxel in sorted(zip(order, voxels, strict=True))[: self.budgets[self.steps]]:
            self.clicks.append(voxel)
            self.hint = np.maximum(self.hint, gaussian(self.label.shape, voxel))

    def step(self, action: np.ndarray) -> dict[str, Any]:
        """The reward, in double precision."""
        before = self.probability
        self.probability = np.clip(np.round(before * 10 + ADJUSTMENTS[action] * 10) / 10, 0, 1)
        self.steps += 1
        earned = self.cross_entropy(before) - self.cross_entropy(self.probability)
        away = np.where(self.label, before - self.probability, self.probability - before)
        prediction = self.probability > 0.5
        score = 2 * (prediction & self.label).sum() / (prediction.sum() + self.label.sum())
        reached = self.labelled and self.target_dice is not None and score >= self.target_dice
        over = self.steps == len(self.budgets) or reached
        if not over:
            self.click()
        return {
            "voxel_reward": earned * self.labelled,
            "reward": earned.mean() * self.labelled,
            "dice": score,
            "misunderstanding": (away > 0.05).mean() if self.labelled else np.nan,
            "misunderstanding_literal": (away > 0).mean() if self.labelled else np.nan,
            "over": over,
        }

    def cross_entropy(self, probability: np.ndarray) -> np.ndarray:
        return -np.log(np.clip(np.where(self.label, probability, 1 - probability), 0.01, 0.99))


def episodes(count: int, labelled: bool = True, regions: torch.Tensor | None = None) -> list[EpisodeStart]:
    """Random blobs, the first touching the border, the last a single voxel."""
    rng = np.random.default_rng(4)
    made = []
    for number in range(count):
        label = ndimage.gaussian_filter(rng.normal(size=GRID), 2) > 0.02
        if number == count - 1:
            label[:] = False
            label[3, 4, 5] = True
        volume = torch.from_numpy(rng.normal(size=(1, *GRID)).astype(np.float32))
        made.append(EpisodeStart(volume, torch.from_numpy(label), number, labelled, stream(number, 0), regions))
    return made


def label_moves(state: State, share: float, rng: np.random.Generator) -> np.ndarray:
    """Actions that are right in that share of the voxels, so that episodes get somewhere."""
    right = rng.random(state.label.shape) < share
    up = state.label.numpy() == right
    size = rng.integers(3, size=state.label.shape)
    return np.where(up, 3 + size, 2 - size)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("target_dice", [None, 0.8])
def test_every_step_is_the_plain_one(labelled: bool, target_dice: float | None) -> None:
    budgets = (25, 5, 5, 5, 5)
    simulator = Simulator(EnvConfig(shape=GRID, clicks=budgets, target_dice=target_dice), torch.device("cpu"))
    starts = episodes(4, labelled)
    state = simulator.begin(starts)
    plain = [PlainEpisode(e.label.numpy(), e.key, budgets, labelled, target_dice) for e in starts]
    check_state(state, plain, range(4))
    rng = np.random.default_rng(0)
    alive, ended = set(range(4)), []
    for _ in budgets:
        action = label_moves(state, 0.75, rng)
        state, transition, over = simulator.step(state, torch.from_numpy(action))
        expected = {row: plain[row].step(action[row]) for row in alive}
        for row, values in expected.items():
            assert bool(over[row]) == values.pop("over")
            for name, value in values.items():
                np.testing.assert_allclose(getattr(transition, name)[row], value, rtol=1e-5, atol=1e-5, err_msg=name)
        check_state(state, plain, alive)
        ended += [plain[row].steps for row in alive if over[row]]
        alive -= {row for row in alive if over[row]}
    assert not alive
    assert (min(ended) < 5) == (target_dice is not None and labelled)


def check_state(state: State, plain: list[PlainEpisode], rows: Any) -> None:
    for row in rows:
        one = plain[row]
        assert int(state.step[row]) == one.steps
        np.testing.assert_allclose(state.probability[row], one.probability, rtol=1e-7)
        np.testing.assert_allclose(state.hint[row], one.hint, rtol=1e-6)
        assert int(state.n_clicks[row]) == len(one.clicks)
        made = [tuple(c) for c in state.clicks[row].tolist()]
        assert made == one.clicks + [(-1, -1, -1)] * (len(made) - len(one.clicks))


def test_unlabelled_episodes_earn_nothing_and_are_clicked_all_the_same() -> None:
    simulator = Simulator(EnvConfig(shape=GRID), torch.device("cpu"))
    paid, unpaid = (simulator.begin(episodes(2, labelled)) for labelled in (True, False))
    action = torch.from_numpy(random_actions(make_envs(2), 1)[0])
    (paid, first, _), (unpaid, second, _) = simulator.step(paid, action), simulator.step(unpaid, action)
    assert first.reward.all() and first.voxel_reward.any()
    assert not second.reward.any() and not second.voxel_reward.any()
    assert torch.equal(first.dice, second.dice) and torch.equal(paid.clicks, unpaid.clicks)
    assert torch.equal(paid.hint, unpaid.hint) and second.misunderstanding.isnan().all()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hint": "euclidean", "user": "imprecise"},
        {"hint": "geodesic", "user": "region-centre"},
        {"reward": "focal"},
        {"reward": "error"},
        {"reward": "boundary"},
    ],
    ids=str,
)
def test_states_are_never_written_to(settings: dict[str, Any]) -> None:
    simulator = Simulator(EnvConfig(shape=GRID, **settings), torch.device("cpu"))
    starts = episodes(3)
    copies = [(e.volume.clone(), e.label.clone()) for e in starts]
    state = simulator.begin(starts)
    rng = np.random.default_rng(1)
    history = [(state, snapshot(state))]
    for _ in range(5):
        state, transition, _ = simulator.step(state, torch.from_numpy(label_moves(state, 0.8, rng)))
        history += [(state, snapshot(state)), (transition, snapshot(transition))]
    for kept, copy in history:
        assert all(torch.equal(getattr(kept, name), value) for name, value in copy.items())
    for episode, (volume, label) in zip(starts, copies, strict=True):
        assert torch.equal(episode.volume, volume) and torch.equal(episode.label, label)


def snapshot(record: Any) -> dict[str, torch.Tensor]:
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return {name: value.clone() for name, value in values.items() if value is not None}


def test_continuous_actions_move_probabilities_directly() -> None:
    simulator = Simulator(EnvConfig(shape=GRID, action="continuous"), torch.device("cpu"))
    state = simulator.begin(episodes(2))
    perfect = torch.where(state.label, 0.5, -0.5)
    state, transition, _ = simulator.step(state, perfect)
    assert torch.equal(state.probability, state.label.float())
    assert transition.dice.tolist() == [1.0, 1.0] and transition.misunderstanding.tolist() == [0.0, 0.0]
    np.testing.assert_allclose(transition.reward, np.log(0.99 / 0.5), rtol=1e-6)
    assert state.n_clicks.tolist() == [25, 1]  # a perfect mask: nothing left to click


def test_clicks_follow_the_budget_and_stop_with_the_episode() -> None:
    simulator = Simulator(EnvConfig(shape=GRID), torch.device("cpu"))
    state = simulator.begin(episodes(1 + 1)[:1])
    down = torch.zeros(state.label.shape, dtype=torch.int64)
    counts = [int(state.n_clicks)]
    for _ in range(5):
        state, _, over = simulator.step(state, down)
        counts.append(int(state.n_clicks))
    assert counts == [25, 30, 35, 40, 45, 45] and bool(over)


@pytest.mark.parametrize("clicks", [(0, 0), (0, 4), (4, 0)])
def test_steps_without_clicks(clicks: tuple[int, int]) -> None:
    simulator = Simulator(EnvConfig(shape=GRID, horizon=2, clicks=clicks), torch.device("cpu"))
    state = simulator.begin(episodes(3)[:2])
    assert state.n_clicks.tolist() == [clicks[0]] * 2
    for total in (sum(clicks), sum(clicks)):
        state, *_ = simulator.step(state, torch.zeros(state.label.shape, dtype=torch.int64))
        assert state.n_clicks.tolist() == [total] * 2 and state.clicks.shape == (2, sum(clicks), 3)


def test_fewer_edges_than_clicks() -> None:
    simulator = Simulator(EnvConfig(shape=GRID), torch.device("cpu"))
    state = simulator.begin(episodes(1))
    assert state.n_clicks.tolist() == [1] and state.clicks[0, :2].tolist() == [[3, 4, 5], [-1, -1, -1]]


@pytest.mark.parametrize("hint", ["gaussian", "euclidean", "geodesic"])
def test_devices_agree(hint: str, device: str) -> None:
    config, rng = EnvConfig(shape=GRID, hint=hint), np.random.default_rng(2)
    runs = []
    actions: list[torch.Tensor] = []
    for place in ("cpu", device):
        simulator = Simulator(config, torch.device(place))
        state = simulator.begin(
            [EpisodeStart(e.volume.to(place), e.label.to(place), e.case_index, True, e.key) for e in episodes(3)]
        )
        record = []
        for step in range(5):
            if len(actions) == step:
                actions.append(torch.from_numpy(label_moves(state, 0.8, rng)))
            state, transition, _ = simulator.step(state, actions[step].to(place))
            record.append({k: v.cpu() for k, v in (snapshot(state) | snapshot(transition)).items()})
        runs.append(record)
    for here, there in zip(*runs, strict=True):
        for name in here:
            if name in ("reward", "voxel_reward"):  # logarithms differ in the last bit
                torch.testing.assert_close(here[name], there[name], rtol=1e-5, atol=1e-6)
            else:
                assert torch.equal(here[name], there[name]), name
