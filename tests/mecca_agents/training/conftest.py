"""Scans that the tests of trainings share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.agents import write_scans


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small scans."""
    return write_scans(tmp_path_factory.mktemp("data") / "Task09_Spleen")
