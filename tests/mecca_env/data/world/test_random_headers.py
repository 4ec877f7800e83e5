"""Scan, label and saved mask lie on each other, in SimpleITK and in nibabel, whatever the scan's header says."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mecca_env.data.base import DataError
from mecca_env.data.inventory import SUFFIXES, CaseFiles
from mecca_env.data.reading import read_mask, read_scan
from mecca_env.data.saving import save_mask
from mecca_env.data.world.nifti import read_header, rounding
from tests.support.headers import MILLIMETRES, Affine, seen, write_header, write_itk

INTEGERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
FLOATS = ("f4", "f8")
OF_ITK = tuple(ending for ending in (".mha", ".nrrd") if ending in SUFFIXES)


@dataclass(frozen=True)
class Place:
    """A place in the world, millimetres."""

    voxel: tuple[float, float, float]
    turn: int
    origin: tuple[float, float, float]
    shear: float

    @property
    def affine(self) -> Affine:
        """(4, 4); every fourth turn is one of axes, with no rounding in it."""
        rng = np.random.default_rng(self.turn)
        axes = np.eye(3)[rng.permutation(3)] * rng.choice((-1, 1), 3)
        if self.turn % 4:
            axes = axes @ Rotation.random(random_state=rng).as_matrix()
        affine = np.eye(4)
        affine[:3, :3] = axes @ (np.eye(3) + self.shear * np.eye(3, k=1)) * self.voxel
        affine[:3, 3] = self.origin
        return affine


def places(*shears: float) -> st.SearchStrategy[Place]:
    """Voxels of a micron to a metre, origins up to ten metres away."""
    voxel = st.floats(-3, 3).map(lambda power: float(10**power))
    origin = st.one_of(st.floats(-1e4, 1e4), st.sampled_from((0.0, -90.0)))
    return st.builds(
        Place,
        st.one_of(st.tuples(voxel, voxel, voxel), voxel.map(lambda side: (side, side, side))),
        st.integers(0, 999),
        st.tuples(origin, origin, origin),
        st.sampled_from(shears),
    )


SHAPES = st.tuples(*(st.integers(1, 4),) * 3).filter(lambda shape: np.prod(shape) > 1)


@given(data=st.data())
@settings(max_examples=400)
def test_a_nifti_scan(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, shape, draw = tmp_path_factory.mktemp("nifti"), data.draw(SHAPES), data.draw
    ending = draw(st.sampled_from((".nii", ".nii.gz", ".hdr")))
    unit = draw(st.sampled_from(tuple(MILLIMETRES)))
    to_unit = np.diag([*[1 / MILLIMETRES[unit]] * 3, 1])
    sform = draw(places(0.0, 0.0, 0.3))
    qform = draw(st.one_of(st.just(sform), places(0.0)))
    header = {
        "sform": to_unit @ sform.affine,
        "qform": to_unit @ qform.affine,
        "codes": draw(st.tuples(st.integers(0, 4), st.integers(0, 4))),
        "unit": unit,
        "version": draw(st.sampled_from((1, 1, 1, 2))),
        "order": draw(st.sampled_from("<>")),
    }
    kind = draw(st.sampled_from((*INTEGERS, *FLOATS)))
    scaling = draw(st.none() | st.tuples(st.floats(0.1, 10), st.floats(-5, 5))) if kind in INTEGERS else None
    voxels = np.arange(np.prod(shape)).reshape(shape + draw(st.sampled_from(((), (1,)))))
    scan = write_header(folder / f"scan{ending}", voxels.astype(kind), scaling=scaling, **header)
    label = write_header(folder / f"label{ending}", (voxels % 3 > 0).astype(np.uint8), **header)
    expected = seen(scan)
    assert expected[1] is not None and (expected[0] is not None or header["version"] == 2 or _odd(header))

    case = read_scan(CaseFiles("case", (scan,), label), None, 1)
    assert np.array_equal(case.affine, expected[1])
    mask = folder / draw(st.sampled_from(("mask.nii", "mask.nii.gz")))
    save_mask(case.label, case.affine, mask, read_header(scan))
    assert np.array_equal(nibabel.load(mask).get_fdata(), voxels.reshape(shape) % 3 > 0)
    assert np.array_equal(read_mask(mask, (shape, case.affine)), case.label)
    for of_scan, of_label, of_mask in zip(expected, seen(label), seen(mask), strict=True):
        assert (of_scan is None) == (of_mask is None)
        assert of_scan is None or (np.array_equal(of_scan, of_label) and np.array_equal(of_scan, of_mask))

    _move(header, tuple(draw(st.sampled_from((-1, 1))) for _ in range(3)))
    moved = write_header(folder / f"moved{ending}", (voxels % 3 > 0).astype(np.uint8), **header)
    if any(header["codes"]) and rounding(case.affine).max() < 0.1 * min(np.linalg.norm(case.affine[:3, :3], axis=0)):
        with pytest.raises(DataError, match="expected the affine"):
            read_mask(moved, (shape, case.affine))


@pytest.mark.skipif(not OF_ITK, reason="no such format")
@given(data=st.data())
@settings(max_examples=100)
def test_a_scan_of_itk(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("SimpleITK")
    folder, shape, draw = tmp_path_factory.mktemp("itk"), data.draw(SHAPES), data.draw
    ending, kind = draw(st.sampled_from(OF_ITK)), draw(st.sampled_from((*INTEGERS, *FLOATS)))
    affine, voxels = draw(places(0.0)).affine, np.arange(np.prod(shape)).reshape(shape)
    scan = write_itk(folder / f"scan{ending}", voxels.astype(kind), affine)
    label = write_itk(folder / f"label{ending}", (voxels % 3 > 0).astype(np.uint8), affine)
    there = seen(scan)[0]
    assert there is not None and np.array_equal(there, seen(label)[0])

    case = read_scan(CaseFiles("case", (scan,), label), None, 1)
    np.testing.assert_allclose(case.affine, there, rtol=1e-12, atol=1e-12)
    save_mask(case.label, case.affine, folder / "mask.nii", read_header(scan))
    assert np.array_equal(read_mask(folder / "mask.nii", (shape, case.affine)), case.label)
    by_itk, by_nibabel = seen(folder / "mask.nii")
    small = min(np.linalg.norm(affine[:3, :3], axis=0))
    assert (by_itk is None) == (rounding(affine)[:3, 3].max() > 0.2 * small)  # what NIfTI-1 cannot hold
    for found in (by_itk, by_nibabel):
        if found is not None:
            far = np.linalg.norm((found - there) @ [*(n - 1 for n in shape), 1])
            assert far < 0.3 * small


def _odd(header: dict) -> bool:
    """Whether ITK has nothing to go by: a sform with shear, and no qform."""
    return header["codes"][0] > 0 and header["codes"][1] == 0


def _move(header: dict, steps: tuple[int, ...]) -> None:
    """Both forms, by some voxels."""
    for form in ("sform", "qform"):
        header[form] = header[form].copy()
        header[form][:3, 3] += header[form][:3, :3] @ steps
