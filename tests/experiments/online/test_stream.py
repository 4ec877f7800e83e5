"""A stream is played, accepted and learned from case by case, goes on where it was, and is told in curves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from experiments.online import __main__ as command
from experiments.online import report, stream
from experiments.online.stream import WRONG, Organ, Trial, grown, moved
from mecca_agents import train
from mecca_agents.online import read_project
from tests.support.agents import PRESET
from tests.support.volumes import ellipsoid, write_decathlon

ORGANS = (Organ("liver", "MECCA-Volumes-v0", "livers"), Organ("spleen", "MECCA-Volumes-v0", "spleens"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets and a run of an agent that takes what is bright."""
    root = tmp_path_factory.mktemp("data")
    for organ, names, radii in zip(ORGANS, ("abcdefgh", "stuvw"), ((6, 5, 4), (7, 6, 5)), strict=True):
        write_decathlon(root / organ.folder, names, label=ellipsoid(radii=radii))
    preset, prompts = PRESET.replace(shape=(16, 16, 16), updates=1), {"protocol": "mixed", "action": "continuous"}
    train(
        "tests.support.agents:Bright", "MECCA-Phantom-v0", root / "run", preset=preset, settings=prompts, device="cpu"
    )
    return root


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path]]:
    """Learnings that change nothing: from which run to which."""
    done: list[tuple[Path, Path]] = []

    def learn(project: Path, run: str, out: Path, *, updates: int, **more: Any) -> SimpleNamespace:
        assert updates == 24
        shutil.copytree(run, out)
        done.append((Path(run), out))
        return SimpleNamespace(verdict=SimpleNamespace(counts=len(done) > 1, difference=0.01), updates=7)

    monkeypatch.setattr(stream, "learn", learn)
    return done


@pytest.fixture
def trial(data: Path, tmp_path: Path) -> Callable[..., Trial]:
    def make(protocol: str = "one-click", order: int = 0, **more: Any) -> Trial:
        given = {"counts": (2, 1), "clean": 1, "run": str(data / "run"), "organs": ORGANS, **more}
        return Trial(data, tmp_path / "out", protocol, order, **given)

    return make


def test_each_case_is_met_accepted_and_learned_from(
    trial: Callable[..., Trial], learned: list[tuple[Path, Path]], data: Path, tmp_path: Path
) -> None:
    one = trial()
    one.go()
    names = [path.name for path in sorted(one.folder.glob("*.json"))]
    assert names == [
        "case_001.json",
        "case_002.json",
        "case_003.json",
        "clean_000.json",
        "clean_002.json",
        "clean_003.json",
    ]
    cases = [json.loads((one.folder / name).read_text()) for name in names[:3]]
    assert [(case["organ"], case["case"]) for case in cases] == [(organ.name, name) for organ, name in one.cases()]
    assert cases[0]["learning"]["why"] == "too few cases" and cases[2]["learning"]["updates"] == 7
    assert all(len(case["learned"]["dice"]) == 6 and case["learned"] == case["never"] for case in cases)
    assert cases[0]["learned"]["clicks"] == [0, 1, 2, 3, 4, 5]
    assert [run.name for run, _ in learned] == ["run", "run_002"] and [out.name for _, out in learned][1] == "run_003"
    assert sorted(case.target for case in read_project(one.folder / "project")) == ["liver", "liver", "spleen"]
    (one.folder / "case_003.json").unlink()
    (one.folder / "clean_003.json").unlink()
    one.go()
    assert len(learned) == 3 and json.loads((one.folder / "case_003.json").read_text())["case"] == cases[2]["case"]


def test_orders_are_others_and_have_no_case_twice(trial: Callable[..., Trial]) -> None:
    orders = [[case for _, case in trial(order=order, counts=(5, 3)).cases()] for order in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1] and len(set(orders[0])) == 8
    with pytest.raises(SystemExit, match="livers: expected 50 training cases, found 6"):
        trial(counts=(50, 1)).cases()


