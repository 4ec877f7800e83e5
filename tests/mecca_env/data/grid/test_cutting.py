"""Placements stay in the scan, are applied exactly and inverted; masks go back onto the scan's own grid."""

from __future__ import annotations

import math
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mecca_env.data.base import DataError, PreparedCase, Scan
from mecca_env.data.grid.cutting import move_map, move_regions, paste_back, prepare
from mecca_env.data.grid.placement import Placement, canonical_placement, draw_placement, fixed_placement
from mecca_env.data.grid.sampling import resample_case
from mecca_env.data.layouts import discover
from mecca_env.data.reading import read_scan
from mecca_env.data.saving import save_mask
from tests.support import ROOT
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, prepared, scan_of

GRID = (20, 18, 12)
CASE = prepared(ellipsoid())
SMOOTH = prepared(ellipsoid((40, 36, 30), (11, 9, 8)))
FEW = settings(max_examples=40, deadline=None)

seeds = st.integers(0, 2**32 - 1)
sides = st.tuples(*[st.integers(8, 40)] * 3)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def drawn(case: PreparedCase, seed: int, shape: tuple[int, int, int] = GRID) -> Placement:
    return draw_placement(case, shape, np.random.default_rng(seed), extension=(1, 11), rotation=15.0)


def random_label(seed: int) -> NDArray[np.bool_]:
    """A box anywhere in the volume, also at its sides."""
    rng = np.random.default_rng(seed)
    label = np.zeros(SHAPE, bool)
    low = [int(rng.integers(0, n - 1)) for n in SHAPE]
    high = [int(rng.integers(a + 1, n + 1)) for a, n in zip(low, SHAPE, strict=True)]
    label[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return label


# ---- the cut


def test_prepare_cuts_around_the_label_and_keeps_raw_intensities() -> None:
    scan = scan_of(ellipsoid((60, 60, 60)))
    case = prepare(scan, extension=(1, 11), rotation=0.0, evaluation_extension=6)
    assert case.box == ((24, 25, 26), (36, 35, 34))
    assert case.origin == (13, 14, 15) and tuple(case.label.shape) == (34, 32, 30)
    cut = tuple(slice(o, o + n) for o, n in zip(case.origin, case.label.shape, strict=True))
    assert np.array_equal(case.image[0].numpy(), scan.image[(0, *cut)])
    assert np.array_equal(case.label.numpy(), scan.label[cut]) and case.label.sum() == scan.label.sum()
    crop = scan.image[0, 18:42, 19:41, 20:40].astype(np.float64)
    np.testing.assert_allclose([case.mean[0], case.std[0]], [crop.mean(), crop.std()])
    assert case.scan_shape == (60, 60, 60) and case.image.dtype == torch.float32 and case.label.dtype == torch.bool


@FEW
@given(seeds)
def test_turned_training_crops_find_real_voxels(seed: int) -> None:
    case = prepared(ellipsoid((70, 80, 40), (4, 20, 6)), extension=(1, 11), rotation=15.0)
    low, high = drawn(case, seed).bounds(case.scan_shape)
    end = [o + n for o, n in zip(case.origin, case.label.shape, strict=True)]
    assert all(a >= o for a, o in zip(low, case.origin, strict=True))
    assert all(b <= e for b, e in zip(high, end, strict=True))


def test_prepare_refuses_an_image_that_is_constant_around_the_label() -> None:
    scan = scan_of(ellipsoid((60, 60, 60)), channels=2)
    scan.image[1, 10:50, 10:50, 10:50] = 3
    with pytest.raises(DataError, match="case: expected an image that varies.*channel 1 constant at 3"):
        prepare(scan, extension=(1, 11), rotation=0.0, evaluation_extension=6)


# ---- the draw


@FEW
@given(seeds, seeds)
def test_placements_stay_inside_the_scan_and_hold_the_label(label_seed: int, seed: int) -> None:
    case = prepared(random_label(label_seed))
    for placement in (drawn(case, seed), fixed_placement(case, GRID, 6), canonical_placement(case, GRID)):
        assert all(0 <= a <= b for a, b in zip(placement.low, case.box[0], strict=True))
        ends = zip(case.box[1], placement.high, case.scan_shape, strict=True)
        assert all(b <= h <= n for b, h, n in ends)
        assert placement.shape == GRID and abs(placement.angle) <= math.radians(15.0)


def test_draws_are_uniform_and_repeatable() -> None:
    case = prepared(ellipsoid((60, 60, 60)))
    placements = [drawn(case, seed) for seed in range(2000)]
    assert placements[:5] == [drawn(case, seed) for seed in range(5)]
    extents = np.array([np.subtract(case.box[0], p.low) for p in placements])
    counts = np.bincount(extents.ravel(), minlength=12)
    assert counts[0] == 0 and len(counts) == 12
    expected = extents.size / 11
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 29.6  # chi-square, 10 degrees of freedom, p = 0.001
    assert np.allclose(np.mean([p.flip for p in placements], axis=0), 0.5, atol=0.05)
    angles = np.degrees([p.angle for p in placements])
    assert angles.min() < -14 and angles.max() > 14 and abs(angles.mean()) < 1


def test_a_draw_uses_the_generator_alike_whatever_the_settings() -> None:
    after = []
    for extension, rotation in (((1, 11), 15.0), ((0, 3), 0.0)):
        rng = np.random.default_rng(3)
        draw_placement(CASE, GRID, rng, extension=extension, rotation=rotation)
        after.append(rng.random())
    assert after[0] == after[1]


# ---- the application


def identity(case: PreparedCase) -> Placement:
    return canonical_placement(case, (case.label.shape[0], case.label.shape[1], case.label.shape[2]))


def test_identity_placement_returns_the_voxels() -> None:
    case = prepared(ellipsoid(), channels=2)
    volume, label = resample_case(case, identity(case), 100.0)
    assert volume.dtype == torch.float32 and label.dtype == torch.bool
    assert torch.equal(label, case.label)
    mean, std = (torch.from_numpy(v)[:, None, None, None] for v in (case.mean, case.std))
    assert torch.equal(volume, ((case.image.double() - mean) / std).float())


def test_flips_and_quarter_turns_are_exact() -> None:
    case = prepared(ellipsoid())
    low, high = (4, 3, 2), (14, 13, 12)
    case = PreparedCase(**{**case.__dict__, "label": torch.rand(case.label.shape) > 0.5})
    cut = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, case.origin, strict=True))
    flipped = resample_case(case, Placement(low, high, (10, 10, 10), flip=(True, False, True)), 100.0)[1]
    assert torch.equal(flipped, case.label[cut].flip(0, 2))
    rotated = resample_case(case, Placement(low, high, (10, 10, 10), angle=math.pi / 2), 100.0)
    assert torch.equal(rotated[1], case.label[cut].rot90(-1, (0, 1)).contiguous())


