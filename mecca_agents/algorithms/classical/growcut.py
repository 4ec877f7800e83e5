"""GrowCut (Vezhnevets and Konushin, 2005) as it is computed today: the nearer seed by geodesic distance has the voxel.

In GrowCut, seeds grow and lose strength at intensity edges until nobody can take a voxel from another; where the loss
is a product of steps, that is the shortest path through the scan from each side's seeds, and the nearer side wins. Here
the length of a path is that of scikit-image's `MCP_Geometric` with a cost of one plus the weighted gradient magnitude.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mecca_agents.algorithms.classical.prompted import Prompted
from mecca_agents.algorithms.classical.seeds import Seeds

EDGE = 20.0
"""Voxels that a way across a gradient of one standard deviation a voxel is longer."""


class GrowCut(Prompted):
    """The method; an `Agent`."""

    name = "growcut"
    footnote = "The nearer seed by geodesic distance, from signed prompts and the box; nothing is learned."

    def mask(self, volume: NDArray[np.float32], seeds: Seeds) -> NDArray[np.bool_]:
        """Where a seed inside is nearer, (D, H, W); of several modalities the steepest gradient counts."""
        from skimage.graph import MCP_Geometric

        gradients = [sum(g.astype(np.float64) ** 2 for g in np.gradient(image)) for image in volume]
        cost = 1.0 + EDGE * np.sqrt(np.max(gradients, axis=0))
        inside, outside = (MCP_Geometric(cost).find_costs(np.argwhere(side))[0] for side in seeds)
        return np.asarray(inside < outside)
