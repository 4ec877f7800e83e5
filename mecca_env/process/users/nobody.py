"""The user who leaves the agent alone."""

from __future__ import annotations

import torch
from torch import Tensor

from mecca_env.state import State


class NoUser:
    """Never clicks."""

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        return torch.full((len(budget), 0, 3), -1, dtype=torch.int64, device=budget.device)