def test_intensities_are_clipped_and_agree_with_grid_sample() -> None:
    placement = fixed_placement(CASE, GRID, 6)
    volume, _ = resample_case(CASE, placement, 1.0)
    assert volume.abs().max() == 1.0
    volume, _ = resample_case(CASE, placement, 100.0)
    cut = [slice(a - o, b - o) for a, b, o in zip(placement.low, placement.high, CASE.origin, strict=True)]
    whole = CASE.image[(slice(None), *cut)][None].double()
    theta = torch.eye(3, 4, dtype=torch.float64)[None]
    points = torch.nn.functional.affine_grid(theta, [1, 1, *GRID], align_corners=False)
    expected = torch.nn.functional.grid_sample(whole, points, align_corners=False, padding_mode="border")[0]
    # grid_sample sees the crop alone, whose border it repeats: compare where both see the same voxels
    inner = (slice(None), *[slice(2, -2)] * 3)
    torch.testing.assert_close(volume[inner], ((expected - CASE.mean[0]) / CASE.std[0]).float()[inner])


@FEW
@given(seeds)
def test_turning_agrees_with_a_formula(seed: int) -> None:
    """A linear ramp is resampled exactly, so that the point each grid voxel reads is known."""
    x, y, z = np.meshgrid(*map(np.arange, (50, 46, 40)), indexing="ij")
    image = np.stack([x, y, z]).astype(np.float32)
    case = prepare(
        Scan("ramp", image, ellipsoid((50, 46, 40)), AFFINE), extension=(1, 11), rotation=15.0, evaluation_extension=6
    )
    placement = draw_placement(case, GRID, np.random.default_rng(seed), extension=(1, 8), rotation=15.0)
    volume, _ = resample_case(case, placement, 1e9)
    read = volume.double().numpy() * case.std[:, None, None, None] + case.mean[:, None, None, None]
    g = np.random.default_rng(seed).integers(0, GRID)
    unit = (g + 0.5) / GRID - 0.5
    offset = np.where(placement.flip, -unit, unit) * np.subtract(placement.high, placement.low)
    cos, sin = math.cos(placement.angle), math.sin(placement.angle)
    rotated = (cos * offset[0] - sin * offset[1], sin * offset[0] + cos * offset[1], offset[2])
    expected = np.add(placement.high, placement.low) / 2 + rotated - 0.5
    np.testing.assert_allclose(read[(slice(None), *g)], expected, atol=1e-4)


