"""The TorchRL view, and TorchRL's own wrapper of the vector env."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mecca_env.data.recorded import write_recordings
from mecca_env.wrappers import FlattenAction
from tests.mecca_env.data.test_recorded import recorded
from tests.support.envs import SETTINGS, Blobs, Rows, make_envs

pytest.importorskip("torchrl", reason="needs the extra interop")

from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule
from torch.distributions import Categorical
from torchrl.envs import GymWrapper, SerialEnv
from torchrl.envs.utils import check_env_specs
from torchrl.modules import ProbabilisticActor
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from mecca_env.adapters.torchrl import MeccaTorchRLEnv

OBSERVATION = ["volume", "probability", "hint"]
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "continuous": {"action": "continuous"},
    "guide": {"guide": True, "supervoxels": (12, 10, 8)},
    "continuous guide": {"action": "continuous", "guide": True, "supervoxels": (12, 10, 8)},
    "early ends": {"target_dice": 0.5},
    "unlabelled": {"labelled_fraction": 0.5},
    "modalities": {"dataset": Blobs(modalities=2)},
    "prompts": {"protocol": "mixed", "clicks": ((0, 1), (0, 2), (0, 3)), "time": True, "augment": True},
    "stream": {"dataset": "Stream", "cases": 2},
    "recorded prompts": {"prompts": "prompts.json", "signed": True},
}


def make(num_envs: int = 3, **keywords: Any) -> MeccaTorchRLEnv:
    """A small TorchRL env over `Blobs`."""
    return MeccaTorchRLEnv("MECCA-Phantom-v0", num_envs, **{"dataset": Blobs(), **SETTINGS, **keywords})


class Raise:
    """Raises bright voxels, few in env 0 and most in env 2: with a target of 0.7 they need 3, 2 and 1 steps."""

    def __init__(self, device: str = "cpu") -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.device = device

    def action(self, observation: Any) -> Tensor:
        bright = observation["volume"] > 1.5
        chance = torch.tensor([0.2, 0.5, 0.9]).view(3, 1, 1, 1)
        chosen = (torch.rand(bright.shape, generator=self.generator) < chance).to(self.device)
        return torch.where(bright & chosen, 5, 2)

    def __call__(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict.set("action", self.action(tensordict))


def played(steps: int, seed: int, device: str = "cpu", **keywords: Any) -> list[dict[str, Any]]:
    """Steps of the vector env with same-step autoreset: observations before and after each, and its rewards."""
    envs, policy = make_envs(device=device, **keywords), Raise(device)
    observation, _ = envs.reset(seed=seed)
    record = []
    for _ in range(steps):
        before = observation
        observation, reward, ended, _, info = envs.step(policy.action(before))
        after = dict(observation)
        for key, last in info.get("final_obs", {}).items():
            after[key] = torch.where(ended.view(-1, 1, 1, 1), last, after[key])
        record.append({"before": before, "after": after, "reward": reward, "ended": ended, **info})
    return record


def check_same(rollout: TensorDictBase, record: list[dict[str, Any]]) -> None:
    """Observations before and after, endings."""
    for number, step in enumerate(record):
        for key in OBSERVATION:
            assert torch.equal(rollout[key][:, number], step["before"][key]), (number, key)
            assert torch.equal(rollout["next", key][:, number], step["after"][key]), (number, key)
        for key in ("done", "terminated"):
            assert torch.equal(rollout["next", key][:, number, 0], step["ended"]), (number, key)
    assert not rollout["next", "truncated"].any()


def uneven(rollout: TensorDictBase) -> bool:
    """Tell whether some step ended some episodes and not others."""
    ended = rollout["next", "done"].squeeze(-1)
    return bool((ended.any(0) & ~ended.all(0)).any())


@pytest.mark.parametrize("variant", VARIANTS)
def test_specs_of_every_kind_of_env(variant: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_recordings(tmp_path / "prompts.json", {"blob_0": recorded([[12, 11, 8, 1], [9, 10, 7, 1]], [[3, 2, 1, -1]])})
    env = make(device=device, **VARIANTS[variant])
    check_env_specs(env, seed=0)
    check_env_specs(env, break_when_any_done="both")
    assert env.batch_size == (3,) and env.batch_locked
    here = torch.empty(0, device=device).device  # with its number
    assert env.device == here == env.reset()["hint"].device == env.envs.state.hint.device
    assert env.to(device) is env


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
@pytest.mark.parametrize("variant", ["plain", "continuous", "early ends", "modalities"])
def test_specs_of_torchrls_own_wrapper(variant: str, mode: str) -> None:
    keywords = {"dataset": Blobs(), **VARIANTS[variant], "autoreset_mode": mode}
    check_env_specs(GymWrapper(make_envs(**keywords)), break_when_any_done="both")


@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
def test_torchrls_own_wrapper_around_ours(mode: str) -> None:
    envs = FlattenAction(make_envs(autoreset_mode=mode))
    rollout = GymWrapper(envs, categorical_action_encoding=True).rollout(4, break_when_any_done=False)
    assert rollout["hint"].shape == (3, 4, 16, 14, 12) and rollout["action"].shape == (3, 4, 16 * 14 * 12)
    check_env_specs(GymWrapper(FlattenAction(Rows(make_envs(autoreset_mode=mode)))))


def test_torchrls_own_wrapper_says_which_autoreset_mode_it_wants() -> None:
    with pytest.raises(RuntimeError, match="auto-reset mode must be one of SAME_STEP or DISABLED"):
        GymWrapper(make_envs(autoreset_mode="NextStep"))


@pytest.mark.parametrize("target", [None, 0.7])
def test_the_same_episodes_as_the_vector_env(target: float | None, device: str) -> None:
    record = played(8, seed=5, device=device, target_dice=target)
    env = make(device=device, target_dice=target)
    env.set_seed(5)
    rollout = env.rollout(8, Raise(device), break_when_any_done=False)
    check_same(rollout, record)
    assert uneven(rollout) == (target is not None)
    for number, step in enumerate(record):
        assert torch.equal(rollout["next", "reward"][:, number], step["voxel_reward"].unsqueeze(-1))
        for key in ("misunderstanding", "misunderstanding_literal"):
            assert torch.equal(rollout["next", "info", key][:, number], step[key])
        last = step.get("final_info", step)
        for key in ("dice", "n_clicks", "step", "case_index"):
            expected = torch.where(step["ended"], last[key], step[key])
            assert torch.equal(rollout["next", "info", key][:, number], expected), (number, key)


LOST = pytest.mark.xfail(strict=True, reason="TorchRL's wrapper fills the last observation of a dict with zeros")


@pytest.mark.parametrize("mode", ["Disabled", pytest.param("SameStep", marks=LOST)])
@pytest.mark.parametrize("target", [None, 0.7])
def test_the_same_episodes_through_torchrls_own_wrapper(target: float | None, mode: str) -> None:
    record = played(8, seed=5, target_dice=target)
    envs = make_envs(target_dice=target, autoreset_mode=mode)
    env = GymWrapper(envs, categorical_action_encoding=True)
    rollout = env.rollout(8, Raise(), break_when_any_done=False, auto_reset=False, tensordict=env.reset(seed=5))
    check_same(rollout, record)
    for number, step in enumerate(record):
        assert torch.equal(rollout["next", "reward"][:, number, 0], step["reward"])


def test_torchrls_own_wrapper_does_not_write_into_the_state() -> None:
    rows, policy = Rows(make_envs(target_dice=0.7)), Raise()
    record = played(5, seed=5, target_dice=0.7)
    env = GymWrapper(rows, categorical_action_encoding=True)

    def act(tensordict: TensorDictBase) -> TensorDictBase:
        volume = tensordict["observation"].unflatten(1, (3, 16, 14, 12))[:, 2]  # after hint and probability
        return tensordict.set("action", policy.action({"volume": volume}))

    rollout = env.rollout(5, act, break_when_any_done=False, auto_reset=False, tensordict=env.reset(seed=5))
    assert uneven(rollout)
    for number, step in enumerate(record):
        assert torch.equal(rollout["observation"][:, number], rows.observations(step["before"]))
        assert torch.equal(rollout["next", "observation"][:, number], rows.observations(step["after"]))


def test_what_is_written_into_a_tensordict_stays_there() -> None:
    env, twin, policy = make(), make(), Raise()
    written, clean = env.reset(seed=5), twin.reset(seed=5)
    for _ in range(3):
        action = policy.action(clean)
        clean = twin.step(clean.set("action", action))["next"]
        for key in (*OBSERVATION, ("info", "step"), ("info", "clicks")):
            written[key].fill_(1)
        written = env.step(written.set("action", action))["next"]
        for key in (*OBSERVATION, "reward", "done"):
            assert torch.equal(written[key], clean[key])


def test_a_seed_holds_from_the_next_reset_of_its_env_on() -> None:
    expected, _ = make_envs(3).reset(seed=11)
    env = make()
    first = env.reset()
    env.set_seed(11)
    marked = first.clone().set("_reset", torch.tensor([[True], [False], [False]]))
    second = env.reset(marked)
    for key in OBSERVATION:
        assert torch.equal(second[key][0], expected[key][0])
        assert torch.equal(second[key][1:], first[key][1:])  # a reset of some leaves the others alone
    third = env.reset()
    assert torch.equal(third["volume"][1:], expected["volume"][1:])
    assert not torch.equal(third["volume"][0], expected["volume"][0])  # it has used its seed
    assert torch.equal(env.reset(seed=11)["hint"], expected["hint"])


def test_a_reset_can_name_the_cases() -> None:
    assert make().reset(cases=["blob_4", 1, None])["info", "case_index"][:2].tolist() == [4, 1]


def test_rollouts_until_all_are_done_leave_out_who_is_over() -> None:
    env = make(target_dice=0.7)
    env.set_seed(5)
    rollout = env.rollout(8, Raise(), break_when_any_done=False, break_when_all_done=True)
    record = played(3, seed=5, target_dice=0.7)
    assert rollout["next", "done"].squeeze(-1).tolist() == [[False, False, True], [False, True, True], [True] * 3]
    for env_index, last in enumerate((2, 1, 0)):
        for key in OBSERVATION:
            stays = record[last]["after"][key][env_index]
            assert all(torch.equal(row, stays) for row in rollout["next", key][env_index, last:])
        assert torch.equal(rollout["next", "reward"][env_index, last, ..., 0], record[last]["voxel_reward"][env_index])
    assert env.envs.steps_taken == 6


def test_envs_that_do_not_step_stay_where_they_are() -> None:
    env, policy = make(), Raise()
    before = env.reset(seed=5)
    generators = [generator.bit_generator.state for generator in env.envs.np_random]
    marked = policy(before.clone()).set("_step", torch.tensor([[True], [False], [False]]))
    after = env.step(marked)["next"]
    for key in OBSERVATION:
        assert torch.equal(after[key][1:], before[key][1:])
        assert not torch.equal(after["probability"][0], before["probability"][0])
    assert not after["reward"][1:].any() and after["info", "step"].tolist() == [1, 0, 0]
    assert not after["done"].any() and env.envs.steps_taken == 1
    assert [generator.bit_generator.state for generator in env.envs.np_random] == generators
    for _ in range(2):
        after = env.step(policy(after.exclude("reward")))["next"]
    assert after["done"].squeeze(-1).tolist() == [True, False, False]


def test_several_in_one() -> None:
    env = SerialEnv(2, lambda: make(2, target_dice=0.7))
    check_env_specs(env)
    assert env.rollout(4, break_when_any_done=False)["next", "reward"].shape == (2, 2, 4, 16, 14, 12, 1)
    env.close()


def test_torchrls_estimator_and_loss_take_every_voxel_for_itself() -> None:
    torch.manual_seed(0)
    env = make(2)
    network = torch.nn.Linear(3, 7)

    def of_voxels(*maps: Tensor) -> tuple[Tensor, Tensor]:
        outputs = network(torch.stack(maps, dim=-1))
        return outputs[..., :6], outputs[..., 6:]

    both = TensorDictModule(of_voxels, OBSERVATION, ["logits", "state_value"])
    actor = ProbabilisticActor(both, in_keys=["logits"], distribution_class=Categorical, return_log_prob=True)
    with torch.no_grad():
        rollout = env.rollout(3, actor)
    for key in ("done", "terminated"):
        ended = rollout["next", key][..., None, None, None]
        rollout["next", key] = ended.expand_as(rollout["next", "reward"]).clone()
    with torch.no_grad():
        both(rollout["next"])
        GAE(gamma=0.9, lmbda=0.8, value_network=None)(rollout)
        value, reward = rollout["state_value"], rollout["next", "reward"]
        expected, advantage = [], torch.zeros_like(value[:, 0])
        for step in (2, 1, 0):
            following = value[:, step + 1] if step < 2 else torch.zeros_like(value[:, 0])
            advantage = reward[:, step] + 0.9 * following - value[:, step] + 0.9 * 0.8 * advantage
            expected.insert(0, advantage)
        torch.testing.assert_close(rollout["advantage"], torch.stack(expected, dim=1), rtol=1e-4, atol=1e-5)
        rollout["action_log_prob"] += torch.randn_like(rollout["action_log_prob"])
        loss = ClipPPOLoss(actor, None, clip_epsilon=0.2)(rollout)["loss_objective"]
        policy = Categorical(logits=of_voxels(*(rollout[key] for key in OBSERVATION))[0])
        ratio = (policy.log_prob(rollout["action"]) - rollout["action_log_prob"]).exp().unsqueeze(-1)
        gain = torch.min(ratio * rollout["advantage"], ratio.clamp(0.8, 1.2) * rollout["advantage"])
        torch.testing.assert_close(loss, -gain.mean(), rtol=1e-4, atol=1e-5)


def test_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match="autoreset_mode: expected 'Disabled', since TorchRL resets, got 'SameStep'"):
        make(autoreset_mode="SameStep")
    with pytest.raises(ValueError, match="env_id: expected one of MECCA-BraTS-v0.* got 'CartPole-v1'"):
        MeccaTorchRLEnv("CartPole-v1")
    with pytest.raises(TypeError, match="unexpected keyword argument .horizen."):
        make(horizen=3)
    env = make()
    with pytest.raises(ValueError, match="device: expected cpu, where this env was made, got meta"):
        env.to("meta")
    assert env.to("cpu") is env
    with pytest.raises(ValueError, match="seed: expected 3 non-negative"):
        env.set_seed(-1)
    env.reset()
    with pytest.raises(RuntimeError, match="batch"):
        env.step(TensorDict({"action": torch.zeros(2, 16, 14, 12, dtype=torch.int64)}, batch_size=[2]))
    with pytest.raises(ValueError, match="action: expected integers from 0 to 5, got 6"):
        env.step(env.rand_action().set("action", torch.full((3, 16, 14, 12), 6)))


def test_close() -> None:
    env = make()
    env.reset()
    env.close()
    env.close()
    assert env.is_closed and env.envs.closed
    with pytest.raises(Exception, match="closed"):
        env.reset()
