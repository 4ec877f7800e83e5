"""Mean and deviation are those of tissue: padding and metal do not count, and nothing else is taken for them."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mecca_env.data.base import Scan
from mecca_env.data.grid.cutting import prepare
from mecca_env.data.grid.intensities import mean_and_std, usual_range
from mecca_env.data.grid.placement import fixed_placement
from mecca_env.data.grid.sampling import resample_case
from mecca_env.data.layouts import discover
from mecca_env.data.phantom import PhantomSource
from mecca_env.data.reading import read_scan
from tests.support.volumes import AFFINE, ellipsoid

SHAPE = (48, 44, 30)
LABEL = ellipsoid(SHAPE, (10, 9, 7))
REAL = Path(os.environ.get("MECCA_TEST_DATA", "/nowhere"))
SETTINGS: dict[str, Any] = {"extension": (1, 11), "rotation": 15.0, "evaluation_extension": 6}


def tissue(seed: int = 0, air: bool = False) -> NDArray[np.float32]:
    """A CT in Hounsfield units: soft tissue, a brighter organ, and lung where it is asked for."""
    rng = np.random.default_rng(seed)
    image = rng.normal(20, 40, SHAPE) + 90 * LABEL
    if air:
        image[:, :16] = rng.normal(-990, 15, (SHAPE[0], 16, SHAPE[2]))
    return np.rint(image).astype(np.float32)


def outside(share: float = 0.3) -> NDArray[np.bool_]:
    """What lies outside of a cylinder's field of view, about so much of the volume; nothing of the organ."""
    x, y = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE[:2]), indexing="ij")
    far = np.hypot(x, y)
    found: NDArray[np.bool_] = np.broadcast_to((far > np.quantile(far, 1 - share))[..., None], SHAPE)
    return found & ~LABEL


