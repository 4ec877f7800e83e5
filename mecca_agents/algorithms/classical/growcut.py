"""GrowCut (Vezhnevets and Konushin, 2005): seeds that conquer the scan, a cellular automaton, as shortest paths.

Every seed attacks its neighbours with its strength times g = 1 - |difference| / (largest difference of the scan), and
whoever is attacked by more strength than his own changes sides, until nobody does. The strength that arrives is the
largest product of g along a path, so the side that wins a voxel is that of the nearest seed, where a step is as long as
-log g: a geodesic distance, as in DeepIGeoS (Wang et al., 2019) with another length. Dijkstra's algorithm finds where
the automaton ends, as in Fast GrowCut (Zhu et al., 2014), in a fraction of its time. Neighbours share a face.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mecca_agents.algorithms.classical.prompted import Prompted
from mecca_agents.algorithms.classical.seeds import Seeds

LEAST = 1e-12
"""What is left of g across the largest difference, so that every voxel is reached."""

STEP = 1e-6
"""Added to each step: of attacks that are equally strong, the one that comes first counts, as in the automaton."""


class GrowCut(Prompted):
    """The method; an `Agent`."""

    name = "growcut"
    footnote = "Where GrowCut's automaton ends, from signed prompts and the box; nothing is learned."

    def mask(self, volume: NDArray[np.float32], seeds: Seeds) -> NDArray[np.bool_]:
        """Where the stronger seed is inside, (D, H, W)."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import dijkstra

        index = np.arange(seeds.inside.size, dtype=np.int32).reshape(seeds.inside.shape)
        spread = float(np.linalg.norm(np.ptp(volume.astype(np.float64), axis=(1, 2, 3)))) or 1.0
        lengths, heads, tails = [], [], []
        for axis in range(3):
            differences = np.linalg.norm(np.diff(volume.astype(np.float64), axis=axis + 1), axis=0)
            lengths.append(STEP - np.log(np.maximum(1.0 - differences.ravel() / spread, LEAST)))
            nodes = np.moveaxis(index, axis, 0)
            heads.append(np.moveaxis(nodes[:-1], 0, axis).ravel())
            tails.append(np.moveaxis(nodes[1:], 0, axis).ravel())
        pairs = (np.concatenate(heads), np.concatenate(tails))
        graph = csr_array((np.concatenate(lengths), pairs), shape=(index.size, index.size))
        known = np.flatnonzero(seeds.inside | seeds.outside)
        _, _, nearest = dijkstra(graph, directed=False, indices=known, return_predecessors=True, min_only=True)
        return np.asarray(seeds.inside.ravel()[nearest].reshape(index.shape))
