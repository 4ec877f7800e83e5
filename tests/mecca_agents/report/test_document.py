"""The report as a whole: which tables there are, what stands in them, pictures, and what is never hidden."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mecca_agents.agent import METHODS, SIGNED_METHODS
from mecca_agents.cli import main
from mecca_agents.report import report
from mecca_agents.report.comparison import BOUNDS
from mecca_agents.report.method_tables import table1, table2, table6
from mecca_agents.report.overview import overview
from mecca_agents.report.plots import STYLES, figure8, figure9
from mecca_agents.report.seed_table import table_seeds
from mecca_agents.report.studies import Study, read_studies
from mecca_agents.runs.errors import RunError
from mecca_agents.tables import Table, markdown
from tests.support.benchmark_folder import CASES, constant, rising, timing, write_cell, write_study, write_trainings


def _lines(table: Table | None, section: int = 0) -> dict[str, list[str]]:
    assert table is not None
    return {line[0]: list(line[1:]) for line in table.sections[section].lines}


def _notes(table: Table | None, section: int = 0) -> str:
    assert table is not None
    return "\n".join(table.sections[section].notes)


def _two(folder: Path, better: float = 0.84, luck: float = 0.002, seeds: int = 5) -> list[Study]:
    study = write_study(folder)
    write_trainings(study, "mecca", better, seeds=seeds, luck=luck)
    write_trainings(study, "iter-mrl", 0.82, seeds=seeds, luck=luck)
    write_cell(study, "random", rising(0.1), updates=0, minutes=0.0)
    write_cell(study, "oracle", rising(0.95), updates=0, minutes=0.0)
    return read_studies(folder)


def test_table_1_is_bold_where_the_best_is_significantly_better(tmp_path: Path) -> None:
    table = table1(_two(tmp_path))
    lines = _lines(table)
    assert lines["mecca"][1].startswith("**84.00 ± 2.") and lines["mecca"][3] == "best"
    assert lines["iter-mrl"][1].startswith("82.00 ±") and lines["iter-mrl"][3] == "< 0.001"
    assert lines["mecca"][4].startswith("**1.600 ±")  # ASSD
    assert lines["oracle"][1].startswith("95.00") and lines["oracle"][3] == "-"
    low, high = (float(bound) for bound in lines["mecca"][2].strip("[]").split(", "))
    assert 80 < low < 83 < 85 < high < 88 and low + high == pytest.approx(168, abs=0.02)
    assert "Dice %: mecca minus iter-mrl is +2.00 [+1." in _notes(table) and "p < 0.001." in _notes(table)


def test_table_1_is_not_bold_where_it_may_be_chance(tmp_path: Path) -> None:
    """Every case is better with the one method, but its trainings differ by more than that."""
    table = table1(_two(tmp_path, luck=0.03))
    assert table is not None and all("**" not in text for line in table.sections[0].lines for text in line)
    assert _lines(table)["mecca"][3] == "best" and "which is not significant" in _notes(table)


def test_table_1_is_not_bold_with_fewer_than_five_seeds_and_has_no_p_with_one(tmp_path: Path) -> None:
    for seeds, p, said in (
        (3, "< 0.001", "With 3 seeds: no bold, which asks for 5"),
        (1, "-", "With 1 seed: no interval"),
    ):
        table = table1(_two(tmp_path / str(seeds), seeds=seeds))
        assert table is not None and all("**" not in text for line in table.sections[0].lines for text in line)
        assert _lines(table)["iter-mrl"][3] == p and (_lines(table)["mecca"][2] == "-") == (seeds == 1)
        assert f"{said}" in _notes(table) and "(iter-mrl, mecca)" in _notes(table)
        assert ("p < 0.001, which is not enough for bold" in _notes(table)) == (seeds == 3)
        assert _lines(table)["random"][2] != "-"  # is not trained


def test_a_caption_says_what_was_done(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", rising(0.8), minutes=3.0)
    write_cell(study, "mecca", rising(0.8), seed=1, minutes=5.04, commit="f" * 40 + "-dirty")
    write_cell(study, "iter-mrl", rising(0.8), seed=1)
    write_cell(study, "random", rising(0.1), updates=0, minutes=0.0, commit=None)
    notes = _notes(table1(read_studies(tmp_path)))
    assert notes.startswith(
        "MECCA-Spleen-v0 (Task_Spleen); 10 test cases; 16 training cases; preset `brief` on 28 x 24 x 24 voxels; "
        "150 updates; 3.0 to 5.0 minutes a training (cpu, 1 thread); seeds 0, 1; "
        "commits 0123456, fffffff-dirty, unknown."
    )
    lines = _lines(table1(read_studies(tmp_path)))
    assert [lines[method][0] for method in ("mecca", "iter-mrl", "random")] == ["2", "1 of 2", "1 of 2"]


def test_few_cases_empty_masks_and_infinite_distances_are_said(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", constant(a=0.8, b=0.9, c=0.7))
    write_cell(study, "iter-mrl", constant(a=0.0, b=0.0, c=0.0), assd=f"{np.sqrt(28**2 + 2 * 24**2):.6g}")
    write_cell(study, "my:Own", constant(a=0.7, b=0.8, c=0.6), assd="inf")
    table = table1(read_studies(tmp_path))
    assert "With 3 cases, fewer than 8, there is no interval, no p and no bold." in _notes(table)
    assert _lines(table)["mecca"][2] == "-"
    assert "diagonal, 44.0 voxels, and counts in the mean (episodes: iter-mrl 3 of 3)" in _notes(table)
    assert "The ASSD of my:Own is not finite in 3 of 3 episodes: it has no interval" in _notes(table)
    assert _lines(table)["my:Own"][4:] == ["inf", "-", "-"] and _lines(table)["iter-mrl"][4].startswith("44.000")


def test_table_2_has_the_gain_of_every_step(tmp_path: Path) -> None:
    lines = _lines(table2(_two(tmp_path)))
    assert lines["mecca"][1:] == [
        "**80.00**",
        *(f"**{value}.00** (+1.00)" for value in (81, 82, 83, 84)),
    ]
    assert lines["iter-mrl"][-1] == "82.00 (+1.00)"


def test_trainings_of_different_seeds_are_compared(tmp_path: Path) -> None:
    """Seed 0 of one method has nothing to do with seed 0 of another."""
    study = write_study(tmp_path)
    for seed in range(5):
        write_cell(study, "mecca", rising(0.9, seed=seed), seed=seed)
        write_cell(study, "iter-mrl", rising(0.5, seed=seed), seed=10 + seed)
    assert _lines(table1(read_studies(tmp_path)))["mecca"][1].startswith("**90.00")


def test_table_6_is_what_was_measured(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    (study / "timing.json").write_text(json.dumps(timing(mecca=10.0, iter_mrl=5.0)))
    table = table6(read_studies(tmp_path))
    assert _lines(table)["mecca"] == ["8.0", "2.0", "10.0", "[9.0, 11.0]"]
    assert "10 cases on 28 x 24 x 24 voxels, one at a time; cpu, 1 thread" in _notes(table)


def test_a_collapsed_training_is_flagged_wherever_it_counts(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", rising(0.8))
    write_cell(study, "mecca", rising(0.3), seed=1)
    write_cell(study, "iter-mrl", rising(0.7))
    studies = read_studies(tmp_path)
    lines = _lines(table_seeds(studies))
    assert lines["mecca"] == ["", "100 %", "80.00", "30.00 COLLAPSED"] and lines["iter-mrl"][-1] == "-"
    assert _lines(table1(studies))["mecca"][1].startswith("55.00")
    assert "trainings that collapsed: mecca-100-seed1." in _notes(table1(studies))
    text = report(tmp_path).read_text()
    assert "**Spleen, mecca-100-seed1: this training collapsed**" in text.partition("## Table 1")[0]


def test_there_are_only_tables_that_there_are_cells_for(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", rising(0.8), fraction=0.25)
    path = report(tmp_path, tmp_path / "out" / "here")
    assert {p.name for p in path.parent.iterdir()} == {"report.md", "table3.csv", "table4.csv", "seeds.csv"}
    write_cell(study, "mecca", rising(0.8))
    assert {p.name for p in report(tmp_path).parent.iterdir()} == {
        *("report.md", "overview.csv", "table1.csv", "table2.csv", "table3.csv", "table4.csv"),
        *("clicks.csv", "misunderstanding.csv", "seeds.csv", "fig8-Spleen.png"),
    }


def _everything(folder: Path) -> Path:
    for name, cases in (("Spleen", CASES), ("Liver", CASES[:1])):
        study = write_study(folder, name)
        for number, method in enumerate(("random", "mecca", "iter-mrl", "my_module:MyAgent")):
            dice = {case: values for case, values in rising(0.7 + 0.03 * number, seed=number).items() if case in cases}
            write_cell(study, method, dice, imprecise=dice)
        dice = {case: values for case, values in rising(0.6).items() if case in cases}
        for variant in ("none", "labels", ""):
            write_cell(study, "mecca", dice, fraction=0.25, variant=variant)
        (study / "timing.json").write_text(json.dumps(timing(mecca=10.0)))
        (study / "failed").mkdir()
        (study / "failed" / "unet-100-seed0.txt").write_text("Traceback\nRuntimeError: it broke\n")
    return folder


def test_the_same_results_give_the_same_bytes_and_no_line_is_broken(tmp_path: Path) -> None:
    _everything(tmp_path)
    one, two = report(tmp_path).parent, report(tmp_path, tmp_path / "again").parent
    files = sorted(path.name for path in one.iterdir())
    assert files == sorted(path.name for path in two.iterdir()) and len(files) == 16
    for name in files:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    text = (one / "report.md").read_text()
    assert text.count("\n## Table") == 7 and "nan" not in text and str(tmp_path) not in text
    for block in text.split("\n\n"):
        lines = block.split("\n")
        if lines[0].startswith("|"):
            assert len({line.count("|") for line in lines}) == 1
    assert text.endswith(
        "## Failed\n\n- Liver, unet-100-seed0: `RuntimeError: it broke`\n"
        "- Spleen, unet-100-seed0: `RuntimeError: it broke`\n"
    )
    for name in files:
        if name.endswith(".csv"):
            with (one / name).open(newline="") as file:
                rows: list[Mapping[str, Any]] = list(csv.DictReader(file))
            assert {row["dataset"] for row in rows} == {"Liver", "Spleen"}
        assert not name.endswith(".png") or f"(<{name}>)" in text


def test_figures_show_the_mean_over_clicks(tmp_path: Path) -> None:
    (study,) = _two(tmp_path)
    figure = figure8(study)
    assert figure is not None
    (axes,) = figure.axes
    lines = {str(line.get_label()): line for line in axes.lines}
    np.testing.assert_allclose(lines["mecca"].get_xdata(), [25, 30, 35, 40, 45])
    np.testing.assert_allclose(lines["mecca"].get_ydata(), [80, 81, 82, 83, 84])
    low, high = axes.get_ylim()
    assert low > 50 and any(label.startswith("random (off scale") for label in lines)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text().split()[0] for text in legend.get_texts()] == ["oracle", "mecca", "iter-mrl", "random"]
    figure.canvas.draw()
    assert legend.get_window_extent().x0 > axes.get_window_extent().x1  # beside the lines
    nine = figure9(study)
    assert nine is not None and {line.get_label() for line in nine.axes[0].lines} == {"mecca", "iter-mrl"}
    np.testing.assert_allclose(nine.axes[0].lines[0].get_xdata(), [1, 2, 3, 4, 5])


def test_methods_without_hints_are_dashed(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for method in ("unet", "mecca", "my:Own"):
        write_cell(study, method, rising(0.8))
    figure = figure8(read_studies(tmp_path)[0])
    assert figure is not None
    styles = {str(line.get_label()): line.get_linestyle() for line in figure.axes[0].lines}
    assert styles == {"unet (no hints)": "--", "mecca": "-", "my:Own": "-."}
    assert figure9(read_studies(tmp_path)[0]) is None  # only one weighting of the reward


def test_no_two_methods_look_alike_in_a_picture() -> None:
    missing = {method for method in [*METHODS, *SIGNED_METHODS] if method not in STYLES}
    assert not missing
    assert len({STYLES[method] for method in STYLES if method not in BOUNDS}) == len(set(STYLES) - set(BOUNDS))


def test_a_picture_is_one(tmp_path: Path) -> None:
    _two(tmp_path)
    with Image.open(report(tmp_path).parent / "fig9-Spleen.png") as image:
        assert image.width > 1000 and np.asarray(image.convert("L")).std() > 20


def test_the_command_prints_the_overview_and_the_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studies = _two(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    table = overview(studies)
    assert table is not None
    assert capsys.readouterr().out == f"{markdown(table)}\n\n{tmp_path / 'report' / 'report.md'}\n"
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "report.md").exists()
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: expected the folder of a benchmark, found none" in capsys.readouterr().err


def test_where_no_report_can_be_written_it_says_so(tmp_path: Path) -> None:
    _two(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file: expected a folder for the report, cannot make it"):
        report(tmp_path, tmp_path / "file")
    (tmp_path / "out" / "report.md").mkdir(parents=True)
    with pytest.raises(RunError, match="report.md: cannot be written"):
        report(tmp_path, tmp_path / "out")
