"""What every test starts from: a cache of its own, no data set in the environment, real data where there is some."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported; tests run side by side, a core for each

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from tests.support import ROOT

os.environ.setdefault("MPLBACKEND", "Agg")
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported

# No test has a time limit, and every run tries the same examples.
hypothesis.settings.register_profile(
    "mecca", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("mecca")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a CUDA device are skipped where there is none; `pytest -m cuda` runs them alone."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture(scope="session", autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache in a temporary folder; MECCA_DATA is unset unless a test sets it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MECCA_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("MECCA_DATA", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small networks are as fast on one thread as on two, and do not fight with other processes for the cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same global generator for every test, whichever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning of a missing data set comes once in a process; here once in a test."""
    monkeypatch.setattr("mecca_env.data.catalog._warned", set())


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets; MECCA_TEST_DATA says where, by default ../shared/data."""
    folder = Path(os.environ.get("MECCA_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder (MECCA_TEST_DATA)")
    return folder


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=pytest.mark.cuda),
    ]
)
def device(request: pytest.FixtureRequest) -> str:
    """Every device there is."""
    return str(request.param)
