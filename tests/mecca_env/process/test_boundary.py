"""The boundary reward: its weights against SciPy's distances, and what the env earns with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from mecca_env.kernels.dispatch import loops
from mecca_env.process import simulator
from mecca_env.process.boundary import boundary_weights
from mecca_env.process.config import EnvConfig
from mecca_env.process.rewards import make_reward, voxel_cross_entropy
from mecca_env.tensors.exact import exact_mean
from tests.support.envs import make_envs, random_actions

SHAPE = (3, 9, 8, 7)
CROSS = ndimage.generate_binary_structure(3, 1)
LABELS = st.builds(
    lambda seed, share: np.random.default_rng(seed).random(SHAPE) < share,
    st.integers(0, 2**20),
    st.sampled_from([0.0, 0.002, 0.02, 0.5, 0.98, 1.0]),
)


def weights(label: np.ndarray, weight: float, sigma: float, device: str = "cpu") -> torch.Tensor:
    there = torch.from_numpy(label).to(device)
    return boundary_weights(loops(there.device).label_surface(there), label.shape[1:], weight, sigma)


def oracle(label: np.ndarray, weight: float, sigma: float) -> np.ndarray:
    """Of one label, (D, H, W), by SciPy's exact distance; cut off where the docstring says."""
    surface = label & ~ndimage.binary_erosion(label, CROSS, border_value=0)
    if not surface.any():
        return np.ones(label.shape)
    distance = ndimage.distance_transform_edt(~surface)
    return np.where(distance <= 3 * sigma, 1 + weight * np.exp(-(distance**2) / (2 * sigma**2)), 1)


def test_around_one_voxel_by_hand() -> None:
    label = np.zeros((1, 9, 9, 9), bool)
    label[0, 4, 4, 4] = True
    found = weights(label, 2.0, 1.0)[0]
    for place, squared in (((4, 4, 4), 0), ((4, 5, 4), 1), ((3, 5, 4), 2), ((5, 5, 3), 3), ((4, 4, 7), 9)):
        assert found[place].item() == pytest.approx(1 + 2 * np.exp(-squared / 2), rel=1e-6)
    assert found[4, 7, 5] == 1 and found[0, 4, 4] == 1  # 10 and 16 are beyond three sigma
    assert torch.equal(found, found.flip(0)) and torch.equal(found, found.permute(2, 0, 1))


def test_the_inside_weighs_less_than_the_surface() -> None:
    label = np.zeros((1, 13, 13, 13), bool)
    label[0, 2:11, 2:11, 2:11] = True
    line = weights(label, 1.0, 2.0)[0, 6, 6]
    assert line[2] == line[10] == 2 == line.max()
    assert torch.equal(line[:3], line[[4, 3, 2]]) and line[6] < line[5] < line[4]


@given(label=LABELS, weight=st.floats(0, 5), sigma=st.floats(0.1, 6))
def test_weights_are_those_of_scipys_distance_transform(label: np.ndarray, weight: float, sigma: float) -> None:
    found = weights(label, weight, sigma)
    assert found.dtype == torch.float32 and found.shape == SHAPE
    for row, one in zip(found, label, strict=True):
        np.testing.assert_allclose(row, oracle(one, weight, sigma), rtol=1e-6)


@given(label=LABELS, weight=st.floats(0, 5), sigma=st.floats(0.1, 6))
def test_weights_have_bounds_and_know_nothing_of_other_episodes(label: np.ndarray, weight: float, sigma: float) -> None:
    label[1] = False  # one of them is empty
    found = weights(label, weight, sigma)
    assert found.min() >= 1 and found.max() <= np.float32(1 + weight)
    assert (found[1] == 1).all()
    for row in range(len(label)):
        assert torch.equal(weights(label[row : row + 1], weight, sigma)[0], found[row])


@pytest.mark.parametrize("sigma", [1e-200, 1e3, 1e200])
def test_a_sigma_of_any_size(sigma: float) -> None:
    """Also on a grid whose squared distances do not fit into two bytes."""
    label = np.zeros((1, 8, 200, 8), bool)
    label[0, 3, 2, 4] = True
    found = weights(label, 1.0, sigma)[0]
    if sigma < 1:
        assert found[3, 2, 4] == 2 and found.sum() == label.size + 1
    else:
        offsets = np.indices(label.shape[1:]) - np.reshape((3, 2, 4), (3, 1, 1, 1))
        squared = (offsets**2).sum(0)
        np.testing.assert_allclose(found, 1 + np.exp(-squared / sigma / sigma / 2), rtol=1e-6)


