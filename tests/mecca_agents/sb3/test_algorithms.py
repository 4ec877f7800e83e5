"""`VoxelPPO` and `VoxelA2C`: one update by hand, and Stable-Baselines3's interface around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers.vector import TransformReward
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.envs import SETTINGS, Blobs, make_envs

pytest.importorskip("stable_baselines3", reason="needs the extra sb3")

from stable_baselines3 import A2C
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor, VecNormalize

from mecca_agents.sb3 import VoxelA2C, VoxelPPO
from mecca_agents.sb3.ppo import divergence
from mecca_env.adapters.sb3 import VoxelVecEnv, final_dice
from mecca_env.wrappers import SupervoxelActionVectorWrapper

BOTH = pytest.mark.parametrize("algorithm", [VoxelPPO, VoxelA2C])
SIZES = {"channels": 4, "dilations": (1, 2), "shared_blocks": 1}
UNEVEN: dict[str, Any] = {"target_dice": 0.1, "labelled_fraction": 0.7, "horizon": 4, "clicks": (6, 3, 2, 2)}


def make(algorithm: Any, env: Any = None, **keywords: Any) -> Any:
    """A model on three small envs. The policy is on the CPU unless something else is asked for."""
    given = {"policy_kwargs": SIZES, "seed": 0, "device": "cpu", "n_steps": 3, **keywords}
    return algorithm("VoxelPolicy", make_envs() if env is None else env, **given)


def weights(model: Any) -> dict[str, Tensor]:
    return {key: values.clone() for key, values in model.policy.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


class Keep(BaseCallback):
    """Notes what was seen, done and earned at every step, and lets only some updates happen."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, Any]] = []

    def _on_training_start(self) -> None:
        self._look()

    def _look(self) -> None:
        view = self.training_env.unwrapped
        self.before = {"seen": dict(view.observation), "state": view.base.state}

    def _on_step(self) -> bool:
        view = self.training_env.unwrapped
        told = {key: self.locals[key] for key in ("rewards", "dones", "infos")}
        self.steps.append({**self.before, **told, "gain": view.last_info["voxel_reward"], "step": self.locals["step"]})
        self._look()
        return True


def played(algorithm: Any, **keywords: Any) -> tuple[Any, list[dict[str, Any]], dict[str, Tensor]]:
    """A model after one rollout and before its update, what was played, and the weights."""
    model = make(algorithm, make_envs(**UNEVEN), n_steps=6, **keywords)
    keep, before = Keep(), weights(model)
    model.train = lambda: None
    model.learn(1, callback=keep)
    del model.train
    assert same(before, weights(model))
    return model, keep.steps, before


