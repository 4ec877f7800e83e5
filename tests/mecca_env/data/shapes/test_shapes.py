"""Random shapes: a pure function of the index, of every family, neither trivial nor hopeless to segment."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass

import cc3d
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from mecca_env.data.base import VolumeSource
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.procedural.noise import Grid
from mecca_env.data.procedural.source import CASES
from mecca_env.data.shapes import ShapesSource, shapes_scan
from mecca_env.data.shapes.families import FAMILIES
from mecca_env.data.shapes.painting import MOST, paint
from mecca_env.data.shapes.scene import LEAST, Scene

CASES_LOOKED_AT = 60
MARGIN = 6  # of the evaluation crop, voxels
HASHES = """
import hashlib
from mecca_env.data.shapes import shapes_scan
for index in range(12):
    image, label, _ = shapes_scan(index)
    print(hashlib.sha256(image.numpy().tobytes() + label.numpy().tobytes()).hexdigest())
"""


@dataclass(frozen=True)
class Case:
    """What was drawn, the image, (X, Y, Z), and the label."""

    scene: Scene
    image: NDArray[np.float32]
    label: NDArray[np.bool_]

    @property
    def crop(self) -> tuple[slice, ...]:
        """The label's bounding box and six voxels on each side."""
        ends = zip(*bounding_box(self.label), strict=True)
        return tuple(slice(max(low - MARGIN, 0), high + MARGIN) for low, high in ends)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    drawn = (shapes_scan(2 * number + 1) for number in range(CASES_LOOKED_AT))
    return [Case(scene, image[0].numpy(), label.numpy()) for image, label, scene in drawn]


def digest(index: int) -> str:
    image, label, _ = shapes_scan(index)
    return hashlib.sha256(image.numpy().tobytes() + label.numpy().tobytes()).hexdigest()


def dice(guess: NDArray[np.bool_], label: NDArray[np.bool_]) -> float:
    return float(2 * (guess & label).sum() / (guess.sum() + label.sum()))


def test_a_case_is_the_same_in_any_order_and_the_last_index_exists() -> None:
    forwards = [digest(index) for index in (0, 7, CASES - 1)]
    backwards = [digest(index) for index in (CASES - 1, 7, 0)]
    assert forwards == backwards[::-1] and len(set(forwards)) == 3


def test_global_generators_do_not_matter_and_are_not_touched() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    first = digest(5)
    torch.manual_seed(2)
    np.random.seed(2)
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())
    assert digest(5) == first
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state()) == numpy_state


