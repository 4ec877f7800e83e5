"""Clicks of simulated users: every eligible voxel equally often, no other, none twice, none invented."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.stats import chi2

from mecca_env.process.contracts import SimulatedUser
from mecca_env.process.users import EdgeUser, ImpreciseUser, NoUser, RegionCentreUser, make_user
from mecca_env.process.users.named import SEVERAL
from mecca_env.state import State
from mecca_env.tensors.rng import fold, stream
from tests.support.envs import make_envs, make_state, random_actions

SHAPE = (5, 6, 4)
MASKS = hnp.arrays(np.bool_, (2, *SHAPE))
CLICKED = st.lists(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), max_size=4, unique=True)
LEAST_P = 1e-4
CROSS = ndimage.generate_binary_structure(3, 1)


def ask(user: SimulatedUser, state: State, budget: int, seed: int = 0) -> list[list[tuple[int, ...]]]:
    """The clicks of every episode, without the padding."""
    rows = len(state.label)
    key = torch.tensor([stream(seed + row, 0) for row in range(rows)])
    clicks = user.click(state, torch.full((rows,), budget), budget, key)
    assert clicks.dtype == torch.int64 and clicks.shape[0] == rows and clicks.shape[1] <= budget
    return [[tuple(c) for c in row if c[0] >= 0] for row in clicks.tolist()]


def surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask, CROSS, border_value=0)


def eligible(label: np.ndarray, prediction: np.ndarray, clicked: list[tuple[int, ...]]) -> set[tuple[int, ...]]:
    edges = surface(label) & ~surface(prediction)
    return {tuple(map(int, v)) for v in np.argwhere(edges)} - set(clicked)


def block(low: int = 1, high: int = 4) -> np.ndarray:
    """(D, H, W), a box touching no side."""
    label = np.zeros(SHAPE, bool)
    label[low:high, low : high + 1, 1:3] = True
    return label


@given(MASKS, MASKS, CLICKED)
def test_edge_clicks_exactly_the_wrongly_predicted_edges_of_the_label(
    label: np.ndarray, prediction: np.ndarray, clicked: list[tuple[int, ...]]
) -> None:
    state = make_state(label, np.where(prediction, 0.6, 0.5), clicked)
    for row, made in enumerate(ask(EdgeUser(), state, budget=label[0].size)):
        assert len(made) == len(set(made))
        assert set(made) == eligible(label[row], prediction[row], clicked)


@given(MASKS, MASKS, CLICKED, st.integers(0, 8), st.integers(0, 1000))
def test_edge_makes_as_many_clicks_as_it_may_or_can(
    label: np.ndarray, prediction: np.ndarray, clicked: list[tuple[int, ...]], budget: int, seed: int
) -> None:
    state = make_state(label, np.where(prediction, 0.6, 0.4), clicked)
    for row, made in enumerate(ask(EdgeUser(), state, budget, seed)):
        allowed = eligible(label[row], prediction[row], clicked)
        assert len(made) == len(set(made)) == min(budget, len(allowed)) and set(made) <= allowed


def test_edges_makes_several_clicks_a_prompt() -> None:
    one, several = (make_envs(2, user=user, clicks=(2, 0, 0)) for user in ("edge", "edges"))
    for envs, clicks in ((one, 2), (several, 2 * SEVERAL)):
        _, info = envs.reset(seed=0)
        assert info["n_clicks"].tolist() == [clicks, clicks]
    with pytest.raises(ValueError, match="^voxels_per_prompt: expected an integer of at least 1, got 0"):
        EdgeUser(voxels_per_prompt=0)


def test_every_episode_has_a_budget_of_its_own() -> None:
    state = make_state(np.stack([block()] * 4))
    clicks = EdgeUser().click(state, torch.tensor([3, 0, 5, 1]), 5, torch.arange(4))
    assert (clicks[..., 0] >= 0).sum(1).tolist() == [3, 0, 5, 1]


def p_of_equal_counts(counts: np.ndarray, drawn: int) -> float:
    """Chi-square over voxels, of which `drawn` at a time are drawn without replacement."""
    size, expected = len(counts), counts.mean()
    statistic = ((counts - expected) ** 2 / expected).sum() * (size - 1) / (size - drawn)
    return float(chi2.sf(statistic, size - 1))


@pytest.mark.parametrize("budget", [1, 5, 12])
@pytest.mark.parametrize("seed", [0, 10**6])
def test_every_eligible_voxel_is_clicked_equally_often(budget: int, seed: int) -> None:
    draws, label, prediction = 6000, block(), np.zeros(SHAPE, bool)
    prediction[3:, :, :] = True
    allowed = eligible(label, prediction, [(1, 1, 1)])
    state = make_state(np.broadcast_to(label, (draws, *SHAPE)), np.where(prediction, 0.9, 0.1)[None].repeat(draws, 0))
    state = replace(state, clicks=torch.tensor([[[1, 1, 1]]]).expand(draws, -1, -1))
    made = ask(EdgeUser(), state, budget, seed)
    counts = dict.fromkeys(sorted(allowed), 0)
    for row in made:
        for voxel in row:
            counts[voxel] += 1  # a KeyError: an ineligible voxel
    assert sum(counts.values()) == draws * budget
    assert p_of_equal_counts(np.array(list(counts.values())), budget) > LEAST_P


def test_clicks_are_uniform_over_the_steps_of_one_episode_too() -> None:
    draws, label = 6000, block()
    state = make_state(np.broadcast_to(label, (draws, *SHAPE)))
    keys = fold(torch.tensor(stream(3, 0)).expand(draws), torch.arange(draws))
    clicks = EdgeUser().click(state, torch.ones(draws, dtype=torch.int64), 1, keys)
    voxels, counts = np.unique(clicks[:, 0].numpy(), axis=0, return_counts=True)
    assert len(voxels) == surface(label).sum()
    assert p_of_equal_counts(counts, 1) > LEAST_P


def test_clicks_depend_on_the_episodes_own_key_alone() -> None:
    labels = np.stack([block(), block(0, 3), np.ones(SHAPE, bool)])  # surfaces of different sizes
    key = torch.tensor([5, 6, 7])
    budget = torch.full((3,), 4)
    for user in (EdgeUser(), ImpreciseUser(), RegionCentreUser()):
        together = user.click(make_state(labels), budget, 4, key)
        for row in range(3):
            alone = user.click(make_state(labels[row : row + 1]), budget[:1], 4, key[row : row + 1])
            assert torch.equal(alone[0], together[row])


@pytest.mark.parametrize("user", ["edge", "imprecise", "region-centre"])
def test_no_voxel_is_clicked_twice_in_an_episode_and_none_outside_the_grid(user: str) -> None:
    envs = make_envs(4, user=user, horizon=6, clicks=(30,) * 6, autoreset_mode="Disabled")
    _, info = envs.reset(seed=0)
    before = info["clicks"]
    for action in random_actions(envs, 6):
        info = envs.step(action)[4]
        made = info["clicks"]
        for row, count in enumerate(info["n_clicks"].tolist()):
            voxels = made[row, :count]
            assert bool((voxels >= 0).all()) and bool((voxels < torch.tensor(envs.config.shape)).all())
            assert len(voxels.unique(dim=0)) == count and bool((made[row, count:] == -1).all())
        old = before >= 0
        assert torch.equal(made[old], before[old])  # in order, none lost
        before = made


@given(MASKS, hnp.arrays(np.bool_, (2, *SHAPE)))
def test_guided_clicks_stay_inside_the_advice(label: np.ndarray, advice: np.ndarray) -> None:
    state = make_state(label, advice=torch.from_numpy(advice))
    nothing = np.zeros(SHAPE, bool)
    for row, made in enumerate(ask(make_user("guided", guide=True), state, label[0].size)):
        inside = {tuple(map(int, v)) for v in np.argwhere(advice[row])}
        assert set(made) == eligible(label[row], nothing, []) & inside


def test_guided_without_advice_clicks_any_edge() -> None:
    state = make_state(block()[None])
    assert ask(EdgeUser(within_advice=True), state, 8) == ask(EdgeUser(), state, 8)


@given(MASKS, st.sampled_from([0.0, 1.0, 1.5, 2.0]), CLICKED, st.integers(1, 12))
def test_imprecise_clicks_near_what_it_aims_at(
    label: np.ndarray, radius: float, clicked: list[tuple[int, ...]], budget: int
) -> None:
    state = make_state(label, clicks=clicked)
    aimed, landed = (ask(user, state, budget) for user in (EdgeUser(), ImpreciseUser(radius)))
    for aims, made in zip(aimed, landed, strict=True):
        assert len(made) <= len(aims) and len(set(made)) == len(made) and not set(made) & set(clicked)
        for voxel in made:
            assert all(0 <= v < n for v, n in zip(voxel, SHAPE, strict=True))
            assert min(np.linalg.norm(np.subtract(voxel, aim)) for aim in aims) <= radius


def test_imprecise_lands_uniformly_in_the_ball() -> None:
    draws = 9000
    label = np.zeros((draws, *SHAPE), bool)
    label[:, 2, 3, 2] = True
    counts: dict[tuple[int, ...], int] = {}
    for (voxel,) in ask(ImpreciseUser(1.0), make_state(label), 1):
        counts[voxel] = counts.get(voxel, 0) + 1
    assert len(counts) == 7 and p_of_equal_counts(np.array(list(counts.values())), 1) > LEAST_P


def test_imprecise_gives_way_and_gives_up_where_the_ball_is_taken() -> None:
    label = np.zeros((1, *SHAPE), bool)
    label[0, 0, 0, 0] = True
    ball = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    for free in ball[1:]:
        taken = [voxel for voxel in ball[1:] if voxel != free]
        state = make_state(label, clicks=taken)
        places = {voxel for seed in range(30) for voxel in ask(ImpreciseUser(1.0), state, 1, seed)[0]}
        assert places == {ball[0], free}
    crowd = make_state(label[:, :1, :1, :1], clicks=[])
    assert ask(ImpreciseUser(1.0), crowd, 1) == [[(0, 0, 0)]]
    full = make_state(np.ones((1, 2, 1, 1), bool), clicks=[(1, 0, 0)])
    assert ask(ImpreciseUser(1.0), full, 2) == [[(0, 0, 0)]]


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(ValueError, match="radius: expected a number of at least 0, got -1"):
        ImpreciseUser(-1)


@given(MASKS, MASKS, CLICKED, st.integers(0, 4))
def test_region_centre_reads_the_largest_components(
    label: np.ndarray, prediction: np.ndarray, clicked: list[tuple[int, ...]], budget: int
) -> None:
    state = make_state(label, np.where(prediction, 0.8, 0.2), clicked)
    for row, made in enumerate(ask(RegionCentreUser(), state, budget)):
        components, count = ndimage.label(label[row] != prediction[row])
        regions = {c: {tuple(map(int, v)) for v in np.argwhere(components == c)} for c in range(1, count + 1)}
        free = [c for c, voxels in regions.items() if voxels - set(clicked)]
        sizes = [int((components == components[voxel]).sum()) for voxel in made]
        assert not set(made) & set(clicked)
        assert all(components[voxel] > 0 for voxel in made)
        assert len({components[voxel] for voxel in made}) == len(made) == min(budget, len(free))
        largest = sorted((int((components == c).sum()) for c in free), reverse=True)
        assert sizes == largest[: len(made)]


def test_region_centre_is_the_voxel_farthest_from_the_components_border() -> None:
    label = np.zeros((1, 9, 9, 9), bool)
    label[0, 1:8, 1:6, 1:6] = True
    label[0, 0, 8, 8] = True
    centre, speck = ask(RegionCentreUser(), make_state(label), 2)[0]
    assert 3 <= centre[0] <= 5 and centre[1:] == (3, 3) and speck == (0, 8, 8)
    ring = np.ones((1, 7, 7, 3), bool)
    ring[0, 2:5, 2:5] = False
    (inside,) = ask(RegionCentreUser(), make_state(ring), 1)[0]
    assert ring[0][inside]  # its centroid is not


def test_nobody_clicks_nothing() -> None:
    assert ask(NoUser(), make_state(block()[None]), 5) == [[]]
    envs = make_envs(2, user="none")
    assert envs.reset(seed=0)[1]["n_clicks"].tolist() == [0, 0]
    observation, *_, info = envs.step(random_actions(envs, 1)[0])
    assert info["n_clicks"].tolist() == [0, 0] and not observation["hint"].any()


class Scripted:
    """Somebody's own user, who clicks what it was told to, in every episode."""

    def __init__(self, clicks: Any, dtype: torch.dtype = torch.int64) -> None:
        self._clicks = torch.tensor(clicks, dtype=dtype)

    def click(self, state: State, budget: torch.Tensor, most: int, key: torch.Tensor) -> torch.Tensor:
        return self._clicks.expand(len(budget), *self._clicks.shape)