def test_returns_by_hand() -> None:
    model, steps, _ = played(VoxelA2C, gamma=0.9, gae_lambda=0.7)
    seen, experience = model.rollout_buffer.all()
    with torch.no_grad():
        values = [model.policy.policy_and_value(step["seen"])[1] for step in steps]
        values.append(model.policy.policy_and_value(model.env.unwrapped.observation)[1])
    dones = np.stack([step["dones"] for step in steps])
    assert dones.any() and not dones[-1].all() and (dones.any(1) & ~dones.all(1)).any()
    for row in range(3):
        advantage = torch.zeros(SETTINGS["shape"])
        for time in reversed(range(6)):
            ended = dones[time, row]
            following = 0.0 if ended else values[time + 1][row]
            delta = steps[time]["gain"][row] + 0.9 * following - values[time][row]
            advantage = delta + (0.0 if ended else 0.9 * 0.7 * advantage)
            where = 3 * time + row
            torch.testing.assert_close(experience.advantage[where], advantage, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(experience.target[where], advantage + values[time][row], rtol=1e-4, atol=1e-5)
            assert torch.equal(seen["hint"][where], steps[time]["seen"]["hint"][row])
            labelled = steps[time]["infos"][row]["labelled"]
            assert torch.equal(experience.weight[where], torch.full(SETTINGS["shape"], float(labelled)))
    assert 0 < experience.weight.mean() < 1


def test_an_update_of_a2c_by_hand() -> None:
    model, _, before = played(VoxelA2C, ent_coef=0.03, vf_coef=0.4, max_grad_norm=0.05, balance=0.5, learning_rate=3e-3)
    seen, experience = model.rollout_buffer.all()
    twin = make(VoxelA2C, make_envs(**UNEVEN)).policy
    twin.load_state_dict(before)
    policy, value = twin.policy_and_value(seen)
    log_probs = policy.log_probs
    taken = sum(log_probs[:, a] * (experience.action == a) for a in range(6))
    entropy = -(log_probs.exp() * log_probs).sum(1)
    advantage, weight = experience.advantage, experience.weight
    actor = -(weight * taken * advantage).sum() / weight.sum()
    critic = (weight * (experience.target - value) ** 2).sum() / weight.sum() / 2
    (actor + 0.4 * critic - 0.03 * (weight * entropy).sum() / weight.sum()).backward()
    norm = torch.stack([p.grad.square().sum() for p in twin.parameters()]).sum().sqrt()
    assert norm > 0.05
    for parameter in twin.parameters():
        parameter.grad *= 0.05 / norm
    torch.optim.Adam(twin.parameters(), lr=3e-3, eps=1e-5).step()  # as Stable-Baselines3 sets it
    model.train()
    after = weights(model)
    assert not same(before, after)
    for key, expected in twin.state_dict().items():
        torch.testing.assert_close(after[key], expected, rtol=1e-3, atol=1e-6)


def test_an_update_of_ppo_by_hand() -> None:
    settings = {"ent_coef": 0.03, "vf_coef": 0.4, "clip_range": 0.1, "n_epochs": 3, "batch_size": 7}
    model, _, before = played(VoxelPPO, learning_rate=1e-2, **settings)
    seen, experience = model.rollout_buffer.all()
    twin = make(VoxelPPO, make_envs(**UNEVEN)).policy
    twin.load_state_dict(before)
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-2, eps=1e-5)
    torch.manual_seed(5)
    sizes, left = [], 0
    for _ in range(3):
        for rows in torch.split(torch.randperm(18), 7):
            sizes.append(len(rows))
            policy, value = twin.policy_and_value({key: values[rows] for key, values in seen.items()})
            action, behaviour, advantage, target, weight = (part[rows] for part in experience)
            ratio = (policy.log_prob(action) - behaviour).exp()  # of each voxel
            left += int(((ratio < 0.9) | (ratio > 1.1)).sum())
            gain = torch.minimum(ratio.clamp(max=3.0) * advantage, ratio.clamp(0.9, 1.1) * advantage)
            terms = gain - 0.4 * (target - value) ** 2 / 2 + 0.03 * policy.entropy()
            optimizer.zero_grad()
            (-(weight * terms).sum() / weight.sum()).backward()
            optimizer.step()
    assert sizes == [7, 7, 4] * 3 and left > 1000
    torch.manual_seed(5)
    model.train()
    after = weights(model)
    assert not same(before, after)
    for key, expected in twin.state_dict().items():
        torch.testing.assert_close(after[key], expected, rtol=1e-3, atol=1e-5)


def test_an_update_ends_when_the_policy_has_moved_far() -> None:
    model, _, _ = played(VoxelPPO, learning_rate=1e-2, target_kl=1e-4, n_epochs=5, batch_size=6)
    steps = []
    model._descend, descend = lambda loss: (steps.append(1), descend(loss)), model._descend
    model.train()
    assert 0 < len(steps) < 15
    assert model.logger.name_to_value["train/approx_kl"] > 0


def test_divergence_is_that_of_two_distributions() -> None:
    old, new = (torch.randn(6, generator=torch.Generator().manual_seed(s)).log_softmax(0) for s in (0, 1))
    drawn = torch.multinomial(old.exp(), 200_000, replacement=True, generator=torch.Generator().manual_seed(2))
    expected = (old.exp() * (old - new)).sum()
    assert divergence(new[drawn], old[drawn]).item() == pytest.approx(expected.item(), rel=0.02)
    assert divergence(old, old).item() == 0.0


@BOTH
def test_the_same_seed_the_same_bits(algorithm: Any) -> None:
    one, two, other = (weights(make(algorithm, seed=seed).learn(18)) for seed in (3, 3, 4))
    assert same(one, two) and not same(one, other)


@BOTH
def test_the_view_makes_no_difference(algorithm: Any) -> None:
    views = [make_envs(), VoxelVecEnv(make_envs()), VecCheckNan(VecMonitor(VoxelVecEnv(make_envs())))]
    first, *rest = (weights(make(algorithm, envs).learn(18)) for envs in views)
    assert all(same(first, found) for found in rest)


