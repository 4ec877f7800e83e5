"""What other programs read of the repository: its citation, the forms of issues, the checks before a commit."""

from __future__ import annotations

import re
from typing import Any

import pytest

import mecca_env
from tests.support import ROOT

yaml = pytest.importorskip("yaml")

FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def _read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_that_of_the_readme_and_of_this_version() -> None:
    citation = _read("CITATION.cff")
    assert citation["version"] == mecca_env.__version__ and citation["license"] == "Apache-2.0"
    assert citation["authors"] == [{"name": "The MECCA contributors"}]
    paper = citation["preferred-citation"]
    entry = re.search(r"```bibtex\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert entry is not None
    fields = {
        key: " ".join(value.split()) for key, value in re.findall(r"(\w+)\s*= \{(.*?)\}[,\n]", entry[1], re.DOTALL)
    }
    assert fields["title"] == paper["title"] and fields["doi"] == paper["doi"] and int(fields["year"]) == paper["year"]
    assert fields["journal"].replace("\\&", "&") == paper["journal"]
    assert fields["author"].split(" and ") == [f"{a['family-names']}, {a['given-names']}" for a in paper["authors"]]


def test_every_form_asks_something() -> None:
    forms = {path.stem: _read(path.relative_to(ROOT).as_posix()) for path in FORMS if path.stem != "config"}
    assert set(forms) == {"bug", "feature", "method_or_data"}
    for name, form in forms.items():
        assert form["name"] and form["description"], name
        questions = {question["id"]: question["attributes"]["label"] for question in form["body"]}
        assert len(questions) == len(form["body"]) and all(questions.values()), name


def test_a_commit_is_checked_by_the_tools_of_make_lint() -> None:
    hooks = [hook for repo in _read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    lint = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2].partition("\n\n")[0]
    for tool in ("ruff check", "ruff format", "mypy"):
        assert tool in lint and any(hook["entry"].startswith(f".venv/bin/{tool}") for hook in hooks), tool
    (blanks,) = (hook for hook in hooks if hook["id"] == "end-of-file")
    for text, fault in (
        ("a\n", False),
        ("a\n\nb\n", False),
        ("a", True),
        ("a \n", True),
        ("a\n\n", True),
        ("a\r\n", True),
    ):
        assert bool(re.search(blanks["entry"], text, re.MULTILINE)) == fault, repr(text)
