"""The share of episodes that are of labelled cases, and that it is the same whatever stands beside an env."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mecca_env.data.selection import Cases
from mecca_env.episodes.stream import EpisodeStream, is_labelled_episode
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import Blobs, make_envs, random_actions

SHARES = st.floats(1e-6, 1.0)


@given(SHARES, st.integers(0, 2**130), st.integers(1, 200))
def test_every_run_of_episodes_holds_the_share_up_to_rounding(share: float, first: int, episodes: int) -> None:
    held = sum(is_labelled_episode(first + i, share) for i in range(episodes))
    exact = episodes * Fraction(str(share))
    assert floor(exact) <= held <= ceil(exact)


@given(st.integers(0, 2**130))
def test_a_half_alternates_and_one_is_always(number: int) -> None:
    assert is_labelled_episode(number, 0.5) != is_labelled_episode(number + 1, 0.5)
    assert is_labelled_episode(number, 1.0) and is_labelled_episode(number, 1)


def test_a_tenth_is_read_as_it_is_written() -> None:
    """In floats 10**17 + k has no odd numbers, and a tenth is a little more than a tenth."""
    for tenths in range(1, 11):
        held = [is_labelled_episode(10**17 + k, tenths / 10) for k in range(10)]
        assert sum(held) == tenths


def kinds(envs: MeccaVectorEnv, episodes: int, seed: int = 5) -> tuple[list[list[bool]], list[list[int]]]:
    """Of every episode and env: whether its case is labelled, and which it is."""
    labelled, cases = [], []
    for episode in range(episodes):
        _, info = envs.reset(seed=seed if episode == 0 else None)
        labelled.append(info["labelled"].tolist())
        cases.append(info["case_index"].tolist())
    return labelled, cases


@pytest.mark.parametrize("fraction", [0.25, 0.5])
def test_half_of_every_batch_is_labelled(fraction: float) -> None:
    labelled, _ = kinds(make_envs(4, dataset=Blobs(8), labelled_fraction=fraction, labelled_share=0.5), 4)
    assert labelled == [[True, False] * 2, [False, True] * 2] * 2


def test_each_kind_is_walked_in_shuffled_passes_of_its_own() -> None:
    envs = make_envs(1, dataset=Blobs(8), labelled_fraction=0.25, labelled_share=0.25)
    labelled, cases = kinds(envs, 24)
    of = {kind: [c[0] for c, k in zip(cases, labelled, strict=True) if k[0] is kind] for kind in (True, False)}
    assert [len(of[True]), len(of[False])] == [6, 18]
    for kind, size in ((True, 2), (False, 6)):
        passes = [of[kind][i : i + size] for i in range(0, len(of[kind]), size)]
        assert all(Counter(one) == Counter(envs.cases.pool(kind).tolist()) for one in passes)
    assert len({tuple(of[False][i : i + 6]) for i in (0, 6, 12)}) > 1


@pytest.mark.parametrize("dataset", ["blobs", "Phantom"])
def test_an_envs_cases_do_not_depend_on_its_neighbours(dataset: str) -> None:
    settings: dict[str, Any] = {"labelled_fraction": 0.3, "labelled_share": 0.6}
    source = Blobs(8) if dataset == "blobs" else dataset
    together = kinds(make_envs(4, dataset=source, **settings), 5, seed=7)
    for i in range(4):
        alone = kinds(make_envs(1, dataset=source, **settings), 5, seed=7 + i)
        for batch, single in zip(together, alone, strict=True):
            assert [row[i] for row in batch] == [row[0] for row in single]


def test_endless_cases_are_drawn_until_one_is_of_the_kind() -> None:
    cases = Cases(make_envs(1, dataset="Phantom").dataset, "train", range(0, 1 << 30, 2), 0.1)
    stream = EpisodeStream(3)
    drawn = {kind: [stream.next_case(cases, kind) for _ in range(40)] for kind in (True, False)}
    assert all(cases.is_labelled(case) is kind for kind, found in drawn.items() for case in found)
    assert len(set(drawn[True])) == 40


def test_autoreset_goes_on_with_the_turns() -> None:
    envs = make_envs(2, dataset=Blobs(8), labelled_fraction=0.5, labelled_share=0.5)
    _, info = envs.reset(seed=4)
    seen = [info["labelled"].tolist()]
    for action in random_actions(envs, 2 * envs.config.horizon):
        *_, terminated, _, info = envs.step(action)
        if terminated.all():
            seen.append(info["labelled"].tolist())
    assert seen == [[False, True], [True, False], [False, True]]


def test_only_labelled_cases_at_a_share_of_one() -> None:
    envs = make_envs(3, dataset=Blobs(8), labelled_fraction=0.25, labelled_share=1)
    labelled, cases = kinds(envs, 6)
    assert all(all(row) for row in labelled)
    assert {case for row in cases for case in row} == set(envs.cases.pool(True).tolist())


def test_a_case_that_is_asked_for_is_played_whatever_its_kind() -> None:
    envs = make_envs(2, dataset=Blobs(8), labelled_fraction=0.25, labelled_share=1)
    unlabelled = envs.cases.pool(False)[:2].tolist()
    _, info = envs.reset(seed=0, options={"cases": unlabelled})
    assert info["case_index"].tolist() == unlabelled and not info["labelled"].any()


def test_none_takes_cases_as_they_come() -> None:
    one, two = (make_envs(3, dataset=Blobs(8), labelled_fraction=fraction) for fraction in (0.25, 1.0))
    assert kinds(one, 9)[1] == kinds(two, 9)[1]
    _, cases = kinds(make_envs(1, dataset=Blobs(8), labelled_fraction=0.25), 8)
    assert sorted(case[0] for case in cases) == list(range(8))


@pytest.mark.parametrize("dataset", ["blobs", "Phantom"])
@pytest.mark.parametrize(
    ("fraction", "share", "kind"), [(0.0, 0.5, "labelled"), (0.0, 1.0, "labelled"), (1.0, 0.5, "unlabelled")]
)
def test_a_share_without_cases_of_that_kind_is_refused(dataset: str, fraction: float, share: float, kind: str) -> None:
    source = Blobs(4) if dataset == "blobs" else dataset
    with pytest.raises(
        ValueError, match=rf"labelled_share={share}, labelled_fraction={fraction}: .* to be {kind}, got"
    ):
        make_envs(2, dataset=source, labelled_fraction=fraction, labelled_share=share)


def test_of_a_number_of_labelled_cases_too() -> None:
    with pytest.raises(ValueError, match="labelled_share=0.5, labelled_cases=4: .* to be unlabelled, got"):
        make_envs(2, dataset=Blobs(4), labelled_cases=4, labelled_share=0.5)
    labelled, _ = kinds(make_envs(4, dataset=Blobs(8), labelled_cases=1, labelled_share=0.5), 2)
    assert labelled == [[True, False] * 2, [False, True] * 2]


def test_of_a_mixture_what_is_labelled_in_its_data_sets_counts() -> None:
    source = {"env": "MECCA-Shapes-v0", "cases": 8, "weight": 3.0}
    envs = make_envs(2, dataset="Phantom", cases=4, sources=[source], labelled_cases=4, labelled_share=0.5)
    assert envs.cases.labelled_part == 0.25 + 0.75 * 0.5
    assert kinds(envs, 2)[0] == [[True, False], [False, True]]
    source, settings = source | {"cases": 1}, {"labelled_share": 0.5, "cases": 1, "dataset": "Phantom"}
    for labelled in ({"labelled_fraction": 0.25}, {"labelled_cases": 1}):  # at least one case of each
        with pytest.raises(ValueError, match=rf"^labelled_share=0.5, {next(iter(labelled))}=.*unlabelled, got 0.00%"):
            make_envs(2, sources=[source], **settings, **labelled)


def test_one_kind_alone_needs_only_that_kind() -> None:
    labelled, _ = kinds(make_envs(2, dataset="Phantom", labelled_fraction=1.0, labelled_share=1.0), 1)
    assert torch.tensor(labelled).all()
