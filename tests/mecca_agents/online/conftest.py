"""A run of a tiny network and projects of small scans."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from mecca_agents import PRESETS, train
from mecca_agents.session import InteractiveSession, Model, load_model
from tests.support.volumes import AFFINE, ellipsoid, intensities

TINY = PRESETS["general"].replace(shape=(12, 12, 10), channels=2, levels=2, num_envs=1, updates=1)


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned nothing yet, on the built-in shapes."""
    folder = tmp_path_factory.mktemp("runs") / "begun"
    settings = {"protocol": "one-click", "horizon": 2}
    train("intercnn", "MECCA-Shapes-v0", folder, preset=TINY, settings=settings, device="cpu", stream=StringIO())
    return folder


@pytest.fixture(scope="session")
def model(begun: Path) -> Model:
    """Its agent."""
    return load_model(begun, device="cpu")


@pytest.fixture
def session(model: Model) -> Iterator[InteractiveSession]:
    """A session with a scan and a mask."""
    with InteractiveSession(model) as opened:
        opened.set_image(intensities(ellipsoid()), AFFINE)
        opened.set_mask(ellipsoid())
        yield opened


def accept(model: Model, project: Path, count: int, target: str | None = None, first: int = 0) -> list[str]:
    """Accept the true masks of so many scans; the names of their cases."""
    names = []
    for seed in range(first, first + count):
        with InteractiveSession(model) as opened:
            opened.set_image(intensities(ellipsoid(), seed), AFFINE)
            opened.set_mask(ellipsoid())
            names.append(opened.accept(project, target=target))
    return names
