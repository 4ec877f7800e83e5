"""The effect of an action on the probabilities (Eq. 1-2)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Dynamics(Protocol):
    """Turns probabilities and actions, both (B, D, H, W), into the next probabilities, (B, D, H, W) float32."""

    def __call__(self, probability: Tensor, action: Tensor) -> Tensor:
        """The next probabilities, a new tensor."""
        ...


class DiscreteDynamics:
    """Adds the chosen adjustment to each voxel's probability and clips it to [0, 1] (Eq. 1-2).

    The result is put back on the lattice k / n of all reachable probabilities: otherwise 0.5 + 0.1 - 0.1 is the float
    just above 0.5 and the voxel counts as foreground. Multiplying by a rounded 1 / n, not dividing, gives the same
    bits on every device.

    Args:
        adjustments: What each action adds.
        lattice: n.
        device: Where the probabilities live.
    """

    def __init__(self, adjustments: tuple[float, ...], lattice: int, device: torch.device) -> None:
        steps = [round(a * lattice) for a in adjustments]
        self._steps = torch.tensor(steps, dtype=torch.float32, device=device)
        self._lattice = float(lattice)
        self._unit = float(torch.tensor(1.0 / lattice, dtype=torch.float32))

    def __call__(self, probability: Tensor, action: Tensor) -> Tensor:
        """The next probabilities; `action` (B, D, H, W) holds indices into the adjustments, any integer dtype."""
        level = self._steps.index_select(0, action.reshape(-1).to(torch.int32)).view_as(probability)
        return level.add_(probability, alpha=self._lattice).round_().clamp_(0.0, self._lattice).mul_(self._unit)


class ContinuousDynamics:
    """Adds the action, (B, D, H, W) in [-1, 1], to the probability and clips it to [0, 1]."""

    def __call__(self, probability: Tensor, action: Tensor) -> Tensor:
        """The next probabilities."""
        return (probability + action.to(torch.float32)).clamp_(0.0, 1.0)
