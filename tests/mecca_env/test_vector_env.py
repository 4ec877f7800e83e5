"""The vector env: equal to the same envs one by one, whatever stands beside them; and what it refuses."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import mecca_env
from mecca_env.data.base import DataError
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import GRID, SETTINGS, Blobs, make_envs, random_actions

MODES = [mode.value for mode in AutoresetMode]
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "guide": {"guide": True, "supervoxels": (12, 10, 8)},
    "continuous": {"action": "continuous"},
    "imprecise": {"user": "imprecise", "hint": "euclidean", "reward": "focal"},
    "region-centre": {"user": "region-centre", "hint": "geodesic", "reward": "error"},
    "supervoxel": {"hint": "supervoxel", "supervoxels": (12, 10, 8), "reward": "boundary"},
    "guided supervoxel": {"hint": "supervoxel", "supervoxels": (12, 10, 8), "guide": True},
    "target": {"target_dice": 0.3},
    "two modalities": {"dataset": Blobs(modalities=2)},
    "half labelled": {"labelled_fraction": 0.5},
}


def rows(tree: Any, index: int) -> Any:
    """Row `index` of every array of nested dicts, as NumPy."""
    if isinstance(tree, dict):
        return {key: rows(value, index) for key, value in tree.items()}
    return np.asarray(tree.cpu() if isinstance(tree, torch.Tensor) else tree)[index]


def same(one: Any, two: Any, where: str = "") -> None:
    """Equal, bit for bit and in dtype where both are arrays."""
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            same(one[key], two[key], f"{where}[{key!r}]")
    else:
        assert np.array_equal(one, two), where


def full_actions(envs: MeccaVectorEnv, steps: int) -> list[Any]:
    """Actions in the form that the env takes; every env's own whatever their number."""
    discrete = random_actions(envs, steps)
    adjustment = discrete if envs.config.action == "discrete" else [(a / 3 - 1).astype(np.float32) for a in discrete]
    if not envs.config.guide:
        return adjustment
    confidence = [(a / 6).astype(np.float32) for a in discrete]
    return [{"adjustment": a, "confidence": c} for a, c in zip(adjustment, confidence, strict=True)]


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
        assert not truncated.any()
        for i, single in enumerate(singles):
            where = f"step {number}, env {i}"
            if over[i] and mode == "NextStep":
                obs, single_info = single.reset()
                expected: tuple[Any, ...] = (0.0, False)
                over[i] = False
            else:
                obs, single_reward, over[i], _, single_info = single.step(row_of(action, i))
                expected = (single_reward, over[i])
            assert (float(reward[i]), bool(terminated[i])) == expected, where
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


def same_rows(one: Any, two: Any, count: int) -> None:
    for i in range(count):
        same(rows(one, i), rows(two, i))


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


