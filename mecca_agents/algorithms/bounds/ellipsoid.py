"""An ellipsoid drawn into the label's bounding box: what the box alone says, a floor for whoever is given one.

Nothing is learned and no scan is looked at. Where the agent is shown a box, it is that; elsewhere the box is read from
the label, as the crop of an evaluation is; a person who draws one plays that part.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mecca_agents.agent import Observation
from mecca_agents.algorithms.bounds.oracle import Oracle


class Ellipsoid(Oracle):
    """The method; an `Agent`. It looks at a box and, like the oracle, needs one step."""

    name = "ellipsoid"
    footnote = (
        "Inscribed in the box that is shown, else in the label's bounding box; "
        "nothing is learned and no scan is looked at."
    )

    def act(self, observation: Observation) -> Any:
        """One action for each voxel, (B, D, H, W) int64; where boxes may be shown and none is, all are lowered."""
        if not self.task.box:
            return super().act(observation)
        boxed = observation["box"] > 0
        there = boxed.flatten(1).any(1).view(-1, 1, 1, 1)
        return self.towards(inscribed(boxed | ~there) & there)

    def mask(self, label: Tensor) -> Tensor:
        """The ellipsoid that touches the six faces of each label's box, (B, D, H, W) bool."""
        return inscribed(label)


def inscribed(label: Tensor) -> Tensor:
    """The voxels whose centres lie in the ellipsoid inscribed in each label's bounding box.

    Args:
        label: (B, D, H, W) bool, none of them empty.

    Returns:
        (B, D, H, W) bool. The box holds its outermost voxels whole.
    """
    distance = torch.zeros(label.shape, device=label.device)  # squared, 1 on the surface of the ellipsoid
    for axis in (1, 2, 3):
        others = [other for other in (1, 2, 3) if other != axis]
        hit = label.any(others[1]).any(others[0])  # (B, N)
        index = torch.arange(hit.shape[1], device=label.device)
        first = torch.where(hit, index, hit.shape[1]).amin(1, keepdim=True)
        last = torch.where(hit, index, -1).amax(1, keepdim=True)
        along = (index - (first + last) / 2) / ((last - first + 1) / 2)  # -1 to 1 within the box
        distance += along.square().view([n if i in (0, axis) else 1 for i, n in enumerate(label.shape)])
    return distance <= 1
