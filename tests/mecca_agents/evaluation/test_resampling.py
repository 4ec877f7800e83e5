"""What a label scores that was on an episode's grid and came back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_agents.evaluation.protocols import ScanScores, scan_scores
from mecca_agents.evaluation.resampling import resampling_bound
from mecca_env.data.grid.cutting import paste_back
from mecca_env.data.grid.placement import fixed_placement
from mecca_env.data.grid.sampling import resample_case
from tests.support.volumes import SHAPE, ellipsoid, prepared

SIDES = (24, 22, 16)  # of the crop: the ellipsoid and six voxels around it reach to every side of the scan


def comb() -> NDArray[np.bool_]:
    """Plates of one voxel with one between them: nothing for a coarser grid."""
    label = ellipsoid()
    label[::2] = False
    return label


def test_a_grid_of_the_crops_own_size_loses_nothing() -> None:
    assert resampling_bound(prepared(ellipsoid()), ellipsoid(), SIDES) == ScanScores(1.0, 1.0)
    assert resampling_bound(prepared(comb()), comb(), SIDES) == ScanScores(1.0, 1.0)


def test_a_coarser_grid_loses_and_a_finer_one_less() -> None:
    found = [
        resampling_bound(prepared(ellipsoid()), ellipsoid(), shape) for shape in ((6, 6, 4), (12, 11, 8), (48, 44, 32))
    ]
    assert 0.5 < found[0].dsc < found[1].dsc < found[2].dsc
    assert found[0].nsd <= found[1].nsd <= found[2].nsd
    assert resampling_bound(prepared(comb()), comb(), (12, 11, 8)).dsc < 0.8


def test_it_is_what_the_parts_give_in_the_scans_millimetres() -> None:
    case, shape = prepared(ellipsoid()), (9, 9, 9)
    placement = fixed_placement(case, shape, 6)
    returned = paste_back(resample_case(case, placement, 5.0)[1], placement, SHAPE)
    spacing = (1.5, 1.25, 3.0)  # of the affine, whose signs do not count
    assert resampling_bound(case, ellipsoid(), shape) == scan_scores(returned, ellipsoid(), spacing=spacing)
    other = resampling_bound(case, ellipsoid(), shape, tolerance=0.5)
    assert other == scan_scores(returned, ellipsoid(), spacing=spacing, tolerance=0.5)
    assert other.nsd < 1


def test_the_crop_is_that_of_the_evaluation() -> None:
    case = prepared(ellipsoid(), evaluation_extension=6)
    wide, tight = (resampling_bound(case, ellipsoid(), (9, 9, 9), evaluation_extension=e) for e in (6, 1))
    assert wide != tight


def test_a_label_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"label: expected the shape of the scan, \(24, 22, 16\), got \(23, 22, 16\)"):
        resampling_bound(prepared(ellipsoid()), ellipsoid()[1:], (8, 8, 8))