def copied(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return [copied(value) for value in tree]
    return tree.cpu().clone().numpy()


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


def test_actions_are_read_and_not_kept() -> None:
    envs, twin = make_envs(2), make_envs(2)
    envs.reset(seed=0), twin.reset(seed=0)
    for action in random_actions(envs, 2):
        mine = torch.from_numpy(action.copy())
        one = envs.step(mine)
        assert torch.equal(mine, torch.from_numpy(action))
        mine.zero_()
        two = twin.step(action)
        assert torch.equal(one[1], two[1]) and torch.equal(one[0]["probability"], two[0]["probability"])


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


class TestSeeds:
    """The meaning of a seed."""

    def test_one_seed_gives_env_i_seed_plus_i(self) -> None:
        envs = make_envs(3)
        one, _ = envs.reset(seed=4)
        assert envs.np_random_seed == (4, 5, 6)
        two, _ = envs.reset(seed=[4, 5, 6])
        same_rows(one, two, 3)
        three, _ = envs.reset(seed=5)
        same(rows(one, 1), rows(three, 0))
        assert not torch.equal(one["hint"][0], three["hint"][0])

    def test_none_goes_on_with_the_present_generator(self) -> None:
        envs = make_envs(2)
        first, _ = envs.reset(seed=3)
        second, _ = envs.reset()
        assert not torch.equal(first["volume"], second["volume"])
        envs.reset(seed=3)
        same_rows(second, envs.reset()[0], 2)
        envs.reset(seed=3)
        mixed, _ = envs.reset(seed=[None, 3])
        same(rows(mixed, 0), rows(second, 0))
        assert envs.np_random_seed == (3, 3)

    def test_unseeded_envs_differ(self) -> None:
        one, two = (make_envs(2, augment=True) for _ in range(2))
        assert not torch.equal(one.reset()[0]["volume"], two.reset()[0]["volume"])
        assert len({*one.np_random_seed, *two.np_random_seed}) == 4

    def test_global_generators_are_neither_used_nor_touched(self) -> None:
        outcomes = []
        for seed in (0, 1):
            np.random.seed(seed)
            torch.manual_seed(seed)
            states = np.random.get_state()[1].copy(), torch.get_rng_state().clone()
            envs = make_envs(2, user="imprecise", guide=True, supervoxels=(12, 10, 8), dataset="Phantom")
            outcomes.append([envs.reset(seed=9)[0], *(envs.step(a)[0] for a in full_actions(envs, 4))])
            assert np.array_equal(np.random.get_state()[1], states[0]) and torch.equal(torch.get_rng_state(), states[1])
        for one, two in zip(*outcomes, strict=True):
            same_rows(one, two, 2)

    @pytest.mark.parametrize("seed", [-1, [1, 2], [1, 2, -3], [1, 2, 3, 4], 1.5, "one", [1, 2, 1.5], [1, 2, True]])
    def test_seeds_that_do_not_fit_are_refused(self, seed: Any) -> None:
        envs = make_envs(3)
        with pytest.raises(ValueError, match="seed: expected 3 non-negative integers"):
            envs.reset(seed=seed)

    @pytest.mark.parametrize("seed", [np.int64(4), np.array([4, 5, 6]), (4, 5, 6), 2**40, 2**100])
    def test_seeds_of_any_integer_type_and_size(self, seed: Any) -> None:
        envs = make_envs(3)
        one, _ = envs.reset(seed=seed)
        same_rows(one, envs.reset(seed=seed)[0], 3)


class TestCases:
    """The choice of an episode's case."""

    def test_by_name_and_by_index(self) -> None:
        envs = make_envs(3)
        _, info = envs.reset(seed=0, options={"cases": ["blob_4", 2, None]})
        assert info["case_index"][:2].tolist() == [4, 2]
        assert [envs.case_name(i) for i in range(2)] == ["blob_4", "blob_2"]

    def test_of_the_phantom(self) -> None:
        envs = make_envs(2, dataset="Phantom", split="test")
        _, info = envs.reset(seed=0, options={"cases": [7, None]})
        assert info["case_index"][0] == 7 and info["case_index"][1] % 2 == 1
        name = envs.case_name(1)
        assert envs.reset(options={"cases": [name, 1]})[1]["case_index"][0] == info["case_index"][1]

    @pytest.mark.parametrize("cases", [["blob_9", None, None], [6, None, None], [-1, None, None], [0, 1], [1.5, 0, 0]])
    def test_that_do_not_fit_are_refused(self, cases: list[Any]) -> None:
        with pytest.raises(ValueError, match=r"case.*expected"):
            make_envs(3).reset(options={"cases": cases})

    def test_every_case_comes_once_in_a_pass(self) -> None:
        envs = make_envs(1)
        seen = [int(envs.reset(seed=0)[1]["case_index"][0])]
        seen += [int(envs.reset()[1]["case_index"][0]) for _ in range(11)]
        assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6))

    def test_selected(self) -> None:
        envs = make_envs(4, cases=["blob_1", "blob_5"])
        seen = {int(i) for _ in range(4) for i in envs.reset()[1]["case_index"]}
        assert seen == {1, 5}
        assert len(make_envs(1, cases=2).cases) == 2

    @pytest.mark.parametrize("cases", [0, 7, [], ["blob_9"]])
    def test_selections_that_do_not_fit_are_refused(self, cases: Any) -> None:
        with pytest.raises(ValueError, match="case.*expected"):
            make_envs(1, cases=cases)


