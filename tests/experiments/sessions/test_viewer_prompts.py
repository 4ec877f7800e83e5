"""Prompts as viewers send them are measured: each first one, and the points after it."""

from __future__ import annotations

import re

import pytest

from experiments.sessions import viewer_prompts


def test_every_first_prompt_has_a_row_for_each_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_prompts, "POINTS", 1)
    monkeypatch.setattr("sys.argv", ["viewer_prompts", "--cases", "1"])
    viewer_prompts.main()
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert {row[0] for row in rows} == {"phantom", "shapes"} and len(rows) == 2 * len(viewer_prompts.FIRST)
    values = [float(cell) for row in rows for cell in row[2:]]
    assert len(values) == 2 * len(rows) and max(values) > 30 and all(0 <= value <= 100 for value in values)
    assert re.search(r"after it +\| 1 points|after it \| 1 points", lines[0])