@BOTH
def test_a_file_holds_all_there_is_to_know(algorithm: Any, tmp_path: Path) -> None:
    model = make(algorithm, learning_rate=lambda left: 1e-2 * left, gamma=0.8, balance=lambda left: left / 2).learn(18)
    model.save(tmp_path / "model")
    envs = VecMonitor(VoxelVecEnv(make_envs()))
    again = algorithm.load(tmp_path / "model", env=envs, device="cpu")
    assert same(weights(model), weights(again))
    assert (again.gamma, again.n_steps, again.num_timesteps) == (0.8, 3, 18) and again.balance(1.0) == 0.5
    assert final_dice(envs, again) == final_dice(envs, model)
    for key, state in model.policy.optimizer.state_dict()["state"].items():
        assert torch.equal(state["exp_avg"], again.policy.optimizer.state_dict()["state"][key]["exp_avg"])
    again.learn(18, reset_num_timesteps=False)
    assert again.num_timesteps == 36 and not same(weights(model), weights(again))
    alone = algorithm.load(tmp_path / "model", device="cpu")
    seen = envs.reset()
    assert np.array_equal(alone.predict(seen, deterministic=True)[0], model.predict(seen, deterministic=True)[0])
    assert (tmp_path / "model.zip").stat().st_size < 200_000  # nothing of what was played
    with pytest.raises(ValueError, match="Action spaces do not match|Observation spaces do not match"):
        algorithm.load(tmp_path / "model", env=make_envs(shape=(12, 12, 12)))


@BOTH
def test_callbacks(algorithm: Any, tmp_path: Path) -> None:
    keep = Keep()
    test = VecMonitor(VoxelVecEnv(make_envs(2)))
    watch = EvalCallback(
        test, n_eval_episodes=4, eval_freq=3, best_model_save_path=str(tmp_path), log_path=str(tmp_path), verbose=0
    )
    regularly = CheckpointCallback(save_freq=3, save_path=str(tmp_path / "kept"))
    model = make(algorithm).learn(18, callback=[keep, watch, regularly], log_interval=100)
    assert len(keep.steps) == 6 and model.num_timesteps == 18
    assert np.load(tmp_path / "evaluations.npz")["results"].shape == (2, 4)
    assert len(list((tmp_path / "kept").glob("*.zip"))) == 2
    best = algorithm.load(tmp_path / "best_model", device="cpu")
    assert evaluate_policy(best, test, 2)[0] == pytest.approx(watch.best_mean_reward, abs=0.5)
    logged = model.logger.name_to_value
    assert {"train/loss", "train/value_loss", "train/entropy", "rollout/dice"} <= set(logged)
    for step in keep.steps:
        assert np.allclose(step["rewards"], step["gain"].mean(dim=(1, 2, 3)), atol=1e-6)


@BOTH
def test_the_logged_dice_is_of_labelled_episodes(algorithm: Any) -> None:
    envs = make_envs(4, labelled_fraction=0.5, labelled_share=0.5)
    logged = make(algorithm, envs).learn(12, log_interval=100).logger.name_to_value
    assert 0 < logged["rollout/dice"] < 1


class Stop(BaseCallback):
    """Ends the training at its second step."""

    def _on_step(self) -> bool:
        return self.n_calls < 2


@BOTH
def test_a_callback_can_end_it(algorithm: Any) -> None:
    model = make(algorithm)
    before = weights(model)
    model.learn(300, callback=Stop())
    assert model.num_timesteps == 6 and same(before, weights(model))
    model.learn(9, reset_num_timesteps=False)  # and it goes on from there
    assert model.num_timesteps == 15 and not same(before, weights(model))


