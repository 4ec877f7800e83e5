"""The page of measured times is made of what the benchmarks leave, whichever of them have run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import performance, scaling
from benchmarks.document import write_document


@pytest.fixture(scope="module")
def scaled() -> dict[str, object]:
    """A small measurement, made in a second."""
    options = SimpleNamespace(threads=1, device="cpu", batches=[1, 2], sides=[12, 16], cases=[2])
    return scaling.run(options)  # type: ignore[arg-type]


def test_a_measurement_becomes_tables_and_a_plot(scaled: dict[str, object], tmp_path: Path) -> None:
    text = performance.tables({"scaling": scaled, "startup": {"torch": 1.0, "mecca_env": 1.5, "gym.make": 1.75}})
    assert "| 16^3 |" in text and "`import mecca_env` 0.50 s more" in text and "0.25 s more" in text
    assert "Learner" not in text  # that was not measured
    performance.plot(scaled, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_an_env_takes_no_more_than_three_megabytes_at_the_papers_grid(scaled: dict[str, object]) -> None:
    rows = scaled["batches"]
    assert isinstance(rows, list)
    assert all(0 < row["bytes"] <= 3e6 for row in rows)


def test_measured_anew_the_page_keeps_its_words(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = performance.MARKS
    page.write_text(f"before\n\n{begin}\nold\n{end}\n\nafter\n")
    write_document("new", page, performance.MARKS)
    assert page.read_text() == f"before\n\n{begin}\n\nnew\n\n{end}\n\nafter\n"
