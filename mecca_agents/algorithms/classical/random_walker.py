"""The random walker (Grady, 2006): whose seeds would somebody meet first who walks at random and shuns edges?

Scikit-image's: the scan is divided by its deviation there, and a step across a difference is weighed by an exponential
of beta times its square.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from mecca_agents.algorithms.classical.prompted import Prompted
from mecca_agents.algorithms.classical.seeds import Seeds

BETA = 500.0
"""How much edges are shunned; scikit-image's default is 130. Of 30, 130 and 500 the best on phantoms."""

INSIDE, OUTSIDE = 1, 2


class RandomWalker(Prompted):
    """The method; an `Agent`."""

    name = "random-walker"
    footnote = "Scikit-image's random walker from signed prompts and the box; nothing is learned."

    def mask(self, volume: NDArray[np.float32], seeds: Seeds) -> NDArray[np.bool_]:
        """Where a walker is likelier to meet a seed inside first, (D, H, W)."""
        from skimage.segmentation import random_walker

        labels = np.zeros(seeds.inside.shape, np.int8)
        labels[seeds.inside], labels[seeds.outside] = INSIDE, OUTSIDE
        if labels.all():
            return seeds.inside
        if np.ptp(volume) == 0:  # scikit-image divides by its deviation; without edges any scan will do
            volume, beta = labels[None].astype(np.float32), 0.0
        else:
            beta = BETA
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of solvers that are not installed, and of how well it has converged
            found = random_walker(np.moveaxis(volume, 0, -1), labels, beta=beta, mode="cg_j", channel_axis=-1)
        return np.asarray(found == INSIDE)
