"""Several users, one of whom each episode has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mecca_env.process.contracts import SignedClicks, SimulatedUser
from mecca_env.process.users.checked import voxels_per_prompt
from mecca_env.state import State


class MixedUser:
    """A different user in each episode: the one whose number `State.user` is.

    Args:
        users: By number.
    """

    repeats = True  # they have been looked at one by one

    def __init__(self, users: Sequence[SimulatedUser]) -> None:
        self.users = tuple(users)
        self.voxels_per_prompt = max(map(voxels_per_prompt, users))

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor | SignedClicks:
        """See `SimulatedUser.click`; nobody is asked about the episodes of others."""
        assert state.user is not None
        width = most * self.voxels_per_prompt
        voxels = torch.full((len(budget), width, 3), -1, dtype=torch.int64, device=budget.device)
        signs = torch.zeros((len(budget), width), dtype=torch.int64, device=budget.device)
        for number, user in enumerate(self.users):
            own = state.user == number
            made = user.click(state, budget * own, most, key)
            clicks, meant = made if isinstance(made, SignedClicks) else (made, None)
            filled = slice(0, clicks.shape[1])
            voxels[:, filled] = torch.where(own[:, None, None], clicks, voxels[:, filled])
            if meant is not None:
                signs[:, filled] = torch.where(own[:, None], meant.to(torch.int64), signs[:, filled])
        return SignedClicks(voxels, signs)  # a sign of 0 is the label's
