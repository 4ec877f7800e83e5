"""Users who click the edges that are wrongly predicted, as the paper's does."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mecca_env.kernels.dispatch import loops
from mecca_env.kernels.voxels import draw, exists, flatten, inside, marked, to_voxels, values_at
from mecca_env.state import State
from mecca_env.tensors.rng import fold


class EdgeUser:
    """Clicks edges that are not correctly predicted (Sec. 4.2), each of them equally likely.

    Eligible are the surface voxels of the label that are not surface voxels of the prediction: that covers too small
    and too large a prediction alike.

    Args:
        within_advice: Click only inside `state.advice`, where there is any (Sec. 3.5).
        voxels_per_prompt: Clicks that count as one prompt.

    Raises:
        ValueError: `voxels_per_prompt` is below 1.
    """

    def __init__(self, within_advice: bool = False, voxels_per_prompt: int = 1) -> None:
        if voxels_per_prompt < 1:
            raise ValueError(f"voxels_per_prompt: expected an integer of at least 1, got {voxels_per_prompt!r}")
        self._within_advice = within_advice
        self.voxels_per_prompt = voxels_per_prompt

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        advice, each = state.advice if self._within_advice else None, self.voxels_per_prompt
        return loops(state.probability.device).draw_edges(state, advice, budget * each, most * each, key)


class ImpreciseUser:
    """An edge user whose hand shakes: every click lands up to `radius` voxels off (the question of Table S2).

    The displacement is uniform over the ball, the click itself included; a voxel that is outside the grid or clicked
    already gives way to the next one drawn. In the rare case that the whole ball is taken, that click is not made.

    Args:
        radius: Largest displacement, voxels.
        within_advice: The aimed-at voxels lie inside `state.advice`, where there is any.

    Raises:
        ValueError: `radius` is negative.
    """

    def __init__(self, radius: float = 2.0, within_advice: bool = False) -> None:
        if radius < 0:
            raise ValueError(f"radius: expected a number of at least 0, got {radius!r}")
        self._aim = EdgeUser(within_advice)
        span = np.arange(-int(radius), int(radius) + 1)
        ball = np.stack(np.meshgrid(span, span, span, indexing="ij"), -1).reshape(-1, 3)
        self._ball = torch.from_numpy(ball[(ball**2).sum(1) <= radius**2])

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        aimed = self._aim.click(state, budget, most, key)
        taken = marked(state.clicks, state.shape)
        landed = torch.full_like(aimed, -1)
        ball = self._ball.to(aimed.device)
        order = torch.arange(len(ball), device=aimed.device)[None].expand(len(aimed), -1)
        for k in range(aimed.shape[1]):
            voxels = aimed[:, k, None] + ball  # (B, P, 3)
            free = (aimed[:, k, :1] >= 0) & inside(voxels, state.shape)
            flat = torch.where(free, flatten(voxels, state.shape), -1)
            free &= ~values_at(taken, flat)
            chosen = draw(flat, free, torch.ones_like(budget), 1, fold(key, k + 1), order)
            taken.scatter_(1, torch.where(exists(chosen), chosen, taken.shape[1] - 1), True)
            landed[:, k] = to_voxels(chosen, state.shape)[:, 0]
        return landed