def test_of_a_label_too_small_for_the_grid_the_nearest_voxels_are_kept() -> None:
    label = np.zeros((60, 60, 60), bool)
    label[30, 30, 30] = True
    placement = fixed_placement(prepared(label), (8, 8, 8), 11)
    _, placed = resample_case(prepared(label), placement, 5.0)
    assert placed.sum() == 1
    back = paste_back(placed, placement, label.shape)
    assert np.abs(np.argwhere(back) - 30).max() <= 3


def test_a_turned_crop_that_misses_the_label_is_an_error() -> None:
    label = np.zeros((60, 60, 20), bool)
    label[10, 10, 10] = label[50, 50, 10] = True
    placement = Placement((10, 10, 5), (51, 51, 16), (16, 16, 12), angle=math.pi / 4)
    with pytest.raises(DataError, match="case: expected part of the label inside the crop"):
        resample_case(prepared(label), placement, 5.0)


def test_a_crop_outside_the_cut_is_refused() -> None:
    case = prepared(ellipsoid((60, 60, 60)))
    with pytest.raises(ValueError, match="case: expected a crop inside the prepared cut"):
        resample_case(case, fixed_placement(case, GRID, 29), 5.0)


@pytest.mark.cuda
def test_same_bits_on_a_gpu() -> None:
    for seed in range(20):
        here, there = (resample_case(SMOOTH, drawn(SMOOTH, seed), 5.0, device) for device in ("cpu", "cuda"))
        assert torch.equal(here[0], there[0].cpu()) and torch.equal(here[1], there[1].cpu())


# ---- regions


def test_regions_stay_the_same_where_nothing_moves() -> None:
    regions = torch.randint(100, GRID, dtype=torch.int16)
    source = canonical_placement(CASE, GRID)
    moved = move_regions(regions, source, source)
    assert moved.dtype == torch.int16 and torch.equal(moved, regions)
    flipped = Placement(source.low, source.high, GRID, flip=(False, True, True))
    assert torch.equal(move_regions(regions, source, flipped), regions.flip(1, 2))


@FEW
@given(seeds)
def test_regions_move_with_the_label(seed: int) -> None:
    source = canonical_placement(SMOOTH, (50, 46, 40))
    _, regions = resample_case(SMOOTH, source, 5.0)
    target = drawn(SMOOTH, seed, (40, 36, 30))
    _, label = resample_case(SMOOTH, target, 5.0)
    assert dice(move_regions(regions.int(), source, target).bool().numpy(), label.numpy()) > 0.9


def test_a_map_moves_along_with_its_voxels_and_is_0_beyond_them() -> None:
    source = Placement((2, 3, 4), (10, 9, 12), (8, 6, 8))
    first, second, third = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in (8, 6, 8)), indexing="ij")
    ramp = 1 + first + 2 * second + 3 * third
    assert torch.equal(move_map(ramp, source, source), ramp)
    target = Placement((0, 3, 4), (10, 9, 12), (10, 6, 8))  # two voxels more at one end
    moved = move_map(ramp, source, target)
    assert torch.equal(moved[2:], ramp) and not moved[:2].any()
    finer = move_map(ramp, source, Placement((4, 5, 6), (8, 7, 10), (8, 4, 8)))
    assert torch.allclose(finer[1:, 1:, 1:] - finer[:-1, :-1, :-1], torch.tensor(0.5 * (1 + 2 + 3)))
    with pytest.raises(ValueError, match="values"):
        move_map(ramp[1:], source, target)


def test_regions_of_another_shape_are_refused() -> None:
    source = canonical_placement(CASE, GRID)
    with pytest.raises(ValueError, match=r"regions: expected the placement's shape \(20, 18, 12\), got \(1, 2, 3\)"):
        move_regions(torch.zeros(1, 2, 3, dtype=torch.int32), source, source)


# ---- and back


