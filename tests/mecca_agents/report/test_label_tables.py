"""Tables 3, 4, 5 and S2: labelled amounts, mechanisms, imprecise users."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mecca_agents.report.comparison import corrected, gap
from mecca_agents.report.label_tables import table3, table4, table5
from mecca_agents.report.layout import p_text
from mecca_agents.report.method_tables import table_s2
from mecca_agents.report.studies import read_studies
from mecca_agents.tables import Table
from tests.support.benchmark_folder import CASES, rising, write_cell, write_study, write_trainings


def _lines(table: Table | None, section: int = 0) -> dict[str, list[str]]:
    assert table is not None
    return {line[0]: list(line[1:]) for line in table.sections[section].lines}


def test_tables_3_and_4_are_about_methods_with_fewer_labels_too(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_trainings(study, "mecca", 0.8)
    write_trainings(study, "mecca", 0.78, fraction=0.5)
    write_trainings(study, "mecca", 0.6, labelled_cases=4)
    write_trainings(study, "iter-mrl", 0.7)
    write_trainings(study, "iter-mrl", 0.68, fraction=0.5)
    write_trainings(study, "my:Own", 0.9)
    studies = read_studies(tmp_path)
    table = table3(studies)
    assert table is not None
    assert table.sections[0].head == ["Method", "Seeds", "4 cases", "50 %", "100 %", "Loss, %", "Improvement, %"]
    lines = _lines(table)
    assert set(lines) == {"mecca", "iter-mrl"}
    # With all labels another method, which is not in this table, is the best.
    assert lines["mecca"] == ["5", "60.00", "**78.00**", "80.00", "25.00", "33.33"]
    assert lines["iter-mrl"] == ["5", "-", "68.00", "70.00", "-", "-"]
    amounts = [(row["method"], row["fraction"], row["labelled_cases"], row["best"]) for row in table.csv_rows]
    assert amounts[:3] == [("iter-mrl", "0.5", "", 0), ("iter-mrl", "1", "", 0), ("mecca", "", 4, 0)]
    table = table4(studies)
    assert table is not None and [section.title for section in table.sections] == ["Spleen, mecca", "Spleen, iter-mrl"]
    assert list(_lines(table)) == ["4 cases", "50 %", "100 %"]
    assert _lines(table)["4 cases"][1:] == ["56.00", "57.00", "58.00", "59.00", "60.00"]


def test_the_loss_is_that_of_the_fewest_cases_however_they_were_asked_for(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_trainings(study, "mecca", 0.8)
    write_trainings(study, "mecca", 0.7, labelled_cases=8)
    write_trainings(study, "mecca", 0.5, fraction=0.0625)  # one case
    table = table3(read_studies(tmp_path))
    assert table is not None and table.sections[0].head[2:5] == ["6.25 %", "8 cases", "100 %"]
    assert _lines(table)["mecca"][-2:] == ["37.50", "60.00"]


def test_in_table_3_all_methods_of_an_amount_compete(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for method, dice in (("mecca", 0.7), ("iter-mrl", 0.6)):
        write_trainings(study, method, dice + 0.1)
        write_trainings(study, method, dice, labelled_cases=2)
    assert _lines(table3(read_studies(tmp_path)))["mecca"][1] == "**70.00**"
    write_trainings(study, "ua-mt", 0.75, labelled_cases=2)  # and no other amount
    lines = _lines(table3(read_studies(tmp_path)))
    assert lines["mecca"][1] == "70.00" and lines["ua-mt"][1:] == ["**75.00**", "-", "-", "-"]


def test_in_table_3_the_winner_of_table_1_is_bold_with_all_labels(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for method, dice in (("mecca", 0.8), ("iter-mrl", 0.7)):
        write_trainings(study, method, dice)
        write_trainings(study, method, dice - 0.1, labelled_cases=4)
    assert _lines(table3(read_studies(tmp_path)))["mecca"][1:3] == ["**70.00**", "**80.00**"]


def test_table_5_compares_every_row_with_the_one_without_mechanisms(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    means = {"none": 0.7, "reward": 0.7001, "labels": 0.8, "all": 0.81}
    for variant, dice in means.items():
        write_trainings(study, "mecca", dice, fraction=0.25, variant=variant, luck=0.001 + dice / 1000)
    write_cell(study, "mecca", rising(0.9))
    write_trainings(study, "mecca", 0.9, fraction=0.25)  # whatever mechanisms its preset has: no row of this table
    studies = read_studies(tmp_path)
    table = table5(studies)
    assert table is not None and [section.title for section in table.sections] == ["Spleen, 25 % labelled"]
    lines = table.sections[0].lines
    assert [line[:3] for line in lines] == [["", "", ""], ["✓", "", ""], ["", "", "✓"], ["✓", "✓", "✓"]]
    assert [line[4] for line in lines] == ["70.00", "70.01", "80.00", "81.00"]
    assert [line[6] for line in lines] == ["-", "+0.01", "+10.00", "+11.00"]
    dice = {
        v: np.array(
            [100 * c.grid("dice")[:, -1] for c in studies[0].cells if (c.variant, str(c.labelled)) == (v, "25 %")]
        )
        for v in means
    }
    p = corrected({v: gap(of, dice["none"])[1] for v, of in dice.items() if v != "none"})
    assert [line[8] for line in lines[1:]] == [p_text(p[v]) for v in ("reward", "labels", "all")]
    assert p["reward"] > 0.5 and p["labels"] < 0.001
    assert [row["variant"] for row in table.csv_rows] == ["none", "reward", "labels", "all"]


def test_table_5_without_the_row_to_compare_with(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_trainings(study, "mecca", 0.8, variant="labels")
    table = table5(read_studies(tmp_path))
    assert table is not None and list(table.sections[0].lines[0][6:]) == ["-", "-", "-"]


def test_table_5_has_no_p_from_one_seed(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    write_trainings(study, "mecca", 0.7, variant="none")
    write_trainings(study, "mecca", 0.8, variant="reward", seeds=1)
    write_trainings(study, "mecca", 0.8, variant="guide", seeds=2)
    table = table5(read_studies(tmp_path))
    assert table is not None
    _, reward, guide = table.sections[0].lines
    assert list(reward[5:]) == ["-", "+10.00", "-", "-"] and list(guide[6:]) != ["+10.00", "-", "-"]
    assert reward[3] == "1 of 5" and 0 < float(guide[8]) < 0.05
    notes = "\n".join(table.sections[0].notes)
    assert "With 1 seed: no interval, no p and no bold (reward)." in notes and "With 2 seeds" in notes


def test_table_5_has_the_gain_with_the_imprecise_user_beside_the_other(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for variant, dice, imprecise in (("none", 0.8, 0.7), ("reward", 0.81, 0.76), ("guide", 0.82, None)):
        write_trainings(study, "mecca", dice, imprecise=imprecise, variant=variant, labelled_cases=4)
    table = table5(read_studies(tmp_path))
    assert table is not None and table.sections[0].title == "Spleen, 4 cases labelled"
    assert table.sections[0].head[6:] == ["Gain", "95 % interval", "p", "Gain, imprecise user", "95 % interval", "p"]
    _, reward, guide = table.sections[0].lines
    assert (reward[6], reward[9], guide[6], guide[9]) == ("+1.00", "+6.00", "+2.00", "-")
    assert reward[10].startswith("[+5.") and reward[11] == "< 0.001"
    row = table.csv_rows[1]
    assert (row["gain"], row["gain_imprecise"], row["labelled_cases"]) == ("1", "6", 4)
    # The loss of each row, in Table S2.
    lines = _lines(table_s2(read_studies(tmp_path)))
    assert list(lines) == ["none", "reward"]
    assert lines["reward"][1:3] == ["81.00", "76.00"] and lines["reward"][3].startswith("+5.00 [+")


def test_table_s2_is_about_cells_that_played_with_both_users(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for seed in range(2):
        write_cell(study, "mecca", rising(0.8), imprecise=rising(0.78), seed=seed)
    write_cell(study, "mecca", rising(0.5), seed=2)
    write_cell(study, "iter-mrl", rising(0.8))
    write_cell(study, "pnet", rising(0.8), imprecise=rising(0.79))
    lines = _lines(table_s2(read_studies(tmp_path)))
    assert list(lines) == ["pnet", "mecca"]
    assert lines["mecca"][1:] == [
        *("80.00", "78.00", "+2.00 [+2.00, +2.00]"),
        *("2.000", "2.200", "+0.200 [+0.200, +0.200]"),
    ]
    assert lines["pnet"][1:] == ["80.00", "79.00", "+1.00", "2.000", "2.100", "+0.100"]
    assert len(CASES) >= 8
