"""The click of the CVPR 2025 challenge of interactive segmentation: the middle of the largest error."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import edt
import numpy as np
from numpy.typing import NDArray

from mecca_env.prompts.boxes import checked_mask
from mecca_env.prompts.components import Bits, largest_components, squared_depth

Draws: TypeAlias = np.random.Generator | np.random.RandomState

SEED = 42
"""The challenge draws every click from NumPy's older generator, begun anew with this seed."""

MOST_VOXELS = 60_000_000
"""Of an error's crop, padding included; in a larger one distances are measured at half the resolution."""


class Click(NamedTuple):
    """A click, and which side it says it is on.

    Attributes:
        voxel: Where, in the axis order of the arrays.
        sign: 1: foreground is missing there. -1: there is too much.
    """

    voxel: tuple[int, int, int]
    sign: int


def largest_error_click(label: Bits, prediction: Bits, generator: Draws | None = None) -> Click | None:
    """The click that the challenge makes into a segmentation.

    Voxels that are wrong, missing ones and ones too many alike, are split into 26-connected components. The click is in
    the one with the most voxels, the first of several, at the voxel that is farthest from all that is not in the
    component: where its Euclidean distance transform has its maximum, in voxels, with nothing wrong beyond the scan.
    Squared distances are whole numbers, so that ties are ties; which of them it is is drawn. The same voxel may come
    again as long as the error is there.

    A component whose crop, padded on each side by a quarter of its length and by one voxel at least, has more than
    `MOST_VOXELS`, is measured at half the resolution: blocks of 2 x 2 x 2 voxels that hold one of its voxels.

    "First", and which voxel a drawn number stands for, go by the order of the axes, the last one fastest. The
    challenge's arrays are (D, H, W); whose arrays are (X, Y, Z) gets its very click from the transposed views
    `label.T`, `prediction.T`, and turns the voxel round.

    Nothing is shared between calls, so that threads may call it at once. They do not make it faster: the libraries that
    do the work, connected-components-3d and edt, hold Python's lock meanwhile.

    Args:
        label: The object, bool, three axes; of several classes, where the label is of one of them.
        prediction: Likewise, of the same shape.
        generator: What ties are drawn from. None: as the challenge, always anew from `SEED`.

    Returns:
        The click, or None where nothing is wrong.

    Raises:
        ValueError: The masks are not of one shape with three axes.
        TypeError: A mask is not bool.
    """
    label, prediction = checked_mask("label", label), checked_mask("prediction", prediction)
    if label.shape != prediction.shape:
        raise ValueError(f"label, prediction: expected one shape, got {label.shape} and {prediction.shape}")
    wrong = np.ascontiguousarray(label != prediction)
    if not wrong.any():
        return None
    component, corner = next(largest_components(wrong, 1))
    depth = _squared_depth(component)
    depth[~component] = 0  # at half the resolution there is some around it, too
    deepest = np.argwhere(depth == depth.max())
    draws = np.random.RandomState(SEED) if generator is None else generator
    at = deepest[int(draws.choice(len(deepest)))]
    x, y, z = (int(own) + int(start) for own, start in zip(at, corner, strict=True))
    return Click((x, y, z), 1 if label[x, y, z] else -1)


def _squared_depth(component: Bits) -> NDArray[np.float32]:
    """Squared distance of each voxel to what is not in the component, of its shape; 0 there."""
    padding = [max(side // 4, 1) for side in component.shape]
    if math.prod(side + 2 * more for side, more in zip(component.shape, padding, strict=True)) <= MOST_VOXELS:
        return squared_depth(component)
    from skimage.measure import block_reduce  # half a second, for very large scans alone

    padded = np.pad(component, [(more, more) for more in padding])
    halved = edt.edtsq(block_reduce(padded, 2, np.max).view(np.uint8))
    blocks = [(np.arange(side) + more) // 2 for side, more in zip(component.shape, padding, strict=True)]
    found: NDArray[np.float32] = halved[np.ix_(*blocks)]
    return found
