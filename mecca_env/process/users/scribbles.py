"""A user who draws lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.process.users.errors import Codes, prompts_of_rows
from mecca_env.prompts.components import Bits, deepest, largest_components
from mecca_env.state import State


class ScribbleUser:
    """Draws a line along the middle of the largest error, in the slice that shows most of it.

    Missing voxels and voxels too many are errors of their own here, since a line has one sign. The slice is one along
    the third axis, as people see them (Sec. 4.1); the line is the longest path through the skeleton of the error in
    that slice, of which the middle is drawn where it is longer than a prompt may be. Of several prompts at once, the
    next one is in the next largest error. Works on the host, as `LargestErrorUser`.

    Args:
        length: Most voxels of a line.

    Raises:
        ValueError: It is below 1.
    """

    repeats = True

    def __init__(self, length: int = 24) -> None:
        if length < 1:
            raise ValueError(f"length: expected an integer of at least 1, got {length!r}")
        self.voxels_per_prompt = length

    def click(self, state: State, budget: Tensor, most: int, key: Tensor) -> Tensor:
        """See `SimulatedUser.click`."""
        return prompts_of_rows(state, budget, most, self.voxels_per_prompt, key, self._lines)

    def _lines(self, codes: Codes, count: int, key: int) -> list[NDArray[np.int64]]:
        lines = []
        for component in largest_components(codes, count):
            index = int(component.mask.sum(axis=(0, 1)).argmax())
            line = middle_line(component.mask[:, :, index])
            skipped = max(len(line) - self.voxels_per_prompt, 0) // 2
            line = line[skipped : skipped + self.voxels_per_prompt]
            depth = np.full((len(line), 1), index)
            lines.append(np.concatenate((line, depth), axis=1) + component.low)
        return lines


def middle_line(mask: Bits) -> NDArray[np.int64]:
    """The longest path through the skeleton of a plane mask that is not empty, (N, 2) from one end to the other."""
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import cKDTree
    from skimage.morphology import skeletonize

    points = np.argwhere(skeletonize(np.pad(mask, 1))) - 1
    if not len(points):  # nothing but corners: a skeleton may vanish
        return deepest(mask[:, :, None])[:1, :2]
    near = cKDTree(points).sparse_distance_matrix(cKDTree(points), 1.5, output_type="coo_matrix").tocsr()
    end = _farthest(dijkstra(near, indices=0))
    lengths, before = dijkstra(near, indices=end, return_predecessors=True)
    path = [_farthest(lengths)]
    while path[-1] != end:
        path.append(int(before[path[-1]]))
    return np.asarray(points[path], np.int64)


def _farthest(lengths: NDArray[np.float64]) -> int:
    """The point with the longest way to it, of those that can be reached; the first of several."""
    return int(np.where(np.isfinite(lengths), lengths, -1.0).argmax())
