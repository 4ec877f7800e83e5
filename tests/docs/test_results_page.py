"""docs/results.md is what the cells beside it give, and what it says of all methods holds for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.results import MARKS, PAGE, PARTS, page_texts
from mecca_agents.evaluation.layout import Labelled
from mecca_agents.report import report
from mecca_agents.report.comparison import BOUNDS, by_method, by_step, gap, reached
from mecca_agents.report.plots import HINTLESS
from mecca_agents.report.studies import read_studies

RESULTS = PAGE.parent / "results"
pytestmark = pytest.mark.skipif(not list(RESULTS.glob("*/results/*.json")), reason="no results are kept here")


def test_the_tables_are_those_of_the_cells(tmp_path: Path) -> None:
    report(RESULTS, tmp_path)
    kept = RESULTS / "report"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in kept.iterdir())
    for name in names:
        if not name.endswith(".png"):  # drawn by whichever version of the library
            assert (tmp_path / name).read_bytes() == (kept / name).read_bytes(), name
    page = PAGE.read_text(encoding="utf-8")
    between = [page.partition(begin)[2].partition(end)[0].strip() for begin, end in MARKS]
    assert between == list(page_texts(kept / "report.md"))


def test_every_learner_beats_random_actions_and_hints_help_those_that_see_them() -> None:
    for study in read_studies(RESULTS):
        rows = by_method(study.cells)
        for method, cells in rows.items():
            if method in BOUNDS:
                continue
            assert by_step(cells)[-1] > by_step(rows["random"])[-1] + 0.3, (study.name, method)
            steps = by_step(cells)
            if method in HINTLESS:
                assert abs(steps[-1] - steps[0]) < 1e-6, (study.name, method)
            elif study.name == "Hippocampus":
                assert steps[-1] > steps[0], (study.name, method)


@pytest.mark.parametrize("data_set", ["Hippocampus", "LeftAtrium"])
@pytest.mark.parametrize(("one", "other"), [("mecca", "iter-mrl"), ("iter-mrl", "unet")])
def test_what_is_said_of_pairs_is_what_the_cells_give(data_set: str, one: str, other: str) -> None:
    (study,) = (study for study in read_studies(RESULTS) if study.name == data_set)
    rows = by_method(study.cells)
    found, _ = gap(reached(rows[one]), reached(rows[other]))
    assert f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]" in PAGE.read_text(encoding="utf-8")


def test_what_is_said_of_organs_and_of_few_labels_is_what_the_cells_give() -> None:
    """The tables have neither organs nor pairs with few labels."""
    studies, page = {study.name: study for study in read_studies(RESULTS)}, PAGE.read_text(encoding="utf-8")
    organs: dict[str, list[float]] = {}
    livers: dict[bool, list[float]] = {True: [], False: []}  # of the scan that is unlike the others, and of those
    for method in ("unet", "intercnn", "iter-mrl", "mecca"):
        cells = by_method(studies["CHAOS"].cells)[method]
        last = 100 * np.mean([cell.grid("dice")[:, -1] for cell in cells], axis=0)
        for organ in ("label1", "label2", "label3", "label4"):
            organs.setdefault(organ, []).append(float(np.mean(last[[c.endswith(organ) for c in cells[0].cases]])))
        for case, dice in zip(cells[0].cases, last, strict=True):
            if case.endswith("label1"):
                livers[case.startswith("chaos_15")].append(float(dice))
    (odd, others) = (f"{min(found):.0f} to {max(found):.0f}" for found in (livers[True], livers[False]))
    assert f"its liver is at {odd}, those of the other two at {others}." in page
    liver, kidneys, spleen = organs["label1"], organs["label2"] + organs["label3"], organs["label4"]
    assert f"({min(liver):.0f} to {max(liver):.0f})" in page
    assert f"The kidneys are at {min(kidneys):.0f} to {max(kidneys):.0f}." in page
    assert f"on the spleen IteR-MRL ({spleen[2]:.0f}) and InterCNN ({spleen[1]:.0f}) are above it" in page
    gaps = []
    for count in (1, 2, 4, 8):
        rows = by_method(studies["Hippocampus"].cells, Labelled(cases=count))
        gaps.append(f"{gap(reached(rows['mecca']), reached(rows['iter-mrl']))[0].mean:+.1f}")
    assert f"({gaps[0]}, {gaps[1]}, {gaps[2]} and {gaps[3]} points with 1, 2, 4 and 8 labelled cases)" in page


def test_no_training_is_reported_that_is_not_planned() -> None:
    planned = {(part.plan(Path(), RESULTS).folder.name, cell.name) for part in PARTS for cell in part.cells()}
    kept = {(path.parents[1].name, path.stem) for path in RESULTS.glob("*/results/*.json")}
    assert kept <= planned
