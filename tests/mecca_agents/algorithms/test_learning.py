"""Learning on a tiny phantom: the trained network beats the untrained one, and a broken learner does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mecca_agents.agent import Agent, make_agent
from mecca_agents.evaluation import evaluate_agent
from mecca_agents.learning import a2c, actor_critic
from mecca_agents.presets import FAST, MECHANISMS, Preset
from mecca_agents.runs import RunConfig, read_config
from mecca_agents.runs.loading import task_of
from mecca_agents.training import train
from mecca_env.process.users import EdgeUser

pytestmark = pytest.mark.slow  # trainings

TINY = FAST.replace(
    **MECHANISMS,
    shape=(12, 12, 10),
    num_envs=4,
    updates=100,
    channels=8,
    dilations=(1, 2),
    learning_rate=5e-3,
    n_steps=None,
)
PLAIN = TINY.replace(policy_head="actions", balance=(1.0, 0.2))
PRESETS = {"fast": TINY, "plain": PLAIN}


def _dice(agent: Agent, config: RunConfig) -> float:
    """Mean Dice after the last step, on phantoms that were not trained on."""
    results = evaluate_agent(agent, config, cases=6)
    return float(np.mean([r.dice for r in results if r.step == 5]))


def _before_and_after(method: str, folder: Path, preset: Preset) -> tuple[float, float]:
    trained = train(method, "MECCA-Phantom-v0", folder, preset=preset, cases=12, seed=0, device="cpu")
    config = read_config(folder)
    untrained = make_agent(method, preset, task_of(config), device=torch.device("cpu"), seed=0)
    return _dice(untrained, config), _dice(trained, config)


@pytest.mark.parametrize("kind", PRESETS)
@pytest.mark.parametrize("method", ["mecca", "iter-mrl"])
def test_training_improves_on_the_untrained_network(method: str, kind: str, tmp_path: Path) -> None:
    before, after = _before_and_after(method, tmp_path / "run", PRESETS[kind])
    assert after > before + 0.2


@pytest.mark.parametrize("kind", PRESETS)
@pytest.mark.parametrize("method", ["mecca", "iter-mrl"])
def test_a_learner_that_climbs_the_wrong_way_is_noticed(
    method: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, earned = a2c.returns, actor_critic.make_reward
    monkeypatch.setattr(a2c, "returns", lambda *args: -right(*args))
    monkeypatch.setattr(actor_critic, "make_reward", lambda *args: lambda *step: -earned(*args)(*step))
    before, after = _before_and_after(method, tmp_path / "run", PRESETS[kind])
    assert after < before + 0.2


def test_two_runs_with_one_seed_give_the_same_weights(tmp_path: Path) -> None:
    preset = PLAIN.replace(updates=3)
    one, two = (
        train("iter-mrl", "MECCA-Phantom-v0", tmp_path / name, preset=preset, cases=4, seed=3, device="cpu").weights()
        for name in ("one", "two")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("method", ["mecca", "iter-mrl"])
def test_a_loss_that_is_not_finite_stops_the_run(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a2c, "returns", lambda reward, *args: reward * float("nan"))
    with pytest.raises(FloatingPointError, match="update 0: loss became nan; the last good checkpoint is .*last"):
        train(method, "MECCA-Phantom-v0", tmp_path / "run", preset=PLAIN, cases=4, seed=0, device="cpu")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"action": "continuous"}, "iter-mrl: expected discrete actions and no guide, got action='continuous'"),
        ({"guide": True}, "iter-mrl: expected discrete actions and no guide, got .*guide=True"),
        ({"shape": (9, 9, 9)}, "belongs to the preset"),
        ({"user": "nobody"}, "user: expected one of"),
        ({"user": EdgeUser()}, "settings: expected values that JSON can hold"),
    ],
)
def test_what_is_refused_leaves_the_earlier_run_alone(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    (tmp_path / "config.json").write_text("an earlier run")
    with pytest.raises((ValueError, TypeError), match=message):
        train("iter-mrl", "MECCA-Phantom-v0", tmp_path, preset=TINY, settings=settings, overwrite=True, device="cpu")
    assert (tmp_path / "config.json").read_text() == "an earlier run"
