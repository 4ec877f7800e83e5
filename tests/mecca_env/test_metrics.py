"""Metrics against known answers, MONAI, medpy, a plain SciPy implementation, and cases small enough to do by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from mecca_env.metrics import SurfaceMetrics, dice, misunderstanding, surface_metrics

Bits = NDArray[np.bool_]
SPACINGS = [(1.0, 1.0, 1.0), (0.5, 0.5, 3.0), (2.0, 1.25, 0.7)]


def sphere(radius: float, centre: tuple[int, int, int], side: int = 99) -> Bits:
    axes = np.ogrid[tuple(slice(-c, side - c) for c in centre)]
    return sum(axis**2 for axis in axes) <= radius**2


def blob(seed: int, shape: tuple[int, int, int] = (12, 11, 9), share: float = 0.3) -> Bits:
    """Smoothed noise above a threshold: several components, holes, and masks that run into the border."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.2)
    return noise > np.quantile(noise, 1 - share)


def distances(a: Bits, b: Bits, spacing: tuple[float, float, float]) -> tuple[Bits, Bits]:
    """Directed surface distances, with the surface written out as six shifted comparisons on a padded grid."""

    def surface(mask: Bits) -> Bits:
        padded = np.pad(mask, 1)
        neighbours = [np.roll(padded, shift, axis) for axis in range(3) for shift in (-1, 1)]
        return (padded & ~np.logical_and.reduce(neighbours))[1:-1, 1:-1, 1:-1]

    edge_a, edge_b = surface(a), surface(b)
    to_a, to_b = (ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in (edge_a, edge_b))
    return to_b[edge_a], to_a[edge_b]


def plain_metrics(a: Bits, b: Bits, spacing: tuple[float, float, float], tolerance: float) -> SurfaceMetrics:
    there, back = distances(a, b, spacing)
    both = np.concatenate([there, back])
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return SurfaceMetrics(float(both.mean()), float(hd95), float((both <= tolerance + 1e-6).mean()))


# Dice


def test_dice_by_hand() -> None:
    prediction = torch.zeros(4, 2, 2, 2, dtype=torch.bool)
    label = prediction.clone()
    prediction[0, 0] = label[0, :, 0] = True  # 4 and 4 voxels, 2 in common
    prediction[1, 0, 0, 0] = True  # the label is empty
    label[2, 0, 0, 0] = True  # the prediction is empty
    score = dice(prediction, label)
    assert score.dtype == torch.float32
    assert score.tolist() == [0.5, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("shape", [(8, 8, 8), (55, 55, 30), (300, 9, 8)])
def test_dice_is_the_quotient_of_the_counts_in_any_batch(shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = torch.rand(5, *shape, generator=generator) > torch.linspace(0, 0.9, 5).view(-1, 1, 1, 1)
    label = torch.rand(5, *shape, generator=generator) > 0.4
    score = dice(prediction, label)
    for i in range(5):
        p, y = prediction[i].numpy(), label[i].numpy()
        expected = np.float32(2 * np.count_nonzero(p & y)) / np.float32(np.count_nonzero(p) + np.count_nonzero(y))
        assert score[i].item() == expected
        assert torch.equal(dice(prediction[i : i + 1], label[i : i + 1]), score[i : i + 1])
    strided = prediction.transpose(1, 3).contiguous().transpose(1, 3)
    assert torch.equal(dice(strided, label), score)


def test_dice_agrees_with_monai() -> None:
    from monai.metrics import compute_dice

    prediction, label = (torch.from_numpy(np.stack([blob(s + o) for s in range(4)])) for o in (0, 10))
    expected = compute_dice(prediction[:, None].float(), label[:, None].float())[:, 0]
    torch.testing.assert_close(dice(prediction, label), expected)


def test_dice_refuses_what_is_not_a_batch_of_masks() -> None:
    mask = torch.zeros(2, 3, 3, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"prediction \(2, 3, 3, 3\), label \(1, 3, 3, 3\)"):
        dice(mask, mask[:1])
    with pytest.raises(ValueError, match=r"expected one shape \(B, D, H, W\)"):
        dice(mask[0], mask[0])
    with pytest.raises(TypeError, match="prediction: expected a bool mask, got torch.float32"):
        dice(mask.float(), mask)


# Misunderstanding


def test_misunderstanding_counts_moves_away_from_the_label() -> None:
    before = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0, 0.0]).view(1, 2, 2, 2)
    after = torch.tensor([0.6, 0.4, 0.6, 0.4, 0.53, 0.47, 1.0, 0.0]).view(1, 2, 2, 2)
    label = torch.tensor([1, 1, 0, 0, 0, 1, 1, 0]).view(1, 2, 2, 2).bool()
    thresholded, literal = misunderstanding(before, after, label, 0.05)
    assert thresholded.dtype == literal.dtype == torch.float32
    assert thresholded.tolist() == [2 / 8]  # one foreground voxel went down, one background voxel up
    assert literal.tolist() == [4 / 8]  # and two moved the wrong way by 0.03


