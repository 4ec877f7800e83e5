"""The wrappers of the torch vector env, and Gymnasium's own around the conversion to NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor

from mecca_env.testing import check_vector_env
from mecca_env.wrappers import FlattenAction, NumpyConversion
from tests.support.envs import Blobs, Rows, host, make_envs, random_actions

MODES = [mode.value for mode in AutoresetMode]
VOXELS = 16 * 14 * 12
Envs = VectorEnv[Any, Any, Any]
WRAPPERS: dict[str, Callable[[Envs], Envs]] = {
    "numpy": NumpyConversion,
    "flat action": FlattenAction,
    "rows": Rows,
    "all": lambda envs: NumpyConversion(FlattenAction(Rows(envs))),
}


def early(envs: Any, number: int) -> Tensor:
    """Right actions for some voxels, for more in later envs, so that episodes end at different times."""
    state = envs.unwrapped.state
    chance = torch.linspace(0.2, 0.9, envs.num_envs).view(-1, 1, 1, 1)
    drawn = torch.rand(state.label.shape, generator=torch.Generator().manual_seed(number))
    return torch.where(state.label & (drawn < chance).to(state.label.device), 5, 0)


def tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, dict):
        return [tensor for value in tree.values() for tensor in tensors(value)]
    return [tree]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", WRAPPERS)
def test_every_wrapper_keeps_the_promises_of_a_vector_env(name: str, mode: str, device: str) -> None:
    envs = WRAPPERS[name](make_envs(autoreset_mode=mode, device=device))
    assert envs.autoreset_mode is AutoresetMode(mode) and envs.metadata["autoreset_mode"] is AutoresetMode(mode)
    check_vector_env(envs, steps=8)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [name for name in WRAPPERS if name not in ("numpy", "all")])
def test_they_stay_in_torch_and_on_the_device(name: str, mode: str, device: str) -> None:
    envs = WRAPPERS[name](make_envs(autoreset_mode=mode, device=device))
    returned = [*envs.reset(seed=0)]
    for _ in range(3):
        action = torch.randint(6, (3, *envs.single_action_space.shape), device=device)
        returned += envs.step(action)
    found = [tensor for part in returned for tensor in tensors(part)]
    here = torch.empty(0, device=device).device  # with its number
    assert all(isinstance(tensor, Tensor) and tensor.device == here for tensor in found)


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
@pytest.mark.parametrize("modalities", [1, 2])
def test_flat_observations_are_gymnasiums_around_the_conversion(modalities: int, mode: str, device: str) -> None:
    keywords = {"dataset": Blobs(modalities=modalities), "autoreset_mode": mode, "target_dice": 0.7, "device": device}
    bare, envs = make_envs(**keywords), make_envs(**keywords)
    flat = gym.wrappers.vector.FlattenObservation(NumpyConversion(envs))
    space = bare.single_observation_space
    assert flat.single_observation_space == spaces.flatten_space(space)
    seen, rows = bare.reset(seed=0)[0], flat.reset(seed=0)[0]
    for number in range(5):
        for i in range(3):
            single = {key: host(value[i]) for key, value in seen.items()}
            assert np.array_equal(rows[i], spaces.flatten(space, single))
            back = spaces.unflatten(space, rows[i])
            assert all(np.array_equal(back[key], single[key]) for key in single)
        joined = torch.cat([seen[key].flatten(1) for key in sorted(seen)], dim=1)  # as docs/wrappers.md has it
        assert np.array_equal(host(joined), rows)
        action = early(bare, number)
        seen, _, over, _, _ = bare.step(action)
        rows = flat.step(host(action))[0]
        if mode == "Disabled" and over.any():
            seen = bare.reset(options={"reset_mask": over})[0]
            rows = flat.reset(options={"reset_mask": host(over)})[0]


@pytest.mark.parametrize("action", ["discrete", "continuous"])
@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_flat_actions_do_what_whole_ones_do(action: str, kind: str, device: str) -> None:
    bare, flat = (make_envs(action=action, device=device) for _ in range(2))
    flat = FlattenAction(flat)
    assert flat.action_space.shape == (3, VOXELS)
    bare.reset(seed=0), flat.reset(seed=0)
    flat.action_space.seed(0)
    for _ in range(4):
        row = flat.action_space.sample()
        given = torch.from_numpy(row).to(device) if kind == "torch" else row
        one, two = bare.step(row.reshape(3, 16, 14, 12)), flat.step(given)
        assert torch.equal(one[0]["probability"], two[0]["probability"]) and torch.equal(one[1], two[1])


def test_flat_actions_of_another_shape() -> None:
    flat = FlattenAction(make_envs())
    flat.reset()
    for shape in ((3, 16, 14, 12), (2, VOXELS), (3, VOXELS - 1)):
        with pytest.raises(ValueError, match=rf"action: expected shape \(3, {VOXELS}\), got \({shape[0]}, "):
            flat.step(torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", [None, 0.7])
def test_statistics_are_gymnasiums_around_the_conversion(mode: str, target: float | None, device: str) -> None:
    bare = make_envs(autoreset_mode=mode, target_dice=target, device=device)
    envs = gym.wrappers.vector.RecordEpisodeStatistics(NumpyConversion(bare))
    envs.reset(seed=4)
    ended_together, count = set(), 0
    returns, lengths, begins = np.zeros(3), np.zeros(3, int), np.zeros(3, bool)
    for number in range(9):
        _, rewards, terminated, _, info = envs.step(host(early(bare, number)))
        returns, lengths = np.where(begins, 0, returns + rewards), np.where(begins, 0, lengths + 1)
        assert ("episode" in info) == bool(terminated.any())
        begins = terminated if mode == "NextStep" else np.zeros(3, bool)
        if not terminated.any():
            continue
        ended_together.add(int(terminated.sum()))
        count += int(terminated.sum())
        assert np.array_equal(info["_episode"], terminated)
        np.testing.assert_allclose(info["episode"]["r"], np.where(terminated, returns, 0), rtol=1e-5)
        assert np.array_equal(info["episode"]["l"], np.where(terminated, lengths, 0))
        last = info.get("final_info", info)["dice"][terminated]
        assert ((last >= target) | (lengths[terminated] == 3)).all() if target else (last > 0).all()
        if mode != "NextStep":
            returns, lengths = np.where(terminated, 0, returns), np.where(terminated, 0, lengths)
        if mode == "Disabled":
            envs.reset(options={"reset_mask": terminated})
    assert ended_together == {3} if target is None else len(ended_together) > 1
    assert envs.episode_count == len(envs.return_queue) == count > 3


def test_arrays_belong_to_the_caller(device: str) -> None:
    envs, twin = (NumpyConversion(make_envs(device=device, target_dice=0.7)) for _ in range(2))
    written, info = envs.reset(seed=0)
    twin.reset(seed=0)
    for number in range(4):
        for array in (*written.values(), info["clicks"], info["step"]):
            array[:] = 1
        action = early(twin, number)
        written, reward, over, _, info = envs.step(action)
        expected = twin.step(host(action))
        assert np.array_equal(reward, expected[1]) and np.array_equal(over, expected[2])
        assert all(np.array_equal(written[key], expected[0][key]) for key in written)
        assert all(isinstance(array, np.ndarray) for array in tensors([written, info][1]))


def test_options_pass_the_conversion() -> None:
    envs = NumpyConversion(make_envs())
    assert envs.reset(options={"cases": ["blob_4", 1, "blob_0"]})[1]["case_index"].tolist() == [4, 1, 0]


@pytest.mark.filterwarnings("ignore:.*autoreset mode is same-step")
@pytest.mark.parametrize("mode", MODES)
def test_gymnasiums_video_and_statistics_around_the_conversion(mode: str, tmp_path: Any) -> None:
    pytest.importorskip("moviepy", reason="recording needs the extra video")
    bare = NumpyConversion(make_envs(autoreset_mode=mode, render_mode="rgb_array"))
    recorded = gym.wrappers.vector.RecordVideo(
        gym.wrappers.vector.RecordEpisodeStatistics(bare),
        str(tmp_path / "videos"),
        episode_trigger=lambda number: number == 0,
        disable_logger=True,
    )
    recorded.reset(seed=0)
    lengths = []
    for action in random_actions(bare.unwrapped, 6):
        *_, terminated, _, info = recorded.step(action)
        lengths += info["episode"]["l"].tolist() if terminated.any() else []
        if mode == "Disabled" and terminated.any():
            recorded.reset(options={"reset_mask": terminated})
    recorded.close()
    assert lengths == [3] * 6 if mode != "NextStep" else [3] * 3
    (video,) = (tmp_path / "videos").glob("*.mp4")
    assert video.read_bytes()[4:8] == b"ftyp" and video.stat().st_size > 1000


class Strange(VectorEnv[Any, Any, Any]):
    """A vector env that these wrappers cannot take."""

    num_envs = 1
    single_observation_space: Any = spaces.Discrete(3)
    single_action_space: Any = spaces.Discrete(3)
    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}


def test_what_they_cannot_take() -> None:
    with pytest.raises(ValueError, match="guide: expected an env made with guide=False.* got guide=True"):
        FlattenAction(make_envs(guide=True))
    with pytest.raises(ValueError, match="action space: expected a MultiDiscrete or a Box, got Discrete"):
        FlattenAction(Strange())
    unknown = Strange()
    unknown.metadata = {}
    with pytest.raises(ValueError, match=r"metadata\['autoreset_mode'\]: expected an AutoresetMode, got None"):
        NumpyConversion(unknown)
