"""Rows of texts as columns and as Markdown."""

from __future__ import annotations

import pytest

from mecca_agents.tables import columns, grid

HEAD, LINES = ["method", "Dice %"], [["mecca", "91.25"], ["random", "5.00"]]


def test_names_stand_to_the_left_and_numbers_to_the_right() -> None:
    assert columns(HEAD, LINES, left=1) == "method  Dice %\nmecca    91.25\nrandom    5.00"
    assert columns(HEAD, LINES, left=2) == "method  Dice %\nmecca   91.25\nrandom  5.00"
    assert columns(HEAD, LINES, gap=" | ") == "method | Dice %\n mecca |  91.25\nrandom |   5.00"


def test_markdown_can_be_read_as_it_is() -> None:
    assert grid(HEAD, LINES) == (
        "| method | Dice % |\n| ------ | ------ |\n| mecca  | 91.25  |\n| random | 5.00   |"  # straight
    )
    assert grid(HEAD, LINES, padded=False) == "| method | Dice % |\n| --- | --- |\n| mecca | 91.25 |\n| random | 5.00 |"


@pytest.mark.parametrize("table", [columns, grid])
def test_a_row_with_a_text_too_few_is_refused(table: object) -> None:
    assert callable(table)
    with pytest.raises(ValueError, match="shorter"):
        table(HEAD, [["mecca"]])
