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

from mecca_agents.cli import main
from mecca_agents.report import report
from mecca_agents.report.label_tables import table3, table4, table5
from mecca_agents.report.method_tables import table1, table2, table6, table_s2
from mecca_agents.report.plots import figure8, figure9
from mecca_agents.report.seed_table import table_seeds
from mecca_agents.report.studies import Study, read_studies
from mecca_agents.runs.errors import RunError
from mecca_agents.tables import Table, markdown
from tests.support.benchmark_folder import constant, timing, write_cell, write_study

CASES = [f"case{i}" for i in range(10)]
EASE = np.random.default_rng(0).normal(0, 0.03, len(CASES))


def _dice(mean: float, gain: float = 0.01, seed: int = 0, spread: float = 0.002) -> dict[str, list[float]]:
    """Rises to a mean at the last step, on cases of which some are hard for all methods."""
    noise = np.random.default_rng(seed).normal(0, spread, len(CASES))
    ease = EASE - EASE.mean() + noise - noise.mean()
    return {case: [float(mean + ease[i] + gain * (step - 4)) for step in range(5)] for i, case in enumerate(CASES)}


def _lines(table: Table | None, section: int = 0) -> dict[str, list[str]]:
    assert table is not None
    return {line[0]: list(line[1:]) for line in table.sections[section].lines}


def _notes(table: Table | None, section: int = 0) -> str:
    assert table is not None
    return "\n".join(table.sections[section].notes)


def _two(folder: Path, better: float = 0.84, spread: float = 0.002) -> list[Study]:
    study = write_study(folder)
    write_cell(study, "mecca", _dice(better, seed=1, spread=spread))
    write_cell(study, "iter-mrl", _dice(0.82, seed=2, spread=spread))
    write_cell(study, "random", _dice(0.1), updates=0, minutes=0.0)
    write_cell(study, "oracle", _dice(0.95), updates=0, minutes=0.0)
    return read_studies(folder)


def test_table_1_is_bold_where_the_best_is_significantly_better(tmp_path: Path) -> None:
    table = table1(_two(tmp_path))
    lines = _lines(table)
    sd = np.std([dice[-1] for dice in _dice(0.84, seed=1).values()], ddof=1)
    assert lines["mecca"][1] == f"**84.00 ± {100 * sd:.2f}**" and lines["mecca"][3] == "best"
    assert lines["iter-mrl"][1].startswith("82.00 ±") and lines["iter-mrl"][3] == "0.002"  # 2 / 2^10
    assert lines["mecca"][4].startswith("**1.600 ±")  # ASSD
    assert lines["oracle"][1].startswith("95.00") and lines["oracle"][3] == "-"
    assert "Dice %: mecca minus iter-mrl is +2.00 [+1." in _notes(table) and "p = 0.002." in _notes(table)


def test_table_1_is_not_bold_where_it_may_be_chance(tmp_path: Path) -> None:
    table = table1(_two(tmp_path, better=0.821, spread=0.02))
    assert table is not None and all("**" not in text for line in table.sections[0].lines for text in line)
    assert _lines(table)["mecca"][3] == "best" and "which is not significant" in _notes(table)