def test_voxels_held_by_the_clip_are_not_misunderstood() -> None:
    before = torch.tensor([0.0, 1.0]).repeat(4).view(1, 2, 2, 2)
    label = before < 0.5  # every voxel is wrong, and stays so
    thresholded, literal = misunderstanding(before, before.clone(), label, 0.05)
    assert thresholded.item() == literal.item() == 0


@pytest.mark.parametrize("size", [0.1, 0.2, 0.4])
def test_a_move_by_the_threshold_itself_does_not_exceed_it(size: float) -> None:
    before = (torch.arange(0, 11, dtype=torch.float32) / 10).view(1, 11, 1, 1)
    background = torch.zeros_like(before, dtype=torch.bool)
    after = before + size
    exactly, literal = misunderstanding(before, after, background, size)
    assert (exactly.item(), literal.item()) == (0, 1)
    assert misunderstanding(before, after, background, size - 0.001)[0].item() == 1
    assert misunderstanding(after, before, ~background, size)[0].item() == 0
    assert misunderstanding(after, before, ~background, size - 0.001)[0].item() == 1


def test_misunderstanding_is_counted_per_case_and_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    before, after = (torch.randint(11, (6, 9, 8, 10), generator=generator) / 10 for _ in range(2))
    label = torch.rand(6, 9, 8, 10, generator=generator) > 0.5
    copies = before.clone(), after.clone(), label.clone()
    shares = misunderstanding(before, after, label, 0.15)
    assert all(torch.equal(old, new) for old, new in zip(copies, (before, after, label), strict=True))
    tenths = ((after - before) * 10).round() * (1 - 2 * label.float())
    for i in range(6):
        assert shares[0][i].item() == np.float32(int((tenths[i] >= 2).sum())) / np.float32(720)
        assert shares[1][i].item() == np.float32(int((tenths[i] >= 1).sum())) / np.float32(720)
        alone = misunderstanding(before[i : i + 1], after[i : i + 1], label[i : i + 1], 0.15)
        assert alone[0].item() == shares[0][i].item()


def test_misunderstanding_refuses_shapes_that_differ() -> None:
    before = torch.zeros(1, 3, 3, 3)
    with pytest.raises(ValueError, match=r"after \(1, 3, 3, 2\)"):
        misunderstanding(before, before[..., :2], before > 0, 0.05)
    with pytest.raises(TypeError, match="label: expected a bool mask"):
        misunderstanding(before, before, before, 0.05)


# Surfaces


def test_two_spheres_cut_by_the_border_give_the_known_answers() -> None:
    small, large = sphere(20, (20, 33, 22)), sphere(40, (20, 33, 22))
    found = surface_metrics(small, large)
    assert found.assd == pytest.approx(15.117741, abs=1e-5)
    assert found.hd95 == pytest.approx(20.0998, abs=1e-4)
    assert found == surface_metrics(large, small)


def test_a_sphere_moved_by_one_voxel_gives_the_known_answer() -> None:
    found = surface_metrics(sphere(33, (19, 33, 22)), sphere(33, (20, 33, 22)))
    assert found.assd == pytest.approx(0.350217, abs=1e-6)
    assert (found.hd95, found.nsd) == (1, 1)


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(0, 10**6),
    second=st.integers(0, 10**6),
    share=st.floats(0.01, 0.95),
    spacing=st.sampled_from(SPACINGS),
    tolerance=st.sampled_from([0.0, 1.0, 2.5]),
)
def test_random_blobs_agree_with_scipy_and_medpy(
    first: int, second: int, share: float, spacing: tuple[float, float, float], tolerance: float
) -> None:
    from medpy.metric import binary

    a, b = blob(first, share=share), blob(second)
    found = surface_metrics(a, b, spacing=spacing, tolerance=tolerance)
    assert found == pytest.approx(plain_metrics(a, b, spacing, tolerance), rel=1e-5, abs=1e-6)
    assert found.assd == pytest.approx(binary.assd(a, b, voxelspacing=spacing), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(3))
