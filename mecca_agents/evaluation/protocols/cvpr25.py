"""The measures of the CVPR 2025 challenge Foundation Models for Interactive 3D Biomedical Image Segmentation.

They are of a prediction on the scan's own grid, and of a course of such predictions: one after the box, one after each
of five clicks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mecca_env.metrics import surface_dice

TOLERANCE = 2.0
"""Millimetres that the challenge's NSD forgives."""

LEAST_DSC = 0.2
"""NSD is 0 where DSC is not above this."""


class ScanScores(NamedTuple):
    """Scores of one prediction of one scan.

    Attributes:
        dsc: Dice similarity coefficient, in [0, 1].
        nsd: Normalised surface Dice, in [0, 1].
    """

    dsc: float
    nsd: float


class InteractiveScores(NamedTuple):
    """Scores of all predictions of one scan, in the challenge's names.

    Attributes:
        dsc_auc: Area under DSC over the clicks, not normalised; with five clicks at most 4.
        nsd_auc: Area under NSD likewise.
        dsc_final: DSC after the last click.
        nsd_final: NSD after the last click.
    """

    dsc_auc: float
    nsd_auc: float
    dsc_final: float
    nsd_final: float


def scan_scores(
    prediction: NDArray[Any],
    label: NDArray[Any],
    *,
    spacing: tuple[float, float, float],
    tolerance: float = TOLERANCE,
) -> ScanScores:
    """DSC and NSD of a prediction on its scan's grid.

    Both are means over the classes that the label has: a class that is only predicted does not count. NSD is by the
    area of the surfaces (`mecca_env.metrics.surface_dice`), and 0 where DSC, the mean one, is not above `LEAST_DSC`. A
    label without any class is one empty object: a prediction without any agrees and scores 1 and 1, any other 0 and 0.

    The challenge's own script takes the spacing as its files have it, which is (x, y, z), for arrays (D, H, W): in
    scans that are not isotropic its millimetres are those of other axes. Here the spacing is in the order of the
    array's axes. Who wants the script's numbers hands over arrays (D, H, W) and the file's (x, y, z).

    Args:
        prediction: Three axes, bool, or integers: classes, 0 for none.
        label: Likewise, of the same shape.
        spacing: Millimetres between voxels along the three axes, in their order.
        tolerance: Millimetres that NSD forgives.

    Returns:
        Both scores.

    Raises:
        ValueError: The arrays are not of one shape with three axes, a spacing is not above 0, or the tolerance is
            below 0.
        TypeError: An array is neither bool nor of integers.
    """
    predicted, labelled = np.asarray(prediction), np.asarray(label)
    for name, array in (("prediction", predicted), ("label", labelled)):
        if array.dtype.kind not in "biu":
            raise TypeError(f"{name}: expected bool or integers, got {array.dtype}")
    if predicted.ndim != 3 or predicted.shape != labelled.shape:
        raise ValueError(
            f"prediction, label: expected one shape with three axes, got {predicted.shape} and {labelled.shape}"
        )
    pairs = [(predicted == c, labelled == c) for c in np.unique(labelled[labelled > 0])]
    pairs = pairs or [(predicted > 0, labelled > 0)]
    dsc = float(np.mean([_dsc(*pair) for pair in pairs]))
    nsd = np.mean([surface_dice(*pair, spacing=spacing, tolerance=tolerance) for pair in pairs])
    return ScanScores(dsc, float(nsd) if dsc > LEAST_DSC else 0.0)


def area_under_clicks(scores: Sequence[float]) -> float:
    """Area under a score over the number of clicks, by the trapezoid rule; not normalised.

    Args:
        scores: After the first click, the second one and so on, (K,); five of them in the challenge, which leaves out
            the prediction that has only a box, since not every scan has one.

    Returns:
        At most K - 1.

    Raises:
        ValueError: There are fewer than two.
    """
    if len(scores) < 2:
        raise ValueError(f"scores: expected those after two clicks or more, got {len(scores)}")
    from scipy.integrate import trapezoid  # late, since it takes a while

    return float(trapezoid(np.asarray(scores, np.float64)))


def interactive_scores(steps: Sequence[ScanScores]) -> InteractiveScores:
    """The challenge's four scores of a scan.

    Args:
        steps: One for each prediction: that after the box, then one after each click. Of a scan without a box the first
            is 0 and 0; it counts nowhere here.

    Raises:
        ValueError: There are fewer than three.
    """
    if len(steps) < 3:
        raise ValueError(f"steps: expected that of the box and those of two clicks or more, got {len(steps)}")
    dsc, nsd = ([getattr(step, name) for step in steps[1:]] for name in ScanScores._fields)
    return InteractiveScores(area_under_clicks(dsc), area_under_clicks(nsd), steps[-1].dsc, steps[-1].nsd)


def _dsc(prediction: NDArray[np.bool_], label: NDArray[np.bool_]) -> float:
    """Of two masks; two empty ones agree."""
    total = np.count_nonzero(prediction) + np.count_nonzero(label)
    return 2 * np.count_nonzero(prediction & label) / total if total else 1.0