def test_a_caption_says_what_was_done(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", _dice(0.8), minutes=3.0)
    write_cell(study, "mecca", _dice(0.8), seed=1, minutes=5.04, commit="f" * 40 + "-dirty")
    write_cell(study, "iter-mrl", _dice(0.8), seed=1)
    write_cell(study, "random", _dice(0.1), updates=0, minutes=0.0, commit=None)
    notes = _notes(table1(read_studies(tmp_path)))
    assert notes.startswith(
        "MECCA-Spleen-v0 (Task_Spleen); 10 test cases; 3 training cases; preset `brief` on 28 x 24 x 24 voxels; "
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
    assert "With 3 cases, fewer than 6, no difference can be significant." in _notes(table)
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


def test_tables_3_and_4_are_about_methods_with_more_than_one_fraction(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for fraction, dice in ((1.0, 0.8), (0.5, 0.78), (0.125, 0.6)):
        write_cell(study, "mecca", _dice(dice, seed=1), fraction=fraction)
    for fraction, dice in ((1.0, 0.7), (0.5, 0.68)):
        write_cell(study, "iter-mrl", _dice(dice, seed=2), fraction=fraction)
    write_cell(study, "my:Own", _dice(0.9))
    studies = read_studies(tmp_path)
    lines = _lines(table3(studies))
    assert set(lines) == {"mecca", "iter-mrl"}
    assert lines["mecca"][1:] == ["60.00", "**78.00**", "**80.00**", "25.00", "33.33"]
    assert lines["iter-mrl"][1:] == ["-", "68.00", "70.00", "-", "-"]
    table = table4(studies)
    assert table is not None and [section.title for section in table.sections] == ["Spleen, mecca", "Spleen, iter-mrl"]
    assert _lines(table)["12.5 %"][1:] == ["56.00", "57.00", "58.00", "59.00", "60.00"]


def test_table_1_does_not_compare_trainings_of_different_seeds(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", _dice(0.9), seed=0)
    write_cell(study, "iter-mrl", _dice(0.5), seed=1)
    table = table1(read_studies(tmp_path))
    assert "Dice %: mecca and iter-mrl have no seed in common and are not compared." in _notes(table)
    assert "**" not in _lines(table)["mecca"][1]


def test_table_5_compares_every_row_with_the_one_without_mechanisms(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for variant, dice in (("labels", 0.8), ("none", 0.7), ("reward", 0.7001), ("", 0.81)):
        write_cell(study, "mecca", _dice(dice, seed=len(variant)), fraction=0.25, variant=variant)
    write_cell(study, "mecca", _dice(0.9))
    table = table5(read_studies(tmp_path))
    assert table is not None and [section.title for section in table.sections] == ["Spleen, 25 % labelled"]
    lines = table.sections[0].lines
    assert [line[:3] for line in lines] == [["", "", ""], ["✓", "", ""], ["", "", "✓"], ["✓", "✓", "✓"]]
    assert [line[4] for line in lines] == ["70.00", "70.01", "80.00", "81.00"]
    assert [line[6] for line in lines] == ["-", "+0.01", "+10.00", "+11.00"]
    assert lines[2][8] == lines[3][8] == "0.006" and float(lines[1][8]) > 0.05  # 3 x 2 / 2^10
    assert [row["variant"] for row in table.csv_rows] == ["none", "reward", "labels", "all"]


def test_table_5_without_the_row_to_compare_with(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", _dice(0.8), variant="labels")
    table = table5(read_studies(tmp_path))
    assert table is not None and list(table.sections[0].lines[0][6:]) == ["-", "-", "-"]


def test_table_5_pairs_rows_by_their_common_seeds(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for seed, dice in enumerate((0.6, 0.7, 0.8)):
        write_cell(study, "mecca", _dice(dice, seed=seed), seed=seed, variant="none")
    write_cell(study, "mecca", _dice(0.8, seed=2), seed=2, variant="reward")
    write_cell(study, "mecca", _dice(0.9), seed=7, variant="guide")
    table = table5(read_studies(tmp_path))
    assert table is not None
    none, reward, guide = table.sections[0].lines
    assert [line[4] for line in (none, reward, guide)] == ["70.00", "80.00", "90.00"]
    assert list(reward[6:]) == ["+0.00", "[+0.00, +0.00]", "1.000"] and list(guide[6:]) == ["-", "-", "-"]


def test_table_6_is_what_was_measured(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    (study / "timing.json").write_text(json.dumps(timing(mecca=10.0, iter_mrl=5.0)))
    table = table6(read_studies(tmp_path))
    assert _lines(table)["mecca"] == ["8.0", "2.0", "10.0", "[9.0, 11.0]"]
    assert "10 cases on 28 x 24 x 24 voxels, one at a time; cpu, 1 thread" in _notes(table)


def test_table_s2_is_about_cells_that_played_with_both_users(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", _dice(0.8), imprecise=_dice(0.78))
    write_cell(study, "mecca", _dice(0.5), seed=1)
    write_cell(study, "iter-mrl", _dice(0.8))
    lines = _lines(table_s2(read_studies(tmp_path)))
    assert list(lines) == ["mecca"]
    assert lines["mecca"][1:] == [
        *("80.00", "78.00", "+2.00 [+2.00, +2.00]"),
        *("2.000", "2.200", "+0.200 [+0.200, +0.200]"),
    ]


def test_a_collapsed_training_is_flagged_wherever_it_counts(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", _dice(0.8))
    write_cell(study, "mecca", _dice(0.3), seed=1)
    write_cell(study, "iter-mrl", _dice(0.7))
    studies = read_studies(tmp_path)
    lines = _lines(table_seeds(studies))
    assert lines["mecca"] == ["", "100 %", "80.00", "30.00 COLLAPSED"] and lines["iter-mrl"][-1] == "-"
    assert _lines(table1(studies))["mecca"][1].startswith("55.00")
    assert "trainings that collapsed: mecca-100-seed1." in _notes(table1(studies))
    text = report(tmp_path).read_text()
    assert "**Spleen, mecca-100-seed1: this training collapsed**" in text.partition("## Table 1")[0]


def test_there_are_only_tables_that_there_are_cells_for(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_cell(study, "mecca", _dice(0.8), fraction=0.25)
    path = report(tmp_path, tmp_path / "out" / "here")
    assert {p.name for p in path.parent.iterdir()} == {"report.md", "seeds.csv"}
    write_cell(study, "mecca", _dice(0.8))
    assert {p.name for p in report(tmp_path).parent.iterdir()} == {
        *("report.md", "table1.csv", "table2.csv", "table3.csv", "table4.csv"),
        *("clicks.csv", "misunderstanding.csv", "seeds.csv", "fig8-Spleen.png"),
    }


def _everything(folder: Path) -> Path:
    for name, cases in (("Spleen", CASES), ("Liver", CASES[:1])):
        study = write_study(folder, name)
        for number, method in enumerate(("random", "mecca", "iter-mrl", "my_module:MyAgent")):
            dice = {case: values for case, values in _dice(0.7 + 0.03 * number, seed=number).items() if case in cases}
            write_cell(study, method, dice, imprecise=dice)
        dice = {case: values for case, values in _dice(0.6).items() if case in cases}
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
    assert files == sorted(path.name for path in two.iterdir()) and len(files) == 15
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
        write_cell(study, method, _dice(0.8))
    figure = figure8(read_studies(tmp_path)[0])
    assert figure is not None
    styles = {str(line.get_label()): line.get_linestyle() for line in figure.axes[0].lines}
    assert styles == {"unet (no hints)": "--", "mecca": "-", "my:Own": "-."}
    assert figure9(read_studies(tmp_path)[0]) is None  # only one weighting of the reward


def test_a_picture_is_one(tmp_path: Path) -> None:
    _two(tmp_path)
    with Image.open(report(tmp_path).parent / "fig9-Spleen.png") as image:
        assert image.width > 1000 and np.asarray(image.convert("L")).std() > 20


def test_the_command_prints_table_1_and_the_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studies = _two(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    table = table1(studies)
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
