"""The challenge's click, against SciPy alone and against what it is by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from mecca_env.prompts import Click, largest_error_click
from mecca_env.prompts import errors as module

Bits = NDArray[np.bool_]
SHAPES = [(12, 11, 9), (1, 30, 24), (3, 40, 5), (16, 2, 16), (8, 8, 8), (1, 1, 20)]


def smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> Bits:
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 1.2)
    return noise > np.quantile(noise, 0.6)


def rectangles(rng: np.random.Generator, shape: tuple[int, ...]) -> Bits:
    """A few boxes, whose middles are ties."""
    mask = np.zeros(shape, bool)
    for _ in range(3):
        low = [int(rng.integers(0, n)) for n in shape]
        mask[tuple(slice(a, a + int(rng.integers(1, 7))) for a in low)] = True
    return mask


def sparse(rng: np.random.Generator, shape: tuple[int, ...]) -> Bits:
    """Single voxels and small groups: many largest components."""
    return rng.random(shape) < 0.04


KINDS = (smooth, rectangles, sparse)


def pair(seed: int) -> tuple[Bits, Bits]:
    """A label and a prediction; of 300 seeds every kind of mask meets every shape."""
    rng, shape, kind = np.random.default_rng(seed), SHAPES[seed % 6], KINDS[seed // 6 % 3]
    return kind(rng, shape), kind(rng, shape) if seed % 4 else np.zeros(shape, bool)


def plain_click(label: Bits, prediction: Bits, halved: bool = False) -> tuple[Click | None, int]:
    """The challenge's rule, step by step, with SciPy on the whole grid; and how many voxels were a tie."""
    components, count = ndimage.label(label ^ prediction, structure=np.ones((3, 3, 3)))
    if not count:
        return None, 0
    largest = components == np.argmax(np.bincount(components.ravel())[1:]) + 1
    spans = [np.flatnonzero(largest.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    crop = tuple(slice(span[0], span[-1] + 1) for span in spans)
    margins = [(max(n // 4, 1),) * 2 for n in largest[crop].shape]
    padded = np.pad(largest[crop], margins)
    if halved:
        even = np.pad(padded, [(0, n % 2) for n in padded.shape])
        a, b, c = (n // 2 for n in even.shape)
        distance = ndimage.distance_transform_edt(even.reshape(a, 2, b, 2, c, 2).any(axis=(1, 3, 5)))
        distance = np.kron(distance, np.ones((2, 2, 2)))
    else:
        distance = ndimage.distance_transform_edt(padded)
    inner = tuple(slice(m, m + n) for (m, _), n in zip(margins, largest[crop].shape, strict=True))
    squared = np.zeros(label.shape)
    squared[crop] = np.rint(distance[inner] ** 2)
    squared *= largest
    ties = np.argwhere(squared == squared.max())
    np.random.seed(42)
    a, b, c = (int(v) for v in ties[np.random.choice(len(ties))])
    return Click((a, b, c), 1 if label[a, b, c] else -1), len(ties)


def test_300_clicks_are_those_of_the_rule_written_out() -> None:
    signs, tied, none = set(), 0, 0
    for seed in range(300):
        label, prediction = pair(seed)
        expected, ties = plain_click(label, prediction)
        assert largest_error_click(label, prediction) == expected, seed
        signs.add(None if expected is None else expected.sign)
        tied += ties > 1
        none += expected is None
    assert signs >= {1, -1} and tied > 100 and none < 30  # or they would not show anything


def test_at_half_the_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VOXELS", 0)
    other = 0
    for seed in range(60):
        label, prediction = pair(seed)
        expected, _ = plain_click(label, prediction, halved=True)
        assert largest_error_click(label, prediction) == expected, seed
        other += expected != plain_click(label, prediction)[0]
    assert other > 10


def test_the_limit_counts_the_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.zeros((20, 20, 20), bool)
    label[4:12, 4:12, 4:12] = True  # 8 voxels and 2 more on each side: 12 x 12 x 12
    resolutions = []
    for most in (12**3, 12**3 - 1):
        monkeypatch.setattr(module, "MOST_VOXELS", most)
        clicks = {largest_error_click(label, ~label & False, np.random.default_rng(s)) for s in range(100)}
        resolutions.append(len({click.voxel for click in clicks if click}))
    assert resolutions[0] == 8 < resolutions[1]


def test_the_sign_is_that_of_the_label() -> None:
    label = np.zeros((9, 9, 9), bool)
    label[:4] = True
    missing, surplus = label.copy(), label.copy()
    missing[1:4, 3:6, 3:6], surplus[5:8, 3:6, 3:6] = False, True
    assert largest_error_click(label, missing) == Click((2, 4, 4), 1)
    assert largest_error_click(label, surplus) == Click((6, 4, 4), -1)


def test_missing_and_surplus_voxels_that_touch_are_one_error() -> None:
    label, prediction = np.zeros((12, 3, 3), bool), np.zeros((12, 3, 3), bool)
    label[:3], prediction[3:5] = True, True  # 27 and 18 voxels beside each other: one plate of five
    label[8:12] = True  # 36 apart
    click = largest_error_click(label, prediction)
    assert click is not None and click.voxel[0] in (1, 2, 3)
    assert click == plain_click(label, prediction)[0]


def test_corners_connect() -> None:
    label = np.zeros((8, 8, 8), bool)
    label[0:2, 0:2, 0:2] = label[2:4, 2:4, 2:4] = True  # 16 over a corner
    label[6:8, 0:2, 5:8] = True  # 12
    click = largest_error_click(label, np.zeros_like(label))
    assert click is not None and max(click.voxel) < 4


def test_beyond_the_scan_nothing_is_wrong() -> None:
    label = np.zeros((5, 9, 9), bool)
    label[0:3, 2:7, 2:7] = True  # at the border: its middle is on slice 1, not on slice 0
    clicks = [largest_error_click(label, np.zeros_like(label), np.random.default_rng(s)) for s in range(20)]
    assert {click.voxel[0] for click in clicks if click} == {1}


def test_nothing_wrong_is_no_click() -> None:
    label, _ = pair(1)
    assert largest_error_click(label, label.copy()) is None


def test_a_voxel_comes_again_as_long_as_it_is_wrong() -> None:
    label, prediction = pair(0)
    assert largest_error_click(label, prediction) == largest_error_click(label, prediction)


def test_ties_are_drawn_from_the_generator_that_is_given() -> None:
    label = np.zeros((6, 6, 6), bool)
    label[1:5, 1:5, 1:5] = True  # its middle is eight voxels
    middle = {(a, b, c) for a in (2, 3) for b in (2, 3) for c in (2, 3)}
    nothing = np.zeros_like(label)
    own = np.random.default_rng(0)
    clicks = [largest_error_click(label, nothing, own) for _ in range(100)]
    assert {click.voxel for click in clicks if click} == middle
    older = np.random.RandomState(42)
    assert largest_error_click(label, nothing, older) == largest_error_click(label, nothing)


def test_transposed_views_give_the_challenges_own_click() -> None:
    turned = 0
    for seed in range(60):
        label, prediction = pair(seed)  # the challenge's (D, H, W)
        expected = largest_error_click(label, prediction)
        ours = [np.ascontiguousarray(mask.T) for mask in (label, prediction)]  # (X, Y, Z)
        found = largest_error_click(ours[0].T, ours[1].T)
        assert found == expected
        straight = largest_error_click(*ours)
        turned += expected is not None and straight is not None and straight.voxel[::-1] != expected.voxel
    assert turned > 5  # the order of the axes counts where there are ties


def test_nothing_is_shared_between_calls() -> None:
    np.random.seed(7)
    before = np.random.get_state()[1]
    pairs = [pair(seed) for seed in range(48)]
    alone = [largest_error_click(*both) for both in pairs]
    assert np.array_equal(before, np.random.get_state()[1])
    copies = [(label.copy(), prediction.copy()) for label, prediction in pairs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda both: largest_error_click(*both), pairs)) == alone
    assert all(
        np.array_equal(a, b) for one, two in zip(pairs, copies, strict=True) for a, b in zip(one, two, strict=True)
    )


def test_what_is_not_two_masks_is_refused() -> None:
    label, prediction = pair(0)
    with pytest.raises(ValueError, match=r"expected one shape, got \(12, 11, 9\) and \(11, 11, 9\)"):
        largest_error_click(label, prediction[1:])
    with pytest.raises(TypeError, match="prediction: expected a bool mask, got float64"):
        largest_error_click(label, prediction.astype(float))
    with pytest.raises(ValueError, match=r"label: expected three axes, got shape \(11, 9\)"):
        largest_error_click(label[0], prediction[0])
