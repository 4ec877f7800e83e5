"""Torch vector envs for code that wants NumPy."""

from __future__ import annotations

from typing import Any

import torch

from mecca_env.wrappers.base import Result, TorchWrapper


class NumpyConversion(TorchWrapper):
    """Observations, rewards, endings and infos as NumPy arrays that belong to the caller; actions of either kind.

    Gymnasium's `RecordEpisodeStatistics` and whatever else reckons in NumPy goes around it. Gymnasium's own
    `ArrayConversion` needs the package array-api-compat, hands out the env's memory to be written to, and takes
    the names in `options["cases"]` apart.

    Args:
        env: A torch vector env.
    """

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the env's, in NumPy."""
        observations, info = self.env.reset(seed=seed, options=options)
        return _numpy(observations), _numpy(info)

    def step(self, actions: Any) -> Result:
        """As the env's, in NumPy."""
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        return _numpy(observations), _numpy(rewards), _numpy(terminated), _numpy(truncated), _numpy(info)


def _numpy(tree: Any) -> Any:
    """The same with a copy of every tensor, in nested dicts."""
    if isinstance(tree, dict):
        return {key: _numpy(value) for key, value in tree.items()}
    return tree.detach().to("cpu", copy=True).numpy() if isinstance(tree, torch.Tensor) else tree
