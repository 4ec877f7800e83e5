"""The spaces of an env, and actions of any array library read into tensors or refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from mecca_env.kernels.dispatch import loops
from mecca_env.process.config import EnvConfig
from mecca_env.tensors.exact import shown


def observation_space(config: EnvConfig, modalities: int) -> spaces.Dict:
    """Dict(volume, probability, hint), each Box(float32) of the grid; `volume` has M channels first where M > 1.

    With signs `hint` has two channels first. Where the settings ask for them, there are `box`, of the grid, and `time`,
    (1,), too.
    """
    clip, grid = config.intensity_clip, config.shape
    shapes: dict[str, tuple[int, ...]] = {"probability": grid, "hint": (2, *grid) if config.signed else grid}
    if config.shows_box:
        shapes["box"] = grid
    if config.time:
        shapes["time"] = (1,)
    boxes: dict[str, spaces.Space[Any]] = {
        "volume": spaces.Box(-clip, clip, grid if modalities == 1 else (modalities, *grid), np.float32)
    }
    boxes |= {key: spaces.Box(0.0, 1.0, shape, np.float32) for key, shape in shapes.items()}
    return spaces.Dict(boxes)


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

    To look at values on a GPU is to wait for it. There shapes and dtypes are checked at once; a value out of range is
    replaced by the nearest in range and refused as soon as it is known, by a later step or by the next reset.

    Args:
        config: Settings of the decision process.
        num_envs: B.
        device: Where the tensors go.
        late: Whether values may be refused late; None: on a GPU.
        shape: Of one env's action; None: of the grid.
    """

    def __init__(
        self,
        config: EnvConfig,
        num_envs: int,
        device: torch.device,
        late: bool | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        self._config = config
        self._shape = (num_envs, *(config.shape if shape is None else shape))
        self._device = device
        self._late = device.type == "cuda" if late is None else late
        self._pending: deque[_Pending] = deque()

    def read(self, actions: Any) -> tuple[Tensor, Tensor | None]:
        """Adjustments (B, D, H, W), integers or floats, and the confidence (B, D, H, W) float32 of a guided env.

        Raises:
            ValueError: A shape or value does not fit, NaN included; the message says what was expected and given.
            TypeError: A dtype does not fit, or a key is missing.
        """
        self.refuse(wait=False)
        _check_parts(actions, self._config)
        if not self._config.guide:
            return self._adjustment(actions, "action"), None
        confidence = self._floats(actions["confidence"], "action['confidence']", 0.0)
        return self._adjustment(actions["adjustment"], "action['adjustment']"), confidence

    def refuse(self, wait: bool) -> None:
        """Raise `ValueError` for values of earlier actions that are known to be out of range.

        Args:
            wait: Until all of them are known.
        """
        while self._pending and (wait or self._pending[0].known()):
            pending = self._pending.popleft()
            try:
                pending.check(*pending.limits())
            except ValueError as error:
                self._pending.clear()
                raise ValueError(f"{error} (in an earlier step)") from None

    def _adjustment(self, given: Any, name: str) -> Tensor:
        if self._config.action == "continuous":
            return self._floats(given, name, -1.0)
        choices = len(self._config.adjustments)
        values = self._tensor(given, name)
        if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
            raise TypeError(f"{name}: expected an integer dtype, got {values.dtype}")
        if values.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
            values = values.to(torch.int64)  # torch has few operations for the other unsigned integers

        def check(low: float, high: float) -> None:
            if low < 0 or high >= choices:
                found = low if low < 0 else high
                raise ValueError(f"{name}: expected integers from 0 to {choices - 1}, got {found:.0f}")

        if not self._late:
            return self._checked(values, check, 0, choices - 1)
        kept, beyond = loops(self._device).within(values, 0, choices - 1)
        self._pending.append(_Pending(beyond, lambda below, above: check(-below, choices - 1 + above)))
        return kept

    def _floats(self, given: Any, name: str, least: float) -> Tensor:
        values = self._tensor(given, name)
        if not values.is_floating_point():
            raise TypeError(f"{name}: expected a floating dtype, got {values.dtype}")

        def check(low: float, high: float) -> None:
            if not (low >= least and high <= 1.0):  # also where they are NaN
                found = f"{shown(low)} to {shown(high)}"
                raise ValueError(f"{name}: expected values from {least:g} to 1, got values from {found}")

        return self._checked(values, check, least, 1.0).to(torch.float32)

    def _checked(self, values: Tensor, check: Callable[[float, float], None], least: float, most: float) -> Tensor:
        """The values, when `check` has seen the lowest and the highest of them, or will."""
        low, high = values.aminmax()
        if not self._late:
            check(low.item(), high.item())
            return values
        self._pending.append(_Pending(torch.stack((low, high)).to(torch.float64), check))
        return values.clamp(least, most)

    def _tensor(self, given: Any, name: str) -> Tensor:
        return _as_tensor(given, name, self._shape).to(self._device)


def batch_of_one(action: Any, config: EnvConfig) -> Any:
    """The action of one env as a batch of one, for `ActionReader`, which speaks of batches: said here as of one env.

    Raises:
        ValueError: The shape does not fit.
        TypeError: No numbers, or a key is missing.
    """
    _check_parts(action, config)
    if isinstance(action, dict):
        return {key: _as_tensor(part, f"action[{key!r}]", config.shape)[None] for key, part in action.items()}
    return _as_tensor(action, "action", config.shape)[None]


def _check_parts(action: Any, config: EnvConfig) -> None:
    """Raise `TypeError` for a dict without a guide, or for anything but the dict of two that a guided env takes."""
    if not config.guide:
        if isinstance(action, dict):
            raise TypeError("action: expected an array, got a dict; a dict is for guide=True")
        return
    if not isinstance(action, dict) or set(action) != {"adjustment", "confidence"}:
        given = sorted(action) if isinstance(action, dict) else type(action).__name__
        raise TypeError(f"action: with guide=True expected a dict of adjustment and confidence, got {given}")


def _as_tensor(given: Any, name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers of any library as a tensor of that shape, or refused as `ActionReader.read` says."""
    if not isinstance(given, Tensor):
        try:
            array = np.asarray(given)
        except ValueError:  # a nest of lists that is no array
            raise ValueError(f"{name}: expected shape {shape}, got {type(given).__name__}") from None
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name}: expected an array of numbers, got {array.dtype}")
        given = torch.from_numpy(np.ascontiguousarray(array) if array.flags.writeable else array.copy())
    if tuple(given.shape) != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {tuple(given.shape)}")
    values: Tensor = given.detach()
    return values


class _Pending:
    """Two numbers that say whether an action was in range, on their way to the host.

    Args:
        limits: Both, (2,), on any device.
        check: Raises `ValueError` where they do not fit.
    """

    def __init__(self, limits: Tensor, check: Callable[[float, float], None]) -> None:
        self.check = check
        on_gpu = limits.is_cuda
        self._limits = torch.empty(2, dtype=limits.dtype, pin_memory=on_gpu)
        self._limits.copy_(limits, non_blocking=True)
        self._copied: Any = torch.cuda.Event() if on_gpu else None  # type: ignore[no-untyped-call]
        if self._copied is not None:
            self._copied.record(torch.cuda.current_stream(limits.device))

    def known(self) -> bool:
        """True once they have arrived."""
        return self._copied is None or bool(self._copied.query())

    def limits(self) -> tuple[float, float]:
        """Both of them; waits for them."""
        if self._copied is not None:
            self._copied.synchronize()
        low, high = self._limits.tolist()
        return low, high
