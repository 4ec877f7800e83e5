"""Every pair of settings of prompts at least once, in every autoreset mode, with one env, three and eight."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch

from mecca_env.episodes.snapshot import Snapshot
from mecca_env.testing import check_vector_env
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS, Blobs, full_actions
from tests.support.trees import same

CHOICES: dict[str, tuple[Any, ...]] = {
    "signed": (False, True),
    "user": ("edge", "largest-error", "random-error", "scribble", {"edge": 1, "scribble": 1, "region-centre": 2}),
    "clicks": ((6, 3, 2), (1, 1, 1), ((1, 3), (0, 3), 0)),
    "box": ("none", "label", "middle-slice", {"label": 1, "none": 1}),
    "crop": ("label", "box", "click", "scan", {"box": 1, "click": 1}),
    "start": ("half", "mask", {"half": 1, "mask": 1}),
    "hint": ("gaussian", "edt", "euclidean", "supervoxel"),
    "time": (False, True),
    "acts": ({}, {"guide": True, "user": {"edge": 2, "scribble": 1}}, {"action": "continuous"}),
    "dataset": (1, 2),
    "augment": (False, True),
    "autoreset_mode": ("SameStep", "NextStep", "Disabled"),
    "num_envs": (1, 3, 8),
}


def covering(choices: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, int]]:
    """Rows, each with a number for every name, that hold each pair of numbers of two names; greedily made."""
    names = list(choices)

    def pair(one: tuple[str, int], other: tuple[str, int]) -> frozenset[tuple[str, int]]:
        return frozenset((one, other))

    left = {
        pair((a, i), (b, j))
        for a, b in combinations(names, 2)
        for i, j in product(range(len(choices[a])), range(len(choices[b])))
    }
    while left:
        row = dict(sorted(min(left, key=sorted)))
        for name in names:
            if name not in row:
                options = range(len(choices[name]))
                gains = [sum(pair((name, n), other) in left for other in row.items()) for n in options]
                row[name] = int(np.argmax(gains))
        left -= {pair(one, other) for one, other in combinations(row.items(), 2)}
        yield row


ROWS = list(covering(CHOICES))


def settings(row: dict[str, int]) -> dict[str, Any]:
    """Keywords of a row."""
    chosen = {name: CHOICES[name][number] for name, number in row.items()}
    chosen |= chosen.pop("acts")
    return {**SETTINGS, "supervoxels": (12, 10, 8), **chosen, "dataset": Blobs(modalities=chosen["dataset"])}


def test_every_pair_is_there() -> None:
    for a, b in combinations(CHOICES, 2):
        there = {(row[a], row[b]) for row in ROWS}
        assert len(there) == len(CHOICES[a]) * len(CHOICES[b])
    assert len(ROWS) < 45


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_a_pair_of_settings_conforms(row: dict[str, int]) -> None:
    keywords = settings(row)
    if keywords["num_envs"] > 1:
        check_vector_env(MeccaVectorEnv(**keywords), steps=5)
    envs = MeccaVectorEnv(**keywords)
    envs.reset(seed=3)
    actions = full_actions(envs, 5)
    for action in actions[:2]:
        envs.step(action)
    snapshot = envs.snapshot()
    kept = Snapshot(snapshot.tensors, json.loads(json.dumps(snapshot.host)))
    again = MeccaVectorEnv(**keywords)
    observation, _ = again.restore(kept)
    assert again.single_observation_space.contains({key: value[0].numpy() for key, value in observation.items()})
    for action in actions[2:]:
        if keywords["autoreset_mode"] == "Disabled" and bool((envs.state.step == 3).all()):
            break
        for one, other in zip(again.step(action), envs.step(action), strict=True):
            same(one, other)
    if keywords["num_envs"] > 1:
        first = MeccaVectorEnv(**keywords)
        observation, info = first.reset(seed=3)
        other, told = MeccaVectorEnv(**{**keywords, "num_envs": 1}).reset(seed=3)
        for key, value in other.items():
            assert torch.equal(value[0], observation[key][0]), key
        for key, value in told.items():
            assert torch.equal(value[0].nan_to_num(), info[key][0].nan_to_num()), key