@pytest.mark.parametrize("clicks", [[[1, 2, 3]], [[1, 2, 3], [-1, -1, -1], [0, 0, 0]], np.empty((0, 3)).tolist()])
def test_a_user_of_ones_own_is_heard(clicks: list[list[int]]) -> None:
    user = make_user(Scripted(torch.tensor(clicks).reshape(-1, 3).tolist() or np.empty((0, 3))), guide=False)
    made = ask(user, make_state(np.stack([block()] * 2)), 3)
    assert made == [[tuple(c) for c in clicks if c[0] >= 0]] * 2


BAD_USERS = {
    "outside": (Scripted([[1, 2, 4]]), "expected voxels of the grid"),
    "half padded": (Scripted([[1, -1, 2]]), "expected voxels of the grid"),
    "repeated": (Scripted([[1, 2, 3], [1, 2, 3]]), "a second time"),
    "clicked before": (Scripted([[0, 0, 0]]), "a second time"),
    "too many": (Scripted([[1, 2, 3], [1, 2, 2], [1, 2, 1]]), "expected at most"),
    "too wide": (Scripted([[1, 2, 3]] + [[-1, -1, -1]] * 3), "expected clicks of shape"),
    "flat": (Scripted([1, 2, 3]), "expected clicks of shape"),
    "two coordinates": (Scripted([[1, 2]]), "expected clicks of shape"),
    "float": (Scripted([[1.0, 2.0, 3.0]], torch.float32), "expected integer voxel coordinates"),
    "bool": (Scripted([[True, False, True]], torch.bool), "expected integer voxel coordinates"),
}


