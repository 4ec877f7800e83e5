"""What the pages name is there: files, classes, functions, tests, modules, links and the headings that they lead to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.names import mentioned_modules, mentioned_paths, missing_module, missing_path
from tests.support import ROOT

PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/api/*.md"),
        *ROOT.glob(".github/**/*.md"),
    )
    if path.name != "CHANGELOG.md"  # it names what there was
)
OPTIONAL = (
    "mecca_env.adapters",
    "mecca_agents.sb3",
    "mecca_agents.offline",
    "benchmarks.voxel_ppo",
    "mecca_agents.app",
    "mecca_agents.serve",
    "benchmarks.serving",
)


def _id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_files_and_names_in_them_are_there(page: Path) -> None:
    named = mentioned_paths(page.read_text(encoding="utf-8"))
    wrong = [fault for path, name in sorted(named) if (fault := missing_path(path, name))]
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_modules_are_there(page: Path) -> None:
    wrong = []
    for name in sorted(mentioned_modules(page.read_text(encoding="utf-8"))):
        try:
            wrong.append(missing_module(name))
        except ImportError:
            if not name.startswith(OPTIONAL):  # a library that is not installed
                raise
    assert not any(wrong), list(filter(None, wrong))


def _anchors(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    wrong = []
    for link in re.findall(r"\]\(<?([^)>\s]+)>?\)", text):
        if re.match(r"https?:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.is_file():
            wrong.append(f"{link}: there is no such file")
        elif anchor and anchor not in _anchors(file):
            wrong.append(f"{link}: {file.name} has no such heading")
    assert not wrong


def test_the_rules_find_what_is_wrong() -> None:
    text = (
        "`mecca_env/process/guide.py::advise`, `mecca_env/gone.py`, `mecca_env.process.guide.advise`, `mecca_env.gone`"
    )
    assert mentioned_paths(text) == {("mecca_env/process/guide.py", "advise"), ("mecca_env/gone.py", "")}
    assert mentioned_modules(text) == {"mecca_env.process.guide.advise", "mecca_env.gone"}
    assert missing_path("mecca_env/process/guide.py", "advise") is None
    assert missing_path("mecca_env/process/guide.py", "advises") and missing_path("mecca_env/gone.py")
    assert missing_module("mecca_env.process.guide.advise") is None and missing_module("mecca_env.gone")
