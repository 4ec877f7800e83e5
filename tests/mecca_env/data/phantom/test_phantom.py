"""The phantom: a pure function of its index, anatomically sane, neither trivial nor hopeless to segment."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from mecca_env.data.base import VolumeSource
from mecca_env.data.phantom import CASES, PhantomSource, phantom_scan

CASES_LOOKED_AT = 40
MARGIN = 6  # of the evaluation crop, voxels
HASH_IN_NEW_PROCESS = """
import hashlib
from mecca_env.data.phantom import phantom_scan
image, label = phantom_scan({index})
print(hashlib.sha256(image.numpy().tobytes() + label.numpy().tobytes()).hexdigest())
"""

Case = tuple[NDArray[np.float32], NDArray[np.bool_]]


@pytest.fixture(scope="module")
def scans() -> list[Case]:
    return [(image[0].numpy(), label.numpy()) for image, label in map(phantom_scan, range(CASES_LOOKED_AT))]


def crop(image: NDArray[np.float32], label: NDArray[np.bool_]) -> Case:
    """The evaluation crop: the label's bounding box and six voxels on each side."""
    cut = tuple(slice(max(places.min() - MARGIN, 0), places.max() + MARGIN + 1) for places in np.nonzero(label))
    return image[cut], label[cut]


def extents(label: NDArray[np.bool_]) -> list[int]:
    return [int(places.max() - places.min()) + 1 for places in np.nonzero(label)]


def same(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return all(torch.equal(x.cpu(), y.cpu()) for x, y in zip(a, b, strict=True))


def test_shapes_and_types() -> None:
    image, label = phantom_scan(3)
    assert image.shape == (1, 96, 96, 64) and image.dtype == torch.float32
    assert label.shape == (96, 96, 64) and label.dtype == torch.bool
    assert torch.isfinite(image).all()


def test_a_case_is_the_same_in_any_order_and_the_last_index_exists() -> None:
    forwards = {index: phantom_scan(index) for index in (0, 7, CASES - 1)}
    backwards = {index: phantom_scan(index) for index in (CASES - 1, 7, 0)}
    assert all(same(forwards[index], backwards[index]) for index in forwards)


@pytest.mark.slow
def test_a_case_is_the_same_in_a_fresh_process_and_with_other_thread_counts() -> None:
    image, label = phantom_scan(11)
    here = hashlib.sha256(image.numpy().tobytes() + label.numpy().tobytes()).hexdigest()
    script = HASH_IN_NEW_PROCESS.format(index=11)
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert same(phantom_scan(11), (image, label))
    finally:
        torch.set_num_threads(threads)


def test_different_indices_differ() -> None:
    images = [phantom_scan(index)[0] for index in (0, 1, 2, 2**16, 2**29)]
    digests = {hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images}
    assert len(digests) == len(images)


def test_global_generators_do_not_matter_and_are_not_touched() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    first = phantom_scan(5)
    torch.manual_seed(2)
    np.random.seed(2)
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())
    assert same(phantom_scan(5), first)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state()) == numpy_state


def test_otsu_is_neither_trivial_nor_hopeless(scans: list[Case]) -> None:
    scores = []
    for scan in scans:
        image, label = crop(*scan)
        guess = image > threshold_otsu(image)
        scores.append(2 * (guess & label).sum() / (guess.sum() + label.sum()))
    assert 0.4 <= np.mean(scores) <= 0.8
    assert np.std(scores) > 0.1


def test_label_is_one_piece_inside_the_brain_clear_of_the_border(scans: list[Case]) -> None:
    for image, label in scans:
        assert ndimage.label(label)[1] == 1
        assert (image[label] > 0).all()
        assert not (label.sum(axis=(1, 2))[[0, -1]].any() or label.sum(axis=(0, 2))[[0, -1]].any())
        assert not label[:, :, [0, -1]].any()


def test_background_is_exactly_zero_and_surrounds_a_brain(scans: list[Case]) -> None:
    for image, _ in scans:
        brain = image > 0
        assert 0.15 < brain.mean() < 0.6  # the cranium takes 1.0 to 1.7 of the 4.7 litres
        assert not (brain[[0, -1]].any() or brain[:, [0, -1]].any() or brain[:, :, [0, -1]].any())
        pieces, _ = ndimage.label(brain)
        assert np.bincount(pieces[brain]).max() > 0.999 * brain.sum()


