"""Scores on a scan's grid from what a prepared case holds: those of the whole scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mecca_agents.evaluation.protocols import CaseOnScan, ScanScores, scan_scores
from mecca_agents.evaluation.protocols.surfaces import surface_dice_of, surface_of
from mecca_env.data.base import PreparedCase
from mecca_env.metrics import surface_dice
from mecca_env.vector_env import MeccaVectorEnv
from tests.mecca_env.test_metrics import SPACINGS, blob
from tests.support.volumes import SHAPE, ellipsoid, prepared

SPACING = (1.5, 1.25, 3.0)  # of the support's affine


@dataclass
class Source:
    """Somebody's own data set of one case."""

    only: PreparedCase
    name: str = "own"
    modalities: int = 1

    def __len__(self) -> int:
        return 1

    def case_name(self, index: int) -> str:
        return self.only.name

    def case(self, index: int) -> PreparedCase:
        return self.only


def on_scan(label: NDArray[np.bool_], **settings: Any) -> tuple[CaseOnScan, PreparedCase]:
    case = prepared(label, **settings)
    return CaseOnScan(Source(case), 0), case


def _corner() -> NDArray[np.bool_]:
    """A label that touches three sides of its scan."""
    label = np.zeros((40, 36, 30), np.bool_)
    label[:7, 29:, 3:9] = True
    label[2:5, 31:33, 9:12] = True
    return label


@pytest.mark.parametrize("label", [ellipsoid(), _corner()], ids=["middle", "corner"])
@pytest.mark.parametrize("shift", [0, 1, 3, 9])
def test_it_is_the_score_of_the_whole_scan(label: NDArray[np.bool_], shift: int) -> None:
    """Wherever the mask lies, at the scan's border and far from the label as well."""
    scored, case = on_scan(label, extension=(0, 1), rotation=0.0, evaluation_extension=1)
    assert case.label.shape != label.shape and case.scan_shape == label.shape  # there is nothing but the cut
    mask = np.roll(label, (shift, -shift, shift), (0, 1, 2)) | np.roll(label, shift, 0)
    mask[-2:, :3, -4:] |= shift == 3  # a second object in another corner
    expected = scan_scores(mask, label, spacing=SPACING)
    assert scored.scores(mask) == pytest.approx(expected, abs=1e-6)
    assert (expected.dsc > 0.2) == (expected.nsd > 0)


def test_what_is_known_of_it_does_not_change_with_what_was_kept() -> None:
    label, mask = _corner(), np.roll(_corner(), 1, 2)
    cut, whole = (on_scan(label, whole=kept, extension=(0, 0))[0].scores(mask) for kept in (False, True))
    assert cut == whole and 0.2 < cut.dsc < 1


def test_an_empty_mask_scores_nothing_and_another_grid_is_refused() -> None:
    scored, _ = on_scan(ellipsoid())
    assert scored.scores(np.zeros(SHAPE, np.bool_)) == ScanScores(0.0, 0.0)
    with pytest.raises(ValueError, match=r"expected the shape of its scan, \(24, 22, 16\), got \(22, 24, 16\)"):
        scored.scores(np.zeros((22, 24, 16), np.bool_))


def test_the_case_is_asked_for_once_and_late(monkeypatch: pytest.MonkeyPatch) -> None:
    source, asked = Source(prepared(ellipsoid())), list[int]()
    monkeypatch.setattr(source, "case", lambda index: asked.append(index) or source.only)
    scored = CaseOnScan(source, 0)
    assert not asked
    assert scored.scores(ellipsoid()) == scored.scores(ellipsoid()) == ScanScores(1.0, 1.0)
    assert asked == [0]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.0, 2.5])
def test_surfaces_share_what_the_environments_measure_says(
    spacing: tuple[float, float, float], tolerance: float
) -> None:
    for seed in range(4):
        one, other = blob(seed), blob(seed + 10)
        surfaces = [surface_of(mask, (0, 0, 0), spacing) for mask in (one, other)]
        expected = surface_dice(one, other, spacing=spacing, tolerance=tolerance)
        assert surface_dice_of(*surfaces, tolerance) == pytest.approx(expected, abs=1e-6)


def test_what_lies_at_the_tolerance_is_forgiven_wherever_the_scan_is_large() -> None:
    """In steps of 0.4 mm, which binary numbers do not have; five of them are 2 mm."""
    cube = np.ones((6, 6, 6), np.bool_)
    for start in (0, 3, 117, 4001):
        there, back = (surface_of(cube, (start + off, 0, 0), (0.4, 0.4, 0.4)) for off in (0, 5))
        assert surface_dice_of(there, back, 2.0) == 1.0
        assert surface_dice_of(there, back, 1.99) < 1.0


def test_a_source_of_ones_own_is_scored_from_its_prepared_cases() -> None:
    source = Source(prepared(ellipsoid()))
    envs = MeccaVectorEnv(1, source, shape=(24, 22, 16), autoreset_mode="Disabled", augment=False)
    envs.reset(seed=0)
    envs.step(torch.where(envs.state.label, 5, 0))
    mask, _ = envs.paste_back(0)
    assert CaseOnScan(envs.dataset, 0).scores(mask) == ScanScores(1.0, 1.0)
