"""The experiment on choices: a simulated person chooses, an agent learns from it, and the page gets its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import preferences
from mecca_agents.online import enough
from mecca_agents.online.preferences import improving, reward
from mecca_agents.online.preferences.choosers import DiceChooser
from mecca_agents.session import load_model, read_log
from mecca_env.data.phantom import PhantomSource


@pytest.mark.slow  # plays whole phantoms
def test_every_number_of_choices_has_a_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for module, name, value in (
        (enough, "FEWEST_TO_LEARN", 3),
        (enough, "FEWEST_TO_JUDGE", 1),
        (reward, "EPOCHS", 1),
        (preferences, "CLICKS", 2),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(improving.improve, "__kwdefaults__", {**improving.improve.__kwdefaults__, "updates": 1})
    monkeypatch.setattr("experiments.sessions.general.CLICKS", 1)
    monkeypatch.setattr("sys.argv", ["preferences", "--choices", "4", "6", "--wrong", "0.1", "--tests", "1", "--print"])
    preferences.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[0] for row in rows] == ["none", "4", "6"] and rows[1][1] == "10 %" and len(set(map(len, rows))) == 1
    assert all(30 < float(cell) <= 100 for row in rows for cell in row[5:7]) and rows[1][4] in ("passes", "stays")


def test_a_person_takes_the_better_of_two(tmp_path: Path) -> None:
    model, scan = load_model("general", device="cpu"), PhantomSource().scan(0)
    person = preferences.ChoosingPerson(model, scan, 0, DiceChooser())
    with person.session as session:
        person.box()
        (choice,) = session.choices()
        assert choice is not None and person.choices == 1
        taken = session.mask()
        session.undo()
        one, other = session._proposals.masks  # type: ignore[union-attr]
        overlaps = [(mask & scan.label).sum() / (mask.sum() + scan.label.sum()) for mask in (one, other)]
        assert (taken == (one, other)[overlaps.index(max(overlaps))]).all()
        session.save_log(tmp_path / "log.json")
    assert [entry.action for entry in read_log(tmp_path / "log.json").entries][-2:] == ["choose", "undo"]