@pytest.mark.slow
def test_a_case_has_the_same_bits_on_every_processor() -> None:
    kinds = [
        {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "OMP_NUM_THREADS": "1"},
        {"ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "2"},
        {"ATEN_CPU_CAPABILITY": "avx512", "OMP_NUM_THREADS": "1"},  # what a processor does not have is left out
    ]
    found = [
        subprocess.run(
            [sys.executable, "-c", HASHES], capture_output=True, text=True, check=True, env={**os.environ, **kind}
        ).stdout.split()
        for kind in kinds
    ]
    assert found == [[digest(index) for index in range(12)]] * len(kinds)


@pytest.mark.cuda
def test_cuda_draws_what_the_cpu_draws() -> None:
    for index in range(20):
        here, there = shapes_scan(index), shapes_scan(index, device="cuda")
        assert torch.equal(here[0], there[0].cpu()) and torch.equal(here[1], there[1].cpu())


def test_the_default_dtype_does_not_matter() -> None:
    before, dtype = digest(3), torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert digest(3) == before
    finally:
        torch.set_default_dtype(dtype)


def test_labels_are_never_empty_nor_most_of_the_volume(cases: list[Case]) -> None:
    voxels = [int(case.label.sum()) for case in cases]
    assert min(voxels) >= LEAST and all(case.label.mean() <= MOST for case in cases)
    assert min(voxels) < 2000 and max(voxels) > 30_000
    for case in cases:
        pieces = int(cc3d.connected_components(case.label, connectivity=6).max())
        assert 1 <= pieces <= case.scene.target.pieces


def test_images_are_finite_and_of_many_scales(cases: list[Case]) -> None:
    assert all(np.isfinite(case.image).all() for case in cases)
    spreads = [case.image.std() for case in cases]
    assert max(spreads) > 50 * min(spreads)


def test_a_few_labels_touch_the_border_of_the_scan(cases: list[Case]) -> None:
    touching = [
        any(low == 0 or high == side for low, high, side in zip(*bounding_box(c.label), c.label.shape, strict=True))
        for c in cases
    ]
    assert 0 < np.mean(touching) < 0.4


def test_all_families_occur_and_can_be_drawn() -> None:
    scenes = {scene.target.family: scene for scene in (Scene.draw(np.random.default_rng(seed)) for seed in range(100))}
    assert set(scenes) == set(FAMILIES)
    for scene in scenes.values():
        painted = paint(scene, Grid.whole(scene.size, scene.extent, 7, torch.device("cpu")))
        assert painted is not None and int(painted[1].sum()) >= LEAST


def test_targets_lie_among_all_kinds_of_things(cases: list[Case]) -> None:
    scenes = [case.scene for case in cases]
    assert {scene.tissues.kind for scene in scenes} == {"layers", "folds", "cells"}
    for trait in (
        [scene.body is not None for scene in scenes],
        [bool(scene.alike) for scene in scenes],
        [scene.look.faint > 0 for scene in scenes],
        [scene.look.leak > 0 for scene in scenes],
        [scene.look.core > 0 for scene in scenes],
        [scene.look.rim_width > 0 for scene in scenes],
    ):
        assert 0.05 < np.mean(trait) < 0.95


def test_grids_are_anisotropic_and_of_many_sizes(cases: list[Case]) -> None:
    steps = np.array([np.divide(case.scene.extent, case.scene.size) for case in cases])
    assert steps.min() >= 0.69 and steps.max() <= 4.01
    ratios = steps.max(axis=1) / steps.min(axis=1)
    assert ratios.max() > 3 and np.mean(ratios > 1.5) > 0.3 and np.mean(ratios < 1.3) > 0.1
    assert {int(step.argmax()) for step in steps} == {0, 1, 2}
    sides = np.array([case.scene.size for case in cases])
    assert sides.min() >= 24 and sides.max() <= 80 and len(np.unique(sides)) > 15


def test_a_person_would_find_most_targets_and_some_hardly(cases: list[Case]) -> None:
    """By the difference to what lies within two voxels, in standard deviations of the target."""
    clear = []
    for case in cases:
        image, label = case.image[case.crop], case.label[case.crop]
        near = np.zeros_like(label)
        for axis in range(3):
            for step in (-2, 2):
                near |= np.roll(label, step, axis)  # the crop has a margin, or the scan ends
        near &= ~label
        clear.append(abs(image[label].mean() - image[near].mean()) / image[label].std())
    assert 1.5 < np.median(clear) < 3.5
    assert min(clear) < 0.6 and max(clear) > 5


def test_otsu_is_neither_trivial_nor_hopeless(cases: list[Case]) -> None:
    """Told whether the target is bright or dark."""
    scores = []
    for case in cases:
        image, label = case.image[case.crop], case.label[case.crop]
        bright = image > threshold_otsu(image)
        scores.append(max(dice(bright, label), dice(~bright, label)))
    assert 0.3 <= np.mean(scores) <= 0.75
    assert np.std(scores) > 0.15


def test_an_ellipsoid_in_the_box_is_not_enough(cases: list[Case]) -> None:
    scores = []
    for case in cases:
        low, high = map(np.array, bounding_box(case.label))
        places = np.moveaxis(np.indices(case.label.shape), 0, -1) + 0.5
        square = ((places - (low + high) / 2) / ((high - low) / 2)) ** 2
        scores.append(dice(square.sum(axis=-1) <= 1, case.label))
    assert 0.4 < np.mean(scores) < 0.75


def test_source_keeps_the_protocol() -> None:
    source = ShapesSource()
    assert isinstance(source, VolumeSource)
    assert (source.name, source.modalities, len(source)) == ("shapes", 1, 2**30)
    assert source.case_name(42) == "shapes_0000000042"
    for ask in (shapes_scan, source.case_name, source.scan, source.case):
        with pytest.raises(IndexError, match=rf"shapes case {CASES}: expected an index in \[0, {CASES}\)"):
            ask(CASES)


def test_a_scan_says_where_its_voxels_lie_and_a_case_is_its_cut() -> None:
    source = ShapesSource()
    scan, case, (image, label, scene) = source.scan(8), source.case(8), shapes_scan(8)
    assert np.array_equal(scan.image, image.numpy()) and np.array_equal(scan.label, label.numpy())
    assert np.allclose(np.diag(scan.affine)[:3] * scan.label.shape, scene.extent)
    assert np.allclose(scan.affine @ [*((n - 1) / 2 for n in scan.label.shape), 1.0], [0.0, 0.0, 0.0, 1.0])
    cut = tuple(slice(start, start + side) for start, side in zip(case.origin, case.label.shape, strict=True))
    assert np.array_equal(case.image.numpy(), scan.image[(slice(None), *cut)])
    assert np.array_equal(case.label.numpy(), scan.label[cut])
    assert source.case(8) is case
    assert ShapesSource(whole=True).case(8).label.shape == scan.label.shape