@BOTH
def test_logs(algorithm: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    make(algorithm, tensorboard_log=str(tmp_path), verbose=0).learn(9)
    assert list(tmp_path.rglob("events.out.tfevents.*"))


@BOTH
def test_what_was_played_is_kept_and_not_copied(algorithm: Any, device: str) -> None:
    model, keep = make(algorithm, make_envs(device=device), device=device), Keep()
    model.learn(9, callback=keep)
    for step, kept in zip(keep.steps, model.rollout_buffer._steps, strict=True):
        assert all(kept.observation[key] is values for key, values in step["seen"].items())
        assert kept.reward is step["gain"] and kept.label is step["state"].label
    assert {part.device.type for part in model.rollout_buffer.all()[1]} == {device}


class ToHost(TorchDispatchMode):
    """Notes the size of the largest tensor that is moved from a device to the host."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].is_cuda and not found.is_cuda:
            self.largest = max(self.largest, found.numel())
        return found


@pytest.mark.cuda
@BOTH
def test_no_grid_comes_to_the_host(algorithm: Any) -> None:
    model = make(algorithm, make_envs(device="cuda"), device="cuda")
    with ToHost() as moved:
        model.learn(18)
    assert 0 < moved.largest < 100  # a number of a kind for each env


@pytest.mark.cuda
@BOTH
def test_the_policy_may_be_on_another_device_than_the_env(algorithm: Any) -> None:
    model = make(algorithm, make_envs(), device="cuda").learn(18)
    assert model.rollout_buffer.all()[1].action.is_cuda


@pytest.mark.slow
@BOTH
def test_it_learns(algorithm: Any) -> None:
    envs = make_envs(4)
    model = make(algorithm, envs, learning_rate=5e-3, n_steps=3, policy_kwargs={**SIZES, "channels": 8})
    test = VecMonitor(VoxelVecEnv(make_envs(6)))
    random = final_dice(test)
    model.learn(480)
    assert final_dice(test, model) > random + 0.2


@BOTH
def test_envs_that_it_cannot_take(algorithm: Any) -> None:
    with pytest.raises(ValueError, match="guide: .*make it with guide=False"):
        make(algorithm, make_envs(guide=True, supervoxels=(9, 9, 9)))
    with pytest.raises(ValueError, match="autoreset_mode: .*make the env with autoreset_mode='SameStep'"):
        make(algorithm, make_envs(autoreset_mode="NextStep"))
    with pytest.raises(ValueError, match="action: expected action='discrete' when the env is made, got actions of Box"):
        make(algorithm, make_envs(action="continuous"))
    with pytest.raises(ValueError, match="observation space: expected grids of volume, probability and hint"):
        make(algorithm, SupervoxelActionVectorWrapper(make_envs(supervoxels=(9, 9, 9))))
    with pytest.raises(ValueError, match="env: expected no wrapper but VecMonitor.*got VecNormalize"):
        make(algorithm, VecNormalize(VoxelVecEnv(make_envs()), norm_obs=False))
    with pytest.raises(ValueError, match="env: expected no wrapper of rewards"):
        make(algorithm, TransformReward(make_envs(), lambda reward: 2 * reward))
    with pytest.raises(ValueError, match=r"numpy: expected VoxelVecEnv\(..., numpy=True\) under VecCheckNan"):
        make(algorithm, VecCheckNan(VoxelVecEnv(make_envs(), numpy=False)))
    with pytest.raises(TypeError, match=r"env: expected gym.make_vec\(...\) of mecca_env or its VoxelVecEnv, got"):
        make(algorithm, gym.make("MECCA-Phantom-v0", dataset=Blobs(), **SETTINGS))


@BOTH
@pytest.mark.parametrize(
    ("keywords", "complaint"),
    [
        ({"n_steps": 0}, "n_steps: expected an integer of at least 1, got 0"),
        ({"gamma": 1.5}, "gamma: expected a number from 0 to 1, got 1.5"),
        ({"gae_lambda": -1}, "gae_lambda: expected a number from 0 to 1, got -1"),
        (
            {"policy_kwargs": {"adjustments": (-0.1, 0.1)}},
            r"adjustments: expected those of the env, \(-0.4, .*0.4\), got",
        ),
    ],
)
def test_numbers_out_of_range(algorithm: Any, keywords: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make(algorithm, **keywords)
    with pytest.raises(TypeError, match="unexpected keyword argument 'learning_rat'"):
        make(algorithm, learning_rat=1.0)


def test_numbers_of_ppo_out_of_range() -> None:
    for name in ("batch_size", "n_epochs"):
        with pytest.raises(ValueError, match=f"{name}: expected an integer of at least 1, got 0"):
            make(VoxelPPO, **{name: 0})


@BOTH
def test_a_loss_that_is_no_number_changes_nothing(algorithm: Any) -> None:
    model = make(algorithm).learn(9)
    seen, experience = model.rollout_buffer.all()
    experience.advantage[0, 0, 0, 0] = torch.nan
    before = weights(model)
    with pytest.raises(FloatingPointError, match="loss became nan"):
        for _ in range(3):
            model.train()
    assert algorithm is VoxelPPO or same(before, weights(model))


def test_a_buffer_takes_no_more_than_its_size() -> None:
    model = make(VoxelA2C).learn(9)
    with pytest.raises(ValueError, match=r"expected 3 steps, got one more; call reset\(\) first"):
        model.rollout_buffer.add(model.rollout_buffer._steps[0])


def test_a_stock_algorithm_is_told_what_its_policy_needs() -> None:
    with pytest.raises(ValueError, match="action: expected action='discrete'"):
        A2C(VoxelPPO.policy_aliases["VoxelPolicy"], VoxelVecEnv(make_envs(action="continuous")), device="cpu")