def test_devices_agree(device: str) -> None:
    label = np.random.default_rng(0).random(SHAPE) < 0.02
    assert torch.equal(weights(label, 1.0, 2.0, device).cpu(), weights(label, 1.0, 2.0))


@given(
    label=LABELS,
    tenths=hnp.arrays(np.int64, (4, *SHAPE), elements=st.integers(0, 10)),
    weight=st.sampled_from([0.0, 1.0, 2.5]),
)
def test_gains_telescope_up_to_the_weight(label: np.ndarray, tenths: np.ndarray, weight: float) -> None:
    config = EnvConfig(boundary_weight=weight)
    path, truth = torch.from_numpy((tenths / 10).astype(np.float32)), torch.from_numpy(label)
    earned = [make_reward("boundary", config)(a, b, truth) for a, b in zip(path, path[1:], strict=False)]
    first, last = (voxel_cross_entropy(p, truth, config.epsilon).double() for p in (path[0], path[-1]))
    expected = np.stack([oracle(one, weight, config.boundary_sigma) for one in label]) * (first - last).numpy()
    np.testing.assert_allclose(sum(e.double() for e in earned), expected, rtol=0, atol=5e-5)
    if weight == 0:
        plain = make_reward("gain", config)
        assert all(torch.equal(e, plain(*path[t : t + 2], truth)) for t, e in enumerate(earned))


@pytest.mark.parametrize("action", ["discrete", "continuous"])
def test_an_env_earns_what_the_function_says(action: Any) -> None:
    settings: dict[str, Any] = {"action": action, "boundary_weight": 3.0, "boundary_sigma": 1.5}
    envs = make_envs(3, reward="boundary", autoreset_mode="Disabled", **settings)
    reward = make_reward("boundary", envs.config)
    for episode in range(2):
        envs.reset(seed=episode)
        for step in random_actions(envs, 3, seed=episode):
            before = envs.state
            _, scalar, *_, info = envs.step(step if action == "discrete" else (step / 3 - 1).astype(np.float32))
            expected = reward(before.probability, envs.state.probability, before.label)
            assert torch.equal(info["voxel_reward"], expected) and expected.any()
            assert torch.equal(scalar, exact_mean(expected))


def test_an_env_pays_the_boundary_more_than_the_gain_does() -> None:
    one, two = make_envs(2, reward="boundary", boundary_weight=3.0), make_envs(2)
    one.reset(seed=0), two.reset(seed=0)
    label = one.state.label
    action = random_actions(one, 1)[0]
    boundary, gain = (envs.step(action)[4]["voxel_reward"] for envs in (one, two))
    ratio = boundary / gain
    np.testing.assert_allclose(ratio, np.stack([oracle(row, 3.0, 2.0) for row in label.numpy()]), rtol=1e-5)
    assert ratio.max() > 3.9 and ratio.min() < 1.1


def test_weights_are_worked_out_once_an_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []

    def counted(surface: torch.Tensor, *given: Any) -> torch.Tensor:
        rows.append(len(surface))
        return boundary_weights(surface, *given)

    monkeypatch.setattr(simulator, "boundary_weights", counted)
    envs = make_envs(3, reward="boundary", autoreset_mode="Disabled")
    envs.reset(seed=0)
    for action in random_actions(envs, 3):
        envs.step(action)
    assert rows == [3]
    before = envs.state.weights
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    assert rows == [3, 1]
    after = envs.state.weights
    assert before is not None and after is not None
    assert torch.equal(after[[0, 2]], before[[0, 2]]) and not torch.equal(after[1], before[1])
    np.testing.assert_allclose(after[1], oracle(envs.state.label[1].numpy(), 1.0, 2.0), rtol=1e-6)


def test_other_rewards_have_no_weights() -> None:
    envs = make_envs(1)
    envs.reset(seed=0)
    assert envs.state.weights is None


def test_unlabelled_episodes_earn_nothing() -> None:
    envs = make_envs(4, reward="boundary", labelled_fraction=0.5)
    _, info = envs.reset(seed=0)
    labelled = info["labelled"]
    assert labelled.any() and not labelled.all()
    _, reward, *_, info = envs.step(random_actions(envs, 1)[0])
    assert torch.equal(reward != 0, labelled)
    assert torch.equal(info["voxel_reward"].flatten(1).any(1), labelled)


def test_a_name_that_is_nearly_right_is_refused() -> None:
    with pytest.raises(ValueError, match=r"reward: expected one of \['boundary', 'error', 'focal', 'gain'\].*'border'"):
        make_envs(1, reward="border")
