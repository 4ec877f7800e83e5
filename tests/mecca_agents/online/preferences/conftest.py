"""Projects in whose logs somebody chose between two proposals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_agents.session import InteractiveSession, Model
from tests.support.volumes import AFFINE, ellipsoid, intensities, write_nifti

Pair = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def larger(masks: Pair) -> int:
    """The choice of somebody who always wants more."""
    return int(masks[1].sum() > masks[0].sum())


def write_choices(
    model: Model, project: Path, scans: int, each: int, choose: Callable[[Pair], int] = larger
) -> dict[str, list[tuple[Pair, int]]]:
    """Let somebody choose so often on each of so many scans, which have no accepted masks; what they chose between."""
    found: dict[str, list[tuple[Pair, int]]] = {}
    (project / "logs").mkdir(parents=True, exist_ok=True)
    for seed in range(scans):
        path = write_nifti(project / "images" / f"scan{seed}.nii.gz", intensities(ellipsoid(), seed), AFFINE)
        with InteractiveSession(model) as session:
            session.set_image(str(path))
            session.set_box((5, 5, 3), (19, 17, 13))
            session.add_clicks((12, 11, 8), inside=True)
            for _ in range(each):
                masks = session.proposals()
                index = choose(masks)
                session.choose(index)
                found.setdefault(f"scan{seed}", []).append((masks, index))
            session.save_log(project / "logs" / f"scan{seed}.json")
    return found


@pytest.fixture(scope="session")
def project(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scans with ten choices each, of somebody who always wants more; not to be written to."""
    folder = tmp_path_factory.mktemp("projects") / "larger"
    write_choices(model, folder, 6, 10)
    return folder
