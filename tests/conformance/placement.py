"""Play and learn on a device that is not there (`elsewhere`), and compare with the CPU: a program.

It prints a line for everything that went well and stops at the first thing that did not.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from mecca_agents.agent import METHODS, find_method, make_agent
from mecca_agents.presets import FAST, MECHANISMS
from mecca_agents.runs.loading import make_task
from mecca_env.actions import ActionReader
from mecca_env.kernels import backend, dispatch, triton_step
from mecca_env.testing import check_vector_env
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.elsewhere import DEVICE, Elsewhere, ElsewhereTensor
from tests.support.envs import GRID, SETTINGS, make_envs, random_actions
from tests.support.trees import same_tensor

ENVS: tuple[dict[str, Any], ...] = (
    {},
    {"guide": True},
    {"user": "imprecise"},
    {"user": "region-centre"},
    {"labelled_fraction": 0.5},
    {"reward": "focal", "adjustments": (0.01, -0.02, 0.5)},
    {"reward": "error"},
    {"reward": "boundary"},
    {"target_dice": 0.3},
    {"hint": "supervoxel"},
    {"hint": "geodesic"},
    {"hint": "euclidean"},
    {"action": "continuous"},
    {"autoreset_mode": "NextStep"},
    {"augment": True, "device_cache_bytes": 0, "prefetch": True},
    {"protocol": "mixed", "clicks": ((0, 1), (0, 2), (0, 3)), "augment": True, "time": True},
    {"protocol": "cvpr25", "clicks": (0, 1, 1), "start": {"half": 1, "mask": 1}, "hint": "edt"},
    {"crop": "scan", "box": "label", "user": "largest-error"},
)
INTERPRETED: tuple[dict[str, Any], ...] = ({}, {"guide": True}, {"target_dice": 0.3})
"""Those that are played with the kernels for GPUs, too, which takes Triton's interpreter some seconds."""

LAUNCHED: list[Any] = []
"""Kernels that ran."""

PRESET = FAST.replace(
    **MECHANISMS, shape=GRID, channels=4, confidence_channels=4, dilations=(1, 2), simulated_from=0.0, num_envs=4
)


def same(there: Any, here: Any, path: str) -> int:
    """Count the tensors that have the same bits there and here; stops at the first that has not."""
    if isinstance(here, dict):
        assert there.keys() == here.keys(), path
        return sum(same(there[key], here[key], f"{path}.{key}") for key in here)
    if isinstance(here, tuple | list):
        return sum(same(one, other, f"{path}[{i}]") for i, (one, other) in enumerate(zip(there, here, strict=True)))
    assert isinstance(there, ElsewhereTensor), f"{path} is not on the device"
    assert same_tensor(there.held, here), f"{path} differs"
    return 1


def sent(envs: MeccaVectorEnv, action: Any) -> Any:
    """That action as these envs take it."""
    if envs.config.action == "continuous":
        return (action / 2.5 - 1).astype(np.float32)
    return {"adjustment": action, "confidence": action / 5.0} if envs.config.guide else action


def episodes(device: str, **settings: Any) -> list[Any]:
    """Everything that two envs return over an episode and a half."""
    envs = make_envs(2, device=device, **settings)
    envs._actions = ActionReader(envs.config, 2, envs.device, late=True)
    results: list[Any] = [envs.reset(seed=1)]
    return results + [envs.step(sent(envs, action)) for action in random_actions(envs, 5)]


def play() -> None:
    """Every kind of env, with torch's loops and with those for GPUs."""
    for settings in ENVS:
        here = episodes("cpu", **settings)
        for kernels in (False, True) if settings in INTERPRETED else (False,):
            backend._found = lambda kind, kernels=kernels: kernels or kind == "cpu"  # type: ignore[assignment]
            with Elsewhere():
                count = same(episodes(DEVICE, **settings), here, "")
            assert bool(LAUNCHED) == kernels
            LAUNCHED.clear()
            print(f"env {settings}, {'kernels' if kernels else 'torch'}: {count} tensors")


def look_around() -> None:
    """Try what else an env does."""
    with Elsewhere():
        envs = make_envs(3, device=DEVICE, guide=True, render_mode="rgb_array")
        envs.reset(seed=0)
        first, second, _ = random_actions(envs, 3)
        envs.step(sent(envs, first))
        envs.render(), envs.paste_back(1), envs.supervoxels([0, 2])
        snapshot = envs.snapshot()
        expected = envs.step(sent(envs, second))
        envs.restore(snapshot)
        same(envs.step(sent(envs, second)), _plain(expected), "restored")
        here = make_envs(3, guide=True)
        here.restore(snapshot)
        same(expected, here.step(sent(here, second)), "restored on the CPU")
        print("snapshot, pictures, regions")
        check_vector_env(make_envs(3, device=DEVICE))
        print("check_vector_env")
        env = gym.make("MECCA-Phantom-v0", device=DEVICE, **SETTINGS)
        env.reset(seed=0)
        observation = env.step(env.action_space.sample())[0]
        assert all(isinstance(value, np.ndarray) for value in observation.values())
        print("single env")


def learn() -> None:
    """Every method, for two updates."""

    def numbers(method: str, device: str, preset: Any) -> dict[str, float]:
        given = {"labelled_fraction": 0.5}
        settings = find_method(method).env_settings(preset, {"horizon": SETTINGS["horizon"], **given})
        envs = make_envs(4, device=device, **given, **settings)
        agent = make_agent(method, preset, make_task(envs.config, 1), device=torch.device(device), seed=0)
        observation, _ = envs.reset(seed=0)
        for update in range(2):
            observation, found = agent.learn(envs, observation, update / 2)
        action = agent.act(observation)
        assert device == "cpu" or isinstance(action["adjustment"] if envs.config.guide else action, ElsewhereTensor)
        agent.load_weights(agent.weights())
        agent.load_training_state(agent.training_state())
        return dict(found)

    sampled = PRESET.replace(n_steps=None, policy_head="actions")
    for method in METHODS:
        every = {"": PRESET, ", chunks": PRESET.replace(chunk=1), ", sampled": sampled}
        for name, preset in every.items() if method in ("mecca", "ua-mt") else [("", PRESET)]:
            here = numbers(method, "cpu", preset)
            with Elsewhere():
                there = numbers(method, DEVICE, preset)
            assert there.keys() == here.keys() and all(abs(there[key] - here[key]) < 1e-5 for key in here), method
            print(f"{method}{name}: {len(here)} numbers")


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return tuple(_plain(value) for value in tree) if isinstance(tree, tuple) else tree.held


def main() -> None:
    """Everything, with what torch has for real devices alone in the place of what it lacks for this one."""
    torch.Generator = _Generator  # type: ignore[misc]
    torch.inference_mode = lambda *_: torch.no_grad()  # type: ignore[assignment]
    launch = triton_step._launch

    def on_host(kernel: Any, grid: Any, *arguments: Any) -> None:
        assert all(isinstance(value, ElsewhereTensor) for value in arguments if isinstance(value, Tensor)), kernel
        LAUNCHED.append(kernel)
        launch(kernel, grid, *(value.held if isinstance(value, ElsewhereTensor) else value for value in arguments))

    triton_step._launch = on_host
    chosen = dispatch._compiled
    dispatch._compiled = lambda kind: chosen("cpu") if kind == "cpu" else triton_step  # type: ignore[assignment,return-value]
    play()
    look_around()
    learn()


class _Generator(torch.Generator):
    """A generator of the CPU, whatever device is asked for."""

    def __new__(cls, device: Any = "cpu") -> Any:
        return super().__new__(cls)


if __name__ == "__main__":
    main()
