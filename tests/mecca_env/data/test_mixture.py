"""Several data sets behind one environment: shares, names, labels, snapshots, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from mecca_agents import PRESETS, resume, train
from mecca_agents.cli import main
from mecca_agents.runs.config import read_config
from mecca_env.data.base import DataError
from mecca_env.data.mixture import MixedSource, open_mixture
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.volumes import write_decathlon, write_pairs

SMALL: dict[str, Any] = {"shape": (12, 12, 10), "clicks": (2, 1, 1, 1, 1)}
CUT: dict[str, Any] = {"extension": (1, 3), "rotation": 10.0, "evaluation_extension": 2}
TWO = [{"env": "MECCA-Phantom-v0", "weight": 3.0}]


def _envs(num_envs: int = 2, sources: Any = TWO, **keywords: Any) -> MeccaVectorEnv:
    envs = gym.make_vec("MECCA-Shapes-v0", num_envs=num_envs, sources=sources, **SMALL, **keywords).unwrapped
    assert isinstance(envs, MeccaVectorEnv)
    return envs


def test_each_data_set_comes_as_often_as_it_weighs() -> None:
    cases = open_mixture("Shapes", TWO, 1.0, split="train", **CUT)
    names = [cases.source.case_name(index).split("_")[0] for index in range(4000)]
    assert set(names) == {"shapes", "phantom"} and abs(names.count("phantom") / 4000 - 0.75) < 0.03


def test_a_case_is_that_of_its_data_set_and_of_the_right_split() -> None:
    for split, rest in (("train", 0), ("test", 1)):
        source = open_mixture("Shapes", TWO, split=split, **CUT).source
        assert isinstance(source, MixedSource) and source.name == "shapes+phantom"
        for index in (0, 5, 2**30 - 1):
            part, own = source.drawn(index)
            assert own % 2 == rest
            assert torch.equal(source.case(index).image, part.source.case(own).image)
            assert source.case_name(index) == f"{part.source.case_name(own)}_{index:010d}"
    with pytest.raises(IndexError, match="expected an index in"):
        source.case(2**30)


def test_a_source_may_have_a_split_of_its_own(tmp_path: Path) -> None:
    root = str(write_pairs(tmp_path, ("a", "b", "c")))
    counts = []
    for own in ({}, {"split": "all"}, {"split": "test"}):
        found = open_mixture("Shapes", [{"env": "MECCA-Volumes-v0", "root": root, **own}], split="train", **CUT).source
        assert isinstance(found, MixedSource) and found.parts[0].split == "train"
        counts.append(len(found.parts[1]))
    assert counts == [2, 3, 1]
    with pytest.raises(ValueError, match="split: expected one of train, test, all, got 'some'"):
        open_mixture("Shapes", [{"env": "MECCA-Volumes-v0", "root": root, "split": "some"}], split="train", **CUT)


def test_an_env_depends_on_its_seed_alone_and_goes_on_from_a_snapshot() -> None:
    several, alone = _envs(3), _envs(1)
    many, _ = several.reset(seed=4)
    one, _ = alone.reset(seed=6)
    assert torch.equal(many["volume"][2:], one["volume"])
    action = torch.full((3, 12, 12, 10), 3)
    several.step(action)
    kept = several.snapshot()
    played = [several.step(action)[0]["volume"] for _ in range(6)]
    several.restore(kept)
    assert all(torch.equal(several.step(action)[0]["volume"], volume) for volume in played)
    other = _envs(3, [{"env": "MECCA-Phantom-v0", "weight": 2.0}])
    other.reset(seed=4)
    with pytest.raises(ValueError, match="names of the cases"):
        other.restore(kept)


def test_cases_are_labelled_where_they_are_in_their_data_set(tmp_path: Path) -> None:
    root = write_decathlon(tmp_path / "set", "abcd")
    source = {"env": "MECCA-Volumes-v0", "root": root}
    cases = open_mixture("Phantom", [source], split="all", labelled_fraction=0.5, **CUT)
    assert isinstance(cases.source, MixedSource)
    labelled: dict[str, set[bool]] = {}
    for index in range(300):
        part, own = cases.source.drawn(index)
        if not part.endless:
            labelled.setdefault(part.source.case_name(own), set()).add(cases.is_labelled(index))
    assert len(labelled) == 4 and sorted(map(sorted, labelled.values())) == [[False], [False], [True], [True]]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            ["MECCA-Phantom-v0"],
            r"^sources\[0\]: expected a mapping with env and some of root, .*, got 'MECCA-Phantom-v0'",
        ),
        ([{"env": "MECCA-Phantom-v0", "wieght": 1}], r"^sources\[0\]: expected a mapping"),
        ([*TWO, {"env": "Phantom"}], r"^sources\[1\]: expected env, an environment id, got 'Phantom'"),
        ([{"env": "MECCA-Phantom-v0", "weight": 0}], r"^sources\[0\]: expected a weight above 0, got 0"),
        ([{"env": "MECCA-Nothing-v0"}], "^dataset: expected one of .*, got 'Nothing'"),
    ],
)
def test_what_is_no_source_is_refused(sources: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _envs(sources=sources)


def test_data_sets_of_other_modalities_are_refused(tmp_path: Path) -> None:
    root = write_decathlon(tmp_path / "set", channels=2)
    with pytest.raises(DataError, match="^sources: expected the 1 modalities of shapes, found 2 of set"):
        _envs(sources=[{"env": "MECCA-Volumes-v0", "root": root}])


def test_a_run_keeps_its_sources_and_goes_on_with_them(tmp_path: Path) -> None:
    preset = PRESETS["general"].replace(shape=(12, 12, 10), channels=2, num_envs=1, updates=2)
    whole = train("intercnn", "MECCA-Shapes-v0", tmp_path / "a", preset=preset, sources=TWO, device="cpu")
    train("intercnn", "MECCA-Shapes-v0", tmp_path / "b", preset=preset.replace(updates=1), sources=TWO, device="cpu")
    config = read_config(tmp_path / "a")
    assert config.sources == tuple(TWO) and config.weight == 1.0 and config.dataset == "shapes+phantom"
    text = (tmp_path / "b" / "config.json").read_text().replace('"updates": 1', '"updates": 2')
    (tmp_path / "b" / "config.json").write_text(text)
    again = resume(tmp_path / "b", device="cpu")
    assert all(torch.equal(again.weights()[key], value) for key, value in whole.weights().items())


def test_the_command_takes_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_decathlon(tmp_path / "set", "abcd")
    ids = ["--env", "MECCA-Shapes-v0", "MECCA-Volumes-v0"]
    sizes = ["--preset", "general", "--shape", "12", "12", "10", "--channels", "2", "--updates", "1"]
    out = ["--num-envs", "1", "--out", str(tmp_path / "run"), "--device", "cpu"]
    more = ["--root", "-", str(root), "--weights", "1", "0.5"]
    assert main(["train", "intercnn", *ids, *sizes, *out, *more]) == 0
    config = read_config(tmp_path / "run")
    assert config.sources == ({"env": "MECCA-Volumes-v0", "weight": 0.5, "root": str(root.resolve())},)
    assert main(["train", "intercnn", *ids, *sizes, *out, "--weights", "1"]) != 0
    assert "--weights: expected one for each of the 2 ids of --env, got 1" in capsys.readouterr().err
    assert np.isclose(config.weight, 1.0)
