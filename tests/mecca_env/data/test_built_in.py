"""The data sets that are drawn: each behind its id, its splits apart, none where a folder is read."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

import mecca_env
from mecca_env.data.built_in import BUILT_IN, STAND_IN, built_in
from mecca_env.data.catalog import CATALOG
from mecca_env.data.drift import STREAM
from mecca_env.data.procedural.source import CASES, ProceduralSource
from mecca_env.data.selection import open_cases
from tests.support.envs import SETTINGS

CROPS = {"extension": (1, 11), "rotation": 15.0, "evaluation_extension": 6}


def test_every_key_has_an_id_and_a_name_of_its_own() -> None:
    assert set(mecca_env.ENV_IDS.values()) == {*CATALOG, *BUILT_IN, STREAM}
    assert (
        len({source.name for source in BUILT_IN.values()}) == len({source.words for source in BUILT_IN.values()}) == 2
    )
    assert STAND_IN.name == "phantom"


@pytest.mark.parametrize("key", BUILT_IN)
def test_even_cases_are_trained_on_and_odd_ones_tested_on(key: str) -> None:
    train, test, everything = (open_cases(key, split=split, **CROPS) for split in ("train", "test", "all"))  # type: ignore[arg-type]
    assert [type(cases.source) for cases in (train, test, everything)] == [BUILT_IN[key]] * 3
    assert [cases.indices for cases in (train, test, everything)] == [
        range(0, CASES, 2),
        range(1, CASES, 2),
        range(CASES),
    ]
    name = f"{BUILT_IN[key].name}_0000000007"
    assert test.find(name) == 7 and test.endless
    with pytest.raises(ValueError, match="case: expected one of"):
        train.find(name)


@pytest.mark.parametrize("key", BUILT_IN)
def test_settings_reach_the_source_and_files_are_refused(key: str, tmp_path: Path) -> None:
    whole = open_cases(key, whole=True, memory_bytes=1 << 30, **CROPS).source  # type: ignore[arg-type]
    assert whole.case(3).label.shape == whole.case(3).scan_shape and whole.case(3) is whole.case(3)
    for given in ({"root": tmp_path}, {"label": 1}, {"modalities": ("flair",)}):
        with pytest.raises(ValueError, match="root, label and modalities belong to data sets of files"):
            open_cases(key, **given, **CROPS)  # type: ignore[arg-type]


def test_an_unknown_key_names_them_all() -> None:
    with pytest.raises(ValueError, match=f"dataset: expected one of .*{', '.join(BUILT_IN)}, got 'Shape'"):
        open_cases("Shape", **CROPS)  # type: ignore[arg-type]


def test_a_name_in_results_is_a_built_in_data_set_only_without_a_folder() -> None:
    for source in BUILT_IN.values():
        assert built_in(source.name) is source
        assert built_in(source.name, "/data/shapes") is None
    assert built_in("Task09_Spleen") is None


def test_episodes_of_shapes_are_the_same_alone_and_in_a_batch() -> None:
    envs = gym.make_vec("MECCA-Shapes-v0", num_envs=2, **SETTINGS)
    observation, info = envs.reset(seed=0)
    assert envs.unwrapped.dataset.name == "shapes" and isinstance(envs.unwrapped.dataset, ProceduralSource)
    assert observation["volume"].shape[0] == 2 and (info["case_index"] % 2 == 0).all()
    alone = gym.make("MECCA-Shapes-v0", **SETTINGS)
    assert np.array_equal(alone.reset(seed=0)[0]["volume"], observation["volume"][0].numpy())
    assert torch.isfinite(observation["volume"]).all()