def test_tumour_and_healthy_tissue_overlap_in_intensity(scans: list[Case]) -> None:
    """A good share of tumour voxels lies among the healthy ones of the crop, yet the tumour is brighter as a whole."""
    shares, brighter = [], []
    for scan in scans:
        image, label = crop(*scan)
        healthy = image[~label & (image > 0)]
        low, high = np.quantile(healthy, [0.01, 0.99])
        shares.append(((image[label] >= low) & (image[label] <= high)).mean())
        brighter.append(np.median(image[label]) > np.median(healthy))
    assert np.mean(shares) > 0.2
    assert max(shares) > 0.5
    assert np.mean(brighter) > 0.95


def test_tumours_come_in_many_sizes_and_places(scans: list[Case]) -> None:
    widest = [max(extents(label)) for _, label in scans]
    assert min(widest) >= 10 and max(widest) <= 36
    assert min(widest) < 18 and max(widest) > 26
    centres = np.array([np.mean(np.nonzero(label), axis=1) for _, label in scans])
    assert (centres.std(axis=0) > [8.0, 6.0, 3.0]).all()


@pytest.mark.parametrize("size", [(48, 48, 32), (65, 71, 47)])
def test_other_sizes_show_the_same_head(size: tuple[int, int, int]) -> None:
    image, label = phantom_scan(4, size=size)
    assert image.shape == (1, *size) and label.any()
    assert ndimage.label(label.numpy())[1] == 1
    assert float((image > 0).float().mean()) == pytest.approx(float((phantom_scan(4)[0] > 0).float().mean()), abs=0.02)


@pytest.mark.parametrize("size", [(96, 96, 31), (96, 96)])
def test_a_useless_size_is_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="size: expected three sides of at least 32 voxels"):
        phantom_scan(0, size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [-1, CASES])
def test_an_index_out_of_range_is_refused(index: int) -> None:
    source = PhantomSource()
    for ask in (phantom_scan, source.case_name, source.scan, source.case):
        with pytest.raises(IndexError, match=rf"phantom case {index}: expected an index in \[0, {CASES}\)"):
            ask(index)


def test_source_keeps_the_protocol() -> None:
    source = PhantomSource()
    assert isinstance(source, VolumeSource)
    assert (source.name, source.modalities, len(source)) == ("phantom", 1, 2**30)
    assert source.case_name(42) == "phantom_0000000042"


def test_scan_has_two_millimetre_voxels_around_the_origin() -> None:
    scan = PhantomSource().scan(8)
    image, label = phantom_scan(8)
    assert np.array_equal(scan.image, image.numpy()) and np.array_equal(scan.label, label.numpy())
    assert np.array_equal(np.diag(scan.affine), [2.0, 2.0, 2.0, 1.0])
    assert np.allclose(scan.affine @ [47.5, 47.5, 31.5, 1.0], [0.0, 0.0, 0.0, 1.0])


def test_case_is_the_scan_cut_around_its_label() -> None:
    source = PhantomSource()
    case, scan = source.case(8), source.scan(8)
    cut = tuple(slice(start, start + side) for start, side in zip(case.origin, case.label.shape, strict=True))
    assert case.name == "phantom_0000000008"
    assert np.array_equal(case.image.numpy(), scan.image[(slice(None), *cut)])
    assert np.array_equal(case.label.numpy(), scan.label[cut])
    assert int(case.label.sum()) == int(scan.label.sum())
    values = crop(scan.image[0], scan.label)[0]
    assert case.mean[0] == pytest.approx(values.mean(dtype=np.float64))
    assert case.std[0] == pytest.approx(values.std(dtype=np.float64), rel=1e-3)


def test_recent_cases_are_kept_within_the_memory_given() -> None:
    source = PhantomSource()
    assert source.case(1) is source.case(1)
    forgetful = PhantomSource(memory_bytes=0)
    first, again = forgetful.case(1), forgetful.case(1)
    assert first is not again and torch.equal(first.image, again.image)
    one = first.image.nbytes + first.label.nbytes
    narrow = PhantomSource(memory_bytes=one)
    kept = narrow.case(1)
    assert narrow.case(1) is kept
    narrow.case(2)
    assert narrow.case(1) is not kept


@pytest.mark.cuda
def test_cuda_draws_what_the_cpu_draws() -> None:
    for index in range(5):
        assert same(phantom_scan(index, device="cuda"), phantom_scan(index))
