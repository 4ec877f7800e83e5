"""Supervoxels that were kept on disk: found again, and never those that were made in another way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mecca_env.data.caching.disk import fetch
from mecca_env.data.files import FileSource
from mecca_env.data.selection import Cases
from tests.support.volumes import write_pairs


def test_supervoxels_from_before_they_were_merged_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "cache"))
    source = FileSource("pairs", write_pairs(tmp_path / "pairs"))
    keys: list[Mapping[str, Any]] = []

    def noted(key: Mapping[str, Any], build: Any) -> Any:
        keys.append(key)
        return fetch(key, build)

    def regions(made: int) -> set[int]:
        cases = Cases(source, "all", range(len(source)))  # of another process, as it were
        found = cases.supervoxels(0, source.case(0), ("settings",), lambda: np.full((1, 2, 2, 2), made, np.int16))
        return set(found.ravel().tolist())

    monkeypatch.setattr("mecca_env.data.selection.fetch", noted)
    assert regions(1) == regions(2) == {1}
    monkeypatch.setenv("MECCA_CACHE", str(tmp_path / "older"))
    fetch({**keys[0], "format": 2}, lambda: {"regions": np.full((1, 2, 2, 2), 3, np.int16)})
    assert regions(4) == {4}
