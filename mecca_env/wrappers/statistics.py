"""Return, length and end of every episode, for every env."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor

from mecca_env.arguments import read_count
from mecca_env.wrappers.base import Result, TorchWrapper


class EpisodeStatistics(TorchWrapper):
    """Adds `info["episode"]` to the steps in which episodes end, as Gymnasium's `RecordEpisodeStatistics`, in torch.

    It holds tensors (B,) that are 0 outside the mask `info["_episode"]`: `r`, the return; `l`, the number of steps;
    `t`, the seconds it took; and every entry of `last` as it was at the end, `dice` unless told otherwise.

    Args:
        env: A torch vector env.
        buffer_length: How many episodes the queues hold.
        stats_key: "episode", or another key.
        last: Entries of `info` of shape (B,) to keep as they were at the end of the episode.

    Attributes:
        return_queue, length_queue, time_queue: `r`, `l` and `t` of the last episodes, as numbers.
        last_queues: The same of every entry of `last`.
        episode_count: How many episodes have ended.

    Raises:
        ValueError: `buffer_length` is below 1, or a step's info lacks an entry of `last`, or has one of `stats_key`.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        buffer_length: int = 100,
        stats_key: str = "episode",
        last: Sequence[str] = ("dice",),
    ) -> None:
        super().__init__(env)
        most = read_count("buffer_length", buffer_length)
        self.return_queue: deque[float] = deque(maxlen=most)
        self.length_queue: deque[int] = deque(maxlen=most)
        self.time_queue: deque[float] = deque(maxlen=most)
        self.last_queues: dict[str, deque[float]] = {key: deque(maxlen=most) for key in last}
        self.episode_count = 0
        self._key = stats_key
        self._origin = time.perf_counter()  # so that seconds are small numbers
        self._counts: _Counts | None = None
        self._over: Tensor | None = None  # next-step autoreset: envs whose next step begins an episode

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the env's; counts begin anew where it resets."""
        mask = (options or {}).get("reset_mask")
        observations, info = self.env.reset(seed=seed, options=options)
        if mask is None:
            self._counts, self._reset_at = None, self._now()
        elif self._counts is not None:
            self._counts.restart(torch.as_tensor(mask), self._now())
        self._over = None
        return observations, info

    def step(self, actions: Any) -> Result:
        """As the env's, with `info["episode"]` where an episode ended."""
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        done = terminated | truncated
        counts = self._counts = self._counts or _Counts(rewards, self._reset_at)
        counts.add(rewards)
        if self._over is not None:
            counts.restart(self._over, self._now())
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        if "final_obs" in info if same_step else bool(done.any()):
            info = info | {self._key: self._report(counts, done, info), f"_{self._key}": done}
            if same_step:
                counts.restart(done, self._now())
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            self._over = done
        return observations, rewards, terminated, truncated, info

    def _report(self, counts: _Counts, done: Tensor, info: dict[str, Any]) -> dict[str, Tensor]:
        final = info.get("final_info", info)
        missing = sorted(set(self.last_queues) - set(final))
        if missing:
            raise ValueError(f"last: expected entries of info, got {missing}")
        if self._key in info:
            raise ValueError(f"stats_key: expected a key that info lacks, got {self._key!r}")
        values = {"r": counts.returns, "l": counts.lengths, "t": self._now() - counts.begun}
        values |= {key: final[key] for key in self.last_queues}
        queues: dict[str, deque[Any]] = {
            "r": self.return_queue,
            "l": self.length_queue,
            "t": self.time_queue,
            **self.last_queues,
        }
        for key, value in values.items():
            queues[key].extend(value[done].tolist())
        self.episode_count += int(done.sum())
        return {key: value.masked_fill(~done, 0) for key, value in values.items()}

    def _now(self) -> float:
        return time.perf_counter() - self._origin


class _Counts:
    """Return, length and beginning of the present episodes, each (B,)."""

    def __init__(self, rewards: Tensor, begun: float) -> None:
        self.returns = torch.zeros_like(rewards)
        self.lengths = torch.zeros_like(rewards, dtype=torch.int64)
        self.begun = torch.full_like(rewards, begun, dtype=torch.float64)

    def add(self, rewards: Tensor) -> None:
        """One step."""
        self.returns, self.lengths = self.returns + rewards, self.lengths + 1

    def restart(self, rows: Tensor, now: float) -> None:
        """New episodes where `rows` (B,) bool says so."""
        rows = rows.to(self.returns.device)
        self.returns, self.lengths = self.returns.masked_fill(rows, 0), self.lengths.masked_fill(rows, 0)
        self.begun = self.begun.masked_fill(rows, now)
