"""The memory is bounded and balanced, and what is played is a third each of new, remembered and first cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mecca_agents.online.memory import STAND_IN, first_data, mixture, remembered
from mecca_agents.online.project import AcceptedCase
from mecca_agents.runs import read_config
from mecca_agents.runs.config import RunConfig


def _cases(**counts: int) -> list[AcceptedCase]:
    return [AcceptedCase(f"{target}__{n}", None) for target, count in counts.items() for n in range(count)]


def test_every_target_has_its_share_of_a_bounded_memory() -> None:
    cases = _cases(spleen=90, liver=30, heart=2)
    kept = remembered(cases, most=22)
    assert Counter(name.partition("__")[0] for name in kept) == {"spleen": 10, "liver": 10, "heart": 2}
    assert kept == remembered(cases[::-1], most=22) and len(remembered(cases)) == 64
    assert remembered(cases[:5]) == sorted(case.name for case in cases[:5])


@pytest.fixture
def config(begun: Path) -> RunConfig:
    return read_config(begun)


def _shares(found: dict[str, object]) -> list[float]:
    return [found["weight"], *(source["weight"] for source in found["sources"])]  # type: ignore[index, attr-defined, list-item]


def test_new_remembered_and_first_cases_come_equally_often(config: RunConfig, tmp_path: Path) -> None:
    cases = _cases(spleen=3)
    found = mixture(config, tmp_path, cases, {"spleen__0", "liver__7"})
    assert (found["env"], found["root"], _shares(found)) == ("MECCA-Shapes-v0", None, [1, 1, 1])
    new, old = found["sources"]
    assert new["cases"] == ["spleen__1", "spleen__2"] and old["cases"] == ["spleen__0"]
    assert {new["split"], new["root"], old["env"]} == {"all", str(tmp_path.resolve()), "MECCA-Volumes-v0"}
    (only,) = mixture(config, tmp_path, cases, set())["sources"]
    assert len(only["cases"]) == 3


def test_several_data_sets_share_the_third_of_what_came_first(config: RunConfig, tmp_path: Path) -> None:
    here, gone = tmp_path / "here", tmp_path / "gone"
    here.mkdir()
    sources = (
        {"env": "MECCA-Phantom-v0", "weight": 3.0},
        {"env": "MECCA-Volumes-v0", "root": str(here), "weight": 4.0},
        {"env": "MECCA-Volumes-v0", "root": str(gone), "weight": 9.0},
        {
            "env": "MECCA-Volumes-v0",
            "root": str(tmp_path),
            "split": "all",
            "cases": ("a",),
            "weight": 1.0,
        },  # a project's
    )
    mixed = replace(config, sources=sources, weight=1.0)
    assert [source["env"] for source in first_data(mixed)] == [
        "MECCA-Shapes-v0",
        "MECCA-Phantom-v0",
        "MECCA-Volumes-v0",
    ]
    found = mixture(mixed, tmp_path, _cases(spleen=2), set())
    assert _shares(found) == pytest.approx([1 / 8, 3 / 8, 4 / 8, 1])


def test_where_nothing_is_left_shapes_stand_in(config: RunConfig, tmp_path: Path) -> None:
    lost = replace(config, env="MECCA-Spleen-v0", root=str(tmp_path / "gone"), label=(1,))
    assert first_data(lost) == []
    found = mixture(lost, tmp_path, _cases(spleen=2), set())
    assert (found["env"], found["root"], found["label"]) == (STAND_IN, None, None)
    trained_on_phantom = replace(config, env="MECCA-Spleen-v0", dataset="phantom")  # there was no spleen
    assert [source["env"] for source in first_data(trained_on_phantom)] == ["MECCA-Phantom-v0"]
