"""Arguments of an environment, read or refused in one sentence that says what was expected and what was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.process.config import EnvConfig


def read_settings(settings: Mapping[str, Any]) -> EnvConfig:
    """An `EnvConfig` of those settings. Raises `TypeError` where one is unknown, with the known ones.

    In Python's own words, one at a time: TorchRL's `GymEnv` looks for them to take back a keyword of its own.
    """
    known = EnvConfig.__dataclass_fields__
    for name in settings:
        if name not in known:
            raise TypeError(f"unexpected keyword argument {name!r}; the settings are {', '.join(known)}")
    return EnvConfig(**settings)


def read_count(name: str, value: int) -> int:
    """An integer of at least 1. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
    return int(value)


def read_cache_bytes(value: int | None) -> int | None:
    """An integer of at least 0, or None. Raises `ValueError`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"device_cache_bytes: expected a number of bytes, at least 0, got {value!r}")
    return int(value)


def read_limit(max_episode_steps: int | None) -> int | None:
    """Steps after which an episode is truncated, or None; -1, as `gym.make` takes it, is None. Raises `ValueError`."""
    if max_episode_steps is None or max_episode_steps == -1:
        return None
    return read_count("max_episode_steps", max_episode_steps)


def read_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """An autoreset mode, or the one of that value. Raises `ValueError`."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = [m.value for m in AutoresetMode]
        raise ValueError(f"autoreset_mode: expected one of {known}, got {mode!r}") from None


def refuse_keywords_of_several(keywords: Mapping[str, Any]) -> None:
    """Refuse keywords that mean nothing to a single env.

    Raises:
        TypeError: `num_envs`.
        ValueError: `autoreset_mode`: nobody who makes envs one by one hears of it, so they would be reset otherwise.
    """
    if "num_envs" in keywords:
        raise TypeError(f"num_envs: gym.make makes one env, gym.make_vec several, got {keywords['num_envs']!r}")
    if "autoreset_mode" in keywords:
        mode = read_autoreset_mode(keywords["autoreset_mode"]).value
        raise ValueError(
            f"autoreset_mode: a single env never resets itself, got {mode!r}; "
            f"with vectorization_mode='sync' or 'async' say vector_kwargs={{'autoreset_mode': {mode!r}}}"
        )


def read_device(device: str | torch.device) -> torch.device:
    """A torch device that is there. Raises `ValueError`."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: expected one that this machine has, got {device!r} ({reason})") from None
    return found


def read_render_mode(mode: str | None) -> str | None:
    """A render mode. Raises `ValueError`."""
    if mode not in (None, "human", "rgb_array"):
        raise ValueError(f"render_mode: expected None, 'human' or 'rgb_array', got {mode!r}")
    return mode


def read_prefetch(prefetch: bool | None) -> bool | None:
    """A setting that may be left open. Raises `ValueError`."""
    if prefetch not in (None, True, False):
        raise ValueError(f"prefetch: expected None, True or False, got {prefetch!r}")
    return prefetch


def read_seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """The seed of every env: seed + i, or the one given for it, or None. Raises `ValueError`."""
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        seeds: list[Any] = [int(seed) + i for i in range(num_envs)]
    else:
        seeds = list(seed) if isinstance(seed, Iterable) else []
    fits = (s is None or (isinstance(s, (int, np.integer)) and not isinstance(s, bool) and s >= 0) for s in seeds)
    if len(seeds) != num_envs or not all(fits):
        expected = "a non-negative integer" if num_envs == 1 else f"{num_envs} non-negative integers (or one)"
        raise ValueError(f"seed: expected {expected}, got {seed!r}")
    return seeds


def read_seed(seed: int | None) -> list[int | None]:
    """The seed of one env, as `read_seeds` gives it. Raises `ValueError`."""
    if seed is not None and not isinstance(seed, (int, np.integer)):
        raise ValueError(f"seed: expected a non-negative integer, got {seed!r}")
    return read_seeds(seed, 1)


def read_mask(mask: Any, num_envs: int) -> NDArray[np.int64]:
    """The envs that a mask (B,) bool of torch or NumPy marks, all where it is None. Raises `ValueError`."""
    if mask is None:
        return np.arange(num_envs)
    values = np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask)
    if values.shape != (num_envs,) or values.dtype != np.bool_ or not values.any():
        raise ValueError(
            f"options['reset_mask']: expected ({num_envs},) bool with one True at least, "
            f"got {values.dtype} {values.tolist()}"
        )
    return np.flatnonzero(values)


def _read_options(options: Any) -> dict[str, Any]:
    """A copy of the options of a reset. Raises `ValueError`."""
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(f"options: expected a mapping, got {options!r}")
    return dict(options or {})


def for_several(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of a reset of one env as those of a batch of one. Raises `ValueError`."""
    given = _read_options(options)
    unknown = sorted(set(given) - {"case", "mask"})
    if unknown:
        raise ValueError(f"options: expected 'case' and 'mask' only, got {unknown}")
    return {f"{name}s": [given.get(name)] for name in ("case", "mask")}


class ResetOptions(NamedTuple):
    """What a reset was asked for."""

    rows: NDArray[np.int64]  # the envs that it is of
    cases: Sequence[str | int | None]  # the case of each of the B envs, None where it is to be drawn
    masks: Sequence[NDArray[np.bool_] | None]  # on the grid of its scan, (X, Y, Z): where it begins; None: elsewhere


def read_reset_options(options: Mapping[str, Any] | None, num_envs: int) -> ResetOptions:
    """What a reset was asked for.

    Raises:
        ValueError: An option is unknown or does not fit.
    """
    options = _read_options(options)
    rows = read_mask(options.pop("reset_mask", None), num_envs)
    cases, masks = (options.pop(name, None) for name in ("cases", "masks"))
    if options:
        raise ValueError(f"options: expected 'reset_mask', 'cases' and 'masks' only, got {sorted(options)}")
    if cases is None:
        cases = [None] * num_envs
    if isinstance(cases, str) or not isinstance(cases, Sequence) or len(cases) != num_envs:
        raise ValueError(f"options['cases']: expected {num_envs} cases, got {cases!r}")
    if masks is None:
        masks = [None] * num_envs
    if not isinstance(masks, Sequence) or len(masks) != num_envs:
        raise ValueError(f"options['masks']: expected {num_envs} masks or None, got {type(masks).__name__}")
    return ResetOptions(rows, cases, [_read_start(number, mask) for number, mask in enumerate(masks)])


def _read_start(number: int, mask: Any) -> NDArray[np.bool_] | None:
    """A mask that an episode is to begin with; what is above 0 is foreground."""
    if mask is None:
        return None
    values = np.asarray(mask.detach().cpu() if isinstance(mask, Tensor) else mask)
    if values.ndim != 3 or values.dtype.kind not in "biuf":
        raise ValueError(f"mask {number}: expected numbers (X, Y, Z), got {values.dtype} {values.shape}")
    found: NDArray[np.bool_] = values > 0
    if not found.any():
        raise ValueError(f"mask {number}: expected foreground, got none in {values.shape}")
    return found


def refuse_ended(rows: NDArray[np.int64], num_envs: int) -> None:
    """Raise `gymnasium.error.ResetNeeded` if there are rows: their episodes are over, and a step was asked of them."""
    if len(rows) and num_envs == 1:
        raise gym.error.ResetNeeded("the episode is over: call reset() first")
    if len(rows):
        raise gym.error.ResetNeeded(
            f"the episodes of envs {rows.tolist()} are over: call reset(options={{'reset_mask': ...}}) first"
        )