@pytest.mark.parametrize("fault", BAD_USERS)
def test_a_user_who_breaks_the_contract_is_refused_by_name(fault: str) -> None:
    user, complaint = BAD_USERS[fault]
    state = make_state(np.stack([block()] * 2), clicks=[(0, 0, 0)])
    with pytest.raises(ValueError, match=f"user Scripted: .*{complaint}"):
        make_user(user, guide=False).click(state, torch.full((2,), 2), 3, torch.arange(2))


def test_a_user_who_returns_no_tensor_is_refused_by_name() -> None:
    class Lister:
        """Returns a list."""

        def click(self, state: State, budget: torch.Tensor, most: int, key: torch.Tensor) -> Any:
            return [[0, 0, 0]]

    with pytest.raises((TypeError, ValueError), match="user Lister: expected .*tensor"):
        make_user(Lister(), guide=False).click(make_state(block()[None]), torch.ones(1), 1, torch.zeros(1))


def test_users_by_name_or_object() -> None:
    for name in ("edge", "imprecise", "region-centre", "none"):
        assert isinstance(make_user(name, guide=False), SimulatedUser)
    user = EdgeUser()
    assert make_user(user, guide=True) is user
    with pytest.raises(ValueError, match=r"user: expected one of .*'edge'.* got 'intern'"):
        make_user("intern", guide=False)
    with pytest.raises(ValueError, match="user: 'guided' .* needs guide=True"):
        make_user("guided", guide=False)
    with pytest.raises(TypeError, match="user: expected a name or an object with a click"):
        make_user(7, guide=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("user", ["edge", "imprecise", "region-centre"])
def test_devices_agree(user: str, device: str) -> None:
    label = np.random.default_rng(0).random((3, *SHAPE)) < 0.5
    key, budget = torch.arange(3), torch.tensor([4, 9, 0])
    state = make_state(label, clicks=[(0, 0, 0)])
    there = State(**{k: v if v is None else v.to(device) for k, v in vars(state).items()})
    clicks = make_user(user, guide=False).click(there, budget.to(device), 9, key.to(device))
    assert clicks.device.type == device
    assert torch.equal(clicks.cpu(), make_user(user, guide=False).click(state, budget, 9, key))


def test_nobody_is_asked_when_there_is_nothing_left_to_click() -> None:
    class Person:
        def click(self, state: State, budget: torch.Tensor, most: int, key: torch.Tensor) -> torch.Tensor:
            raise AssertionError("asked for no clicks at all")

    user = make_user(Person(), guide=False)
    made = user.click(
        make_state(block()[None]), torch.zeros(1, dtype=torch.int64), 5, torch.zeros(1, dtype=torch.int64)
    )
    assert made.shape == (1, 0, 3)


def test_a_class_is_no_user() -> None:
    with pytest.raises(TypeError, match="user: expected a name or an object"):
        make_user(EdgeUser, guide=False)  # type: ignore[arg-type]