def test_labelled_cases_are_nested_and_of_the_share_asked_for() -> None:
    dataset = Blobs(20)
    kept: list[set[int]] = []
    for fraction in (0.0, 0.25, 0.5, 1.0):
        cases = make_envs(1, dataset=dataset, labelled_fraction=fraction).cases
        kept.append({i for i in range(20) if cases.is_labelled(i)})
    assert [len(k) for k in kept] == [0, 5, 10, 20]
    assert kept[0] <= kept[1] <= kept[2] <= kept[3]


def test_unlabelled_cases_earn_nothing_and_are_clicked() -> None:
    envs = make_envs(6, labelled_fraction=0.5, autoreset_mode="Disabled")
    _, info = envs.reset(seed=0, options={"cases": list(range(6))})
    assert info["labelled"].sum() == 3 and info["n_clicks"].tolist() == [6] * 6
    _, reward, *_, info = envs.step(random_actions(envs, 1)[0])
    assert torch.equal(reward != 0, info["labelled"])
    assert torch.equal(info["voxel_reward"].flatten(1).any(1), info["labelled"])
    assert (info["n_clicks"] > 6).all()


class TestActions:
    """Actions that are taken, and those that are refused."""

    @pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
    @pytest.mark.parametrize("library", ["numpy", "torch"])
    def test_every_integer_dtype(self, kind: str, library: str) -> None:
        envs, twin = make_envs(2), make_envs(2)
        envs.reset(seed=0), twin.reset(seed=0)
        action = random_actions(envs, 1)[0]
        typed = action.astype(kind)
        given = typed if library == "numpy" else torch.from_numpy(typed)
        one, two = envs.step(given), twin.step(action)
        assert torch.equal(one[1], two[1]) and torch.equal(one[0]["probability"], two[0]["probability"])

    def test_lists_views_and_sampled_actions(self) -> None:
        envs = make_envs(2)
        envs.reset(seed=0)
        action = random_actions(envs, 1)[0]
        expected = envs.step(action)[1]
        readonly = action.copy()
        readonly.flags.writeable = False
        reversed_twice = np.asfortranarray(action[:, ::-1])[:, ::-1]
        for given in (action.tolist(), readonly, reversed_twice, torch.from_numpy(action).mT.contiguous().mT):
            envs.reset(seed=0)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert torch.equal(envs.step(given)[1], expected)
        envs.reset(seed=0)
        assert envs.action_space.contains(action.astype(np.uint8))
        envs.step(envs.action_space.sample())

    REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
        "one env's": (np.zeros(GRID, int), ValueError, r"expected shape \(2, 16, 14, 12\), got \(16, 14, 12\)"),
        "too many": (np.zeros((3, *GRID), int), ValueError, r"expected shape .*, got \(3, 16, 14, 12\)"),
        "turned": (torch.zeros((2, *GRID[::-1]), dtype=torch.int64), ValueError, r"expected shape .*, got \(2, 12"),
        "float": (np.zeros((2, *GRID)), TypeError, "expected an integer dtype, got torch.float64"),
        "nan": (np.full((2, *GRID), np.nan), TypeError, "expected an integer dtype"),
        "bool": (np.zeros((2, *GRID), bool), TypeError, "expected an integer dtype, got torch.bool"),
        "negative": (np.full((2, *GRID), -1), ValueError, "expected integers from 0 to 5, got -1"),
        "six": (np.full((2, *GRID), 6, np.uint8), ValueError, "expected integers from 0 to 5, got 6"),
        "six of uint64": (np.full((2, *GRID), 2**63 + 6, np.uint64), ValueError, "expected integers from 0 to 5"),
        "text": (np.full((2, *GRID), "up"), TypeError, "expected an array of numbers"),
        "none": (None, TypeError, "expected an array of numbers"),
        "ragged": ([[0, 1], [0]], (TypeError, ValueError), "expected"),
        "dict": ({"adjustment": np.zeros((2, *GRID), int)}, TypeError, "got a dict; a dict is for guide=True"),
    }

    @pytest.mark.parametrize("fault", REFUSED)
    def test_refused(self, fault: str, device: str) -> None:
        action, error, complaint = self.REFUSED[fault]
        envs = make_envs(2, device=device)
        before, _ = envs.reset(seed=0)
        with pytest.raises(error, match=f"^action: .*{complaint}"):
            envs.step(action)
        assert envs.state.step.tolist() == [0, 0]  # as if it had not been asked
        assert torch.equal(envs.state.hint, before["hint"])

    @pytest.mark.parametrize("value", [np.nan, 1.5, -1.5, np.inf])
    def test_continuous_values_out_of_range_are_refused(self, value: float) -> None:
        envs = make_envs(2, action="continuous")
        envs.reset(seed=0)
        action = np.zeros((2, *GRID), np.float32)
        action[1, 3, 4, 5] = value
        with pytest.raises(ValueError, match="action: expected values from -1 to 1"):
            envs.step(action)
        with pytest.raises(TypeError, match="action: expected a floating dtype, got torch.int64"):
            envs.step(np.zeros((2, *GRID), np.int64))

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_continuous_values_of_any_precision(self, dtype: type) -> None:
        envs = make_envs(2, action="continuous")
        envs.reset(seed=0)
        observation = envs.step(np.full((2, *GRID), 0.25, dtype))[0]
        assert observation["probability"].dtype == torch.float32 and (observation["probability"] == 0.75).all()

    CONFIDENCE = np.full((2, *GRID), 0.5, np.float32)
    GUIDED: dict[str, tuple[Any, type[Exception], str]] = {
        "array": (np.zeros((2, *GRID), int), TypeError, "expected a dict of adjustment and confidence, got ndarray"),
        "no confidence": ({"adjustment": 0}, TypeError, r"expected a dict .*got \['adjustment'\]"),
        "nan": (np.full_like(CONFIDENCE, np.nan), ValueError, r"\['confidence'\]: expected values from 0 to 1"),
        "above": (CONFIDENCE + 1, ValueError, r"\['confidence'\]: expected values from 0 to 1"),
        "below": (CONFIDENCE - 1, ValueError, r"\['confidence'\]: expected values from 0 to 1"),
        "integer": (np.ones((2, *GRID), int), TypeError, r"\['confidence'\]: expected a floating dtype"),
        "shape": (CONFIDENCE[:1], ValueError, r"\['confidence'\]: expected shape"),
    }

    @pytest.mark.parametrize("fault", GUIDED)
    def test_guided_actions_refused(self, fault: str) -> None:
        given, error, complaint = self.GUIDED[fault]
        envs = make_envs(2, guide=True, supervoxels=(12, 10, 8))
        envs.reset(seed=0)
        whole = fault in ("array", "no confidence")
        action = given if whole else {"adjustment": np.zeros((2, *GRID), int), "confidence": given}
        with pytest.raises(error, match=f"^action.*{complaint}"):
            envs.step(action)


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
        with pytest.raises(ValueError, match=r"options: expected 'reset_mask' and 'cases' only, got \['case'\]"):
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