def test_blobs_agree_with_the_public_functions_of_monai(seed: int, spacing: tuple[float, float, float]) -> None:
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    a, b = blob(seed, (20, 18, 14)), blob(seed + 100, (20, 18, 14))
    found = surface_metrics(a, b, spacing=spacing, tolerance=1.5)
    pair = [torch.from_numpy(mask)[None, None].float() for mask in (a, b)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assd = compute_average_surface_distance(*pair, include_background=True, symmetric=True, spacing=spacing)
        hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing)
        nsd = compute_surface_dice(*pair, [1.5], include_background=True, spacing=spacing)
    assert found == pytest.approx((assd.item(), hd95.item(), nsd.item()), rel=1e-6)


def test_hd95_is_not_the_one_of_medpy() -> None:
    from medpy.metric import binary

    a, b = sphere(20, (20, 33, 22)), sphere(40, (20, 33, 22))
    pooled = np.percentile(np.concatenate(distances(a, b, (1, 1, 1))), 95)
    assert binary.hd95(a, b) == pytest.approx(pooled)
    assert surface_metrics(a, b).hd95 > pooled + 0.01


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_border_of_the_grid_is_a_surface(spacing: tuple[float, float, float]) -> None:
    whole = np.ones((9, 8, 7), bool)
    inner = np.zeros_like(whole)
    inner[1:-1, 1:-1, 1:-1] = True
    found = surface_metrics(inner, whole, spacing=spacing)
    assert found == pytest.approx(plain_metrics(inner, whole, spacing, 1.0), rel=1e-5)
    wider = surface_metrics(np.pad(inner, 3), np.pad(whole, 3), spacing=spacing)
    assert found == wider  # room around the masks changes nothing
    assert surface_metrics(whole, whole) == (0, 0, 1)


def test_distances_are_in_the_unit_of_the_spacing() -> None:
    a, b = np.zeros((2, 9, 9, 9), bool)
    a[4, 4, 4] = b[4, 4, 6] = True
    assert surface_metrics(a, b) == (2, 2, 0)
    assert surface_metrics(a, b, spacing=(1, 1, 3)) == (6, 6, 0)
    assert surface_metrics(a, b, spacing=(1, 1, 3), tolerance=6) == (6, 6, 1)
    assert surface_metrics(a, b, spacing=(7, 7, 0.4)) == pytest.approx((0.8, 0.8, 1))


def test_empty_masks_have_agreed_answers() -> None:
    empty = np.zeros((240, 240, 155), bool)
    some = empty.copy()
    some[100, 100, 100] = True
    assert surface_metrics(empty, empty) == (0, 0, 1)
    diagonal = pytest.approx(373.1287, abs=1e-4)  # what BraTS charges for a missed tumour
    for pair in ((empty, some), (some, empty)):
        assert surface_metrics(*pair) == (diagonal, diagonal, 0)
    small = some[90:110, 90:110, 95:105]
    assert surface_metrics(np.zeros_like(small), small, spacing=(1, 1, 3)).assd == pytest.approx(1700**0.5)


def test_tensors_and_arrays_give_the_same_and_nothing_warns() -> None:
    a, b = blob(1), blob(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = surface_metrics(a, b)
        assert surface_metrics(torch.from_numpy(a), torch.from_numpy(b)) == found
        surface_metrics(a, np.zeros_like(a))
        surface_metrics(np.zeros_like(a), np.zeros_like(a))
    assert all(type(value) is float for value in found)


def test_surface_metrics_refuse_bad_arguments() -> None:
    mask = blob(0)
    with pytest.raises(ValueError, match=r"expected one shape \(D, H, W\), got \(12, 11, 9\) and \(11, 11, 9\)"):
        surface_metrics(mask, mask[1:])
    with pytest.raises(ValueError, match="spacing: expected three finite numbers above 0"):
        surface_metrics(mask, mask, spacing=(1, 1, 0))
    with pytest.raises(ValueError, match="tolerance: expected a number of at least 0, got -1"):
        surface_metrics(mask, mask, tolerance=-1)
    with pytest.raises(TypeError, match="label: expected a bool mask, got torch.uint8"):
        surface_metrics(mask, mask.astype(np.uint8))  # type: ignore[arg-type]
