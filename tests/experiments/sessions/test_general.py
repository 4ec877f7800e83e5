"""The simulated person of docs/general.md: what they click, what is measured of it, and the page's tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.sessions import clicks, general
from experiments.sessions.general import Person, Target, by_prompts, notes, play
from mecca_agents import train
from mecca_agents.session import Model, load_model
from tests.support import ROOT
from tests.support.agents import PRESET
from tests.support.volumes import ellipsoid, write_decathlon


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Of an agent that takes what is bright."""
    out = tmp_path_factory.mktemp("general") / "run"
    preset, prompts = PRESET.replace(shape=(16, 16, 16), updates=1), {"protocol": "mixed", "action": "continuous"}
    train("tests.support.agents:Bright", "MECCA-Phantom-v0", out, preset=preset, settings=prompts, device="cpu")
    return load_model(out, device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_decathlon(root / "set", "ab", label=ellipsoid((30, 28, 24), (9, 8, 7)))
    return root


TARGET = Target("liver", "MECCA-Volumes-v0", "set", chosen=True)


def test_a_person_clicks_into_the_middle_of_what_is_wrong(model: Model, data: Path) -> None:
    scan = next(TARGET.scans(data, 1))
    person = Person(model, scan, 0)
    person.first_click()
    (first,) = person.session.clicks
    middle = np.argwhere(scan.label).mean(axis=0)
    assert first.inside and np.abs(np.array(first.point) - middle).max() <= 1
    assert person.played.obeyed == [True] and len(person.played.dice) == 1
    person.session.reset()
    person.session.set_mask(np.pad(scan.label[:, :, :-4], ((0, 0), (0, 0), (4, 0))))
    person.click()
    (click,) = person.session.clicks
    assert click.inside == bool(scan.label[tuple(round(v) for v in click.point)])
    assert person.session.mask()[tuple(round(v) for v in click.point)] != click.inside


@pytest.mark.parametrize(("way", "predictions"), [("box", 6), ("first click", 6), ("mask", 7)])
def test_every_way_ends_after_five_clicks(model: Model, data: Path, way: str, predictions: int) -> None:
    scan = next(TARGET.scans(data, 1))
    played = play(model, scan, way, 0)
    assert len(played.dice) == predictions and all(0 < value <= 100 for value in played.dice)
    assert len(played.kept) == general.CLICKS + (way == "first click")
    if way == "mask":
        assert abs(played.dice[0] - 80) < 12
    else:
        assert played.dice[-1] > 85  # what its grid can hold
    text = by_prompts({"liver": [played, played]}, way)
    assert f"| liver * | 2 | {played.dice[0]:.1f} |" in text
    assert "100.0 %" in notes({way: {"liver": [played]}})


def test_the_picture_has_a_row_for_each_scan(model: Model, data: Path) -> None:
    rows = [clicks.row_of(scan, Person(model, scan, 0)) for scan in TARGET.scans(data, 2)]
    assert len(rows) == 2 and {len(row) for row in rows} == {clicks.CLICKS + 2}
    picture = clicks.page(rows)
    assert picture.height > 2 * rows[0][0].height and picture.width > 5 * rows[0][0].width


def test_the_page_names_every_target_and_who_chose() -> None:
    text = (ROOT / "docs" / "general.md").read_text(encoding="utf-8")
    table = text.partition(general.MARKS[0])[2].partition(general.MARKS[1])[0]
    assert all(f"| {target.name}{' *' * target.chosen} | " in table for target in general.TARGETS)
    assert sum(target.chosen for target in general.TARGETS) in (3, 4)
