"""The site builds, strictly: every page is in its menu, every link and heading is there, every name has a docstring."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mecca_agents
import mecca_agents.benchmark
import mecca_agents.session
import mecca_env
import mecca_env.wrappers
from tests.docs.names import missing_module
from tests.support import ROOT

pytestmark = pytest.mark.slow  # builds the site

API = sorted((ROOT / "docs" / "api").glob("*.md"))
ENTRIES = [
    entry for page in API for entry in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_it_loads_nothing_from_other_machines(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?(https?://[^\s\">]+)", page.read_text()
        )
        assert not loaded, page.name


def test_every_page_is_reached_from_the_first(site: Path) -> None:
    index = (site / "index.html").read_text()
    linked = {link.partition("#")[0] for link in re.findall(r"href=\"?([^\s\">]+)", index)}
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")} - {"404.html", "index.html"}
    assert len(pages) > 30
    assert pages <= linked


def test_the_api_describes_what_is_named_in_it(site: Path) -> None:
    text = "".join((site / "api" / f"{page.stem}.html").read_text() for page in API)
    for entry in ENTRIES:
        assert re.search(rf"id=\"?{re.escape(entry)}[\s\">]", text), entry
    assert "every voxel an agent" in text and "Eq. 8 before the sum over voxels" in text


def test_what_is_public_is_in_the_api() -> None:
    """Under the name that people import, or under that of the module in which it is defined."""
    described = set(ENTRIES)
    for page in API:
        for module, members in re.findall(
            r"^::: (\S+)\n    options:\n      members: \[(.*)\]$", page.read_text(encoding="utf-8"), re.MULTILINE
        ):
            described |= {f"{module}.{member}" for member in members.split(", ")}
    for package in (mecca_env, mecca_env.wrappers, mecca_agents, mecca_agents.session, mecca_agents.benchmark):
        for name in package.__all__:
            home = getattr(getattr(package, name), "__module__", "")
            contracts = f"mecca_env.process.contracts.{name}"
            assert described & {f"{package.__name__}.{name}", f"{home}.{name}", contracts}, (package.__name__, name)


def test_what_the_api_describes_is_there() -> None:
    wrong = []
    for entry in ENTRIES:
        try:
            wrong.append(missing_module(entry))
        except ImportError as error:  # a library that is not installed
            assert error.name in ("minari", "pettingzoo", "stable_baselines3", "tensordict", "torchrl"), entry
    assert ENTRIES and not any(wrong), list(filter(None, wrong))
