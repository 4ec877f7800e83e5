"""Files, names in files and modules that a page mentions, and whether they are there."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

from tests.support import ROOT

TOPS = "mecca_env|mecca_agents|benchmarks|experiments|examples|tests|docs"
_PATH = re.compile(rf"(?<![\w/.-])((?:{TOPS})/[\w./-]*\w)(?:::([\w.]+))?")
_NOT_KEPT = re.compile(r"docs/results/\w+/runs/")  # what a benchmark leaves beside what is committed
_MODULE = re.compile(r"(?<![\w/.-])((?:mecca_env|mecca_agents|benchmarks|experiments)(?:\.[A-Za-z_]\w*)+)")


def mentioned_paths(text: str) -> set[tuple[str, str]]:
    """Every path from the repository's root with the name that stands behind `::`, empty where there is none."""
    return {(path, name) for path, name in _PATH.findall(text) if not _NOT_KEPT.match(path)}


def mentioned_modules(text: str) -> set[str]:
    """Every dotted name that begins with one of the packages."""
    return set(_MODULE.findall(re.sub(r"https?://\S+", "", text)))


def missing_path(path: str, name: str = "") -> str | None:
    """What is wrong with `path::name`, or None."""
    file = ROOT / path
    if not file.exists():
        return f"{path}: there is no such file or folder"
    if not name:
        return None
    if file.suffix == ".py":
        return None if name in _names(file) else f"{path} has no {name}"
    return None if re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")) else f"{path} has no {name}"


def missing_module(dotted: str) -> str | None:
    """What is wrong with a dotted name, or None. It is a module, or something in one."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        file = ROOT.joinpath(*parts[:count])
        if file.is_dir() or file.with_suffix(".py").is_file():
            break
    thing = importlib.import_module(".".join(parts[:count]))
    for part in parts[count:]:
        if part not in _fields(thing) and not hasattr(thing, part):
            return f"{dotted}: there is no such name"
        thing = getattr(thing, part, None)
    return None


def _fields(thing: object) -> set[str]:
    return set(getattr(thing, "__annotations__", {}))


@cache
def _names(file: Path) -> set[str]:
    """What a file defines: names of its own, and those of its classes as Class.name."""
    names: set[str] = set()

    def add(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                add(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    add(ast.parse(file.read_text(encoding="utf-8")).body, "")
    return names
