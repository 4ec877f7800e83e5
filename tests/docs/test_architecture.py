"""docs/architecture.md lists the folders that there are, and shows the floors that the import contracts ask for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import ROOT

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has none")

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


def _floors() -> dict[str, list[set[str]]]:
    """What the page shows of each package, from the top; what stands above the packages is under ""."""
    shown = PAGE.read_text(encoding="utf-8").partition("## Who imports whom")[2].split("```")[1]
    floors: dict[str, list[set[str]]] = {"": []}
    package = ""
    for line in shown.strip().splitlines():
        first, _, others = line.partition(" ")
        if first and others:
            package = first
            floors[package] = []
        floors[package].append(set((others or first).replace(" ", "").split(",")))
    return floors


def test_the_floors_are_those_of_the_contracts() -> None:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts = settings["importlinter"]["contracts"]
    asked = {
        contract["containers"][0]: [set(layer.replace(" ", "").split("|")) for layer in contract["layers"]]
        for contract in contracts
        if "containers" in contract
    }
    shown = _floors()
    assert {package: shown[package] for package in asked} == asked
    packages = [*(name for floor in shown[""] for name in floor), *(name for name in shown if name)]
    assert packages in [contract.get("layers") for contract in contracts]
