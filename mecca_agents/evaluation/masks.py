"""The final mask of every evaluated case, on its scan's own grid."""

from __future__ import annotations

from pathlib import Path

from mecca_agents.evaluation.play import PlayedStep
from mecca_env.data.base import VolumeSource
from mecca_env.data.files import FileSource
from mecca_env.data.saving import refuse_over, save_mask
from mecca_env.data.world.nifti import read_header


class MaskWriter:
    """Writes `<case>.nii.gz` when a case is over; an observer of evaluations.

    Args:
        folder: An existing folder; files of these names are replaced, but none of the data set.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checked: VolumeSource | None = None

    def __call__(self, played: PlayedStep) -> None:
        """Take in a step.

        Raises:
            mecca_env.data.base.DataError: A file cannot be written; or it is one of the data set, which is looked for
                at the first step.
        """
        source = played.envs.dataset
        if source is not self._checked:
            self._refuse_own_files(source)
            self._checked = source
        if played.over:
            mask, affine = played.envs.paste_back(0)
            scan = source.files(int(played.after.case_index[0])).images[0] if isinstance(source, FileSource) else None
            save_mask(mask, affine, self._path(played.case), None if scan is None else read_header(scan))

    def _refuse_own_files(self, source: VolumeSource) -> None:
        if not isinstance(source, FileSource):
            return
        own: dict[str, list[Path]] = {}
        for index in range(len(source)):
            for path in source.files(index).paths:
                own.setdefault(path.name.lower(), []).append(path)
        for index in range(len(source)):
            mask = self._path(source.case_name(index))
            refuse_over(mask, own.get(mask.name.lower(), ()))

    def _path(self, case: str) -> Path:
        return self._folder / f"{case}.nii.gz"
