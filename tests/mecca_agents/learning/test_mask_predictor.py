"""What the mask predictors are made of: losses against closed forms, what each network sees, the teacher."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss
from torch import Tensor

from mecca_agents.agent import Agent, find_method, make_agent
from mecca_agents.algorithms.deepigeos import DeepIGeoS
from mecca_agents.algorithms.ua_mt import DECAY, MeanTeacher, uncertainty
from mecca_agents.algorithms.unet import PaddedUNet
from mecca_agents.learning.mask_predictor import MaskPredictor, UpdateLog, action_to, cross_entropy, missed_overlap
from mecca_agents.presets import FAST, MECHANISMS
from mecca_agents.runs.loading import make_task
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import GRID, make_envs

PRESET = FAST.replace(**MECHANISMS, shape=GRID, num_envs=3, channels=4, dilations=(1, 2), learning_rate=5e-3)
CPU = torch.device("cpu")


def _pair(method: str, **settings: object) -> tuple[Agent, MeccaVectorEnv]:
    envs = make_envs(3, **{**find_method(method).env_settings(PRESET, settings), **settings})
    return make_agent(method, PRESET, make_task(envs.config, 1), device=CPU, seed=0), envs


def test_cross_entropy_is_that_of_the_labelled_volumes_alone() -> None:
    logits = torch.tensor([0.0, 2.0, -5.0]).view(3, 1, 1, 1).expand(3, 2, 2, 2)
    label = torch.tensor([True, False, True]).view(3, 1, 1, 1).expand(3, 2, 2, 2)
    loss = cross_entropy(logits, label, torch.tensor([True, True, False]))
    expected = (math.log(2) + math.log(1 + math.exp(2.0))) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert float(cross_entropy(logits, label, torch.zeros(3, dtype=torch.bool))) == 0.0


def test_the_missed_overlap_is_monais_dice_loss_of_the_labelled_volumes() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 6, 7, generator=generator)
    label = torch.rand(3, 5, 6, 7, generator=generator) > 0.7
    loss = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)(logits[:2, None], label[:2, None].float())
    labelled = torch.tensor([True, True, False])
    torch.testing.assert_close(missed_overlap(logits, label, labelled), loss)
    assert float(missed_overlap(logits, label, torch.zeros(3, dtype=torch.bool))) == 0.0


def test_with_a_guide_a_prediction_says_how_sure_it_is_of_its_way() -> None:
    agent, envs = _pair("intercnn", guide=True)
    observation, _ = envs.reset(seed=0)
    observation = {**observation, "probability": torch.rand(3, *GRID, generator=torch.Generator().manual_seed(0))}
    action = agent.act(observation)
    reached = observation["probability"] + action["adjustment"]
    raised = action["adjustment"] > 0
    torch.testing.assert_close(action["confidence"], torch.where(raised, reached, 1 - reached))
    assert agent.confidence(observation, action) is action["confidence"]
    before = {key: value.clone() for key, value in agent.weights().items()}
    agent.learn(envs, envs.reset(seed=0)[0], 0.0)
    assert all(not torch.equal(before[key], value) for key, value in agent.weights().items())


def test_the_action_leads_to_the_prediction() -> None:
    envs = make_envs(2, action="continuous")
    observation, _ = envs.reset(seed=0)
    logits = torch.randn(2, *GRID, generator=torch.Generator().manual_seed(0))
    for _ in range(2):  # from a half, and from another prediction
        observation, *_ = envs.step(action_to(logits, observation))
        torch.testing.assert_close(observation["probability"], logits.sigmoid(), atol=1e-6, rtol=0)
        logits = -logits


def test_a_prediction_that_is_not_finite_is_named() -> None:
    observation = {"probability": torch.zeros(1, 2, 2, 2)}
    with pytest.raises(FloatingPointError, match="prediction became nan"):
        action_to(torch.full((1, 2, 2, 2), float("nan")), observation)


@pytest.mark.parametrize(
    ("method", "seen"),
    [
        ("pnet", {"volume"}),
        ("unet", {"volume"}),
        ("ua-mt", {"volume"}),
        ("intercnn", {"volume", "probability", "hint"}),
        ("deepigeos", {"volume", "probability", "hint"}),
    ],
)
def test_each_method_sees_what_it_should(method: str, seen: set[str]) -> None:
    agent, envs = _pair(method)
    if isinstance(agent, DeepIGeoS):
        agent.begin_refining()
        torch.nn.init.normal_(agent.networks["refinement"].shared.blocks[0][0].weight)  # type: ignore[index, union-attr]
    assert isinstance(agent, MaskPredictor)
    observation, _ = envs.reset(seed=0)
    with torch.no_grad():
        before = agent.logits(observation)
        for key in ("volume", "probability", "hint"):
            changed = {**observation, key: observation[key] + 0.3}
            assert (not torch.equal(agent.logits(changed), before)) == (key in seen), key


@pytest.mark.parametrize("method", ["pnet", "unet", "ua-mt", "intercnn", "deepigeos"])
def test_an_update_takes_as_many_steps_as_an_episode(method: str) -> None:
    agent, envs = _pair(method)
    observation, _ = envs.reset(seed=0)
    learned = agent.learn(envs, observation, 0.0)
    assert envs.steps_taken == envs.config.horizon * envs.num_envs
    assert torch.equal(learned.observation["volume"], envs.state.volume[:, 0])
    counted = {"optimizer_steps", "labelled_episodes"}
    played = {"return", "dice", "dice_first", "misunderstanding"}
    assert set(learned.numbers) == {"loss", "gradient_norm"} | played | counted


def test_a_volume_predictor_looks_at_another_case_after_each_step() -> None:
    agent, envs = _pair("pnet")
    observation, _ = envs.reset(seed=0)
    begun: list[Tensor] = []
    reset = envs.reset
    envs.reset = lambda **keywords: (begun.append(envs.state.case_index), reset(**keywords))[1]  # type: ignore[method-assign]
    agent.learn(envs, observation, 0.0)
    assert len(begun) == envs.config.horizon
    assert len({tuple(cases.tolist()) for cases in begun}) > 1


def test_deepigeos_trains_one_network_after_the_other() -> None:
    agent, envs = _pair("deepigeos")
    assert isinstance(agent, DeepIGeoS)

    def weights(name: str) -> Tensor:
        return torch.cat([p.detach().flatten() for p in agent.networks[name].parameters()])

    observation, _ = envs.reset(seed=0)
    before = weights("proposal"), weights("refinement")
    observation, _ = agent.learn(envs, observation, 0.4)
    assert not torch.equal(weights("proposal"), before[0]) and torch.equal(weights("refinement"), before[1])
    before = weights("proposal"), weights("refinement")
    agent.learn(envs, observation, 0.5)
    assert torch.equal(weights("proposal"), before[0]) and not torch.equal(weights("refinement"), before[1])


def test_rnet_begins_as_pnet() -> None:
    agent, envs = _pair("deepigeos")
    assert isinstance(agent, DeepIGeoS)
    observation, _ = envs.reset(seed=0)
    with torch.no_grad():
        proposal = agent.logits(observation)
        agent.begin_refining()
        torch.testing.assert_close(agent.logits(observation), proposal)


def test_rnet_refines_the_last_segmentation_and_at_first_pnets_proposal() -> None:
    agent, envs = _pair("deepigeos")
    assert isinstance(agent, DeepIGeoS)
    observation, _ = envs.reset(seed=0)
    with torch.no_grad():
        proposal = agent.logits(observation).sigmoid()
    torch.testing.assert_close(agent.previous(observation).squeeze(1), proposal)
    agent.begin_refining()
    observation, *_ = envs.step(agent.act(observation))
    assert torch.equal(agent.previous(observation).squeeze(1), observation["probability"])
    mixed = {**observation, "probability": observation["probability"].clone()}
    mixed["probability"][1] = 0.5  # an episode that has just begun, among others
    expected = observation["probability"].clone()
    expected[1] = proposal[1]
    torch.testing.assert_close(agent.previous(mixed).squeeze(1), expected)


def test_the_teacher_is_the_moving_average_of_the_student() -> None:
    agent, envs = _pair("ua-mt")
    assert isinstance(agent, MeanTeacher)
    teacher, student = (agent.networks[name] for name in ("teacher", "student"))
    key = "branches.mask.classify.2.weight"
    agent.after_descent()
    torch.testing.assert_close(teacher.get_parameter(key), student.get_parameter(key))  # the first copies it
    for p in student.parameters():
        p.data.add_(1.0)
    teacher.get_buffer("averaged").fill_(10**6)
    before = teacher.get_parameter(key).clone()
    agent.after_descent()
    expected = DECAY * before + (1 - DECAY) * student.get_parameter(key)
    torch.testing.assert_close(teacher.get_parameter(key), expected)


def test_uncertainty_is_the_entropy_of_two_classes() -> None:
    p = torch.tensor([0.0, 0.25, 0.5, 1.0])
    expected = [0.0, -0.25 * math.log(0.25) - 0.75 * math.log(0.75), math.log(2.0), 0.0]
    np.testing.assert_allclose(uncertainty(p), expected, atol=1e-6)


def test_the_student_learns_from_unlabelled_cases_only_where_there_are_some() -> None:
    agent, envs = _pair("ua-mt", labelled_fraction=0.5)
    assert isinstance(agent, MeanTeacher)
    assert envs.config.labelled_share == 0.5
    observation, _ = envs.reset(seed=0)
    labelled = envs.state.labelled
    assert 0 < int(labelled.sum()) < 3
    for p in agent.networks["teacher"].parameters():
        p.data.mul_(1.5)  # so that the two differ
    logits = agent.logits(observation).detach().requires_grad_()
    agent.loss(logits, envs, observation, 0.99).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and bool((logits.grad[~labelled] != 0).any())
    alone = logits.detach().requires_grad_()
    cross_entropy(alone, envs.state.label, labelled).backward()  # type: ignore[no-untyped-call]
    assert alone.grad is not None
    torch.testing.assert_close(logits.grad[labelled], alone.grad[labelled])
    assert not bool(alone.grad[~labelled].any())


def test_the_log_is_of_labelled_episodes_alone() -> None:
    """What is measured of the others is NaN, which must not reach the log."""
    log, unknown = UpdateLog(), torch.nan
    for dice in (0.25, 0.75):
        info = {
            "labelled": torch.tensor([True, False, True]),
            "voxel_reward": torch.tensor([0.5, 0.0, 0.25]).view(3, 1, 1, 1).expand(3, 2, 2, 2),
            "dice": torch.tensor([dice, unknown, dice]),
            "misunderstanding": torch.tensor([0.0, unknown, 0.5]),
        }
        log.played(info, first=dice == 0.25)
    assert log.numbers() == {
        "return": 0.75, "dice": 0.75, "dice_first": 0.25, "misunderstanding": 0.25,
        "optimizer_steps": 0.0, "labelled_episodes": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize("method", ["mecca", "ua-mt"])
def test_methods_that_play_unlabelled_cases_log_finite_numbers(method: str) -> None:
    agent, envs = _pair(method, labelled_fraction=0.5)
    observation, info = envs.reset(seed=0)
    assert info["dice"].isnan().any()
    numbers = agent.learn(envs, observation, 0.5).numbers
    assert {"dice", "dice_first", "misunderstanding", "return"} <= set(numbers)
    assert all(math.isfinite(value) for value in numbers.values())


def test_dropping_features_leaves_global_randomness_alone_and_acts_without_it() -> None:
    agent, envs = _pair("ua-mt")
    assert isinstance(agent, MeanTeacher)
    observation, _ = envs.reset(seed=0)
    state = torch.get_rng_state()
    one, two = agent.logits(observation), agent.logits(observation)
    assert not torch.equal(one, two) and torch.equal(torch.get_rng_state(), state)
    assert torch.equal(agent.act(observation), agent.act(observation))


@pytest.mark.parametrize("shape", [(8, 8, 8), (13, 9, 21), (55, 55, 30)])
def test_unet_keeps_any_grid(shape: tuple[int, int, int]) -> None:
    network = PaddedUNet(2, 4, min(3, int(math.log2(min(shape) / 2))))
    with torch.no_grad():
        assert network(torch.zeros(1, 2, *shape))["mask"].shape == (1, 1, *shape)
