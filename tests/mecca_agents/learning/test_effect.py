"""Which settings change what a method learns, and that a command refuses the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mecca_agents.agent import check_effect, find_method, make_agent
from mecca_agents.cli import main
from mecca_agents.presets import BRIEF, FAMILIES, MECHANISMS, Preset
from mecca_agents.runs.envs import envs_of
from mecca_agents.runs.loading import make_task
from tests.support.envs import make_envs

PLAYED: dict[str, Any] = {"shape": (8, 8, 8), "horizon": 2, "clicks": (6, 3), "labelled_fraction": 0.5}
SMALL = BRIEF.replace(
    **MECHANISMS,
    shape=PLAYED["shape"],
    channels=3,
    dilations=(1, 2),
    shared_blocks=1,
    updates=3,
    num_envs=1,
    clip_norm=0.1,
    epochs=2,
    delta=(0.5, 0.5),
)
OTHER: dict[str, Any] = {
    "evidence": True,
    "overlap_weight": 1.0,
    "n_steps": None,
    "learning_rate": 1e-2,
    "final_learning_rate": 1.0,
    "clip_norm": 1e-3,
    "labelled_share": 0.25,
    "policy_head": "actions",
    "policy_rate": 0.1,
    "gamma": 0.0,
    "gae_lambda": 0.0,
    "entropy_weight": 0.5,
    "value_weight": 0.9,
    "credit": "mean",
    "balance": (1.0, 0.5),
    "balance_settles": 1.0,
    "self_adaptive_reward": False,
    "interaction_guide": False,
    "simulated_labels": False,
    "alpha": 0.1,
    "beta": 3.0,
    "reward_weight": "action",
    "delta": (0.52, 0.52),
    "simulated_from": 0.9,
    "confidence_head": "action",
    "confidence_channels": 4,
    "confidence_balance": 0.0,
    "confidence_steps": 1,
    "clip_ratio": 0.01,
    "epochs": 1,
}
"""Another value of every setting that is not about sizes, devices or memory."""


def _learned(method: str, preset: Preset) -> dict[str, Tensor]:
    """The weights after a short training."""
    settings = {**find_method(method).env_settings(preset, PLAYED), **PLAYED}
    envs = make_envs(envs_of(preset, settings), **settings)
    agent = make_agent(method, preset, make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    observation, _ = envs.reset(seed=0)
    for update in range(preset.updates):
        observation, _ = agent.learn(envs, observation, update / preset.updates)
    return agent.weights()


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("method", ["iter-mrl", "iter-mrl-expected", "ppo", "mecca", "pnet", "ua-mt"])
def test_a_setting_has_an_effect_unless_it_is_said_to_have_none(method: str) -> None:
    usual = _learned(method, SMALL)
    without = find_method(method).without_effect(SMALL, PLAYED)
    changed = {
        name for name, value in OTHER.items() if not _same(usual, _learned(method, SMALL.replace(**{name: value})))
    }
    assert changed == set(OTHER) - set(without)


def test_every_setting_is_tried() -> None:
    sizes = {"shape", "num_envs", "updates", "channels", "dilations", "shared_blocks", "levels"}
    machines = {"network", "usual_protocol", "precision", "compile", "chunk"}
    assert set(OTHER) == set(FAMILIES) - sizes - machines


def test_what_no_method_has_a_use_for_is_refused() -> None:
    with pytest.raises(ValueError, match="^gamma: expected a setting that has an effect, got one without .*no critic"):
        check_effect(["iter-mrl-expected"], BRIEF, ["updates", "gamma"], {})
    check_effect(["iter-mrl-expected", "iter-mrl"], BRIEF, ["gamma"], {})
    check_effect(["mecca"], BRIEF.replace(**MECHANISMS), ["beta"], {})
    with pytest.raises(ValueError, match="^beta: .*mecca: self_adaptive_reward is off"):
        check_effect(["mecca", "unet"], BRIEF, ["beta"], {})


def test_what_is_about_unlabelled_cases_has_no_effect_where_there_are_none() -> None:
    for method in ("mecca", "ua-mt"):
        few, all_ = (
            find_method(method).without_effect(BRIEF.replace(**MECHANISMS), s) for s in ({"labelled_cases": 2}, {})
        )
        assert set(all_) - set(few) == {"labelled_share"} | (
            {"delta", "simulated_from"} if method == "mecca" else set()
        )
    with pytest.raises(ValueError, match="^delta: .*mecca: all cases are labelled"):
        check_effect(["mecca"], BRIEF.replace(**MECHANISMS), ["delta"], {"labelled_fraction": 1.0})


def test_a_unet_has_no_dilations() -> None:
    one, other = (_learned("unet", SMALL.replace(dilations=dilations)) for dilations in ((1, 2), (1, 3)))
    assert _same(one, other)
    with pytest.raises(ValueError, match="^dilations: .*unet: it is MONAI"):
        check_effect(["unet"], BRIEF, ["dilations"], {})


@pytest.mark.parametrize("command", ["train unet --out {}", "benchmark --methods unet random --out {}"])
def test_commands_refuse_it(command: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    given = f"{command.format(tmp_path / 'out')} --env MECCA-Phantom-v0 --preset brief --gae-lambda 0.3"
    assert main(given.split()) == 2
    assert "gae_lambda: expected a setting that has an effect" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
