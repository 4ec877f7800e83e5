"""What resampling alone costs: the score of a label that was on an episode's grid and came back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mecca_agents.evaluation.play import PlayedStep
from mecca_agents.evaluation.protocols.cvpr25 import TOLERANCE, ScanScores, scan_scores
from mecca_agents.evaluation.results import mean_of_scans
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


class Bound:
    """Collects what the label of every case scores that was on the episode's grid and came back, where it was shown.

    An observer of evaluations. In the crop around the label that is `resampling_bound`; where a crop shows less of the
    label, what it leaves out is lost as well.

    Attributes:
        scores: Of every case, by its name.
    """

    def __init__(self) -> None:
        self.scores: dict[str, ScanScores] = {}

    def __call__(self, played: PlayedStep) -> None:
        """Take in a step; the first one of a case is looked at."""
        if played.step == 1:
            returned, _ = played.envs.paste_back(0, played.after.label[0])
            self.scores[played.case] = played.on_scan.scores(returned)

    @property
    def mean(self) -> ScanScores:
        """The mean over cases, those of one scan counted once; NaN where there are none."""
        names, values = list(self.scores), list(self.scores.values())
        return ScanScores(
            *(mean_of_scans(names, [getattr(score, name) for score in values]) for name in ScanScores._fields)
        )

    def line(self) -> str:
        """The mean, as text; in per cent."""
        mean = self.mean
        return (
            f"bound: the label itself, on the episode's grid and back, scores {100 * mean.dsc:.2f} scan Dice %, "
            f"{100 * mean.nsd:.1f} scan NSD %"
        )