BAD_ARGUMENTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "keyword": ({"colour": 1}, TypeError, "unknown keyword colour; the settings are shape, horizon"),
    "num_envs": ({"num_envs": 0}, ValueError, "num_envs: expected an integer of at least 1, got 0"),
    "user": ({"user": "intern"}, ValueError, "user: expected one of .* got 'intern'"),
    "guided": ({"user": "guided"}, ValueError, "user: 'guided' .* needs guide=True"),
    "hint": ({"hint": "fuzzy"}, ValueError, "hint: expected .* got 'fuzzy'"),
    "reward": ({"reward": "bonus"}, ValueError, "reward: expected .* got 'bonus'"),
    "action": ({"action": "jump"}, ValueError, "action: expected .* got 'jump'"),
    "autoreset_mode": ({"autoreset_mode": "never"}, ValueError, "autoreset_mode: expected one of .* got 'never'"),
    "render_mode": ({"render_mode": "ansi"}, ValueError, "render_mode: expected .* got 'ansi'"),
    "split": ({"split": "dev"}, ValueError, "split: expected one of train, test, all, got 'dev'"),
    "dataset": ({"dataset": "Knee"}, ValueError, "dataset: expected one of BraTS, .*Phantom, got 'Knee'"),
    "source": ({"dataset": 3}, TypeError, "dataset: expected a key or a VolumeSource, got 3"),
    "cases": ({"cases": "blob_1"}, TypeError, "cases: expected a number or a sequence"),
    "root": ({"root": "here"}, ValueError, "root, label and modalities belong to data sets of files"),
    "shape": ({"shape": (16, 14, 4)}, ValueError, "shape: expected integers of at least 8"),
    "horizon": ({"horizon": 0, "clicks": None}, ValueError, "horizon: expected an integer of at least 1, got 0"),
    "clicks": ({"clicks": (5, -1, 0)}, ValueError, "clicks: expected integers of at least 0"),
    "device": ({"device": "abacus"}, (ValueError, RuntimeError), "abacus|device"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_refused_by_name(name: str) -> None:
    keywords, error, complaint = BAD_ARGUMENTS[name]
    with pytest.raises(error, match=complaint):
        make_envs(**{"num_envs": 2, **keywords})


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
@pytest.mark.parametrize("env_id", ["MECCA-Foo-v0", "MECCA-BraTS-v9"])
def test_unknown_ids_get_gymnasiums_own_error(make: Any, env_id: str) -> None:
    with pytest.raises(gym.error.Error, match="MECCA-"):
        make(env_id)


def test_metadata_and_attribute_name_the_mode() -> None:
    for mode in AutoresetMode:
        for given in (mode, mode.value):
            envs = make_envs(2, autoreset_mode=given)
            assert envs.autoreset_mode is mode and envs.metadata["autoreset_mode"] is mode
    assert MeccaVectorEnv.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert make_envs(2).autoreset_mode is AutoresetMode.SAME_STEP


def test_made_through_gymnasium_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gym.make_vec("MECCA-Phantom-v0", num_envs=2, **SETTINGS)
    assert isinstance(envs.unwrapped, MeccaVectorEnv) and envs.unwrapped.dataset.name == "phantom"
    assert mecca_env.DataError is DataError


def test_the_default_env_has_the_spaces_of_the_paper() -> None:
    envs = gym.make_vec("MECCA-Phantom-v0", num_envs=1)
    space, actions = envs.single_observation_space, envs.single_action_space
    assert {key: (box.shape, box.dtype) for key, box in space.items()} == {
        key: ((55, 55, 30), np.dtype("float32")) for key in ("volume", "probability", "hint")
    }
    assert isinstance(actions, gym.spaces.MultiDiscrete) and actions.shape == (55, 55, 30)
    assert (actions.nvec == 6).all()
    observation, info = envs.reset(seed=0)
    assert (observation["probability"] == 0.5).all()
    assert observation["hint"].min() >= 0 and observation["hint"].max() == 1
    assert info["n_clicks"].tolist() == [25] and info["clicks"].shape == (1, 45, 3)


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


def test_actions_leave_their_gradients_behind() -> None:
    envs = make_envs(2, action="continuous")
    envs.reset(seed=0)
    action = torch.zeros(2, *envs.config.shape, requires_grad=True)
    observation, reward, *_ = envs.step(action)
    assert not observation["probability"].requires_grad and not reward.requires_grad


@pytest.mark.parametrize("device", ["foo", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match=f"device: expected one that this machine has, got '{device}'"):
        make_envs(1, device=device)
