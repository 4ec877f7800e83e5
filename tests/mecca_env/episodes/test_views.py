"""What episodes show: boxes and crops where the settings put them, first clicks, masks to go on from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from mecca_env.data.base import PreparedCase
from mecca_env.data.grid.crops import measured
from mecca_env.data.grid.intensities import mean_and_std
from mecca_env.data.grid.placement import Placement
from mecca_env.episodes.damage import bitten, damaged, grown, lumped, shifted, shrunk
from mecca_env.episodes.views import ShownBox, ViewMaker, box_map
from mecca_env.process.config import EnvConfig
from mecca_env.prompts import middle_slice_box
from tests.support.envs import SETTINGS, Blobs, make_envs, random_actions
from tests.support.volumes import ellipsoid, prepared

BLOBS = Blobs()
CPU = torch.device("cpu")


def whole_case(**changes: Any) -> PreparedCase:
    return replace(prepared(ellipsoid(), whole=True), **changes)


def config(**settings: Any) -> EnvConfig:
    return EnvConfig(**{**SETTINGS, **settings})


def views(case: PreparedCase, training: bool, count: int = 200, **settings: Any) -> list[Any]:
    maker, rng = ViewMaker(config(**settings), training), np.random.default_rng(0)
    return [maker.make(case, rng, key) for key in range(count)]


def test_an_evaluation_shows_the_labels_box_and_crops_around_it() -> None:
    case = whole_case()
    (view,) = views(case, False, 1, box="label", crop="box")
    assert view.box == ShownBox(*case.box)
    (plain,) = views(case, False, 1)
    assert view.placement == plain.placement and plain.box is None


def test_boxes_of_the_training_are_jittered_and_hold_a_voxel() -> None:
    case = whole_case()
    sides = np.diff(np.array(case.box), axis=0)[0]
    offs = np.array([np.array((v.box.low, v.box.high)) - case.box for v in views(case, True, box="label", crop="box")])
    assert len(np.unique(offs.reshape(200, -1), axis=0)) > 50
    assert (np.abs(offs) <= np.ceil(0.1 * sides)).all() and (np.abs(offs).max(axis=(0, 1)) > 0).all()
    wild = views(case, True, box="label", crop="box", box_jitter=0.49)
    for view in wild:
        assert all(0 <= a < b <= n for a, b, n in zip(view.box.low, view.box.high, case.scan_shape, strict=True))


def test_the_box_of_a_slice_is_the_challenges() -> None:
    case = whole_case()
    for view in views(case, False, 20, box="middle-slice", crop="box"):
        tight = middle_slice_box(case.label.numpy(), np.random.default_rng(0), axis=2, widest=0)
        assert view.box.middle == tight.middle and (view.box.low[2], view.box.high[2]) == (tight.low[2], tight.high[2])
        margin = np.array(tight.low[:2]) - view.box.low[:2]
        assert (margin >= 0).all() and (margin <= 5).all()


def test_the_map_of_a_box_is_one_inside_and_half_beside_its_slice() -> None:
    placement = Placement((2, 3, 4), (14, 13, 12), (12, 10, 8))  # a voxel of the grid for each of the scan
    shown = box_map(ShownBox((4, 5, 6), (8, 9, 11)), placement, CPU)
    expected = torch.zeros((12, 10, 8))
    expected[2:6, 2:6, 2:7] = 1
    assert torch.equal(shown, expected)
    sliced = box_map(ShownBox((4, 5, 6), (8, 9, 11), middle=8), placement, CPU)
    expected[2:6, 2:6, 2:7] = 0.5
    expected[2:6, 2:6, 4] = 1
    assert torch.equal(sliced, expected)
    assert not box_map(None, placement, CPU).any()
    coarse = box_map(ShownBox((4, 5, 6), (8, 9, 7), middle=6), replace(placement, shape=(12, 10, 2)), CPU)
    assert (coarse == 1).any()


@pytest.mark.parametrize("training", [False, True])
def test_a_crop_around_a_click_is_a_cube_in_millimetres(training: bool) -> None:
    affine = np.diag([2.0, 1.0, 4.0, 1.0])
    case = whole_case(affine=affine, scan_shape=(400, 400, 400))
    middle = np.array(case.box).mean(0)
    for view in views(case, training, crop="click", clicks=(1, 1, 1), click_side=(40.0, 90.0)):
        assert case.label[view.click]
        sides = (np.array(view.upright.high) - np.minimum(view.click, view.upright.low)) * [2.0, 1.0, 4.0]
        reach = (np.array(view.upright.high) - 1 - view.click) * [2.0, 1.0, 4.0]
        assert (reach >= 20 - 4).all() and (reach <= 45 + 4).all() and (sides > 0).all()
        if not training:
            assert np.abs(view.click - middle).max() <= 1 and np.abs(reach - 30).max() <= 2
    drawn = {view.click for view in views(case, training, crop="click", clicks=(1, 1, 1))}
    assert (len(drawn) > 20) is training


def test_the_first_click_is_in_the_middle_of_its_crop_and_counts() -> None:
    envs = make_envs(4, crop="click", clicks=(3, 1, 1), signed=True, user="edge", augment=False)
    _, info = envs.reset(seed=0)
    assert info["n_clicks"].tolist() == [3] * 4 and (info["click_signs"][:, 0] == 1).all()
    for row in range(4):
        first = info["clicks"][row, 0].numpy()
        assert envs.state.label[row][tuple(first)]
        assert np.abs(first - (np.array(envs.config.shape) - 1) / 2).max() <= 4  # the scan's border may cut the cube


def test_a_mixture_draws_from_each_episodes_own_stream() -> None:
    kinds = [view.crop for view in views(whole_case(), True, 400, crop={"box": 1, "scan": 3})]
    assert 60 < kinds.count("box") < 140 and set(kinds) == {"box", "scan"}
    shown = [view.box is None for view in views(whole_case(), True, 400, box={"label": 1, "none": 1})]
    assert 150 < sum(shown) < 250


def test_a_whole_scan_is_shown_to_its_borders() -> None:
    case = whole_case()
    (view,) = views(case, False, 1, crop="scan")
    assert (view.placement.low, view.placement.high) == ((0, 0, 0), case.scan_shape)


@given(st.integers(0, 10**6))
def test_a_crop_is_measured_as_numpy_measures_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = whole_case()
    low = [int(rng.integers(0, n - 4)) for n in case.scan_shape]
    high = [int(rng.integers(a + 3, n)) for a, n in zip(low, case.scan_shape, strict=True)]
    box = ((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    found = measured(case, box)
    values = case.image[0][tuple(slice(a, b) for a, b in zip(low, high, strict=True))].numpy()
    mean, std = mean_and_std(values.astype(np.float64))
    assert found.mean[0] == pytest.approx(mean, abs=1e-3 * std) and found.std[0] == pytest.approx(std, rel=1e-3)


def test_padding_and_constant_crops_do_not_count() -> None:
    case = whole_case()
    image = case.image.clone()
    image[:, :10] = -32768.0
    padded = replace(case, image=image, usual=np.array([[-1000.0, np.inf]]))
    box = ((0, 0, 0), case.scan_shape)
    inside = measured(case, ((10, 0, 0), case.scan_shape))
    assert measured(padded, box).mean[0] == pytest.approx(inside.mean[0], rel=1e-4)
    alone = measured(padded, ((0, 0, 0), (8, 8, 8)))
    assert (alone.mean, alone.std) == (padded.mean, padded.std)


@pytest.mark.parametrize("damage", [shifted, grown, shrunk, bitten, lumped])
def test_each_damage_is_of_its_kind(damage: Any) -> None:
    label = ellipsoid(radii=(6, 5, 4))[2:26, 2:24, 2:20]
    for seed in range(40):
        found = damage(label, np.random.default_rng(seed))
        more, less = found & ~label, label & ~found
        if damage is grown or damage is lumped:
            assert not less.any() and (damage is lumped or more.any())
        if damage is shrunk or damage is bitten:
            assert less.any() and not more.any()
        if damage is shifted:
            assert found.sum() <= label.sum()


@given(st.integers(0, 10**6), st.integers(1, 60))
def test_a_damaged_label_is_never_empty_and_mostly_there(seed: int, threshold: int) -> None:
    rng = np.random.default_rng(seed)
    label = ndimage.gaussian_filter(rng.random((10, 9, 8)), 1.5)
    mask = label > np.percentile(label, 100 - threshold)
    found = damaged(mask, np.random.default_rng(seed))
    assert found.any() and found.shape == mask.shape and found is not mask
    again = damaged(mask, np.random.default_rng(seed))
    assert np.array_equal(found, again)


def test_episodes_begin_with_damaged_labels_and_clicks_on_what_is_wrong() -> None:
    envs = make_envs(16, start={"half": 1, "mask": 1}, clicks=(2, 1, 1), user="random-error")
    envs.reset(seed=0)
    state = envs.state
    begun = (state.probability != 0.5).flatten(1).any(1)
    assert 3 < int(begun.sum()) < 13
    values = set(state.probability[begun].unique().tolist())
    assert {round(v, 3) for v in values} == {0.1, 0.9}
    assert (state.dice[begun] > 0.3).all() and (state.dice[begun] < 1).any() and (state.dice[~begun] == 0).all()
    wrong = state.prediction != state.label
    for row, count in enumerate(state.n_clicks.tolist()):
        for click in state.clicks[row, :count].tolist():
            assert wrong[row][tuple(click)]


def test_an_episode_goes_on_from_a_given_mask() -> None:
    envs = make_envs(2, autoreset_mode="Disabled")
    case = BLOBS.case(1)
    mask = np.zeros(case.scan_shape, np.float32)
    cut = tuple(slice(o, o + n) for o, n in zip(case.origin, case.label.shape, strict=True))
    mask[cut] = case.label.numpy()
    _, info = envs.reset(seed=0, options={"cases": [1, 1], "masks": [mask, None]})
    assert info["dice"].tolist() == [1.0, 0.0] and info["n_clicks"].tolist() == [0, 6]
    kept = envs.snapshot()
    again = make_envs(2, autoreset_mode="Disabled")
    again.restore(kept)
    (action,) = random_actions(envs, 1)
    assert torch.equal(again.step(action)[0]["probability"], envs.step(action)[0]["probability"])


BAD: dict[str, tuple[Any, str]] = {
    "grid": (np.ones((4, 4, 4)), "mask: expected one on the grid of case"),
    "axes": (np.ones((4, 4)), "mask 0: expected numbers"),
    "words": (np.full((4, 4, 4), "a"), "mask 0: expected numbers"),
    "empty": (np.zeros((4, 4, 4)), "mask 0: expected foreground, got none"),
}


@pytest.mark.parametrize("fault", BAD)
def test_masks_of_no_use_are_refused_and_nothing_moves_on(fault: str) -> None:
    mask, message = BAD[fault]
    envs, twin = make_envs(2), make_envs(2)
    envs.reset(seed=0), twin.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        envs.reset(options={"masks": [mask, None]})
    assert torch.equal(envs.reset()[0]["volume"], twin.reset()[0]["volume"])


def test_a_mask_elsewhere_in_the_scan_is_refused() -> None:
    envs = make_envs(1)
    mask = np.zeros(BLOBS.case(0).scan_shape, bool)
    mask[0, 0, 0] = True
    with pytest.raises(ValueError, match="mask: expected part of it in the crop of case"):
        envs.reset(seed=0, options={"cases": [0], "masks": [mask]})  # else a crop may be drawn that reaches there


def test_settings_that_cannot_be_together_are_refused() -> None:
    with pytest.raises(ValueError, match="crop: expected a first click for crop='click', got clicks that begin with 0"):
        config(crop="click", clicks=(0, 1, 1))
    with pytest.raises(ValueError, match="start: expected 'half' where cases have no labels"):
        config(start="mask", labelled_fraction=0.5)
