"""Presets: what the paper says, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from mecca_agents.presets import PAPER, PRESETS, Preset, find_preset


def test_the_paper_preset_holds_the_papers_numbers() -> None:
    assert PAPER.shape == (55, 55, 30)
    assert (PAPER.learning_rate, PAPER.gamma, PAPER.alpha, PAPER.beta) == (1e-4, 0.95, 0.8, 1.0)
    assert PAPER.delta == (0.85, 0.99)
    assert PAPER.confidence_steps is None and PAPER.shared_blocks == 3
    assert PAPER.self_adaptive_reward and PAPER.interaction_guide and PAPER.simulated_labels
    assert (PAPER.confidence_balance, PAPER.gae_lambda) == (0.0, 1.0)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="preset: expected one of paper, fast, brief, demo, got 'quick'"):
        find_preset("quick")
    assert find_preset("fast") is PRESETS["fast"]


BAD: dict[str, list[Any]] = {
    "num_envs": [0, 1.5, True],
    "updates": [0, "many"],
    "channels": [0],
    "dilations": [(), (0,), (1.5,), 3],
    "shared_blocks": [0],
    "learning_rate": [0.0, -1e-4, float("nan")],
    "final_learning_rate": [-0.1, 2.0],
    "policy_rate": [0.0],
    "gamma": [1.5, None],
    "gae_lambda": [-0.1, 2.0],
    "entropy_weight": [-1.0],
    "value_weight": [float("inf")],
    "credit": ["everyone"],
    "gradient": ["exact"],
    "clip_ratio": [0.0, 1.0, float("nan")],
    "epochs": [0, 1.5],
    "n_steps": [0, 1.5],
    "policy_head": ["both"],
    "balance_settles": [0.0, 1.5],
    "balance": [(0.0,), (0.0, 2.0), 1.0],
    "clip_norm": [0.0],
    "precision": ["float16"],
    "compile": ["yes"],
    "chunk": [0, 1.5],
    "self_adaptive_reward": ["yes"],
    "interaction_guide": [None],
    "simulated_labels": [2],
    "alpha": [0.0],
    "beta": [-1.0],
    "delta": [(0.4, 0.9), (0.85,)],
    "labelled_share": [0.0, 1.0],
    "confidence_channels": [0],
    "confidence_steps": [0],
    "confidence_balance": [-0.5, 1.5],
    "simulated_from": [-0.1, 1.1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_what_is_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected .*, got "):
        Preset(**{name: value})


def test_every_setting_but_the_shape_is_checked_here() -> None:
    assert set(BAD) == {field.name for field in fields(Preset)} - {"shape"}