@FEW
@given(seeds, st.integers(0, 10))
def test_paste_back_of_an_identity_placement_is_exact(seed: int, shift: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (5, 8, 3)
    low = (shift, 10 - shift, shift // 2)
    high = (low[0] + 5, low[1] + 8, low[2] + 3)
    probability = torch.from_numpy(rng.choice([0.0, 0.1, 0.5, np.nextafter(np.float32(0.5), 1), 0.9, 1.0], shape))
    for grid in (probability.float(), probability > 0.5):
        for flip in ((False, False, False), (True, False, True)):
            pasted = paste_back(grid, Placement(low, high, shape, flip), SHAPE)
            expected = np.zeros(SHAPE, bool)
            there = grid.flip([axis for axis in range(3) if flip[axis]])
            expected[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = (there > 0.5).numpy()
            assert pasted.dtype == bool and np.array_equal(pasted, expected)


@FEW
@given(seeds, st.booleans())
def test_paste_back_inverts_resample_case(seed: int, rotate: bool) -> None:
    rotation = 180.0 if rotate else 15.0
    case = prepared(ellipsoid((40, 36, 30), (11, 9, 8)), rotation=rotation)
    rng = np.random.default_rng(seed)
    placement = draw_placement(case, (40, 36, 30), rng, extension=(1, 11), rotation=15.0)
    _, label = resample_case(case, placement, 5.0)
    assert dice(paste_back(label, placement, case.scan_shape), ellipsoid((40, 36, 30), (11, 9, 8))) > 0.9


@FEW
@given(seeds, sides)
def test_paste_back_is_false_outside_the_crop(seed: int, shape: tuple[int, int, int]) -> None:
    placement = drawn(SMOOTH, seed, shape)
    everywhere = paste_back(torch.ones(shape), placement, SMOOTH.scan_shape)
    low, high = placement.bounds(SMOOTH.scan_shape)
    inside = np.zeros(SMOOTH.scan_shape, bool)
    inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    assert not (everywhere & ~inside).any()
    volume = np.prod(np.subtract(placement.high, placement.low))
    assert everywhere.sum() <= volume * 1.05 and everywhere[20, 18, 15]


def test_paste_back_in_slabs_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    placement = drawn(SMOOTH, 4)
    grid = torch.rand(GRID)
    whole = paste_back(grid, placement, SMOOTH.scan_shape)
    monkeypatch.setattr("mecca_env.data.grid.cutting._POINTS_AT_ONCE", 1)
    assert np.array_equal(whole, paste_back(grid.numpy(), placement, SMOOTH.scan_shape)) and whole.any()


def test_paste_back_threshold_and_shape() -> None:
    placement = Placement((0, 0, 0), (4, 4, 4), (4, 4, 4))
    grid = torch.full((4, 4, 4), 0.6)
    assert paste_back(grid, placement, SHAPE, threshold=0.59).sum() == 64
    assert paste_back(grid, placement, SHAPE, threshold=0.61).sum() == 0
    with pytest.raises(ValueError, match=r"grid: expected the placement's shape \(4, 4, 4\), got \(4, 4\)"):
        paste_back(grid[0], placement, SHAPE)


# ---- saving


@pytest.mark.parametrize("name", ["mask.nii.gz", "mask.nii"])
def test_saved_mask_has_the_affine_and_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"old")
    save_mask(ellipsoid(), AFFINE, tmp_path / name)
    stored = nibabel.load(tmp_path / name)
    assert stored.get_data_dtype() == np.uint8 and np.array_equal(np.asarray(stored.dataobj), ellipsoid())
    np.testing.assert_allclose(stored.affine, AFFINE)
    assert stored.header.get_xyzt_units()[0] == "mm"
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_save_refuses_what_it_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"expected a name that ends in \.nii or \.nii\.gz"):
        save_mask(ellipsoid(), AFFINE, tmp_path / "mask.png")
    with pytest.raises(DataError, match="expected an existing folder .*nowhere, found none"):
        save_mask(ellipsoid(), AFFINE, tmp_path / "nowhere" / "mask.nii.gz")

    def full(image: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(nibabel, "save", full)
    with pytest.raises(DataError, match=r"mask\.nii\.gz: the mask cannot be written \(No space left on device\)"):
        save_mask(ellipsoid(), AFFINE, tmp_path / "mask.nii.gz")
    assert list(tmp_path.iterdir()) == []


# ---- real scans

REAL = Path(os.environ.get("MECCA_TEST_DATA") or ROOT.parent / "shared" / "data")


@pytest.mark.parametrize(
    ("folder", "count", "labels"),
    [("BraTS", 4, None), ("CHAOS_T2", 14, None), ("CHAOS_T2", 14, (4,)), ("LeftAtrium2018", 4, None)]
    + [("Task04_Hippocampus", 6, None)],
)
def test_real_labels_survive_the_way_there_and_back(folder: str, count: int, labels: tuple[int, ...] | None) -> None:
    if not (REAL / folder).is_dir():
        pytest.skip(f"{REAL / folder} is not there; MECCA_TEST_DATA names the folder of the real data sets")
    _, inventory = discover(REAL / folder)
    assert not inventory.faults and len(inventory.cases) >= count
    for files in inventory.cases[:count]:
        scan = read_scan(files, labels, inventory.modalities)
        case = prepare(scan, extension=(1, 11), rotation=15.0, evaluation_extension=6)
        for placement in (fixed_placement(case, (55, 55, 30), 6), drawn(case, 0, (55, 55, 30))):
            volume, label = resample_case(case, placement, 5.0)
            assert torch.isfinite(volume).all()
            assert dice(paste_back(label, placement, case.scan_shape), scan.label) > 0.9, (files.name, placement)
