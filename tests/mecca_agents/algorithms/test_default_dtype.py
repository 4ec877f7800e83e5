"""Methods train with torch's default dtype set to another one: their networks are float32, as observations are."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
import torch

from mecca_agents.evaluation import evaluate_agent
from mecca_agents.presets import FAST, MECHANISMS
from mecca_agents.runs import read_config
from mecca_agents.training import train
from tests.support.envs import Blobs, default_dtype, make_envs

PRESET = FAST.replace(
    **MECHANISMS, shape=(12, 12, 10), num_envs=2, updates=1, channels=4, dilations=(1, 2), confidence_channels=4
)


@pytest.mark.parametrize("method", ["mecca", "ua-mt", "mean-mask"])
def test_a_method_trains_and_plays(method: str, tmp_path: Path) -> None:
    with default_dtype(torch.float64):
        run = tmp_path / "run"
        agent = train(method, "MECCA-Phantom-v0", run, preset=PRESET, cases=2, seed=0, device="cpu", stream=StringIO())
        results = evaluate_agent(agent, read_config(run), cases=1)
    weights = agent.weights().values()
    assert {weight.dtype for weight in weights if weight.is_floating_point()} == {torch.float32}
    assert len(results) == 5


def test_sb3s_models_train() -> None:
    sb3 = pytest.importorskip("mecca_agents.sb3")
    sizes = {"channels": 2, "dilations": (1,)}
    with default_dtype(torch.float64):
        envs = make_envs(2, dataset=Blobs(2))
        model = sb3.VoxelA2C("VoxelPolicy", envs, policy_kwargs=sizes, seed=0, device="cpu").learn(6)
    assert {parameter.dtype for parameter in model.policy.parameters()} == {torch.float32}
