"""Whole episodes as arrays on the host: what a data set for offline learning is made of, whoever played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from mecca_agents.agent import Agent
from mecca_env.vector_env import MeccaVectorEnv

Arrays: TypeAlias = NDArray[Any] | dict[str, Any]
"""An array whose first axis is time, or such arrays by name."""


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of T steps.

    Attributes:
        observations: By name, (T + 1, ...) each: what was seen before each step and after the last.
        actions: (T, D, H, W), or by name with a guide.
        rewards: (T,) float32.
        terminations: (T,) bool, whether the episode ended there.
        truncations: (T,) bool, whether it was broken off there.
        infos: By name, (T + 1, ...) each, with those of the reset first; empty where nothing was noted.
        seed: What `env.reset(seed=...)` begins it again with, or None.
        case: Name of the case, likewise for `options={"case": ...}`, or None.
    """

    observations: Mapping[str, NDArray[Any]]
    actions: Arrays
    rewards: NDArray[np.float32]
    terminations: NDArray[np.bool_]
    truncations: NDArray[np.bool_]
    infos: Mapping[str, NDArray[Any]]
    seed: int | None = None
    case: str | None = None

    def __len__(self) -> int:
        return len(self.rewards)


class Recorder:
    """Notes one episode as it is played, by an agent or by a person, from what `reset` and `step` return.

        recorder = Recorder(*env.reset(seed=3), seed=3)
        while not over:
            action = ...
            observation, reward, terminated, truncated, info = env.step(action)
            recorder.step(action, observation, reward, terminated, truncated, info)
        episode = recorder.episode()

    Everything is copied to the host. Nothing is taken out of a batch: of a vector env, pass row i of everything.

    Args:
        observation: The first.
        info: That of the reset.
        seed: What the episode was begun with, where that is known.
        case: Name of its case, likewise.
    """

    def __init__(
        self,
        observation: Mapping[str, Any],
        info: Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
        case: str | None = None,
    ) -> None:
        self._seed, self._case = seed, case
        self._observations, self._infos = [_host(observation)], [_host(info or {})]
        self._actions: list[Any] = []
        self._outcomes: list[tuple[float, bool, bool]] = []

    def step(
        self,
        action: Any,
        observation: Mapping[str, Any],
        reward: Any = 0.0,
        terminated: Any = False,
        truncated: Any = False,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        """Note a step.

        Args:
            action: What was done.
            observation: What was seen then.
            reward: What that earned; 0 where there is no label to judge by.
            terminated: Whether the episode ended with it.
            truncated: Whether it was broken off there.
            info: What else the environment said.

        Raises:
            ValueError: The episode is over, or the info has other entries than the first one.
        """
        if self._outcomes and any(self._outcomes[-1][1:]):
            raise ValueError("recorder: expected an episode that goes on, got a step after its end")
        noted = _host(info or {})
        if set(noted) != set(self._infos[0]):
            raise ValueError(f"info: expected {sorted(self._infos[0])} as after the reset, got {sorted(noted)}")
        self._observations.append(_host(observation))
        self._actions.append(_host(action))
        self._outcomes.append((float(reward), bool(terminated), bool(truncated)))
        self._infos.append(noted)

    def episode(self) -> Episode:
        """The episode noted so far; not ended, it counts as broken off. Raises `ValueError` where there is no step."""
        if not self._outcomes:
            raise ValueError("recorder: expected at least one step, got none")
        rewards, terminated, truncated = (np.array(values) for values in zip(*self._outcomes, strict=True))
        truncated[-1] |= not terminated[-1]
        return Episode(
            observations=_stacked(self._observations),
            actions=_stacked(self._actions),
            rewards=rewards.astype(np.float32),
            terminations=terminated,
            truncations=truncated,
            infos=_stacked(self._infos),
            seed=self._seed,
            case=self._case,
        )


def play_episode(agent: Agent, envs: MeccaVectorEnv, case: int, seed: int) -> Episode:
    """One episode of an agent.

    Args:
        agent: Who acts.
        envs: An environment of one episode that is never reset by itself.
        case: Index of the case.
        seed: Of everything that is drawn in it.
    """
    observation, info = envs.reset(seed=[seed], options={"cases": [case]})
    agent.enter(envs)
    recorder = Recorder(first_row(observation), first_row(info), seed=seed, case=envs.case_name(0))
    over = False
    while not over:
        action = agent.act(observation)
        observation, reward, terminated, truncated, info = envs.step(action)
        over = bool(terminated[0] | truncated[0])
        outcome = reward[0], terminated[0], truncated[0]
        recorder.step(first_row(action), first_row(observation), *outcome, first_row(info))
    return recorder.episode()


def play_episodes(agent: Agent, envs: MeccaVectorEnv, count: int, seed: int = 0) -> Iterator[Episode]:
    """So many episodes, each of the next case, from the first again after the last, with seeds from `seed` on.

    Args:
        agent: Who acts.
        envs: As in `play_episode`; its cases are played.
        count: How many.
        seed: Of the first one.

    Raises:
        ValueError: The environment has several episodes side by side, or resets by itself.
    """
    if envs.num_envs != 1 or envs.autoreset_mode is not AutoresetMode.DISABLED:
        given = f"num_envs={envs.num_envs}, autoreset_mode={envs.autoreset_mode.value!r}"
        raise ValueError(f"envs: expected num_envs=1 and autoreset_mode='Disabled', got {given}")
    for number in range(count):
        yield play_episode(agent, envs, int(envs.cases.indices[number % len(envs.cases)]), seed + number)


def _host(values: Any) -> Any:
    """Copies on the host, as NumPy arrays."""
    if isinstance(values, Mapping):
        return {key: _host(value) for key, value in values.items()}
    if isinstance(values, torch.Tensor):
        return values.detach().to("cpu", copy=True).numpy()
    return np.array(values)


def first_row(values: Any) -> Any:
    """Row 0 of a batch, of tensors or `dict`s of them."""
    return {key: first_row(value) for key, value in values.items()} if isinstance(values, Mapping) else values[0]


def _stacked(values: Sequence[Any]) -> Any:
    if isinstance(values[0], dict):
        return {key: _stacked([value[key] for value in values]) for key in values[0]}
    return np.stack(values)
