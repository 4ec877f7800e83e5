"""Presets: what the paper says, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import pytest

from mecca_agents.presets import FAMILIES, MECHANISMS, PAPER, PRESETS, PURPOSES, Preset, find_preset
from tests.support import ROOT


def test_the_paper_preset_holds_the_papers_numbers() -> None:
    assert PAPER.shape == (55, 55, 30)
    assert (PAPER.learning_rate, PAPER.actor_critic.gamma) == (1e-4, 0.95)
    assert (PAPER.mecca.alpha, PAPER.mecca.beta) == (0.8, 1.0)
    assert PAPER.mecca.delta == (0.85, 0.99)
    own = PAPER.mecca
    assert (own.confidence_steps, own.confidence_channels) == (None, None) and PAPER.network.shared_blocks == 3
    assert (own.confidence_head, own.reward_weight) == ("action", "action")
    assert own.self_adaptive_reward and own.interaction_guide and own.simulated_labels
    assert (own.confidence_balance, PAPER.actor_critic.gae_lambda) == (0.0, 1.0)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match="preset: expected one of paper, paper-grid, fast, brief, general, online, demo, got 'quick'"
    ):
        find_preset("quick")
    assert find_preset("fast") is PRESETS["fast"]


def test_settings_are_replaced_by_name_whatever_their_family() -> None:
    changed = PRESETS["brief"].replace(updates=30, gamma=0.5, interaction_guide=True, epochs=3)
    assert (changed.updates, changed.actor_critic.gamma, changed.ppo.epochs) == (30, 0.5, 3)
    assert changed.mecca.interaction_guide
    assert changed.replace(updates=300, gamma=0.95, interaction_guide=False, epochs=1) == PRESETS["brief"]
    assert PRESETS["brief"].replace() == PRESETS["brief"]


@pytest.mark.parametrize("names", [{"interaction_gide": False}, {"updates": 3, "mecca": None}])
def test_what_no_setting_is_called_is_refused(names: dict[str, Any]) -> None:
    with pytest.raises(
        TypeError, match=f"preset: expected settings among shape, .*, overlap_weight, got {list(names)[-1]}$"
    ):
        PAPER.replace(**names)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_same_there_and_back_through_its_flat_form(name: str) -> None:
    assert Preset().replace(**PRESETS[name].flat()) == PRESETS[name]


def test_committed_results_were_made_with_a_preset_that_is_still_there() -> None:
    paths = list((ROOT / "docs" / "results").glob("*/settings.json"))
    if not paths:
        pytest.skip("no results are kept here")
    for path in paths:
        settings = json.loads(path.read_text())
        assert settings["preset"] == json.loads(json.dumps(PRESETS[settings["preset_name"]].flat()))


def test_mechanisms_are_off_where_they_gained_nothing_and_on_where_they_are_shown() -> None:
    for name, on in (("paper", True), ("demo", True), ("fast", False), ("brief", False), ("paper-grid", False)):
        assert {getattr(PRESETS[name].mecca, mechanism) for mechanism in MECHANISMS} == {on}


def test_the_page_about_trainings_lists_every_setting_in_its_family() -> None:
    rows = re.findall(
        r"^\| `preset\.(?:(\w+)\.)?\w+` \| .* \| (.*) \|$", (ROOT / "docs" / "training.md").read_text(), re.M
    )
    assert {name: family for family, names in rows for name in re.findall(r"`(\w+)`", names)} == FAMILIES


def test_the_page_about_trainings_says_what_each_preset_is_for() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.*) \|$", (ROOT / "docs" / "training.md").read_text(), re.M)
    assert [(name, what) for name, what in rows if name in PRESETS] == list(PURPOSES.items())
    assert list(PURPOSES) == list(PRESETS)


def test_the_preset_on_the_papers_grid_has_what_keeps_a_policy_from_background() -> None:
    preset = PRESETS["paper-grid"]
    assert (preset.shape, preset.network.dilations) == (PAPER.shape, PAPER.network.dilations)
    assert preset.n_steps == 1 and preset.actor_critic.policy_head == "target"
    assert preset.actor_critic.balance[0] > 0 and preset.actor_critic.balance_settles < 0.5
    assert preset.mecca.simulated_from > 0 and preset.learning_rate > PAPER.learning_rate


def test_no_two_families_have_a_setting_of_the_same_name() -> None:
    families = [getattr(PAPER, family) for family in set(FAMILIES.values()) - {""}]
    own = [field.name for field in fields(PAPER) if getattr(PAPER, field.name) not in families]
    names = [*own, *(field.name for family in families for field in fields(family))]
    assert len(set(names)) == len(names) == len(FAMILIES)


BAD: dict[str, list[Any]] = {
    "num_envs": [0, 1.5, True],
    "updates": [0, "many"],
    "channels": [0],
    "dilations": [(), (0,), (1.5,), 3],
    "shared_blocks": [0],
    "network": ["unets"],
    "levels": [1, 2.5],
    "evidence": [1],
    "overlap_weight": [-1.0],
    "usual_protocol": ["papers"],
    "learning_rate": [0.0, -1e-4, float("nan")],
    "final_learning_rate": [-0.1, 2.0],
    "policy_rate": [0.0],
    "gamma": [1.5, None],
    "gae_lambda": [-0.1, 2.0],
    "entropy_weight": [-1.0],
    "value_weight": [float("inf")],
    "credit": ["everyone"],
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
    "confidence_head": ["both"],
    "reward_weight": ["none"],
    "confidence_steps": [0],
    "confidence_balance": [-0.5, 1.5],
    "simulated_from": [-0.1, 1.1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_what_is_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected .*, got "):
        Preset().replace(**{name: value})


def test_every_setting_but_the_shape_is_checked_here() -> None:
    assert set(BAD) == set(FAMILIES) - {"shape"}
