"""Hints of whole supervoxels: by hand, by a plain oracle, and in an env whose crops are moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mecca_env.data.base import Scan
from mecca_env.data.grid.cutting import prepare
from mecca_env.process.config import EnvConfig
from mecca_env.process.guide import supervoxels
from mecca_env.process.hints import SupervoxelHint, make_hint
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import GRID, Blobs, make_envs, random_actions
from tests.support.volumes import AFFINE, ellipsoid

SHAPE = (4, 5, 3)
COUNTS = (30, 20, 8)
CLICK = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
CLICKS = st.lists(st.lists(st.one_of(CLICK, st.just((-1, -1, -1))), min_size=4, max_size=4), min_size=2, max_size=2)
REGIONS = hnp.arrays(np.int16, (2, *SHAPE), elements=st.integers(0, 6))
HINTS = hnp.arrays(np.float32, (2, *SHAPE), elements=st.sampled_from([0.0, 0.25, 1.0]))


def make_supervoxel_envs(num_envs: int = 3, **settings: Any) -> MeccaVectorEnv:
    return make_envs(num_envs, **{"hint": "supervoxel", "supervoxels": COUNTS, **settings})


def sent(envs: MeccaVectorEnv, action: np.ndarray) -> Any:
    """The action in the form that the env takes."""
    return {"adjustment": action, "confidence": (action / 6).astype(np.float32)} if envs.config.guide else action


def test_a_click_marks_its_supervoxel_and_no_other_by_hand() -> None:
    regions = torch.tensor([[0, 0, 1, 1, 2], [2, 0, 0, 1, 1]], dtype=torch.int16).view(2, 1, 1, 5)
    before = torch.tensor([[0.0, 0, 0, 0, 0.5], [0, 0, 0, 0, 0.5]]).view(2, 1, 1, 5)
    clicks = torch.tensor([[[0, 0, 3], [-1, -1, -1]], [[0, 0, 0], [0, 0, 1]]])
    after = SupervoxelHint().mark(before, clicks, regions, 3)
    assert after.view(2, 5).tolist() == [[0, 0, 1, 1, 0.5], [1, 1, 1, 0, 0.5]]
    assert before.sum() == 1  # not written to


@given(regions=REGIONS, clicks=CLICKS, before=HINTS, spare=st.integers(0, 3))
def test_it_is_the_plain_one_whatever_the_other_episodes(
    regions: np.ndarray, clicks: list[list[tuple[int, ...]]], before: np.ndarray, spare: int
) -> None:
    given = torch.from_numpy(before), torch.tensor(clicks), torch.from_numpy(regions)
    most = int(regions.max()) + 1
    after = SupervoxelHint().mark(*given, most + spare)
    assert after.dtype == torch.float32
    for row in range(2):
        expected = before[row].copy()
        for place in clicks[row]:
            if place[0] >= 0:
                expected[regions[row] == regions[row][place]] = 1.0
        assert np.array_equal(after[row], expected)
        alone = SupervoxelHint().mark(*(x[row : row + 1] for x in given), int(regions[row].max()) + 1)
        assert torch.equal(alone[0], after[row])


def test_no_clicks_leave_the_map_as_it_is() -> None:
    before = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(0))
    regions = torch.zeros((2, *SHAPE), dtype=torch.int16)
    for clicks in (torch.full((2, 3, 3), -1), torch.empty((2, 0, 3), dtype=torch.int64)):
        after = SupervoxelHint().mark(before, clicks, regions, 1)
        assert torch.equal(after, before) and after.data_ptr() != before.data_ptr()


def test_devices_agree(device: str) -> None:
    generator = torch.Generator().manual_seed(1)
    clicks = torch.stack([torch.randint(n, (2, 5), generator=generator) for n in SHAPE], -1)
    given = torch.zeros((2, *SHAPE)), clicks, torch.randint(7, (2, *SHAPE), generator=generator).to(torch.int16)
    there = SupervoxelHint().mark(*(x.to(device) for x in given), 7)
    assert there.device.type == device and torch.equal(SupervoxelHint().mark(*given, 7), there.cpu())


@pytest.mark.parametrize("settings", [{}, {"guide": True}, {"user": "imprecise"}, {"augment": True}], ids=str)
def test_clicks_before_a_step_mark_the_supervoxels_of_that_step(settings: dict[str, Any]) -> None:
    envs = make_supervoxel_envs(autoreset_mode="Disabled", **settings)
    observation, info = envs.reset(seed=3)
    expected = np.zeros((3, *GRID), np.float32)
    seen = np.zeros(3, int)
    for step, action in enumerate(random_actions(envs, 3)):
        regions = envs.state.regions
        assert regions is not None and regions.shape == (3, 3, *GRID)
        before = seen.sum()
        for row in range(3):
            made = info["clicks"][row, seen[row] : int(info["n_clicks"][row])].tolist()
            for place in made:
                expected[row][(regions[row, step] == regions[row, step][tuple(place)]).numpy()] = 1.0
            seen[row] += len(made)
        assert seen.sum() > before
        assert np.array_equal(observation["hint"], expected)
        assert (info.get("advice") is not None) == envs.config.guide
        observation, *_, info = envs.step(sent(envs, action))
    assert np.array_equal(observation["hint"], expected)  # nobody clicks after the last step
    assert 0 < expected.mean() < 1


def test_a_coarser_division_marks_more() -> None:
    shares = []
    for count in (150, 30, 4):
        envs = make_supervoxel_envs(supervoxels=(count,) * 3, clicks=(2, 0, 0))
        shares.append(float(envs.reset(seed=0)[0]["hint"].mean()))
    assert shares[0] < shares[1] < shares[2]


def test_a_guide_advises_the_same_with_and_without_supervoxel_hints() -> None:
    one, two = make_supervoxel_envs(guide=True), make_envs(3, guide=True, supervoxels=COUNTS)
    one.reset(seed=0), two.reset(seed=0)
    for action in random_actions(one, 2):
        mine, other = (envs.step(sent(envs, action))[4] for envs in (one, two))
        assert mine["advice"].any() and torch.equal(mine["advice"], other["advice"])
        assert torch.equal(mine["clicks"], other["clicks"])


def test_slic_runs_once_for_a_case_and_not_where_nobody_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*arguments: Any) -> np.ndarray:
        calls.append(1)
        return supervoxels(*arguments)

    monkeypatch.setattr("mecca_env.episodes.regions.supervoxels", counted)
    plain = make_envs(4, dataset=Blobs(2))
    plain.reset(seed=0)
    assert calls == [] and plain.state.regions is None
    envs = make_supervoxel_envs(4, dataset=Blobs(2), augment=True)
    for seed in range(3):
        envs.reset(seed=seed)
    assert len(calls) == 2


class Ramp(Blobs):
    """One case without any symmetry: brightness rises along every axis, at a speed of its own."""

    def __init__(self) -> None:
        super().__init__(1)
        label = ellipsoid((44, 42, 40), (4, 3, 3))
        d, h, w = np.indices(label.shape)
        image = (9 * d + 4 * h + 2 * w).astype(np.float32)[None]
        self._cases = [
            prepare(Scan("ramp", image, label, AFFINE), extension=(1, 11), rotation=15.0, evaluation_extension=6)
        ]


def test_regions_move_with_the_crops_flips_and_rotations_of_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """With regions that are levels of brightness, the region of a voxel is its brightness, however the grid lies."""

    def levels(volume: np.ndarray, *_: Any) -> np.ndarray:
        return np.repeat(np.clip(np.round(volume * 4) + 50, 0, 100).astype(np.int16), 3, axis=0)

    monkeypatch.setattr("mecca_env.episodes.regions.supervoxels", levels)
    envs = make_supervoxel_envs(8, dataset=Ramp(), augment=True)
    envs.reset(seed=0)
    regions, volume = envs.state.regions, envs.state.volume
    assert regions is not None
    away = (regions[:, 0] - (volume[:, 0] * 4 + 50)).abs()
    assert away.mean() < 1.5 and regions[0].float().std() > 4
    assert not torch.equal(regions[0], regions[1])
    shuffled = (regions[:, 0].flip(1) - (volume[:, 0] * 4 + 50)).abs()
    assert shuffled.mean() > 5  # the test would notice a flip that the regions were not part of


def test_settings_say_whether_regions_are_needed() -> None:
    for settings, needed in (({}, False), ({"guide": True}, True), ({"hint": "supervoxel"}, True)):
        assert EnvConfig(**settings).needs_regions is needed


def test_what_is_no_hint_is_refused() -> None:
    with pytest.raises(ValueError, match=r"hint: expected .*'supervoxel' or an object, got 'supervoxels'"):
        make_envs(1, hint="supervoxels")
    with pytest.raises(TypeError, match=r"hint: expected a name or an object with an add\(\) method"):
        make_hint(SupervoxelHint(), EnvConfig())  # type: ignore[arg-type]