def test_half_of_the_masks_are_wrong_where_that_is_asked_for(
    trial: Callable[..., Trial], learned: list[tuple[Path, Path]], data: Path
) -> None:
    one = trial(wrong=0.5, counts=(3, 1), clean=1)
    wrong = one.wrong_ones()
    assert len(wrong) == 2 and not trial(counts=(3, 1)).wrong_ones() and one.folder.name.endswith("order0-moved0.5")
    for number, (organ, case) in enumerate(one.cases(), 1):
        one._accept(number, organ, case)
    labels = (one.folder / "project" / "labels").iterdir()
    masks = {path.name: np.asarray(nibabel.load(path).dataobj) for path in labels}  # type: ignore[attr-defined]
    right = {organ.name: ellipsoid(radii=radii) for organ, radii in zip(ORGANS, ((6, 5, 4), (7, 6, 5)), strict=True)}
    for number, (organ, case) in enumerate(one.cases(), 1):
        (mask,) = [mask for name, mask in masks.items() if name.startswith(f"{organ.name}__{case}-")]
        assert np.array_equal(mask > 0, right[organ.name]) == (number not in wrong)


def test_a_wrong_mask_is_elsewhere_or_too_large() -> None:
    label = ellipsoid()
    for seed in range(6):
        other = moved(label, np.random.default_rng(seed))
        assert other.sum() == label.sum() and 0.1 < 2 * (other & label).sum() / (2 * label.sum()) < 0.6
    larger = grown(label, np.random.default_rng(0))
    assert larger[label].all() and 1.3 < larger.sum() / label.sum() < 3
    assert set(WRONG) == {"moved", "grown"}


def _written(folder: Path, dice: list[float], organs: list[str], clean: dict[int, list[float]]) -> None:
    folder.mkdir(parents=True)
    for number, (value, organ) in enumerate(zip(dice, organs, strict=True), 1):
        case = {"organ": organ, "case": str(number), "never": {"dice": [0.5, 0.5], "clicks": [0, 1]}}
        case |= {"learned": {"dice": [0.5, value], "clicks": [0, 1]}}
        learning = {"counts": number > 2, "updates": 10, "all_seconds": 60.0} if number > 1 else {"counts": False}
        (folder / f"case_{number:03}.json").write_text(json.dumps({**case, "learning": learning}))
    for number, values in clean.items():
        (folder / f"clean_{number:03}.json").write_text(json.dumps({"liver": values}))


def test_the_tables_and_the_curves_say_what_was_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    organs = ["liver"] * 4 + ["spleen"] * 2
    for order, last in enumerate((0.7, 0.9)):
        dice = [0.5, 0.5, 0.9, last, 0.5, 0.6]
        _written(tmp_path / "out" / f"paper-order{order}", dice, organs, {0: [0.5, 0.6], 6: [0.6, 0.7]})
    _written(tmp_path / "out" / "paper-order0-grown0.5", [0.5] * 6, organs, {0: [0.5, 0.6], 6: [0.5, 0.5]})
    page = tmp_path / "page.md"
    page.write_text("before\n{}\n{}\nafter\n".format(*command.MARKS))
    monkeypatch.setattr(command, "PAGE", page)
    monkeypatch.setattr(command, "PICTURE", tmp_path / "online.png")
    command.write(tmp_path / "out", only_print=False)
    text = page.read_text()
    assert "| paper | liver | 50.0 | 85.0 | +35.0 (+30.0 to +40.0) | 1.0 | 1.0 |" in text
    assert "| paper | spleen | 50.0 | 60.0 | +10.0 (+10.0 to +10.0) |" in text
    assert "| paper | liver | 55.0 | 65.0 | +10.0 [+10.0, +10.0] |" in text
    assert "| paper, 50 % grown | liver | 55.0 | 50.0 | -5.0 [-10.0, +0.0] |" in text
    assert "| paper | 2 | 10 | 80 | 10 | 60 |" in text
    assert text.startswith("before\n") and text.endswith("after\n")
    assert Image.open(tmp_path / "online.png").height > 200
    assert (tmp_path / "online.png").stat().st_size < 200_000


def test_curves_are_means_of_the_last_cases() -> None:
    assert report.smoothed(np.array([1.0, 2.0, 3.0, 4.0]), width=2).tolist() == [1.0, 1.5, 2.5, 3.5]


def test_there_have_to_be_trials(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="expected trials of this experiment, found none"):
        command.found_in(tmp_path)
