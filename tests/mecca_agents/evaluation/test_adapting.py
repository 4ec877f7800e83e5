"""Agents under other prompts than those of their training: what is played, what they see, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mecca_agents.agent import Agent, Observation
from mecca_agents.evaluation import Reliability, evaluate_agent
from mecca_agents.evaluation.adapting import adapted
from mecca_agents.evaluation.play import PlayedStep
from mecca_agents.evaluation.runner import evaluation_envs
from mecca_agents.runs import RunConfig, RunError
from mecca_env.process.config import EnvConfig
from mecca_env.process.protocols import PROTOCOLS
from tests.mecca_agents.evaluation.test_runner import PLAYED_ON_PHANTOM

ONE_CLICK = {"protocol": "one-click"}


class Looking(Agent):
    """Keeps what it has seen, and acts with a confidence where it was trained with a guide."""

    learn = weights = load_weights = None

    def __init__(self, guide: bool = False) -> None:
        self.guide = guide
        self.seen: list[Observation] = []

    def act(self, observation: Observation) -> Any:
        self.seen.append(observation)
        action = torch.full(observation["probability"].shape, 5)
        return {"adjustment": action, "confidence": self.confidence(observation, action)} if self.guide else action

    def confidence(self, observation: Observation, action: Any) -> Tensor | None:
        return torch.full(observation["probability"].shape, 0.75) if self.guide else None


def trained(**settings: Any) -> RunConfig:
    return replace(PLAYED_ON_PHANTOM, settings=settings)


def config_of(config: RunConfig, **asked: Any) -> EnvConfig:
    return evaluation_envs(config, cases=1, settings=asked).config


@pytest.mark.parametrize("protocol", ["cvpr25", "one-click", "first-click"])
def test_an_agent_of_the_paper_plays_signed_prompts_and_sees_one_map(protocol: str) -> None:
    agent, played = Looking(), list[PlayedStep]()
    results = evaluate_agent(agent, trained(), cases=1, observers=[played.append], settings={"protocol": protocol})
    assert {result.protocol for result in results} == {protocol} and len(results) == 6
    assert len(agent.seen) == 6
    for seen, step in zip(agent.seen, played, strict=True):
        assert step.observation is seen and set(seen) == {"volume", "probability", "hint"}
        assert step.before.hint.shape == (1, 2, 10, 9, 8)
        assert torch.equal(seen["hint"], torch.maximum(step.before.hint[:, 0], step.before.hint[:, 1]))
    assert any(bool(step.before.hint[:, 1].any()) for step in played[1:])  # clicks outside of the target are among them
    how = str(adapted(trained(), {"protocol": protocol}))
    ending = "" if protocol == "first-click" else " and no box"
    assert how == f"adapted: the agent sees the larger value of both hint maps{ending}"


def test_one_that_plays_as_it_was_trained_is_not_adapted() -> None:
    for config, asked in ((trained(), {}), (trained(**ONE_CLICK), {}), (trained(**ONE_CLICK), {"protocol": "cvpr25"})):
        agent = Looking()
        evaluate_agent(agent, config, cases=1, settings=asked)
        assert not str(adapted(config, asked))
        assert ("box" in agent.seen[0]) == (agent.seen[0]["hint"].ndim == 5) == (config.settings == ONE_CLICK)


def test_the_time_is_hidden_from_an_agent_that_was_never_told() -> None:
    agent = Looking()
    asked = {"protocol": "one-click", "time": True}
    evaluate_agent(agent, trained(signed=True), cases=1, settings=asked)
    assert set(agent.seen[0]) == {"volume", "probability", "hint"} and agent.seen[0]["hint"].ndim == 5
    assert str(adapted(trained(signed=True), asked)) == "adapted: the agent sees no box and no time"


def test_a_protocol_replaces_all_prompts_of_the_training_and_single_settings_overrule_it() -> None:
    config = trained(
        signed=True, user="scribble", clicks=((0, 2), 1, 1), horizon=3, box="label", crop="click", start="mask",
        box_jitter=0.3, click_side=(20.0, 30.0), supervoxels=(9, 8, 7), hint="edt", extension=(1, 2),
    )  # fmt: skip
    found = config_of(config, protocol="one-click")
    expected = EnvConfig(**ONE_CLICK, shape=found.shape)
    for name in ("signed", "user", "clicks", "horizon", "box", "crop", "start", "time", "box_jitter", "click_side"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.supervoxels == (9, 8, 7, 7, 7, 7) and found.hint == "edt" and found.extension == (1, 2)
    found = config_of(config, protocol="one-click", user="edge", clicks=(3, 2), horizon=2)
    assert (found.user, found.clicks, found.horizon, found.box) == ("edge", (3, 2), 2, "label")
    assert config_of(config, protocol="one-click", horizon=8).clicks == (0, 1, 1, 1, 1, 1, 1, 1)


def test_without_a_protocol_single_settings_change_those_of_the_training() -> None:
    found = config_of(trained(**ONE_CLICK), user="edge", horizon=3)
    assert (found.protocol, found.user, found.clicks, found.signed) == ("one-click", "edge", (0, 1, 1), True)


@pytest.mark.parametrize(
    ("settings", "asked", "message"),
    [
        ({"signed": True}, {"protocol": "paper"}, "protocol 'paper': expected prompts with signs, as this agent was"),
        (ONE_CLICK, {"protocol": "paper"}, "with signs and a box, .* tells its two hint maps apart, it was never"),
        (
            ONE_CLICK,
            {"protocol": "first-click"},
            "'first-click': expected prompts with a box, .*; --box KIND adds that",
        ),
        ({**ONE_CLICK, "time": True}, {"protocol": "cvpr25"}, "expected prompts with the time, .*; --time adds that"),
        ({}, {"signed": True}, "expected prompts as in training, without signs, got prompts with; with a protocol"),
        ({"signed": True}, {"signed": False}, "protocol 'paper': expected prompts with signs"),
        ({}, {"box": "label"}, "without box, got prompts with"),
        ({}, {"protocol": "two-click"}, "protocol: expected one of 'paper'"),
        ({}, {"protocol": "cvpr25", "clicks": (1, 1)}, "clicks: expected one number for each of the 6 steps"),
    ],
)
def test_what_an_agent_cannot_take_is_refused_before_anything_is_opened(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("mecca_agents.evaluation.runner.make_envs", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(ValueError, match=message) as error:
        evaluate_agent(Looking(), trained(**settings), cases=1, settings=asked)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, RunError) == str(error.value).startswith(("protocol '", "fake: "))


def test_what_was_missing_can_be_given() -> None:
    config = trained(**ONE_CLICK, time=True)
    found = config_of(config, protocol="first-click", box="label", time=True)
    assert (found.box, found.time, found.crop) == ("label", True, "click")


def test_an_agent_that_knows_episodes_without_a_box_sees_an_empty_one() -> None:
    agent, config = Looking(), trained(protocol="mixed")
    evaluate_agent(agent, config, cases=1, settings={"protocol": "first-click"})
    assert all(seen["box"].shape == (1, 10, 9, 8) and not seen["box"].any() for seen in agent.seen)
    assert str(adapted(config, {"protocol": "first-click"})) == "adapted: the agent sees an empty box"


def test_a_guide_whom_nobody_follows_is_no_guide_and_its_confidence_is_still_known() -> None:
    agent, reliability, played = Looking(guide=True), Reliability(), list[PlayedStep]()
    config = trained(guide=True)
    observers = [reliability, played.append]
    evaluate_agent(agent, config, cases=1, observers=observers, settings={"protocol": "one-click"})
    assert not played[0].envs.config.guide and all(isinstance(step.action, Tensor) for step in played)
    assert reliability.voxels == 6 * 720
    assert str(adapted(config, {"protocol": "cvpr25"})).endswith("and no box, nobody follows its advice")
    assert adapted(config, {"user": "random-error"}).unguided
    for follows in ({"user": "imprecise"}, {"protocol": "mixed"}, {"protocol": "paper"}):
        assert config_of(config, **follows).guide and not adapted(config, follows).unguided
    with pytest.raises(ValueError, match="somebody who can follow advice"):
        config_of(config, user="scribble", guide=True)  # asked for


def test_every_protocol_is_known_to_replace_nothing_but_prompts() -> None:
    from mecca_agents.evaluation.adapting import PROMPTS

    assert {name for settings in PROTOCOLS.values() for name in settings} <= set(PROMPTS)
    assert set(PROMPTS) <= set(EnvConfig.__dataclass_fields__)
