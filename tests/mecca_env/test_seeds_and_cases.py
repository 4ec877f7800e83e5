"""The choice of what is played: seeds, cases by name and index, labelled cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.envs import Blobs, full_actions, make_envs, random_actions
from tests.support.trees import rows, same, same_rows


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

    def test_a_seed_of_a_small_type_is_counted_on(self) -> None:
        envs = make_envs(2)
        envs.reset(seed=np.uint8(255))
        assert envs.np_random_seed == (255, 256)


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


@pytest.mark.parametrize("draw", [0, 1, 7])
def test_exactly_so_many_cases_are_labelled_and_nested(draw: int) -> None:
    dataset = Blobs(20)
    kept: list[set[int]] = []
    for count in (0, 1, 2, 4, 20):
        cases = make_envs(1, dataset=dataset, labelled_cases=count, labelled_draw=draw).cases
        kept.append({i for i in range(20) if cases.is_labelled(i)})
        assert len(kept[-1]) == count and set(cases.pool(True)) == kept[-1]
    assert kept[0] <= kept[1] <= kept[2] <= kept[3] <= kept[4]
    share = make_envs(1, dataset=dataset, labelled_fraction=0.2, labelled_draw=draw).cases
    assert set(share.pool(True)) == kept[3]


@pytest.mark.parametrize("settings", [{"labelled_cases": 4}, {"labelled_fraction": 0.2}])
def test_other_draws_label_other_cases(settings: dict[str, Any]) -> None:
    dataset = Blobs(20)
    drawn = [tuple(make_envs(1, dataset=dataset, labelled_draw=d, **settings).cases.pool(True)) for d in range(4)]
    assert len(set(drawn)) == 4 and drawn[0] == tuple(make_envs(1, dataset=dataset, **settings).cases.pool(True))


def test_draws_of_endless_cases() -> None:
    one, two, few = (
        {i for i in range(0, 400, 2) if cases.is_labelled(i)}
        for cases in (
            make_envs(1, dataset="Phantom", labelled_fraction=share, labelled_draw=draw).cases
            for share, draw in ((0.5, 0), (0.5, 1), (0.25, 1))
        )
    )
    assert one != two and few < two and 70 < len(two) < 130


def test_more_labelled_cases_than_there_are() -> None:
    with pytest.raises(ValueError, match=r"^labelled_cases: expected at most the 6 cases that there are, found 7$"):
        make_envs(1, labelled_cases=7)


def test_a_number_of_endless_cases_cannot_be_labelled() -> None:
    with pytest.raises(ValueError, match=r"^labelled_cases: expected cases that can be listed, .*phantom; give cases="):
        make_envs(1, dataset="Phantom", labelled_cases=4)
    assert len(make_envs(1, dataset="Phantom", cases=10, labelled_cases=4).cases.pool(True)) == 4


def test_unlabelled_cases_earn_nothing_and_are_clicked() -> None:
    envs = make_envs(6, labelled_fraction=0.5, autoreset_mode="Disabled")
    _, info = envs.reset(seed=0, options={"cases": list(range(6))})
    assert info["labelled"].sum() == 3 and info["n_clicks"].tolist() == [6] * 6
    _, reward, *_, info = envs.step(random_actions(envs, 1)[0])
    assert torch.equal(reward != 0, info["labelled"])
    assert torch.equal(info["voxel_reward"].flatten(1).any(1), info["labelled"])
    assert (info["n_clicks"] > 6).all()
