"""The guide, which asks the user to click in some regions: supervoxels of low confidence (Sec. 3.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.tensors.exact import SCALE


def supervoxels(
    volume: NDArray[np.float32], counts: Sequence[int], spacing: tuple[float, float, float], compactness: float
) -> NDArray[np.int16]:
    """SLIC supervoxels of one scan, at each of several numbers of them.

    They depend on the image alone, so they are computed once for a case. scikit-image takes 0.1 s for each number at
    55x55x30.

    Args:
        volume: (M, D, H, W) float32.
        counts: Number of supervoxels asked for, for each step; SLIC gives about that many.
        spacing: Voxel spacing along the three axes.
        compactness: Weight of distance against intensity.

    Returns:
        (T, D, H, W) int16, region numbers from 0.
    """
    from skimage.segmentation import slic

    def divide(count: int) -> NDArray[np.int16]:
        # Three modalities are no colours: left to itself, SLIC would convert them to Lab.
        regions = slic(
            volume,
            n_segments=count,
            compactness=compactness,
            spacing=spacing,
            convert2lab=False,
            start_label=0,
            channel_axis=0,
        )
        return np.asarray(regions, dtype=np.int16)

    computed = {count: divide(count) for count in set(counts)}
    return np.stack([computed[count] for count in counts])


def advise(regions: Tensor, confidence: Tensor, advised: int, most: int | None = None) -> Tensor:
    """The regions in which the agent trusts its last action least.

    The paper ranks "in descending order" and takes the top five (Sec. 3.5), yet wants regions of low confidence: taken
    are those with the lowest mean.

    Args:
        regions: (B, D, H, W) integer region numbers from 0.
        confidence: (B, D, H, W) float32 in [0, 1].
        advised: How many regions to advise; all of them where there are fewer.
        most: A number that all region numbers are below, so that nobody has to wait for the GPU to find it.

    Returns:
        (B, D, H, W) bool.
    """
    index = regions.flatten(1).to(torch.int64)
    total, size = region_sums(index, confidence.flatten(1), int(index.max()) + 1 if most is None else most)
    mean = torch.where(size > 0, total / size.clamp_min(1), torch.inf)
    order = mean.argsort(dim=1, stable=True)[:, :advised]
    chosen = torch.zeros_like(mean, dtype=torch.bool).scatter_(1, order, True) & (size > 0)
    return chosen.gather(1, index).view(regions.shape)


def region_sums(index: Tensor, values: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The sum of some values over every region, and how many voxels it has.

    Args:
        index: Region of every voxel, (B, V) int64, numbers from 0.
        values: (B, V) float32.
        most: A number that all region numbers are below, R.

    Returns:
        The sums, (B, R) float64, exact to 1 / `SCALE` a voxel, and the sizes, (B, R) int64.
    """
    size = torch.zeros((len(index), most), dtype=torch.int64, device=index.device)
    # Integers: the sum, hence the ranking, does not depend on the order of adding.
    total = torch.zeros_like(size).scatter_add_(1, index, (values * SCALE).round_().to(torch.int64))
    return total.to(torch.float64) / SCALE, size.scatter_add_(1, index, torch.ones_like(index))