def volume_of(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The volume that an agent sees of it, (24, 22, 18)."""
    case = prepare(Scan("ct", image[None], LABEL, AFFINE), **SETTINGS)
    return resample_case(case, fixed_placement(case, (24, 22, 18), 6), 5.0)[0][0].numpy()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.45])
@pytest.mark.parametrize("value", [-32768, -3024, -2000, 32767, 65535])
def test_padding_does_not_count(value: float, share: float) -> None:
    image, padded = tissue(), outside(share)
    expected = image[~padded].mean(dtype=np.float64), image[~padded].std(dtype=np.float64)
    image[padded] = value
    assert mean_and_std(image) == pytest.approx(expected, rel=1e-12)
    low, high = usual_range(image)
    assert (math.isinf(low), math.isinf(high)) == (value > 0, value < 0)


def test_padding_beside_lung_and_of_two_kinds() -> None:
    image, padded = tissue(air=True), outside()
    expected = image[~padded].mean(dtype=np.float64), image[~padded].std(dtype=np.float64)
    image[padded] = -32768
    assert mean_and_std(image) == pytest.approx(expected, rel=1e-12)
    image[padded & (np.arange(SHAPE[2]) < 8)] = -30000
    assert mean_and_std(image) == pytest.approx(expected, rel=1e-12)
    image[padded & (np.arange(SHAPE[2]) < 8)] = 32767
    assert mean_and_std(image) == pytest.approx(expected, rel=1e-12)


def test_padding_that_was_resampled_has_an_edge_that_does_not_count_either() -> None:
    image, padded = tissue(), outside()
    edge = padded & ~np.roll(padded, 1, axis=0)
    clear = image[~padded]
    image[padded] = -32768
    image[edge] = np.random.default_rng(1).uniform(-32768, -1000, int(edge.sum()))
    mean, std = mean_and_std(image)
    assert mean == pytest.approx(clear.mean(), abs=2) and std == pytest.approx(clear.std(), rel=0.02)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.03])
def test_metal_does_not_count(share: float) -> None:
    image = tissue()
    metal = (np.random.default_rng(1).random(SHAPE) < share) & ~LABEL
    clear = image[~metal]
    image[metal] = np.random.default_rng(2).normal(20_000, 3000, int(metal.sum()))
    assert image.std() > 5 * clear.std()
    mean, std = mean_and_std(image)
    assert mean == pytest.approx(clear.mean(), rel=0.01) and std == pytest.approx(clear.std(), rel=0.01)


@pytest.mark.parametrize("spoilt", ["padding", "metal"])
def test_an_agent_sees_the_organ_as_without_it(spoilt: str) -> None:
    image, padded = tissue(), outside()
    image[padded] = 20
    expected = volume_of(image)
    image[padded] = -32768 if spoilt == "padding" else 20
    image[14:16, 14, 8:20] = 20 if spoilt == "padding" else 25_000
    found = volume_of(image)
    inside, beside = (slice(9, 15), slice(8, 14), slice(6, 12)), (slice(4, 20), slice(1, 3), slice(6, 12))
    contrast, as_without = (volume[inside].mean() - np.median(volume[beside]) for volume in (found, expected))
    assert as_without > 1 and abs(contrast - as_without) < 0.5


@pytest.mark.parametrize("kind", ["noise", "dark background", "bright lesion", "two values", "few levels", "saturated"])
def test_what_is_neither_counts_to_the_last_bit(kind: str) -> None:
    rng = np.random.default_rng(0)
    image = tissue()
    if kind == "dark background":  # a head without its skull, whose darkest fluid is well above 0
        image = np.where(outside(0.45), 0, rng.normal(300, 80, SHAPE).clip(150)).astype(np.float32)
    elif kind == "bright lesion":
        image[LABEL] += 60
    elif kind == "two values":
        image = LABEL.astype(np.float32) * 1000
    elif kind == "few levels":
        image = rng.integers(0, 4, SHAPE).astype(np.float32)
    elif kind == "saturated":
        image = rng.normal(200, 60, SHAPE).clip(0, 255).astype(np.float32)
    assert usual_range(image) == (-math.inf, math.inf)
    assert mean_and_std(image) == (image.mean(dtype=np.float64), image.std(dtype=np.float64))


def test_large_arrays_are_looked_at_in_part_and_always_alike() -> None:
    image = np.tile(tissue(), (1, 1, 6))
    image[np.tile(outside(), (1, 1, 6))] = -32768
    assert image.size > 1 << 18
    assert usual_range(image) == usual_range(image.copy())
    clear = image[image > -32768]
    assert mean_and_std(image) == (clear.mean(dtype=np.float64), clear.std(dtype=np.float64))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64])
def test_any_type_of_number(dtype: type) -> None:
    image = (tissue().clip(-100, 100) + 100).astype(dtype)
    assert usual_range(image) == (-math.inf, math.inf)
    if dtype != np.uint8:
        image[outside()] = 30_000
        assert usual_range(image)[1] < 30_000


def test_phantoms_are_as_they_were() -> None:
    source = PhantomSource()
    for index in range(4):
        scan = source.scan(index)
        case = source.case(index)
        (a, b, c), (d, e, f) = case.box
        crop = scan.image[0, max(a - 6, 0) : d + 6, max(b - 6, 0) : e + 6, max(c - 6, 0) : f + 6].ravel()
        assert (case.mean[0], case.std[0]) == (crop.mean(dtype=np.float64), crop.std(dtype=np.float64))


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["BraTS", "CHAOS_T2", "LeftAtrium2018", "Task04_Hippocampus"])
def test_real_scans_are_as_they_were(folder: str) -> None:
    if not (REAL / folder).is_dir():
        pytest.skip("MECCA_TEST_DATA names the folder of the real data sets")
    _, inventory = discover(REAL / folder)
    for files in inventory.cases[:4]:
        scan = read_scan(files, None, inventory.modalities)
        case = prepare(replace(scan, name="real"), **SETTINGS)
        (a, b, c), (d, e, f) = case.box
        crop = scan.image[:, max(a - 6, 0) : d + 6, max(b - 6, 0) : e + 6, max(c - 6, 0) : f + 6]
        flat = np.ascontiguousarray(crop).reshape(len(crop), -1)
        assert np.array_equal(case.mean, flat.mean(axis=1, dtype=np.float64))
        assert np.array_equal(case.std, flat.std(axis=1, dtype=np.float64))
        assert torch.isfinite(case.image).all()
