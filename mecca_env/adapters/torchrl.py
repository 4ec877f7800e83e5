"""The environments as TorchRL's `EnvBase`, with a reward for every voxel: `pip install -e ".[interop]"`.

from mecca_env.adapters.torchrl import MeccaTorchRLEnv

env = MeccaTorchRLEnv("MECCA-Phantom-v0", num_envs=8, device="cuda")
rollout = env.rollout(5)  # rollout["next", "reward"] is (8, 5, D, H, W, 1)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from torch import Tensor

from mecca_env.extras import missing

try:
    from tensordict import TensorDict, TensorDictBase
    from torchrl.data import Bounded, Categorical, Composite, TensorSpec, Unbounded
    from torchrl.envs import EnvBase
except ImportError as error:
    raise ImportError(missing("mecca_env.adapters.torchrl", "torchrl", "interop")) from error

import mecca_env
from mecca_env.arguments import read_autoreset_mode, read_seeds
from mecca_env.data.drift.source import StreamCases
from mecca_env.data.recorded import most_of
from mecca_env.infos import Info
from mecca_env.process.users.named import click_room
from mecca_env.state import OF_A_STREAM
from mecca_env.vector_env import MeccaVectorEnv, Observation

_COUNTS, _SHARES = ("case_index", "step", "n_clicks"), ("dice", "misunderstanding", "misunderstanding_literal")


class MeccaTorchRLEnv(EnvBase):
    """B volumes side by side, every voxel an agent, as a batch-locked TorchRL environment of batch size (B,).

    Entries of a tensordict, D, H, W the grid:
        "volume": (B, D, H, W) float32, or (B, M, D, H, W) with M > 1 modalities.
        "probability", "hint": (B, D, H, W) float32; signed, "hint" is (B, 2, D, H, W).
        "box", "time": (B, D, H, W) and (B, 1) float32, where the settings ask for them.
        "info": a tensordict of `case_index`, `step`, `n_clicks` (B,) int64, `labelled` (B,) bool, `clicks` (B, K, 3)
            int64, `dice`, `misunderstanding`, `misunderstanding_literal` (B,) float32, with a guide `advice`
            (B, D, H, W) bool, signed `click_signs` (B, K) int8, of a mixture `user` (B,) int64, of a stream
            `stream_index` and `segment` (B,) int64; K has room for the user's clicks and for recorded prompts; the
            last step's after an episode has ended, not those of the next one.
        "action": (B, D, H, W) int64, or float32 in [-1, 1] with `action="continuous"`. With `guide=True` two entries,
            "adjustment", that, and "confidence", (B, D, H, W) float32 in [0, 1].
        ("next", "reward"): (B, D, H, W, 1) float32, what every voxel earned; the env's reward is its mean. The last
            axis is what TorchRL's losses add to a log-probability of shape (B, D, H, W).
        "terminated", "truncated" (set after `max_episode_steps` alone), "done": (B, 1) bool.

    TorchRL resets, in part where episodes end at different times (`target_dice`); the env never resets itself.
    `set_seed(s)` gives env i the seed s + i from its next reset on, as `MeccaVectorEnv.reset(seed=s)`;
    `reset(seed=, cases=)` take what the vector env's `seed` and `options["cases"]` do. Entries are copies, since
    TorchRL and its transforms write into tensordicts.

    Args:
        env_id: A registered id, `MECCA-Phantom-v0`.
        num_envs: B.
        device: Where all tensors live. It is settled here: `to` refuses another one.
        **keywords: Those of `MeccaVectorEnv`, but `autoreset_mode`.

    Attributes:
        envs: The vector env behind it: `envs.state`, `envs.config`, `envs.paste_back`, `envs.render`.

    Raises:
        ImportError: On import of this module: torchrl is missing.
        ValueError, TypeError, mecca_env.data.base.DataError: As `MeccaVectorEnv`; or another autoreset mode than
            "Disabled" is asked for, or the id is of another environment.
    """

    def __init__(self, env_id: str, num_envs: int = 1, *, device: str | torch.device = "cpu", **keywords: Any) -> None:
        mode = read_autoreset_mode(keywords.pop("autoreset_mode", AutoresetMode.DISABLED))
        if mode is not AutoresetMode.DISABLED:
            raise ValueError(f"autoreset_mode: expected 'Disabled', since TorchRL resets, got {mode.value!r}")
        if env_id not in mecca_env.ENV_IDS:
            raise ValueError(f"env_id: expected one of {', '.join(mecca_env.ENV_IDS)}, got {env_id!r}")
        made = gym.make_vec(env_id, num_envs, device=device, autoreset_mode=mode, **keywords)
        assert isinstance(made, MeccaVectorEnv)
        super().__init__(device=made.device, batch_size=[made.num_envs])
        self.envs = made
        self.is_closed = False
        self._seeds: list[int | None] = [None] * made.num_envs
        self.observation_spec = self._make_observation_spec()
        self.full_action_spec = self._make_action_spec()
        self.full_reward_spec = self._composite(reward=Unbounded((made.num_envs, *made.config.shape, 1), self.device))
        flag = Categorical(2, (made.num_envs, 1), self.device, torch.bool)
        self.full_done_spec = self._composite(done=flag, terminated=flag.clone(), truncated=flag.clone())

    def to(self, device: str | torch.device) -> MeccaTorchRLEnv:
        """This env, if it is on that device. Raises `ValueError` otherwise: an env cannot be moved."""
        wanted = torch.empty(0, device=device).device
        if wanted != self.device:
            raise ValueError(f"device: expected {self.device}, where this env was made, got {wanted}; make another one")
        return self

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Let go of the cases; nothing works after it."""
        if not self.is_closed:
            self.is_closed = True
            self.envs.close()

    def _set_seed(self, seed: int | None) -> None:
        self._seeds = read_seeds(seed, self.envs.num_envs)

    def _reset(
        self, tensordict: TensorDictBase | None = None, *, seed: Any = None, cases: Any = None
    ) -> TensorDictBase:
        if seed is not None:
            self._set_seed(seed)
        options: dict[str, Any] = {"cases": cases}
        mask = None if tensordict is None else tensordict.get("_reset", None)
        if mask is not None:
            options["reset_mask"] = mask.view(-1).cpu().numpy()
        observation, info = self.envs.reset(seed=self._seeds, options=options)
        begun = options.get("reset_mask", [True] * self.envs.num_envs)
        self._seeds = [None if used else kept for used, kept in zip(begun, self._seeds, strict=True)]
        none = torch.zeros_like(info["labelled"])
        return self._tensordict(self._observed(observation, info) | self._ended(none, none))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        names = list(self.full_action_spec.keys())
        action = {name: tensordict.get(name) for name in names} if len(names) > 1 else tensordict.get(names[0])
        acting = tensordict.get("_step", None)
        if acting is None:
            observation, _, terminated, truncated, info = self.envs.step(action)
        else:
            observation, _, terminated, truncated, info = self.envs.step_some(action, acting.view(-1).cpu().numpy())
        reward = {"reward": info["voxel_reward"].unsqueeze(-1)}
        return self._tensordict(self._observed(observation, info) | reward | self._ended(terminated, truncated))

    def _observed(self, observation: Observation, info: Info) -> dict[str, Any]:
        """The entries that a reset and a step have in common."""
        told = {key: value.clone() for key, value in info.items() if key != "voxel_reward"}
        return {**{key: value.clone() for key, value in observation.items()}, "info": self._tensordict(told)}

    def _ended(self, terminated: Tensor, truncated: Tensor) -> dict[str, Tensor]:
        flags = {"terminated": terminated, "truncated": truncated, "done": terminated | truncated}
        return {name: flag.unsqueeze(-1).clone() for name, flag in flags.items()}

    def _tensordict(self, entries: dict[str, Any]) -> TensorDict:
        return TensorDict(entries, batch_size=self.batch_size, device=self.device)

    def _composite(self, **specs: TensorSpec) -> Composite:
        return Composite(specs, shape=self.batch_size, device=self.device)

    def _make_observation_spec(self) -> Composite:
        config = self.envs.config
        info: dict[str, TensorSpec] = {key: self._free((), torch.int64) for key in _COUNTS}
        info |= {key: self._free((), torch.float32) for key in _SHARES}
        if isinstance(self.envs.cases, StreamCases):
            info |= {key: self._free((), torch.int64) for key in OF_A_STREAM}
        room = click_room(config) + most_of(self.envs.cases.every_recording(), config.horizon)[1]
        info["clicks"] = self._free((room, 3), torch.int64)
        info["labelled"] = self._free((), torch.bool)
        if config.guide:
            info["advice"] = self._free(config.shape, torch.bool)
        if config.signed:
            info["click_signs"] = self._free((room,), torch.int8)
        if isinstance(config.user, Mapping):
            info["user"] = self._free((), torch.int64)
        space = self.envs.single_observation_space
        assert isinstance(space, spaces.Dict)
        seen = {key: self._bounded(box) for key, box in space.items() if isinstance(box, spaces.Box)}
        return self._composite(**seen, info=self._composite(**info))

    def _make_action_spec(self) -> Composite:
        space, config = self.envs.single_action_space, self.envs.config
        parts = dict(space.items()) if isinstance(space, spaces.Dict) else {"action": space}
        specs: dict[str, TensorSpec] = {}
        for name, part in parts.items():
            specs[name] = (
                self._bounded(part)
                if isinstance(part, spaces.Box)
                else Categorical(len(config.adjustments), (self.envs.num_envs, *config.shape), self.device, torch.int64)
            )
        return self._composite(**specs)

    def _bounded(self, box: spaces.Box) -> TensorSpec:
        """Of a space of this package, whose bounds are the same everywhere."""
        low, high = float(box.low.flat[0]), float(box.high.flat[0])
        return Bounded(low, high, shape=(self.envs.num_envs, *box.shape), dtype=torch.float32, device=self.device)

    def _free(self, shape: tuple[int, ...], dtype: torch.dtype) -> TensorSpec:
        return Unbounded((self.envs.num_envs, *shape), self.device, dtype)
