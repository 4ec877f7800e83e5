"""The wrappers of the torch vector env, against Gymnasium's own for single and NumPy envs."""

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
from mecca_env.wrappers import EpisodeStatistics, FlattenAction, FlattenObservation, NumpyConversion, StackObservation
from tests.support.envs import SETTINGS, Blobs, host, make_envs, random_actions

MODES = [mode.value for mode in AutoresetMode]
VOXELS = 16 * 14 * 12
Envs = VectorEnv[Any, Any, Any]
WRAPPERS: dict[str, Callable[[Envs], Envs]] = {
    "numpy": NumpyConversion,
    "flat observation": FlattenObservation,
    "flat action": FlattenAction,
    "stack": lambda envs: StackObservation(envs, 3),
    "stack of some": lambda envs: StackObservation(envs, 2, ("hint",)),
    "stack of flat": lambda envs: StackObservation(FlattenObservation(envs), 2),
    "statistics": EpisodeStatistics,
    "all": lambda envs: NumpyConversion(
        EpisodeStatistics(FlattenAction(FlattenObservation(StackObservation(envs, 2))))
    ),
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
def test_every_wrapper_keeps_the_promises_of_a_vector_env(
    name: str, mode: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)  # two rollouts take the same time
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


@pytest.mark.parametrize("modalities", [1, 2])
def test_flat_observations_are_gymnasiums(modalities: int, device: str) -> None:
    bare, flat = (make_envs(dataset=Blobs(modalities=modalities), device=device) for _ in range(2))
    flat = FlattenObservation(flat)
    space = bare.single_observation_space
    assert flat.single_observation_space == spaces.flatten_space(space)
    seen, rows = bare.reset(seed=0)[0], flat.reset(seed=0)[0]
    for number in range(4):
        for i in range(3):
            single = {key: host(value[i]) for key, value in seen.items()}
            assert np.array_equal(host(rows[i]), spaces.flatten(space, single))
            back = spaces.unflatten(space, host(rows[i]))
            assert all(np.array_equal(back[key], single[key]) for key in single)
        action = early(bare, number)
        seen, _, over, _, info = bare.step(action)
        rows, _, _, _, flat_info = flat.step(action)
        assert ("final_obs" in flat_info) == bool(over.any())
        if over.any():
            assert torch.equal(flat_info["final_obs"], flat.observations(info["final_obs"]))


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


@pytest.mark.parametrize("length", [1, 2, 4])
def test_stacks_are_gymnasiums(length: int, device: str) -> None:
    singles = [
        gym.wrappers.FrameStackObservation(
            gym.make("MECCA-Phantom-v0", dataset=Blobs(), target_dice=0.7, **SETTINGS), length
        )
        for _ in range(3)
    ]
    envs = StackObservation(make_envs(autoreset_mode="NextStep", device=device, target_dice=0.7), length)
    assert envs.single_observation_space == singles[0].observation_space
    seen = envs.reset(seed=4)[0]
    expected = [env.reset(seed=4 + i)[0] for i, env in enumerate(singles)]
    ended = torch.zeros(3, dtype=torch.bool)
    uneven = 0
    for number in range(9):
        for i in range(3):
            assert all(np.array_equal(host(seen[key][i]), expected[i][key]) for key in seen), (number, i)
        action = early(envs, number)
        for i, env in enumerate(singles):
            expected[i] = env.reset()[0] if ended[i] else env.step(host(action[i]))[0]
        seen, _, terminated, _, _ = envs.step(action)
        ended = terminated.cpu()
        uneven += bool(ended.any()) and not bool(ended.all())
    assert uneven


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
def test_stacks_begin_anew_with_their_episode_in_every_mode(mode: str) -> None:
    here, there = stacks_seen(mode), stacks_seen("NextStep")
    assert all(torch.equal(a, b) for one, two in zip(here, there, strict=True) for a, b in zip(one, two, strict=True))


def stacks_seen(mode: str) -> list[list[Tensor]]:
    """The first ten stacks of every env, the last of an episode and the first of the next one included."""
    envs = StackObservation(make_envs(autoreset_mode=mode, target_dice=0.7), 3)
    stacks: list[list[Tensor]] = [[], [], []]

    def add(seen: dict[str, Tensor], rows: Any = range(3)) -> None:
        for i in rows:
            stacks[i].append(seen["probability"][i])

    add(envs.reset(seed=4)[0])
    while min(map(len, stacks)) < 10:
        seen, _, ended, _, info = envs.step(constant(envs))
        if "final_obs" in info:
            add(info["final_obs"], np.flatnonzero(ended))
        add(seen)
        if mode == "Disabled" and ended.any():
            add(envs.reset(options={"reset_mask": ended})[0], np.flatnonzero(ended))
    return [each[:10] for each in stacks]


def constant(envs: Any) -> Tensor:
    """Right actions in every other voxel, more of them in later envs."""
    label = envs.unwrapped.state.label
    index = torch.arange(label[0].numel()).view(label.shape[1:])
    chosen = torch.stack([index % 4 < share for share in (1, 2, 4)])
    return torch.where(label & chosen, 5, 0)


def test_other_entries_are_left_alone() -> None:
    envs = StackObservation(make_envs(), 2, ("probability", "hint"))
    seen, _ = envs.reset()
    assert seen["volume"].shape == (3, 16, 14, 12) and seen["hint"].shape == (3, 2, 16, 14, 12)
    assert envs.observation_space.contains({key: host(value) for key, value in seen.items()})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", [None, 0.7])
def test_statistics_are_gymnasiums(mode: str, target: float | None, device: str) -> None:
    ours, theirs = (make_envs(autoreset_mode=mode, target_dice=target, device=device) for _ in range(2))
    ours = EpisodeStatistics(ours)
    theirs = gym.wrappers.vector.RecordEpisodeStatistics(NumpyConversion(theirs))
    ours.reset(seed=4), theirs.reset(seed=4)
    ended_together = set()
    for number in range(9):
        action = early(ours, number)
        *_, terminated, _, info = ours.step(action)
        *_, other = theirs.step(host(action))
        assert ("episode" in info) == ("episode" in other) == bool(terminated.any())
        if not terminated.any():
            continue
        ended_together.add(int(terminated.sum()))
        assert torch.equal(info["_episode"], terminated) and np.array_equal(other["_episode"], host(terminated))
        np.testing.assert_allclose(host(info["episode"]["r"]), other["episode"]["r"], rtol=1e-5)
        assert np.array_equal(host(info["episode"]["l"]), other["episode"]["l"])
        assert ((host(info["episode"]["t"]) > 0) == host(terminated)).all()
        last = info.get("final_info", info)["dice"]
        assert torch.equal(info["episode"]["dice"], torch.where(terminated, last, 0))
        if mode == "Disabled":
            mask = host(terminated)
            ours.reset(options={"reset_mask": terminated}), theirs.reset(options={"reset_mask": mask})
    assert ended_together == {3} if target is None else len(ended_together) > 1
    assert ours.episode_count == theirs.episode_count > 3
    np.testing.assert_allclose(ours.return_queue, theirs.return_queue, rtol=1e-5)
    assert list(ours.length_queue) == list(theirs.length_queue)
    assert len(ours.time_queue) == len(ours.last_queues["dice"]) == ours.episode_count


def test_time_is_that_of_the_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    envs = EpisodeStatistics(make_envs())
    now[0] += 5
    envs.reset()
    for expected in (6.0, 6.0):
        for action in random_actions(envs.unwrapped, 3):
            now[0] += 2
            info = envs.step(action)[4]
        assert info["episode"]["t"].tolist() == [expected] * 3


def test_statistics_of_other_entries() -> None:
    envs = EpisodeStatistics(make_envs(), buffer_length=2, stats_key="whole", last=("n_clicks", "labelled"))
    envs.reset()
    for action in random_actions(envs.unwrapped, 3):
        info = envs.step(action)[4]
    assert info["whole"]["n_clicks"].tolist() == [11] * 3 and "dice" not in info["whole"]
    assert list(envs.last_queues["n_clicks"]) == [11, 11] and envs.episode_count == 3


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
    pytest.importorskip("moviepy", reason="recording needs the extra mecca[video]")
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
    with pytest.raises(ValueError, match="observation space: expected a Box, or a Dict of them, got Discrete"):
        FlattenObservation(Strange())
    with pytest.raises(ValueError, match="action space: expected a MultiDiscrete or a Box, got Discrete"):
        FlattenAction(Strange())
    with pytest.raises(ValueError, match="observation space: expected a Box, or a Dict of them, got Discrete"):
        StackObservation(Strange(), 2)
    with pytest.raises(ValueError, match="length: expected an integer of at least 1, got 0"):
        StackObservation(make_envs(), 0)
    with pytest.raises(
        ValueError, match=r"keys: expected some of \['hint', 'probability', 'volume'\], got \('hints',\)"
    ):
        StackObservation(make_envs(), 2, ("hints",))
    with pytest.raises(ValueError, match="buffer_length: expected an integer of at least 1, got 0"):
        EpisodeStatistics(make_envs(), buffer_length=0)
    unknown = Strange()
    unknown.metadata = {}
    with pytest.raises(ValueError, match=r"metadata\['autoreset_mode'\]: expected an AutoresetMode, got None"):
        NumpyConversion(unknown)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"last": ("dise",)}, r"last: expected entries of info, got \['dise'\]"),
        ({"stats_key": "dice"}, "stats_key: expected a key that info lacks, got 'dice'"),
    ],
    ids=str,
)
def test_statistics_of_what_is_not_there(keywords: dict[str, Any], message: str) -> None:
    envs = EpisodeStatistics(make_envs(), **keywords)
    envs.reset()
    with pytest.raises(ValueError, match=message):
        for action in random_actions(envs.unwrapped, 3):
            envs.step(action)
