"""VoxelPPO as a method of the benchmark: it learns under `mecca train`, and goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason="needs the extra sb3")

from safetensors.torch import load_file

from mecca_agents import PRESETS, evaluate_agent, resume, train
from mecca_agents.agent import find_method, make_agent
from mecca_agents.runs import read_config
from mecca_agents.runs.loading import task_of

pytestmark = pytest.mark.slow  # trainings

METHOD = "benchmarks.voxel_ppo:VoxelPPO"
SMALL = PRESETS["demo"].replace(shape=(12, 12, 10), channels=8, dilations=(1, 2), n_steps=1, updates=60)


def _dice(agent: object, config: object) -> float:
    results = evaluate_agent(agent, config, cases=6)  # type: ignore[arg-type]
    return float(np.mean([result.dice for result in results if result.step == 5]))


def test_it_beats_its_untrained_self(tmp_path: Path) -> None:
    trained = train(METHOD, "MECCA-Phantom-v0", tmp_path / "run", preset=SMALL, cases=12, seed=0, device="cpu")
    config = read_config(tmp_path / "run")
    untrained = make_agent(METHOD, SMALL, task_of(config), device=torch.device("cpu"), seed=0)
    assert _dice(trained, config) > max(0.6, _dice(untrained, config) + 0.1)


def test_it_goes_on_bit_for_bit_and_leaves_torchs_generator_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset, common = SMALL.replace(updates=4), {"cases": 4, "seed": 3, "device": "cpu", "checkpoint_every": 1}
    before = torch.get_rng_state()
    train(METHOD, "MECCA-Phantom-v0", tmp_path / "whole", preset=preset, **common)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before)
    method = find_method(METHOD)
    learn = method.learn

    def broken(self: object, envs: object, observation: object, progress: float) -> object:
        if progress >= 0.5:
            raise ConnectionAbortedError
        return learn(self, envs, observation, progress)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(ConnectionAbortedError):
        patch.setattr(method, "learn", broken)
        train(METHOD, "MECCA-Phantom-v0", tmp_path / "parts", preset=preset, **common)  # type: ignore[arg-type]
    torch.rand(7)
    resume(tmp_path / "parts")
    ours, theirs = (load_file(_weights(tmp_path / name)) for name in ("parts", "whole"))
    assert set(ours) == set(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


def _weights(run: Path) -> Path:
    return run / "checkpoints" / "last" / "model.safetensors"
