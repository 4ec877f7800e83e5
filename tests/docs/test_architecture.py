"""docs/architecture.md lists the folders that there are."""

from __future__ import annotations

import re

from tests.support import ROOT

PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("mecca_env", "mecca_agents", "benchmarks", "experiments", "examples")
KINDS = ("*.py", "*.js", "config.json")  # what makes a folder worth a line


def _folders() -> set[str]:
    within = {file.parent for package in PACKAGES for kind in KINDS for file in (ROOT / package).rglob(kind)}
    tests = {file.parent for file in (ROOT / "tests").glob("*/*.py")}
    return {folder.relative_to(ROOT).as_posix() for folder in within | tests}


def test_every_folder_has_a_line_and_every_line_a_folder() -> None:
    tree = PAGE.read_text(encoding="utf-8").partition("## The tree")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([\w/]+)` \| \S", tree, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == _folders()
