"""What a label scores that was on an episode's grid and came back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_agents.evaluation import evaluate_agent
from mecca_agents.evaluation.protocols import ScanScores, scan_scores
from mecca_agents.evaluation.resampling import Bound, resampling_bound
from mecca_env.data.grid.cutting import paste_back
from mecca_env.data.grid.placement import fixed_placement
from mecca_env.data.grid.sampling import resample_case
from tests.mecca_agents.evaluation.test_runner import PLAYED_ON_PHANTOM, Raise
from tests.support.volumes import SHAPE, ellipsoid, prepared, write_pairs

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


@pytest.mark.parametrize("shape", [SIDES, (9, 9, 9)])
def test_an_evaluation_collects_it_for_every_case(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    bound, config = Bound(), replace(PLAYED_ON_PHANTOM, preset=PLAYED_ON_PHANTOM.preset.replace(shape=shape))
    root = write_pairs(tmp_path / "data")
    config = replace(config, env="MECCA-Volumes-v0", dataset="data", root=str(root))
    evaluate_agent(Raise(), config, split="all", observers=[bound], settings={"horizon": 1})
    expected = resampling_bound(prepared(ellipsoid()), ellipsoid(), shape)
    assert set(bound.scores) == set("abc")
    assert all(score == pytest.approx(expected, abs=1e-6) for score in bound.scores.values())
    assert bound.mean == pytest.approx(expected, abs=1e-6)
    percent = f"{100 * expected.dsc:.2f} scan Dice %, {100 * expected.nsd:.1f} scan NSD %"
    assert bound.line() == f"bound: the label itself, on the episode's grid and back, scores {percent}"


def test_what_a_crop_leaves_out_is_lost_as_well(tmp_path: Path) -> None:
    """A cube of 8 mm around a click holds a part of an ellipsoid of 18 x 12.5 x 24 mm."""
    config = replace(
        PLAYED_ON_PHANTOM, env="MECCA-Volumes-v0", dataset="data", root=str(write_pairs(tmp_path / "data"))
    )
    found = []
    for side in (8.0, 96.0):
        bound, settings = Bound(), {"protocol": "first-click", "click_side": (side, side), "horizon": 1}
        evaluate_agent(Raise(), config, split="all", cases=1, observers=[bound], settings=settings)
        found.append(bound.mean.dsc)
    assert found[0] < 0.7 < found[1], found
