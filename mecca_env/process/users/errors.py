"""Users who look for what is wrong and click into it. Those who look for components work on the host, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.kernels.backend import over_rows
from mecca_env.kernels.voxels import draw, marked, to_voxels
from mecca_env.prompts.components import deepest, largest_components
from mecca_env.state import State
from mecca_env.tensors.rng import fold, shuffle_keys

Codes: TypeAlias = NDArray[np.uint8]
Prompts: TypeAlias = Callable[[Codes, int, int], list[NDArray[np.int64]]]
"""Wrong voxels (D, H, W), how many prompts, a random stream -> the voxels of each prompt, (V, 3)."""


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


class RandomErrorUser:
    """Clicks wrong voxels, each of them equally likely: a component as often as it is large, and anywhere in it."""

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        wrong = (state.prediction != state.label).flatten(1)
        wrong &= ~marked(state.clicks, state.shape)[:, :-1]
        index = torch.arange(wrong.shape[1], device=wrong.device).expand(len(wrong), -1)
        return to_voxels(draw(index, wrong, budget, most, key), state.shape)


class LargestErrorUser:
    """Clicks the middle of the largest error, as the CVPR 2025 challenge of interactive segmentation has it.

    The error is split into 26-connected components, and the click is where the Euclidean distance transform of the
    largest one, in voxels and with nothing wrong beyond the grid, has its maximum. Ties are drawn. A voxel may be
    clicked again. Of several clicks at once, the next one is in the next largest component.

    Works on the host, with connected-components-3d and edt; on a GPU the two masks are copied there and the clicks
    back, once a step.
    """

    repeats = True

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        return prompts_of_rows(state, budget, most, 1, key, _middles)


def prompts_of_rows(state: State, budget: Tensor, most: int, voxels: int, key: Tensor, find: Prompts) -> Tensor:
    """The prompts of B episodes, found on the host, several episodes at a time.

    Args:
        state: B episodes.
        budget: Prompts in each, (B,) int64.
        most: The largest number that it can hold.
        voxels: The most voxels of one prompt.
        key: A random stream for each, (B,) int64.
        find: Finds those of one episode; wrong voxels are 1 where they are missing, 2 where there are too many.

    Returns:
        (B, most * voxels, 3) int64, the voxels of prompt after prompt, then rows of -1.
    """
    label = state.label
    codes = ((state.prediction != label).to(torch.uint8) * (2 - label.to(torch.uint8))).cpu()
    found = torch.full((len(codes), most * voxels, 3), -1, dtype=torch.int64)

    def of_rows(codes: Codes, budget: NDArray[np.int64], key: NDArray[np.int64], into: NDArray[np.int64]) -> None:
        for row, count in enumerate(budget.tolist()):
            if count:
                prompts = find(codes[row], count, int(key[row]))
                if prompts:
                    made = np.concatenate(prompts)
                    into[row, : len(made)] = made

    over_rows(of_rows, codes.contiguous(), budget.cpu().contiguous(), key.cpu().contiguous(), found)
    return found.to(label.device)


def _middles(codes: Codes, count: int, key: int) -> list[NDArray[np.int64]]:
    """See `Prompts`: the middle of each of the largest errors, whatever is wrong there."""
    middles = []
    for number, component in enumerate(largest_components(codes > 0, count)):
        ties = deepest(component.mask) + component.low
        middles.append(ties[_drawn(ties, codes.shape, key, number)][None])
    return middles


def _drawn(voxels: NDArray[np.int64], shape: tuple[int, ...], key: int, number: int) -> int:
    """Which of some voxels, (N, 3), is drawn for the prompt of that number."""
    if len(voxels) == 1:
        return 0
    flat = torch.from_numpy(np.ravel_multi_index(tuple(voxels.T), shape).astype(np.int64))[None]
    return int(shuffle_keys(fold(torch.tensor([key]), number), flat).argmin())


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
