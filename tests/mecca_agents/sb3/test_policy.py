"""`VoxelActorCriticPolicy`: against Stable-Baselines3's own distribution, and as a policy of its algorithms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.envs import GRID, Blobs, Rows, make_envs

pytest.importorskip("stable_baselines3", reason="needs the extra sb3")

from stable_baselines3 import A2C, PPO
from stable_baselines3.common.distributions import MultiCategoricalDistribution
from stable_baselines3.common.vec_env import VecMonitor

from mecca_agents.sb3 import VoxelActorCriticPolicy
from mecca_env.adapters.sb3 import VoxelVecEnv, final_dice
from mecca_env.wrappers import SupervoxelActionVectorWrapper

SIZES: dict[str, Any] = {"channels": 4, "dilations": (1, 2), "shared_blocks": 1}
VOXELS = 8 * 9 * 8
SMALL: dict[str, Any] = {"shape": (8, 9, 8), "adjustments": (-0.3, 0.1, 0.2)}


def view(num_envs: int = 3, **keywords: Any) -> VoxelVecEnv:
    return VoxelVecEnv(make_envs(num_envs, **keywords))


def policy(envs: Any, **keywords: Any) -> VoxelActorCriticPolicy:
    torch.manual_seed(0)
    space, actions = envs.observation_space, envs.action_space
    return VoxelActorCriticPolicy(space, actions, lambda _: 1e-3, **{**SIZES, **keywords})


def observations(envs: VoxelVecEnv) -> dict[str, Tensor]:
    """Of an episode that has begun, so that probabilities differ."""
    envs.seed(0)
    envs.reset()
    envs.step(np.random.default_rng(0).integers(3, size=(envs.num_envs, *envs.action_space.shape)))
    return dict(envs.observation)


@pytest.mark.parametrize("head", ["target", "actions"])
def test_means_of_what_stable_baselines3s_distribution_says(head: str) -> None:
    envs = view(**SMALL)
    acting, seen = policy(envs, adjustments=SMALL["adjustments"], policy_head=head), observations(envs)
    taken = torch.from_numpy(np.stack([envs.action_space.sample() for _ in range(3)]))
    value, log_prob, entropy = acting.evaluate_actions(seen, taken)
    logits = acting.get_distribution(seen).log_probs.flatten(2).movedim(1, 2)  # (B, V, A)
    stock = MultiCategoricalDistribution([3] * VOXELS).proba_distribution(logits.flatten(1))
    torch.testing.assert_close(log_prob, stock.log_prob(taken) / VOXELS)
    torch.testing.assert_close(entropy, stock.entropy() / VOXELS)
    assert float(logits.detach().std(dim=1).max()) > 0.003  # not all the same
    torch.testing.assert_close(value, acting.predict_values(seen))
    torch.testing.assert_close(value.flatten(), acting.policy_and_value(seen)[1].mean(dim=(1, 2, 3)))
    assert value.shape == (3, 1) and torch.equal(acting.predict_voxels(seen), acting.policy_and_value(seen)[1])


def test_what_forward_samples() -> None:
    envs = view(**SMALL)
    acting, seen = policy(envs, adjustments=SMALL["adjustments"]), observations(envs)
    torch.manual_seed(1)
    action, value, log_prob = acting(seen)
    assert action.shape == (3, VOXELS) and action.dtype == torch.int64
    found = acting.evaluate_actions(seen, action)
    torch.testing.assert_close((value, log_prob), found[:2])
    with torch.no_grad():
        drawn = torch.stack([acting(seen)[0] for _ in range(400)])
        expected = acting.get_distribution(seen).log_probs.exp().flatten(2)
    for choice in range(3):
        share = (drawn == choice).double().mean(0)
        assert (share - expected[:, choice]).abs().max() < 0.13  # five standard deviations of 400 draws
        assert (share - expected[:, choice]).abs().mean() < 0.025
    best, _, _ = acting(seen, deterministic=True)
    moves = torch.tensor(SMALL["adjustments"])
    mean = torch.einsum("bav,a->bv", expected, moves)
    torch.testing.assert_close((moves[best] - mean).abs(), (moves - mean[..., None]).abs().amin(-1))


@pytest.mark.parametrize("numpy", [True, False])
def test_predict(numpy: bool) -> None:
    envs = VoxelVecEnv(make_envs(3), numpy=numpy)
    acting = policy(envs)
    seen = envs.reset()
    action, state = acting.predict(seen, deterministic=True)
    assert isinstance(action, np.ndarray) and action.shape == (3, 16 * 14 * 12) and state is None
    one, _ = acting.predict({key: values[1] for key, values in seen.items()}, deterministic=True)
    assert np.array_equal(one, action[1])
    envs.step(action)


def test_modalities() -> None:
    envs = view(dataset=Blobs(modalities=2))
    envs.reset()
    assert policy(envs)(envs.observation)[0].shape == (3, 16 * 14 * 12)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [A2C, PPO])
def test_stock_algorithms_learn_and_remember(algorithm: Any, tmp_path: Path) -> None:
    envs = VecMonitor(view())
    more = {"batch_size": 5} if algorithm is PPO else {}
    models = []
    for _ in range(2):
        model = algorithm(VoxelActorCriticPolicy, envs, n_steps=5, policy_kwargs=SIZES, seed=0, device="cpu", **more)
        before = {key: weight.clone() for key, weight in model.policy.state_dict().items()}
        models.append(model.learn(30))
        assert any(not torch.equal(weight, before[key]) for key, weight in model.policy.state_dict().items())
    first, second = (model.policy.state_dict() for model in models)
    assert all(torch.equal(first[key], second[key]) for key in first)
    model.save(tmp_path / "model")
    again = algorithm.load(tmp_path / "model", env=envs)
    assert final_dice(envs, again) == final_dice(envs, model)
    again.learn(15)
    model.policy.save(tmp_path / "policy")
    alone = VoxelActorCriticPolicy.load(tmp_path / "policy")
    seen = envs.reset()
    assert np.array_equal(alone.predict(seen, deterministic=True)[0], model.predict(seen, deterministic=True)[0])
    assert alone.settings == model.policy.settings


def test_a_gradient_step_makes_what_was_good_more_probable() -> None:
    envs = view()
    acting, seen = policy(envs, policy_head="actions"), observations(envs)
    good = torch.full((3, 16 * 14 * 12), 4)
    before = acting.evaluate_actions(seen, good)[1].mean().detach()
    for _ in range(20):
        loss = -acting.evaluate_actions(seen, good)[1].mean()
        acting.optimizer.zero_grad()
        loss.backward()
        acting.optimizer.step()
    assert acting.evaluate_actions(seen, good)[1].mean() > before + 0.02


@pytest.mark.parametrize(
    ("settings", "keywords", "complaint"),
    [
        ({"action": "continuous"}, {}, "action: expected action='discrete' when the env is made, got actions of Box"),
        ({}, {"adjustments": (-0.5, 0.5)}, "adjustments: expected those of the env, 6 of them, got 2"),
        ({}, {"policy_head": "mask"}, "policy_head: expected 'target' or 'actions', got 'mask'"),
        ({}, {"dilations": (1, 12)}, r"shape: expected sides of at least 13, got \(16, 14, 12\)"),
        ({}, {"use_sde": True}, "use_sde: expected False, since it is not for discrete actions, got True"),
    ],
)
def test_what_it_cannot_take(settings: dict[str, Any], keywords: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        policy(view(**settings), **keywords)


class ThreeHints(gym.vector.VectorWrapper):
    """An env that says its hint has three maps, where two are the most."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        parts = dict(env.single_observation_space.spaces)
        parts["hint"] = gym.spaces.Box(0.0, 1.0, (3, *GRID))
        self.single_observation_space = gym.spaces.Dict(parts)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, env.num_envs)


def test_other_spaces_are_refused() -> None:
    with pytest.raises(ValueError, match="observation space: expected grids of volume, probability and hint, got Dict"):
        policy(VoxelVecEnv(SupervoxelActionVectorWrapper(make_envs(supervoxels=(9, 9, 9)))))
    with pytest.raises(ValueError, match="observation space: expected grids of volume, probability and hint"):
        policy(VoxelVecEnv(Rows(make_envs())))
    with pytest.raises(ValueError, match="observation space: expected grids of volume, probability and hint"):
        policy(VoxelVecEnv(ThreeHints(make_envs())))
    with pytest.raises(ValueError, match="expected one action for each of 2688 voxels, flat, as VoxelVecEnv has them"):
        policy(gym.make("MECCA-Phantom-v0", shape=GRID, cases=1))
    with pytest.raises(TypeError, match="observation: expected a dict of grids, got ndarray"):
        policy(view()).predict(np.zeros(3))
