"""The final mask of every evaluated case, on its scan's own grid."""

from __future__ import annotations

from pathlib import Path

from mecca_agents.evaluation.play import PlayedStep
from mecca_env.data.saving import save_mask


class MaskWriter:
    """Writes `<case>.nii.gz` when a case is over; an observer of evaluations.

    Args:
        folder: An existing folder; files of these names are replaced.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, played: PlayedStep) -> None:
        """Take in a step. Raises `mecca_env.data.base.DataError` where the file cannot be written."""
        if played.over:
            mask, affine = played.envs.paste_back(0)
            save_mask(mask, affine, self._folder / f"{played.case}.nii.gz")
