"""Pages of docs whose tables are written by a benchmark, between two marks, and whose words are not."""

from __future__ import annotations

from pathlib import Path

from mecca_env.atomic import write_text

DOCS = Path(__file__).parents[1] / "docs"


def write_document(text: str, path: Path, marks: tuple[str, str]) -> None:
    """Put text into a page, between its two marks."""
    begin, end = marks
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    write_text(path, f"{before}{begin}\n\n{text}\n\n{end}{after}")
