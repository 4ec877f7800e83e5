"""An ellipsoid drawn into the label's bounding box: what the box alone says, a floor for whoever is given one.

Nothing is learned and no scan is looked at. The box is read from the label, as the crop of an evaluation is; a person
who draws one plays that part elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mecca_agents.algorithms.bounds.oracle import Oracle


class Ellipsoid(Oracle):
    """The method; an `Agent`. It looks at the label's box and, like the oracle, needs one step."""

    name = "ellipsoid"
    footnote = "Inscribed in the label's bounding box; nothing is learned and no scan is looked at."

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
