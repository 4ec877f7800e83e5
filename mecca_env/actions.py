"""The spaces of an env, and actions of any array library read into tensors or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from mecca_env.config import EnvConfig


def observation_space(config: EnvConfig, modalities: int) -> spaces.Dict:
    """Dict(volume, probability, hint), each Box(float32) of the grid; `volume` has M channels first where M > 1."""
    clip, grid = config.intensity_clip, config.shape
    volume = grid if modalities == 1 else (modalities, *grid)
    return spaces.Dict(
        {
            "volume": spaces.Box(-clip, clip, volume, np.float32),
            "probability": spaces.Box(0.0, 1.0, grid, np.float32),
            "hint": spaces.Box(0.0, 1.0, grid, np.float32),
        }
    )


def action_space(config: EnvConfig) -> spaces.Space[Any]:
    """MultiDiscrete or Box of the grid; with a guide Dict(adjustment, confidence)."""
    adjustment: spaces.Space[Any]
    if config.action == "discrete":
        # One byte for each voxel: a batch of 64 takes 12 MB, eight bytes would take 93.
        adjustment = spaces.MultiDiscrete(np.full(config.shape, len(config.adjustments)), dtype=np.uint8)
    else:
        adjustment = spaces.Box(-1.0, 1.0, config.shape, np.float32)
    if not config.guide:
        return adjustment
    return spaces.Dict({"adjustment": adjustment, "confidence": spaces.Box(0.0, 1.0, config.shape, np.float32)})


class ActionReader:
    """Reads the actions of B envs, torch or NumPy, and refuses what is not one.

    Args:
        config: Settings of the decision process.
        num_envs: B.
        device: Where the tensors go.
    """

    def __init__(self, config: EnvConfig, num_envs: int, device: torch.device) -> None:
        self._config = config
        self._shape = (num_envs, *config.shape)
        self._device = device

    def read(self, actions: Any) -> tuple[Tensor, Tensor | None]:
        """Adjustments (B, D, H, W), integers or floats, and the confidence (B, D, H, W) float32 of a guided env.

        Raises:
            ValueError: A shape or value does not fit, NaN included; the message says what was expected and given.
            TypeError: A dtype does not fit, or a key is missing.
        """
        if not self._config.guide:
            if isinstance(actions, dict):
                raise TypeError("action: expected an array, got a dict; a dict is for guide=True")
            return self._adjustment(actions, "action"), None
        if not isinstance(actions, dict) or set(actions) != {"adjustment", "confidence"}:
            given = sorted(actions) if isinstance(actions, dict) else type(actions).__name__
            raise TypeError(f"action: with guide=True expected a dict of adjustment and confidence, got {given}")
        confidence = self._floats(actions["confidence"], "action['confidence']", 0.0)
        return self._adjustment(actions["adjustment"], "action['adjustment']"), confidence

    def _adjustment(self, given: Any, name: str) -> Tensor:
        if self._config.action == "continuous":
            return self._floats(given, name, -1.0)
        choices = len(self._config.adjustments)
        values = self._tensor(given, name)
        if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
            raise TypeError(f"{name}: expected an integer dtype, got {values.dtype}")
        if values.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
            values = values.to(torch.int64)  # torch has few operations for the other unsigned integers
        low, high = (int(v) for v in values.aminmax())
        if low < 0 or high >= choices:
            raise ValueError(f"{name}: expected integers from 0 to {choices - 1}, got {low if low < 0 else high}")
        return values

    def _floats(self, given: Any, name: str, least: float) -> Tensor:
        values = self._tensor(given, name)
        if not values.is_floating_point():
            raise TypeError(f"{name}: expected a floating dtype, got {values.dtype}")
        low, high = (float(v) for v in values.aminmax())
        if not (low >= least and high <= 1.0):  # also where they are NaN
            raise ValueError(f"{name}: expected values from {least:g} to 1, got values from {low:g} to {high:g}")
        return values.to(torch.float32)

    def _tensor(self, given: Any, name: str) -> Tensor:
        if not isinstance(given, Tensor):
            try:
                array = np.asarray(given)
            except ValueError:  # a nest of lists that is no array
                raise ValueError(f"{name}: expected shape {self._shape}, got {type(given).__name__}") from None
            if array.dtype.kind not in "biuf":
                raise TypeError(f"{name}: expected an array of numbers, got {array.dtype}")
            given = torch.from_numpy(np.ascontiguousarray(array) if array.flags.writeable else array.copy())
        if tuple(given.shape) != self._shape:
            raise ValueError(f"{name}: expected shape {self._shape}, got {tuple(given.shape)}")
        values: Tensor = given.detach().to(self._device)
        return values
