"""The environments as PettingZoo's `ParallelEnv`, every voxel an agent: `pip install -e ".[interop]"`.

For small volumes: PettingZoo keeps a dictionary entry for every agent. Larger ones are what the vector env is for.

    from mecca_env.adapters.pettingzoo import MeccaParallelEnv

    env = MeccaParallelEnv("MECCA-Phantom-v0", shape=(12, 12, 10))
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mecca_env.extras import missing

try:
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise ImportError(missing("mecca_env.adapters.pettingzoo", "pettingzoo", "interop")) from error

import mecca_env
from mecca_env.arguments import read_count
from mecca_env.env import MeccaEnv

MAX_AGENTS = 4096
"""Voxels of a volume of 16 x 16 x 16: a step then takes some 15 ms, nearly all of it for dictionaries."""

Array = NDArray[np.float32]

_CHANNELS = ("volume", "probability", "hint", "box", "time")


class MeccaParallelEnv(ParallelEnv):
    """Interactive segmentation of one small volume by its voxels, `voxel_0_0_0` to `voxel_{D-1}_{H-1}_{W-1}`.

    Observation of an agent: (M + 2, k, k, k) float32, k = 2 * radius + 1: the M images, the probability of foreground
    and the hint around its voxel, 0 outside the grid; one channel more for each of a second hint (`signed`), `box` and
    `time`. Action: `Discrete`, an index into `adjustments`. Reward: what its
    voxel earned. All end together, after `horizon` steps or at `target_dice`. Info, the same for all: `case_index`,
    `labelled`, `step`, `dice`, `n_clicks`, `misunderstanding`, `misunderstanding_literal`. `state()`: images,
    probability and hint of the whole grid, (M + 2, D, H, W) float32.

    Args:
        env_id: A registered id, `MECCA-Phantom-v0`.
        radius: How many voxels an agent sees to every side.
        max_agents: A volume with more voxels is refused.
        **keywords: Those of `mecca_env.env.MeccaEnv`, with `guide=False` and `action="discrete"`.

    Raises:
        ImportError: On import of this module: pettingzoo is missing.
        ValueError: The volume is too large, an action is not an index for each voxel, or an argument is out of range.
        TypeError, mecca_env.data.base.DataError: As `mecca_env.env.MeccaEnv`.
    """

    def __init__(self, env_id: str, *, radius: int = 1, max_agents: int = MAX_AGENTS, **keywords: Any) -> None:
        if env_id not in mecca_env.ENV_IDS:
            raise ValueError(f"env_id: expected one of {', '.join(mecca_env.ENV_IDS)}, got {env_id!r}")
        if isinstance(radius, bool) or not isinstance(radius, int) or radius < 0:
            raise ValueError(f"radius: expected an integer of at least 0, got {radius!r}")
        self._radius = radius
        self.env = made = MeccaEnv(**{**gym.spec(env_id).kwargs, **keywords})
        self._check(read_count("max_agents", max_agents))
        self.render_mode = made.render_mode
        self.metadata = {**made.metadata, "name": env_id, "is_parallelizable": True}
        self.possible_agents = [f"voxel_{d}_{h}_{w}" for d, h, w in np.ndindex(made.config.shape)]
        self.agents: list[str] = []
        channels = self._channels(self._bounds("low")), self._channels(self._bounds("high"))
        self.state_space = spaces.Box(*channels, dtype=np.float32)
        side = 2 * self._radius + 1
        low, high = (np.broadcast_to(c[:, :1, :1, :1], (len(c), side, side, side)) for c in channels)
        self._observation_space = spaces.Box(low, high, dtype=np.float32)
        # One for each agent, since they are seeded each on its own.
        self._action_spaces = {agent: spaces.Discrete(len(made.config.adjustments)) for agent in self.possible_agents}
        self._state: Array | None = None

    def observation_space(self, agent: str) -> spaces.Box:
        """Of that agent; all have the same one."""
        return self._observation_space

    def action_space(self, agent: str) -> spaces.Discrete:
        """Of that agent."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """Begin a new episode.

        Args:
            seed: Seeds everything the env draws; None goes on with the present generator.
            options: `case` names the case; PettingZoo wants other entries to be let pass.
        """
        case = {key: value for key, value in (options or {}).items() if key == "case"}
        observation, info = self.env.reset(seed=seed, options=case)
        self.agents = self.possible_agents[:]
        return self._observe(observation), self._infos(info)

    def step(
        self, actions: dict[str, int]
    ) -> tuple[dict[str, Array], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Every voxel acts.

        Args:
            actions: One for each agent.

        Raises:
            ValueError: An agent has none, somebody else has one, or one is out of range.
            gymnasium.error.ResetNeeded: The episode is over, or has not begun.
        """
        if not self.agents:
            raise gym.error.ResetNeeded("call reset() before this: there is no episode under way")
        odd = sorted(set(actions) ^ set(self.agents))
        if odd:
            raise ValueError(
                f"actions: expected one for each of {len(self.agents)} agents, got {len(actions)}; "
                f"missing or unknown: {', '.join(odd[:3])}"
            )
        given = np.array([actions[agent] for agent in self.agents]).reshape(self.env.config.shape)
        observation, _, terminated, truncated, info = self.env.step(given)
        agents = self.agents
        rewards = dict(zip(agents, info["voxel_reward"].ravel().tolist(), strict=True))
        ended = dict.fromkeys(agents, terminated), dict.fromkeys(agents, truncated)
        returned = self._observe(observation), rewards, *ended, self._infos(info)
        if terminated or truncated:
            self.agents = []
        return returned

    def state(self) -> Array:
        """The whole grid. Raises `gymnasium.error.ResetNeeded` before the first reset."""
        if self._state is None:
            raise gym.error.ResetNeeded("call reset() before this: there is no episode yet")
        return self._state.copy()

    def render(self) -> NDArray[np.uint8] | None:
        """As `mecca_env.env.MeccaEnv.render`."""
        return self.env.render()

    def close(self) -> None:
        """Let go of the cases and the window, if any."""
        self.env.close()

    def _check(self, most: int) -> None:
        config = self.env.config
        count = int(np.prod(config.shape))
        if count > most:
            raise ValueError(
                f"shape: expected at most {most} voxels, since each is an agent (max_agents), got {config.shape}, "
                f"which has {count}"
            )
        if config.guide:
            raise ValueError("guide: expected False, since an agent's action is one number, got True")
        if config.action != "discrete":
            raise ValueError(f"action: expected 'discrete', since PettingZoo's agents choose, got {config.action!r}")

    def _bounds(self, name: str) -> dict[str, Array]:
        space: Any = self.env.observation_space
        return {key: getattr(box, name) for key, box in space.items()}

    def _channels(self, observation: dict[str, Array]) -> Array:
        """Images, probability and hint, (M + 2, D, H, W), and what else there is."""
        grid = self.env.config.shape
        spread = {k: np.broadcast_to(v, grid) if k == "time" else v for k, v in observation.items()}
        return np.concatenate([spread[key].reshape(-1, *grid) for key in _CHANNELS if key in spread])

    def _observe(self, observation: dict[str, Array]) -> dict[str, Array]:
        self._state = self._channels(observation)
        reach, side = self._radius, 2 * self._radius + 1
        padded = np.pad(self._state, ((0, 0), *[(reach, reach)] * 3))
        around = np.lib.stride_tricks.sliding_window_view(padded, (side, side, side), axis=(1, 2, 3))
        rows = np.moveaxis(around, 0, 3).reshape(-1, len(self._state), side, side, side)
        return dict(zip(self.agents, rows, strict=True))

    def _infos(self, info: dict[str, Any]) -> dict[str, dict[str, Any]]:
        shared = {key: value for key, value in info.items() if not isinstance(value, np.ndarray)}
        return {agent: dict(shared) for agent in self.agents}
