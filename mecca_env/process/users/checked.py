"""Somebody's own user, whose clicks are looked at before they count."""

from __future__ import annotations

import torch
from torch import Tensor

from mecca_env.kernels.voxels import flatten, inside, marked, values_at
from mecca_env.process.contracts import SignedClicks, SimulatedUser
from mecca_env.process.users.nobody import NoUser
from mecca_env.state import State


class CheckedUser:
    """Somebody's own user, whose clicks are refused where they break the contract of `SimulatedUser.click`.

    Raises:
        ValueError, TypeError: From `click`, naming the user, what was expected and what was found.
    """

    def __init__(self, user: SimulatedUser) -> None:
        self._user = user
        self._name = type(user).__name__
        self._repeats = bool(getattr(user, "repeats", False))
        self.voxels_per_prompt = voxels_per_prompt(user)

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor | SignedClicks:
        """See `SimulatedUser.click`."""
        if not bool(budget.any()):  # nobody is asked after the last step
            return NoUser().click(state, budget, most, key)
        given = self._user.click(state, budget, most, key)
        if not isinstance(given, SignedClicks):
            return self._voxels(given, state, budget, most)
        voxels = self._voxels(given.voxels, state, budget, most)
        return SignedClicks(voxels, self._signs(given.signs, voxels))

    def _voxels(self, clicks: Tensor, state: State, budget: Tensor, most: int) -> Tensor:
        name, rows, room = self._name, len(budget), most * self.voxels_per_prompt
        if not isinstance(clicks, Tensor):
            raise TypeError(f"user {name}: expected a tensor of clicks, got {type(clicks).__name__}")
        if clicks.ndim != 3 or clicks.shape[0] != rows or clicks.shape[1] > room or clicks.shape[2] != 3:
            raise ValueError(f"user {name}: expected clicks of shape ({rows}, <= {room}, 3), got {tuple(clicks.shape)}")
        if clicks.dtype.is_floating_point or clicks.dtype == torch.bool:
            raise ValueError(f"user {name}: expected integer voxel coordinates, got {clicks.dtype}")
        clicks = clicks.to(torch.int64)
        made = (clicks >= 0).any(-1)
        outside = made & ~inside(clicks, state.shape)
        if bool(outside.any()):
            first = clicks[outside][0].tolist()
            raise ValueError(f"user {name}: expected voxels of the grid {state.shape}, got {first}")
        allowed = budget * self.voxels_per_prompt
        if bool((made.sum(1) > allowed).any()):
            raise ValueError(f"user {name}: expected at most {allowed.tolist()} clicks, got {made.sum(1).tolist()}")
        if not self._repeats:
            self._refuse_repeated(clicks, made, state)
        return clicks

    def _refuse_repeated(self, clicks: Tensor, made: Tensor, state: State) -> None:
        flat = torch.where(made, flatten(clicks, state.shape), -1)
        twice = torch.tril(flat[:, :, None] == flat[:, None], -1).any(-1) & made
        repeated = twice | values_at(marked(state.clicks, state.shape), flat)
        if bool(repeated.any()):
            raise ValueError(f"user {self._name}: clicked voxel {clicks[repeated][0].tolist()} a second time")

    def _signs(self, signs: Tensor, voxels: Tensor) -> Tensor:
        if not isinstance(signs, Tensor) or signs.shape != voxels.shape[:2]:
            found = tuple(signs.shape) if isinstance(signs, Tensor) else type(signs).__name__
            raise ValueError(f"user {self._name}: expected signs of shape {tuple(voxels.shape[:2])}, got {found}")
        made = voxels[..., 0] >= 0
        odd = made & (signs != 1) & (signs != -1)
        if bool(odd.any()):
            raise ValueError(f"user {self._name}: expected signs of 1 and -1, got {signs[odd][0].item()}")
        return signs


def voxels_per_prompt(user: SimulatedUser) -> int:
    """The most voxels of one prompt of a user. Raises `ValueError` where it says something else than a number."""
    most = getattr(user, "voxels_per_prompt", 1)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ValueError(
            f"user {type(user).__name__}: expected an integer of at least 1 as voxels_per_prompt, got {most!r}"
        )
    return most
