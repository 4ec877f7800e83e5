"""The vector env: equal to the same envs one by one, whatever stands beside them, in any order of calls."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from tests.support.envs import SETTINGS, VARIANTS, Blobs, full_actions, make_envs, random_actions
from tests.support.trees import copied, rows, same, same_rows

MODES = [mode.value for mode in AutoresetMode]


def row_of(action: Any, index: int) -> Any:
    return {k: v[index] for k, v in action.items()} if isinstance(action, dict) else action[index]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_the_same_envs_one_by_one(variant: str, mode: str) -> None:
    """Observations, rewards, endings and infos, bit for bit, through autoresets and into the third episode."""
    keywords = {"dataset": Blobs(), **SETTINGS, **VARIANTS[variant]}
    envs = gym.make_vec("MECCA-Phantom-v0", num_envs=3, autoreset_mode=mode, **keywords)
    singles = [gym.make("MECCA-Phantom-v0", disable_env_checker=True, **keywords) for _ in range(3)]
    observation, info = envs.reset(seed=11)
    for i, single in enumerate(singles):
        obs, single_info = single.reset(seed=11 + i)
        same(rows(observation, i), obs, f"reset, env {i}")
        same(rows(info, i), single_info, f"reset, env {i}")
    over = [False] * 3
    for number, action in enumerate(full_actions(envs.unwrapped, 9)):
        observation, reward, terminated, truncated, info = envs.step(action)
        for i, single in enumerate(singles):
            where = f"step {number}, env {i}"
            if over[i] and mode == "NextStep":
                obs, single_info = single.reset()
                expected = [0.0, False, False]
                over[i] = False
            else:
                obs, *expected, single_info = single.step(row_of(action, i))
                over[i] = expected[1] or expected[2]
            assert (float(reward[i]), bool(terminated[i]), bool(truncated[i])) == tuple(expected), where
            if over[i] and mode == "SameStep":
                assert bool(info["_final_obs"][i]) and bool(info["_final_info"][i])
                same(rows(info["final_obs"], i), obs, where)
                same(rows(info["final_info"], i), single_info, where)
                earned = {k: single_info[k] for k in ("voxel_reward", "misunderstanding", "misunderstanding_literal")}
                obs, single_info = single.reset()
                single_info |= earned  # these belong to the step, like the reward
            same(rows(observation, i), obs, where)
            plain = {k: v for k, v in info.items() if "final" not in k}
            same(rows(plain, i), single_info, where)
        if mode == "SameStep" and not any(over):
            assert not [key for key in info if "final" in key]
        if mode == "Disabled" and any(over):
            same_as_reset(envs, singles, np.array(over))


def same_as_reset(envs: Any, singles: list[Any], over: np.ndarray) -> None:
    observation, info = envs.reset(options={"reset_mask": over})
    for i in np.flatnonzero(over):
        obs, single_info = singles[i].reset()
        same(rows(observation, i), obs)
        same(rows(info, i), single_info)


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_a_trajectory_does_not_depend_on_how_many_stand_beside_it(mode: str, device: str) -> None:
    runs = {}
    for count in (1, 3, 8):
        envs = make_envs(count, autoreset_mode=mode, device=device)
        returned = [envs.reset(seed=5), *(envs.step(a) for a in random_actions(envs, 8))]
        runs[count] = [rows(dict(enumerate(part)), 0) for part in [(r[0], *r[1:-1]) for r in returned]]
    for count in (3, 8):
        for here, there in zip(runs[1], runs[count], strict=True):
            same({k: v for k, v in here.items() if k < 4}, {k: v for k, v in there.items() if k < 4})


def test_every_env_of_three_is_that_env_of_eight() -> None:
    few, many = make_envs(3), make_envs(8)
    actions = random_actions(many, 7)
    same_rows(few.reset(seed=1)[0], many.reset(seed=1)[0], 3)
    for action in actions:
        one, two = few.step(action[:3]), many.step(action)
        same_rows(one[0], two[0], 3)
        assert torch.equal(one[1], two[1][:3]) and torch.equal(one[2], two[2][:3])


@pytest.mark.parametrize("mode", MODES)
def test_what_was_handed_out_is_never_changed(mode: str, device: str) -> None:
    envs = make_envs(3, autoreset_mode=mode, guide=True, supervoxels=(12, 10, 8), device=device)
    returned = [envs.reset(seed=0)]
    copies = [copied(returned[-1])]
    for action in full_actions(envs, 7):
        returned.append(envs.step(action))
        copies.append(copied(returned[-1]))
        if mode == "Disabled" and returned[-1][2].any():
            returned.append(envs.reset(options={"reset_mask": returned[-1][2]}))
            copies.append(copied(returned[-1]))
    for kept, copy in zip(returned, copies, strict=True):
        same(dict(enumerate(copied(kept))), dict(enumerate(copy)))


def test_what_a_step_that_resets_hands_out_may_be_written_to() -> None:
    envs, twin = make_envs(3, horizon=1, clicks=(6,)), make_envs(3, horizon=1, clicks=(6,))
    envs.reset(seed=0), twin.reset(seed=0)
    for action in random_actions(envs, 3):
        observation, *others, info = envs.step(action)
        same(dict(enumerate(copied(twin.step(action)))), dict(enumerate(copied((observation, *others, info)))))
        for tensor in (
            *observation.values(),
            *info["final_obs"].values(),
            *(info[k] for k in ("step", "clicks", "dice")),
        ):
            tensor.fill_(1)


def test_partial_reset_leaves_the_others_alone() -> None:
    envs = make_envs(3, autoreset_mode="Disabled")
    envs.reset(seed=0)
    before = envs.step(random_actions(envs, 1)[0])
    observation, info = envs.reset(seed=[7, 8, 9], options={"reset_mask": torch.tensor([False, True, False])})
    assert info["step"].tolist() == [1, 0, 1]
    for i in (0, 2):
        same(rows(observation, i), rows(before[0], i))
    fresh, _ = make_envs(3).reset(seed=[7, 8, 9])
    same(rows(observation, 1), rows(fresh, 1))
    assert envs.np_random_seed == (0, 8, 2)
    observation, info = envs.reset(options={"reset_mask": np.array([True, False, False])})
    assert info["step"].tolist() == [0, 0, 1]
    twin = make_envs(3)
    twin.reset(seed=0)
    same(rows(observation, 0), rows(twin.reset()[0], 0))  # env 0's own second episode


@pytest.mark.parametrize("mode", MODES)
def test_episodes_that_began_at_different_times_end_at_different_times(mode: str) -> None:
    envs = make_envs(3, autoreset_mode=mode)
    actions = random_actions(envs, 4)
    envs.reset(seed=0)
    envs.step(actions[0])
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    envs.step(actions[1])
    _, _, terminated, _, info = envs.step(actions[2])
    assert terminated.tolist() == [True, False, True]
    if mode == "Disabled":
        with pytest.raises(gym.error.ResetNeeded, match=r"envs \[0, 2\] are over"):
            envs.step(actions[3])
        return
    if mode == "SameStep":
        assert info["_final_obs"].tolist() == [True, False, True] and info["final_info"]["step"].tolist() == [3, 2, 3]
        assert info["step"].tolist() == [0, 2, 0]
    _, _, terminated, _, info = envs.step(actions[3])
    assert terminated.tolist() == [False, True, False]
    assert info["step"].tolist() == ([1, 0, 1] if mode == "SameStep" else [0, 3, 0])


def test_clicks_are_counted_step_by_step() -> None:
    envs = make_envs(2, shape=(24, 22, 16), horizon=5, clicks=None, autoreset_mode="Disabled")
    _, info = envs.reset(seed=0)
    counts = [info["n_clicks"].tolist()]
    for _ in range(5):
        info = envs.step(np.zeros((2, 24, 22, 16), np.int64))[4]
        counts.append(info["n_clicks"].tolist())
    assert counts == [[n, n] for n in (25, 30, 35, 40, 45, 45)]
    assert info["clicks"].shape == (2, 45, 3)


def test_target_dice_ends_episodes_early_and_each_for_itself() -> None:
    envs = make_envs(2, target_dice=0.9, autoreset_mode="NextStep")
    envs.reset(seed=0)
    right = torch.where(envs.state.label, 5, 0)
    right[1] = 5 - right[1]
    _, _, terminated, truncated, info = envs.step(right)
    assert terminated.tolist() == [True, False] and not truncated.any()
    assert info["dice"][0] == 1 and info["dice"][1] == 0 and info["n_clicks"].tolist() == [6, 9]
    _, reward, terminated, _, info = envs.step(right)
    assert info["step"].tolist() == [0, 2] and reward[0] == 0 and reward[1] < 0 and not terminated.any()


class TestStepsOfSome:
    """Steps of some envs, the others staying where they are."""

    def test_those_that_act_do_as_in_a_step_of_all(self) -> None:
        envs, twin = (make_envs(3, autoreset_mode="Disabled") for _ in range(2))
        before = [envs.reset(seed=0), twin.reset(seed=0)][0]
        action = random_actions(envs, 1)[0]
        acting = np.array([True, False, True])
        observation, reward, terminated, _, info = envs.step_some(action, acting)
        whole = twin.step(action)
        for i in (0, 2):
            same(rows(observation, i), rows(whole[0], i))
            same(rows(info, i), rows(whole[4], i))
            assert reward[i] == whole[1][i]
        same(rows(observation, 1), rows(before[0], 1))
        same(rows(info, 1), rows(before[1], 1))
        assert reward[1] == 0 and not terminated.any() and envs.steps_taken == 2

    def test_those_that_are_over_may_stay_and_not_act(self) -> None:
        envs = make_envs(2, autoreset_mode="Disabled", target_dice=0.9)
        envs.reset(seed=0)
        action = torch.where(envs.state.label, 5, 0)
        action[0] = 0
        assert envs.step(action)[2].tolist() == [False, True]
        assert envs.step_some(action, np.array([True, False]))[2].tolist() == [False, True]
        with pytest.raises(gym.error.ResetNeeded, match=r"envs \[1\] are over"):
            envs.step_some(action, np.array([False, True]))
        assert envs.state.step.tolist() == [2, 1]

    @pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
    def test_envs_that_reset_themselves_refuse(self, mode: str) -> None:
        envs = make_envs(2, autoreset_mode=mode)
        envs.reset(seed=0)
        with pytest.raises(
            ValueError, match=f"autoreset_mode: expected 'Disabled' for steps of some envs, got '{mode}'"
        ):
            envs.step_some(random_actions(envs, 1)[0], np.array([True, False]))


class TestOrderOfCalls:
    """Calls in an order that is refused or not."""

    def test_nothing_before_the_first_reset(self) -> None:
        envs = make_envs(2, render_mode="rgb_array")
        for call in (lambda: envs.step(random_actions(envs, 1)[0]), envs.render, lambda: envs.paste_back(0)):
            with pytest.raises(gym.error.ResetNeeded):
                call()
        with pytest.raises(gym.error.ResetNeeded, match="first reset must be of all"):
            envs.reset(options={"reset_mask": np.array([True, False])})

    def test_nothing_after_close(self) -> None:
        envs = make_envs(2, render_mode="rgb_array")
        envs.reset(seed=0)
        action = random_actions(envs, 1)[0]
        envs.close()
        envs.close()
        for call in (envs.reset, lambda: envs.step(action), envs.render, lambda: envs.paste_back(0)):
            with pytest.raises(gym.error.ClosedEnvironmentError, match="closed"):
                call()

    def test_no_step_of_an_episode_that_is_over_where_autoreset_is_disabled(self) -> None:
        envs = make_envs(2, autoreset_mode="Disabled", target_dice=0.9)
        envs.reset(seed=0)
        action = torch.where(envs.state.label, 5, 0)
        action[0] = 0
        assert envs.step(action)[2].tolist() == [False, True]
        with pytest.raises(gym.error.ResetNeeded, match=r"envs \[1\] are over"):
            envs.step(action)
        envs.reset(options={"reset_mask": np.array([False, True])})
        envs.step(action)

    @pytest.mark.parametrize(
        "mask",
        [[True], np.array([True, False, True]), np.array([1, 0]), np.array([False, False]), torch.tensor([1.0, 0.0])],
    )
    def test_masks_that_do_not_fit_are_refused(self, mask: Any) -> None:
        envs = make_envs(2)
        envs.reset(seed=0)
        with pytest.raises(ValueError, match=r"reset_mask.*expected \(2,\) bool"):
            envs.reset(options={"reset_mask": mask})

    def test_unknown_options_are_refused(self) -> None:
        with pytest.raises(
            ValueError, match=r"options: expected 'reset_mask', 'cases' and 'masks' only, got \['case'\]"
        ):
            make_envs(2).reset(options={"case": 1})

    def test_a_refused_reset_changes_nothing(self) -> None:
        envs = make_envs(2)
        envs.reset(seed=0)
        with pytest.raises(ValueError):
            envs.reset(seed=5, options={"cases": ["nobody", None]})
        assert envs.np_random_seed == (0, 1) and envs.state.step.tolist() == [0, 0]

    def test_options_are_not_written_to(self) -> None:
        options = {"cases": [1, 2], "reset_mask": np.array([True, True])}
        make_envs(2).reset(seed=0, options=options)
        assert set(options) == {"cases", "reset_mask"}


def test_devices_agree(device: str) -> None:
    here, there = make_envs(3), make_envs(3, device=device)
    one, two = here.reset(seed=2), there.reset(seed=2)
    assert two[0]["volume"].device.type == device
    torch.testing.assert_close(one[0]["volume"], two[0]["volume"].cpu(), rtol=1e-5, atol=1e-5)
    for action in random_actions(here, 7):
        first, second = here.step(action), there.step(torch.from_numpy(action).to(device))
        for key in ("probability", "hint"):
            assert torch.equal(first[0][key], second[0][key].cpu())
        assert torch.equal(first[4]["clicks"], second[4]["clicks"].cpu())
        torch.testing.assert_close(first[1], second[1].cpu(), rtol=1e-5, atol=1e-6)
