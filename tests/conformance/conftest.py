"""A small data set for every id, in the layout that the id is published in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.envs import SETTINGS
from tests.support.volumes import write_brats2015, write_brats2020, write_decathlon, write_mmwhs, write_pairs

WRITERS: dict[str, Callable[[Path], Path] | None] = {
    "MECCA-BraTS-v0": write_brats2020,
    "MECCA-BraTS2015-v0": write_brats2015,
    "MECCA-LeftAtrium-v0": write_mmwhs,
    "MECCA-Spleen-v0": write_decathlon,
    "MECCA-Liver-v0": write_decathlon,
    "MECCA-Hippocampus-v0": write_decathlon,
    "MECCA-Volumes-v0": write_pairs,
    "MECCA-Phantom-v0": None,
    "MECCA-Shapes-v0": None,
    "MECCA-Stream-v0": None,
}

Keywords = Callable[[str], dict[str, Any]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes `env_id` runs for every id listed here."""
    if "env_id" in metafunc.fixturenames:
        metafunc.parametrize("env_id", WRITERS)


@pytest.fixture(scope="session")
def listed_ids() -> set[str]:
    """The ids that the tests run for."""
    return set(WRITERS)


@pytest.fixture(scope="session")
def keywords(tmp_path_factory: pytest.TempPathFactory) -> Keywords:
    """From an id to the keywords that make a small env of it, on its own data."""
    roots: dict[str, Path] = {}

    def of(env_id: str) -> dict[str, Any]:
        write = WRITERS[env_id]
        if write is None:
            return {**SETTINGS, "cases": 4}
        if write is write_brats2015:
            pytest.importorskip("SimpleITK", reason="reading .mha files needs the extra mha")
        if env_id not in roots:
            roots[env_id] = write(tmp_path_factory.mktemp(env_id))
        return {**SETTINGS, "root": str(roots[env_id]), "split": "all"}

    return of
