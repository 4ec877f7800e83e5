"""docs/methods.md has every method with its file, and every equation of the paper with a function and a test."""

from __future__ import annotations

import re

import pytest

from mecca_agents.agent import METHODS, find_method
from tests.docs.names import mentioned_paths
from tests.support import ROOT

TEXT = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
EQUATIONS = TEXT.partition("## The paper's equations")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in EQUATIONS.splitlines() if line.startswith("| ")]


def test_every_method_has_its_file() -> None:
    listed = dict(re.findall(r"^\| `([\w-]+)` \| `([\w/.:]+)` \|$", TEXT, re.MULTILINE))
    assert listed == {name: where.replace(".", "/").replace(":", ".py::") for name, where in METHODS.items()}


def test_a_method_whose_details_were_inferred_says_so_under_tables() -> None:
    inferred = TEXT.partition("## What had to be inferred")[2].partition("\n## ")[0]
    names = re.findall(r"^- `([\w-]+)`:", inferred, re.MULTILINE)
    assert {"deepigeos", "intercnn", "bs-iris", "ua-mt", "unet"} <= set(names)
    assert all(find_method(name).footnote.endswith(".") for name in names)


def test_every_equation_of_the_paper_is_there() -> None:
    said = " ".join(row[0] for row in ROWS)
    numbers = {int(number) for number in re.findall(r"Eq\. (\d+)", said)}
    numbers |= {n for a, b in re.findall(r"Eq\. (\d+)-(\d+)", said) for n in range(int(a), int(b) + 1)}
    assert numbers == set(range(1, 15))
    for part in ("Algorithm 1", "Definition 1", "Sec. 3.5", "Sec. 3.6"):
        assert part in said


@pytest.mark.parametrize("row", ROWS[1:], ids=lambda row: row[0])
def test_every_row_names_code_and_a_test(row: list[str]) -> None:
    _, _, code, test = row  # whether they are there, `test_names` looks up
    assert all(path.startswith("mecca_") for path, _ in mentioned_paths(code)) and mentioned_paths(code)
    assert all(path.startswith("tests/") and name.startswith("test_") for path, name in mentioned_paths(test))
    assert mentioned_paths(test)
