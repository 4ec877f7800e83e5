"""Stable-Baselines3's checker on the single envs, and its view of the vector env."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from mecca_env.wrappers import NumpyConversion, SupervoxelActionVectorWrapper, SupervoxelActionWrapper
from tests.support.envs import GRID, SETTINGS, Blobs, Rows, make_envs, random_actions

pytest.importorskip("stable_baselines3", reason="needs the extra sb3")

from stable_baselines3 import A2C, SAC
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor, VecNormalize, VecVideoRecorder

from mecca_env.adapters.sb3 import VoxelVecEnv, final_dice

VOXELS = 16 * 14 * 12
COUNTS = {"supervoxels": (20, 15, 10)}
KEYS = ("volume", "probability", "hint")
OF_SHAPES = (
    "It seems that your observation .* is an image but its `dtype`",
    "It seems that your observation space .* is an image but the upper and lower bounds",
    "The minimal resolution for an image is 36x36",
    "Your observation .* has an unconventional shape",
    "The MultiDiscrete action space uses a multidimensional array",
)
"""The warnings of the checker about grids. `VoxelVecEnv` takes flat actions."""


def single(**keywords: Any) -> gym.Env[Any, Any]:
    return gym.make("MECCA-Phantom-v0", **{"dataset": Blobs(), **SETTINGS, **keywords})


def vec(num_envs: int = 3, numpy: bool = True, **keywords: Any) -> VoxelVecEnv:
    return VoxelVecEnv(make_envs(num_envs, **keywords), numpy=numpy)


def supervoxels(num_envs: int = 3, **keywords: Any) -> VoxelVecEnv:
    return VoxelVecEnv(SupervoxelActionVectorWrapper(make_envs(num_envs, **COUNTS, **keywords)))


class Tracing:
    """Raises a share of each label, another one in each env: with a target of 0.7 they end after 3, 2 and 1 steps."""

    def __init__(self, rows: range) -> None:
        self.rngs = {row: np.random.default_rng(row) for row in rows}

    def __call__(self, label: torch.Tensor) -> np.ndarray:
        chance = (0.2, 0.5, 0.9)
        drawn = [rng.random(GRID) < chance[row] for row, rng in self.rngs.items()]
        return np.where(label.cpu().numpy() & np.stack(drawn), 5, 2).reshape(len(drawn), -1)


@pytest.mark.parametrize("action", ["discrete", "continuous"])
@pytest.mark.parametrize("modalities", [1, 2])
def test_the_checker_on_the_single_env(action: str, modalities: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in OF_SHAPES:
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        check_env(single(action=action, dataset=Blobs(modalities=modalities)).unwrapped)


@pytest.mark.parametrize("action", ["discrete", "continuous"])
def test_the_checker_on_supervoxels(action: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(SupervoxelActionWrapper(single(action=action, **COUNTS).unwrapped))


@pytest.mark.parametrize("numpy", [True, False])
def test_the_same_steps_as_the_vector_env(numpy: bool, device: str) -> None:
    envs, bare = vec(numpy=numpy, device=device), make_envs(device=device)
    envs.seed(7)
    seen = envs.reset()
    expected, first = bare.reset(seed=7)
    assert [info["case_index"] for info in envs.reset_infos] == first["case_index"].tolist()
    for number, action in enumerate(random_actions(bare, 7)):
        for key in KEYS:
            if numpy:
                assert isinstance(seen[key], np.ndarray)
                assert np.array_equal(seen[key], expected[key].cpu().numpy())
            else:
                assert torch.equal(seen[key], expected[key]) and seen[key].device == envs.base.device
        flat = action.reshape(3, -1)
        seen, reward, done, infos = envs.step(flat if number % 2 else torch.from_numpy(flat).to(device))
        expected, gain, terminated, _, info = bare.step(action)
        assert reward.dtype == np.float32 and np.array_equal(reward, gain.cpu().numpy())
        assert done.dtype == np.bool_ and np.array_equal(done, terminated.cpu().numpy())
        assert torch.equal(envs.last_info["voxel_reward"], info["voxel_reward"])
        ended = info.get("final_info", info)
        for row in range(3):
            told = {"dice": ended["dice"], "n_clicks": ended["n_clicks"], "step": ended["step"]}
            assert {key: infos[row][key] for key in told} == {key: v[row].item() for key, v in told.items()}
            assert infos[row]["misunderstanding"] == info["misunderstanding"][row].item()
            assert infos[row]["TimeLimit.truncated"] is False
            assert ("terminal_observation" in infos[row]) == bool(terminated[row])


@pytest.mark.parametrize("numpy", [True, False])
def test_what_an_episode_ends_with_and_what_begins(numpy: bool) -> None:
    envs, policy, ends = vec(numpy=numpy, target_dice=0.7), Tracing(range(3)), dict[int, int]()
    envs.seed(5)
    envs.reset()
    alone = [make_envs(1, target_dice=0.7, autoreset_mode="Disabled") for _ in range(3)]
    policies = [Tracing(range(row, row + 1)) for row in range(3)]
    for row, env in enumerate(alone):  # env i depends on seed + i and on its actions, not on num_envs
        env.reset(seed=5 + row)
    for step in range(1, 4):
        seen, rewards, dones, infos = envs.step(policy(envs.base.state.label))
        for row, env in enumerate(alone):
            if row in ends:
                continue
            last, reward, over, _, info = env.step(policies[row](env.state.label).reshape(1, *GRID))
            assert dones[row] == over.item() and rewards[row] == reward.item()
            assert infos[row]["dice"] == info["dice"].item() and infos[row]["step"] == step
            if over:
                ends[row] = step
                terminal = infos[row]["terminal_observation"]
                assert all(np.array_equal(np.asarray(terminal[key]), last[key][0].numpy()) for key in KEYS)
                begun, told = env.reset()
                assert all(np.array_equal(np.asarray(seen[key][row]), begun[key][0].numpy()) for key in KEYS)
                again = envs.reset_infos[row]
                assert again["step"] == 0 and "misunderstanding" not in again
                assert again["case_index"] == told["case_index"].item() and again["dice"] == told["dice"].item()
    assert ends == {0: 3, 1: 2, 2: 1}


def test_a_seed_holds_for_one_reset() -> None:
    envs = vec()
    assert envs.seed(11) == [11, 12, 13]
    first = envs.reset()
    assert not np.array_equal(envs.reset()["volume"], first["volume"])
    envs.seed(11)
    again = envs.reset()
    assert all(np.array_equal(again[key], first[key]) for key in KEYS)
    envs.seed(12)
    assert np.array_equal(envs.reset()["hint"][:2], first["hint"][1:])
    envs.set_options([{"case": "blob_4"}, {"case": 1}, {}])
    envs.reset()
    assert envs.env_method("case_name", indices=[0, 1]) == ["blob_4", "blob_1"]


def test_what_was_handed_out_belongs_to_the_caller() -> None:
    envs, twin = vec(), vec()
    for view in (envs, twin):
        view.seed(3)
    seen, clean = envs.reset(), twin.reset()
    for action in random_actions(envs.base, 4):
        for values in seen.values():
            values.fill(9)
        seen, rewards, _, infos = envs.step(action.reshape(3, -1))
        for info in infos:
            for values in info.get("terminal_observation", {}).values():
                values.fill(9)
        clean, expected, _, _ = twin.step(action.reshape(3, -1))
        assert np.array_equal(rewards, expected) and all(np.array_equal(seen[key], clean[key]) for key in KEYS)


class Doubled(gym.vector.VectorWrapper):
    """An env with an entry of its own in the info."""

    def step(self, actions: Any) -> Any:
        *found, info = self.env.step(actions)
        return *found, info | {"doubled": 2 * found[1]}


def test_monitor_and_an_entry_of_a_wrapper() -> None:
    envs = VecMonitor(VoxelVecEnv(Doubled(make_envs())))
    envs.reset()
    total = np.zeros(3)
    for action in random_actions(envs.unwrapped.base, 3):
        _, rewards, dones, infos = envs.step(action.reshape(3, -1))
        total += rewards
    assert dones.all()
    for row, info in enumerate(infos):
        assert info["episode"]["l"] == 3 and info["episode"]["r"] == pytest.approx(total[row], abs=1e-5)
    assert np.allclose(envs.unwrapped.last_info["doubled"].numpy(), 2 * rewards, atol=1e-5)
    assert envs.env_is_wrapped(Doubled) == [True] * 3 and envs.env_is_wrapped(Rows) == [False] * 3


class Poisoned(gym.vector.VectorWrapper):
    """An env whose second reward is no number."""

    def step(self, actions: Any) -> Any:
        observation, reward, *rest = self.env.step(actions)
        return observation, torch.where(torch.arange(len(reward)) == 1, torch.nan, reward), *rest


def test_check_nan() -> None:
    action = np.zeros((3, VOXELS), int)
    fine = VecCheckNan(vec(), raise_exception=True)
    fine.reset()
    fine.step(action)
    bad = VecCheckNan(VoxelVecEnv(Poisoned(make_envs())), raise_exception=True)
    bad.reset()
    with pytest.raises(ValueError, match="found nan in rewards"):
        bad.step(action)


@pytest.mark.filterwarnings("ignore:.*Overwriting existing videos")
def test_pictures(tmp_path: Path) -> None:
    envs = vec(render_mode="rgb_array")
    envs.reset()
    frames = envs.env_method("render")
    assert len(frames) == 3 and all(np.array_equal(a, b) for a, b in zip(frames, envs.get_images(), strict=True))
    assert envs.render().ndim == 3
    pytest.importorskip("moviepy", reason="needs the extra video")
    recorder = VecVideoRecorder(envs, str(tmp_path), lambda step: step == 0, video_length=2)
    recorder.reset()
    for _ in range(2):
        recorder.step(np.zeros((3, VOXELS), int))
    recorder.close()
    assert len(list(tmp_path.glob("*.mp4"))) == 1
    with pytest.raises(ValueError, match="render_mode: expected 'rgb_array' when the env was made, got None"):
        vec().get_images()


def test_attributes_and_methods_of_one_env() -> None:
    envs = vec()
    envs.seed(4)
    envs.reset()
    assert envs.get_attr("np_random_seed") == [4, 5, 6] and envs.get_attr("np_random_seed", 1) == [5]
    assert (
        envs.get_attr("config") == [envs.base.config] * 3 and envs.has_attr("config") and not envs.has_attr("nothing")
    )
    mask, affine = envs.env_method("paste_back", indices=2)[0]
    assert mask.dtype == np.bool_ and affine.shape == (4, 4)
    envs.set_attr("colour", "blue")
    assert envs.get_attr("colour") == ["blue"] * 3
    with pytest.raises(ValueError, match="indices: expected None, since all envs share 'colour', got 1"):
        envs.set_attr("colour", "red", indices=1)
    with pytest.raises(AttributeError, match=r"reset\(\) acts on all envs; call it on the VoxelVecEnv"):
        envs.env_method("reset", indices=0)
    envs.close()
    assert envs.base.closed


def test_observations_that_a_wrapper_has_made_rows_of() -> None:
    envs = VoxelVecEnv(Rows(make_envs()))
    seen = envs.reset()
    assert seen.shape == (3, 3 * VOXELS) and envs.observation_space.shape == (3 * VOXELS,)
    for _ in range(3):
        seen, _, dones, infos = envs.step(np.zeros((3, VOXELS), int))
    assert dones.all() and infos[0]["terminal_observation"].shape == (3 * VOXELS,)


def test_the_final_dice_is_of_labelled_cases() -> None:
    dice = final_dice(vec(6, labelled_fraction=0.5, labelled_share=0.5))
    assert 0 < dice < 1
    assert np.isnan(final_dice(vec(labelled_fraction=0.0)))
    envs = vec(labelled_fraction=0.0)
    envs.reset()
    assert all(np.isnan(info["dice"]) for info in [*envs.reset_infos, *envs.step(np.zeros((3, VOXELS), int))[3]])


def test_supervoxels_through_stock_algorithms() -> None:
    envs = supervoxels()
    assert envs.action_space == gym.spaces.MultiDiscrete(np.full(20, 6))
    model = A2C("MultiInputPolicy", VecMonitor(envs), seed=0, device="cpu").learn(30)
    dice = final_dice(envs, model)
    assert dice == final_dice(envs, model) and 0 < dice < 1 and final_dice(envs) != final_dice(envs, seed=1)
    envs = supervoxels(action="continuous")
    model = SAC("MultiInputPolicy", VecMonitor(envs), learning_starts=9, buffer_size=100, seed=0, device="cpu")
    model.learn(30)
    kept = model.replay_buffer.observations
    assert kept["hint"].shape == (33, 3, 20) and np.abs(model.replay_buffer.actions[:10]).max() <= 1


def test_a_final_supervoxel_observation() -> None:
    envs, bare = supervoxels(), SupervoxelActionVectorWrapper(make_envs(3, **COUNTS))
    envs.seed(2)
    envs.reset()
    bare.reset(seed=2)
    for _ in range(3):
        action = np.random.default_rng(0).integers(6, size=(3, 20))
        _, _, dones, infos = envs.step(action)
        *_, info = bare.step(action)
    assert dones.all()
    for row in range(3):
        for key in KEYS:
            assert np.array_equal(infos[row]["terminal_observation"][key], info["final_obs"][key][row].numpy())


def test_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match="guide: expected an env without one.*make it with guide=False"):
        vec(guide=True, **COUNTS)
    for mode in ("NextStep", "Disabled"):
        with pytest.raises(ValueError, match=f"expected 'SameStep'.*got '{mode}'; make the env with autoreset_mode="):
            vec(autoreset_mode=mode)
    with pytest.raises(TypeError, match=r"envs: expected a vector env of mecca_env \(gym.make_vec\), got MeccaEnv"):
        VoxelVecEnv(single())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="envs: expected a vector env of mecca_env.*got CartPoleVectorEnv"):
        VoxelVecEnv(gym.make_vec("CartPole-v1", num_envs=2))
    with pytest.raises(TypeError, match="envs: expected a vector env of tensors, got .*leave out the conversion"):
        VoxelVecEnv(NumpyConversion(make_envs())).reset()
    envs = vec()
    envs.set_options({"cases": [0, 1, 2]})
    with pytest.raises(ValueError, match=r"options: expected 'case' only, got \['cases'\]"):
        envs.reset()
    envs.set_options()
    envs.reset()
    with pytest.raises(ValueError, match=rf"action: expected shape \(3, {VOXELS}\), got \(3, 5\)"):
        envs.step(np.zeros((3, 5), int))
    with pytest.raises(ValueError, match="action: expected integers from 0 to 5, got 6"):
        envs.step(np.full((3, VOXELS), 6))
    with pytest.raises(TypeError, match="action: expected an integer dtype, got torch.float64"):
        envs.step(np.zeros((3, VOXELS)))


def test_normalised_rewards() -> None:
    envs = VecNormalize(supervoxels(), norm_obs=False)
    envs.reset()
    _, rewards, _, _ = envs.step(np.zeros((3, 20), int))
    assert np.isfinite(rewards).all()
