"""What resampling alone costs: the score of a label that was on an episode's grid and came back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mecca_agents.evaluation.protocols.cvpr25 import TOLERANCE, ScanScores, scan_scores
from mecca_env.data.base import PreparedCase, Triple
from mecca_env.data.grid.cutting import paste_back
from mecca_env.data.grid.placement import fixed_placement
from mecca_env.data.grid.sampling import resample_case
from mecca_env.process.config import EnvConfig


def resampling_bound(
    case: PreparedCase,
    label: NDArray[np.bool_],
    shape: Triple,
    *,
    evaluation_extension: int = EnvConfig.evaluation_extension,
    tolerance: float = TOLERANCE,
) -> ScanScores:
    """What the label itself scores on the scan's own grid after a trip to an episode's grid and back.

    On its grid an agent that is right everywhere reaches this, so it is what a score on the scan's grid is to be read
    beside. It is no strict bound: probabilities between 0 and 1 can come back to a mask that fits a little better.

    Args:
        case: The prepared case; its label is the same one.
        label: The case's label on the whole scan, (X, Y, Z) bool.
        shape: The episode's grid, (D, H, W).
        evaluation_extension: Voxels around the label's box that an evaluation shows, as the environment has it.
        tolerance: Millimetres that NSD forgives.

    Returns:
        DSC and NSD, as `mecca_agents.evaluation.protocols.scan_scores` measures them.

    Raises:
        ValueError: The label has another shape than the case's scan.
    """
    if label.shape != case.scan_shape:
        raise ValueError(f"label: expected the shape of the scan, {case.scan_shape}, got {label.shape}")
    placement = fixed_placement(case, shape, evaluation_extension)
    _, on_grid = resample_case(case, placement, EnvConfig.intensity_clip, "cpu")
    returned = paste_back(on_grid, placement, case.scan_shape)
    a, b, c = (float(side) for side in np.linalg.norm(case.affine[:3, :3], axis=0))
    return scan_scores(returned, label, spacing=(a, b, c), tolerance=tolerance)
