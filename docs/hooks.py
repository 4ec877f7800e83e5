"""Pages of the site for files that the docs link to and that lie beside `docs/`: examples and what is in the root.

On GitHub `../examples/voxel_ppo.py` and `../CONTRIBUTING.md` are files of the repository; on the site each is a page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
TEXTS = ("CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
"""Files of the repository's root that become pages."""

_OUTSIDE = re.compile(rf"\]\((?:\.\./)+(examples/\w+\.py|{'|'.join(map(re.escape, TEXTS))})")

_CELL = re.compile(r"<td\b.*?</td>", re.DOTALL)
_CODE = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
_INTERVAL = re.compile(r"(\[[-+]?[\d.]+,) (?=[-+]?[\d.]+\])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for path in [*(ROOT / name for name in TEXTS), *sorted((ROOT / "examples").glob("*.py"))]:
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, page_of(name), content=_content(name, path.read_text(encoding="utf-8"))))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Let links that lead out of `docs/` lead to those pages."""
    up = "../" * page.file.src_uri.count("/")
    return _OUTSIDE.sub(lambda found: f"]({up}{page_of(found[1])}", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """In tables, let paths break after a slash or underscore and names before a double colon, and intervals nowhere."""

    def in_cell(match: re.Match[str]) -> str:
        cell = _INTERVAL.sub(r"\1&nbsp;", match[0])
        return _CODE.sub(lambda code: re.sub(r"(?<=[/_])(?=\w)|(?=::)", "<wbr>", code[0]), cell)

    return _CELL.sub(in_cell, html)


def page_of(name: str) -> str:
    """The page of a file of the repository, named from its root."""
    return name if name.endswith(".md") else f"{name.removesuffix('.py')}.md"


def _content(name: str, text: str) -> str:
    if name.endswith(".md"):
        return text.replace("](docs/", "](")
    if name.endswith(".py"):
        return f"# {Path(name).name}\n\n```python\n{text}```\n"
    return f"# {name.title()}\n\n```text\n{text}```\n"
