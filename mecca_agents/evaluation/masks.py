"""The final mask of every evaluated case, on its scan's own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mecca_agents.evaluation.play import PlayedStep
from mecca_env.data.base import VolumeSource
from mecca_env.data.files import FileSource
from mecca_env.data.formats.npz import ENDING, is_npz
from mecca_env.data.saving import refuse_over, save_classes, save_mask
from mecca_env.data.world.nifti import read_header
from mecca_env.vector_env import MeccaVectorEnv


class MaskWriter:
    """Writes `<case>.nii.gz` when a case is over; an observer of evaluations.

    Of scans in the files of the CVPR 2025 challenge it also writes `<scan>.npz` when the last case of a scan is over:
    `segs` with all classes that were played (`mecca_env.data.saving.save_classes`). Where two of them hold a voxel, it
    is the later one's. The class of a case is its foreground value, or 1 where it has several or all above 0.

    Args:
        folder: An existing folder; files of these names are replaced, but none of the data set.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checked: VolumeSource | None = None
        self._classes: NDArray[np.uint16] | None = None  # of the scan that is being played

    def __call__(self, played: PlayedStep) -> None:
        """Take in a step.

        Raises:
            mecca_env.data.base.DataError: A file cannot be written; or it is one of the data set, which is looked for
                at the first step.
        """
        source = played.envs.dataset
        if source is not self._checked:
            self._refuse_own_files(source)
            self._checked, self._classes = source, None
        if not played.over:
            return
        mask, affine = played.envs.paste_back(0)
        path, index = self._path(played.case), int(played.after.case_index[0])
        if not isinstance(source, FileSource):
            save_mask(mask, affine, path)
            return
        scan = source.files(index).images[0]
        save_mask(mask, affine, path, read_header(scan))
        if is_npz(scan):
            self._add_class(mask, source, index, played.envs)

    def _add_class(self, mask: NDArray[np.bool_], source: FileSource, index: int, envs: MeccaVectorEnv) -> None:
        values, scan = source.foreground(index), source.files(index).name
        if self._classes is None:
            self._classes = np.zeros(mask.shape, np.uint16)
        self._classes[mask] = values[0] if values is not None and len(values) == 1 else 1
        later = (int(other) for other in envs.cases.indices if other > index)  # cases come scan after scan
        if not any(source.files(other).name == scan for other in later):
            save_classes(self._classes, self._folder / f"{scan}{ENDING}")
            self._classes = None

    def _refuse_own_files(self, source: VolumeSource) -> None:
        if not isinstance(source, FileSource):
            return
        own: dict[str, list[Path]] = {}
        for index in range(len(source)):
            for path in source.files(index).paths:
                own.setdefault(path.name.lower(), []).append(path)
        for index in range(len(source)):
            for written in (self._path(source.case_name(index)), self._folder / f"{source.files(index).name}{ENDING}"):
                refuse_over(written, own.get(written.name.lower(), ()))

    def _path(self, case: str) -> Path:
        return self._folder / f"{case}.nii.gz"
