"""The people who click, simulated. Anyone can write their own: one method, from a state to clicks.

A user never clicks a voxel twice, never clicks more often than it may, and clicks less often where there is nothing
left to click. Which of the eligible voxels it picks is drawn from the state's own random streams (`tensors.rng`), so
it depends on the episode alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mecca_env.kernels.dispatch import loops
from mecca_env.kernels.voxels import draw, exists, flatten, inside, marked, to_voxels, values_at
from mecca_env.process.contracts import SimulatedUser
from mecca_env.state import State
from mecca_env.tensors.rng import fold


class EdgeUser:
    """Clicks edges that are not correctly predicted (Sec. 4.2), each of them equally likely.

    Eligible are the surface voxels of the label that are not surface voxels of the prediction: that covers too small
    and too large a prediction alike.

    Args:
        within_advice: Click only inside `state.advice`, where there is any (Sec. 3.5).
    """

    def __init__(self, within_advice: bool = False) -> None:
        self._within_advice = within_advice

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        advice = state.advice if self._within_advice else None
        return loops(state.probability.device).draw_edges(state, advice, budget, most, key)


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


class RegionCentreUser:
    """Clicks the centres of the largest wrong components, as the users of IteR-MRL and the CVPR challenge do.

    One click for each component, largest first; a component's centre is its voxel farthest from its border that is not
    clicked yet, so it lies inside even where the component is not convex. Works on the host, with SciPy.
    """

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        wrong = (state.prediction != state.label).cpu().numpy()
        clicked = marked(state.clicks, state.shape)[:, :-1].cpu().numpy().reshape(wrong.shape)
        clicks = torch.full((len(wrong), most, 3), -1, dtype=torch.int64)
        for row, count in enumerate(budget.tolist()):
            if count:
                centres = _component_centres(wrong[row], clicked[row], count)
                clicks[row, : len(centres)] = torch.tensor(centres, dtype=torch.int64).reshape(-1, 3)
        return clicks.to(state.label.device)


class NoUser:
    """Never clicks."""

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        return torch.full((len(budget), 0, 3), -1, dtype=torch.int64, device=budget.device)


class CheckedUser:
    """Somebody's own user, whose clicks are refused where they break the contract of `SimulatedUser.click`.

    Raises:
        ValueError, TypeError: From `click`, naming the user, what was expected and what was found.
    """

    def __init__(self, user: SimulatedUser) -> None:
        self._user = user

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        if not bool(budget.any()):  # nobody is asked after the last step
            return NoUser().click(state, budget, most, key)
        clicks = self._user.click(state, budget, most, key)
        name = type(self._user).__name__
        rows = len(budget)
        if not isinstance(clicks, Tensor):
            raise TypeError(f"user {name}: expected a tensor of clicks, got {type(clicks).__name__}")
        if clicks.ndim != 3 or clicks.shape[0] != rows or clicks.shape[1] > most or clicks.shape[2] != 3:
            raise ValueError(f"user {name}: expected clicks of shape ({rows}, <= {most}, 3), got {tuple(clicks.shape)}")
        if clicks.dtype.is_floating_point or clicks.dtype == torch.bool:
            raise ValueError(f"user {name}: expected integer voxel coordinates, got {clicks.dtype}")
        clicks = clicks.to(torch.int64)
        made = (clicks >= 0).any(-1)
        outside = made & ~inside(clicks, state.shape)
        if bool(outside.any()):
            first = clicks[outside][0].tolist()
            raise ValueError(f"user {name}: expected voxels of the grid {state.shape}, got {first}")
        if bool((made.sum(1) > budget).any()):
            raise ValueError(f"user {name}: expected at most {budget.tolist()} clicks, got {made.sum(1).tolist()}")
        flat = torch.where(made, flatten(clicks, state.shape), -1)
        twice = torch.tril(flat[:, :, None] == flat[:, None], -1).any(-1) & made
        repeated = twice | values_at(marked(state.clicks, state.shape), flat)
        if bool(repeated.any()):
            raise ValueError(f"user {name}: clicked voxel {clicks[repeated][0].tolist()} a second time")
        return clicks


def make_user(user: str | SimulatedUser, guide: bool) -> SimulatedUser:
    """The user of that name, or the object given.

    Args:
        user: "edge", "guided", "imprecise", "region-centre", "none" or an object with a `click` method. With a guide,
            "edge" and "imprecise" follow its advice; `EdgeUser()` as an object does not.
        guide: Whether the environment gives advice.

    Raises:
        ValueError: The name is unknown, or "guided" without a guide.
        TypeError: Neither a name nor an object with a `click` method.
    """
    named: dict[str, SimulatedUser] = {
        "edge": EdgeUser(within_advice=guide),
        "guided": EdgeUser(within_advice=True),
        "imprecise": ImpreciseUser(within_advice=guide),
        "region-centre": RegionCentreUser(),
        "none": NoUser(),
    }
    if isinstance(user, str):
        if user not in named:
            raise ValueError(f"user: expected one of {sorted(named)} or an object with a click() method, got {user!r}")
        if user == "guided" and not guide:
            raise ValueError("user: 'guided' clicks inside the guide's advice, which needs guide=True")
        return named[user]
    if isinstance(user, type) or not isinstance(user, SimulatedUser):
        raise TypeError(f"user: expected a name or an object with a click() method, got {user!r}")
    return user if isinstance(user, (EdgeUser, ImpreciseUser, RegionCentreUser, NoUser)) else CheckedUser(user)


def _component_centres(wrong: np.ndarray, clicked: np.ndarray, count: int) -> list[list[int]]:
    """Centres of the `count` largest components of a mask that have an unclicked voxel, largest first."""
    from scipy import ndimage

    components, found = ndimage.label(wrong)
    sizes = np.bincount(components.reshape(-1), minlength=found + 1)[1:]
    boxes = ndimage.find_objects(components)
    centres: list[list[int]] = []
    for label in np.argsort(-sizes, kind="stable"):
        if len(centres) == count:
            break
        box = boxes[label]
        mine = np.pad(components[box] == label + 1, 1)
        depth = ndimage.distance_transform_edt(mine)[1:-1, 1:-1, 1:-1]
        depth[clicked[box]] = 0.0
        if depth.max() > 0:
            voxel = np.unravel_index(int(depth.argmax()), depth.shape)
            centres.append([int(v) + axis.start for v, axis in zip(voxel, box, strict=True)])
    return centres
