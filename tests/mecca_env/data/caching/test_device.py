"""Cases on the device: the smallest type that loses nothing, a bound, and no effect on what is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mecca_env.data.base import PreparedCase
from mecca_env.data.caching.device import CaseStream
from mecca_env.data.caching.smallest import smallest_type
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS, Blobs, make_envs, random_actions
from tests.support.volumes import write_pairs

CPU = torch.device("cpu")


class Counting(Blobs):
    """Blobs that say which cases they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def case(self, index: int) -> PreparedCase:
        self.asked.append(index)
        return super().case(index)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 255], torch.uint8),
        ([0, 256], torch.int16),
        ([-1, 3], torch.int16),
        ([-32768, 32767], torch.int16),
        ([0, 32768], torch.float32),
        ([0, 0.5], torch.float32),
        ([0, float("nan")], torch.float32),
        ([0, float("inf")], torch.float32),
    ],
)
def test_the_smallest_type_is_found(values: list[float], dtype: torch.dtype) -> None:
    found = smallest_type(torch.tensor(values, dtype=torch.float32))
    assert found.dtype == dtype


@given(st.lists(st.floats(width=32, allow_nan=False) | st.integers(-40000, 40000), min_size=1))
def test_nothing_is_lost(values: list[float]) -> None:
    image = torch.tensor(values, dtype=torch.float32)
    found = smallest_type(image)
    assert torch.equal(found.double(), image.double())
    whole = image == image.round()
    assert (found.dtype == torch.float32) == (not whole.all() or bool((image < -32768).any() or (image > 32767).any()))


def test_other_types_stay_as_they_are() -> None:
    for image in (torch.tensor([1, 2], dtype=torch.int32), torch.zeros(0)):
        assert smallest_type(image) is image


def played(**keywords: Any) -> list[Tensor]:
    """Volumes, labels, clicks and rewards of some episodes."""
    envs = make_envs(2, **keywords)
    envs.reset(seed=3)
    seen = []
    for action in random_actions(envs, 10):
        obs, reward, _, _, info = envs.step(action)
        seen += [obs["volume"], envs.state.label, info["clicks"], info["case_index"], reward]
    envs.close()
    return seen


@pytest.mark.parametrize("size", [0, 200_000, 1 << 30])
@pytest.mark.parametrize("prefetch", [False, True])
def test_the_bound_changes_nothing_that_is_played(size: int, prefetch: bool, tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "scans", "abcdef")
    files = {"dataset": "Volumes", "root": root, "split": "all"}
    for source in ({}, files, {"dataset": "Phantom"}):
        expected = played(**source)
        found = played(**source, device_cache_bytes=size, prefetch=prefetch)
        assert all(torch.equal(one, two) for one, two in zip(expected, found, strict=True))


def test_cases_are_kept_in_their_smallest_type_up_to_the_bound() -> None:
    source = Counting()
    size = sum(t.nbytes for t in (source.case(0).image.to(torch.uint8), source.case(0).label))
    largest = max(source.case(i).label.nbytes * 2 for i in range(6))
    cases = CaseStream(source, CPU, 3 * largest, threads=0, shared=False)
    source.asked.clear()
    kept = cases.get(0)
    assert kept.image.dtype == torch.uint8 and kept.image.nbytes + kept.label.nbytes == size
    for index in (1, 2, 0, 3, 4):  # 0 is used again, and then 1 and 2 go before it
        cases.get(index)
    assert 3 <= len(cases) < 5 and source.asked == [0, 1, 2, 3, 4]
    assert cases.get(0) is kept
    cases.get(1)
    assert source.asked == [0, 1, 2, 3, 4, 1]
    assert sum(cases.get(i).image.nbytes + cases.get(i).label.nbytes for i in (0, 1)) <= 3 * largest


def test_nothing_is_copied_where_nothing_is_kept() -> None:
    source = Counting()
    cases = CaseStream(source, CPU, 0, threads=0, shared=False)
    for _ in range(2):
        assert cases.get(2).image is source._cases[2].image and cases.get(2).label is source._cases[2].label
    assert len(cases) == 0 and source.asked == [2] * 4


def test_a_source_of_ones_own_on_the_cpu_is_not_held_twice_unless_asked() -> None:
    for keywords, asked in (({}, 3), ({"device_cache_bytes": 1 << 30}, 1)):
        source = Counting()
        envs = make_envs(1, dataset=source, **keywords)
        for _ in range(3):
            envs.reset(options={"cases": [4]})
        assert len(source.asked) == asked


def test_files_are_held_once(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "scans", "abc")
    envs = MeccaVectorEnv(1, "Volumes", root=root, split="all", **SETTINGS)
    envs.reset(options={"cases": ["b"]})
    assert len(envs.dataset._recent) == 0  # type: ignore[attr-defined]
    assert envs._episodes.maker.case(1) is envs._episodes.maker.case(1)
    mask, affine = envs.paste_back(0)
    assert mask.shape == envs.dataset.case(1).scan_shape and np.array_equal(affine, envs.dataset.case(1).affine)


def test_of_endless_cases_only_a_few_are_kept() -> None:
    endless, chosen = (MeccaVectorEnv(1, "Phantom", cases=cases, **SETTINGS) for cases in (None, 3))
    few, all_of_them = (envs._episodes.maker._prepared._recent for envs in (endless, chosen))
    assert few._memory_bytes < all_of_them._memory_bytes


@pytest.mark.parametrize("size", [-1, 1.5, "1 GiB", True])
def test_a_bound_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match=f"device_cache_bytes: expected a number of bytes.*{size!r}"):
        make_envs(1, device_cache_bytes=size)


def test_a_prefetch_that_is_no_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="prefetch: expected None, True or False, got 'yes'"):
        make_envs(1, prefetch="yes")


@pytest.mark.cuda
@pytest.mark.parametrize("threads", [0, 2])
def test_on_a_gpu_cases_are_the_same_and_stay_there(threads: int) -> None:
    source = Blobs()
    cases = CaseStream(source, torch.device("cuda"), 1 << 30, threads=threads, shared=True)
    cases.ahead(range(6)) if threads else None
    for index in range(6):
        case = cases.get(index)
        assert case.image.is_cuda and case.label.is_cuda and case.image.dtype == torch.uint8
        assert torch.equal(case.image.cpu().float(), source.case(index).image)
        assert torch.equal(case.label.cpu(), source.case(index).label)
    assert len(cases) == 6
    cases.close()
