"""The guide, which asks the user to click in some regions: supervoxels of low confidence (Sec. 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.tensors.exact import SCALE


def supervoxels(
    volume: NDArray[np.float32], counts: Sequence[int], spacing: tuple[float, float, float], compactness: float
) -> NDArray[np.int16]:
    """SLIC supervoxels of one scan, at each of several numbers of them.

    SLIC's first centres lie on a lattice, so it gives the same regions for 60 as for 90. It is asked once, for the
    largest number; then neighbours are merged, those first whose merging adds least to the squared distances that SLIC
    minimises, until exactly as many are left as were asked for. So a region of fewer is a union of regions of more.

    They depend on the image alone, so they are computed once for a case: 0.1 s for a hundred at 55x55x30, nearly all of
    it SLIC's.

    Args:
        volume: (M, D, H, W) float32.
        counts: Number of supervoxels for each step; fewer only where the grid cannot be divided so finely.
        spacing: Voxel spacing along the three axes.
        compactness: Weight of distance against intensity.

    Returns:
        (T, D, H, W) int16, region numbers from 0.
    """
    most = max(counts)
    finest = _finest(volume, most, spacing, compactness)
    by_count = _merged(finest, _features(volume, most, spacing, compactness), counts)
    return np.stack([by_count[count] for count in counts])


def _finest(
    volume: NDArray[np.float32], least: int, spacing: tuple[float, float, float], compactness: float
) -> NDArray[np.int64]:
    """SLIC's own regions, (D, H, W): at least so many, or as many as the grid allows."""
    from skimage.segmentation import slic

    asked = least
    while True:
        # Three modalities are no colours: left to itself, SLIC would convert them to Lab.
        regions: NDArray[np.int64] = slic(
            volume,
            n_segments=asked,
            compactness=compactness,
            spacing=spacing,
            convert2lab=False,
            start_label=0,
            channel_axis=0,
        )
        if int(regions.max()) + 1 >= least or asked >= volume[0].size:
            return regions
        asked += asked // 4 + 1


def _features(
    volume: NDArray[np.float32], count: int, spacing: tuple[float, float, float], compactness: float
) -> NDArray[np.float64]:
    """What SLIC measures distances in, (M + 3, D * H * W): intensities and, against the side of a region, places."""
    image = volume.astype(np.float64)
    scale = compactness * max(float(image.max() - image.min()), np.finfo(np.float64).tiny)
    side = (volume[0].size / count) ** (1 / 3)
    places = np.indices(volume.shape[1:]) * np.reshape(spacing, (3, 1, 1, 1)) / side
    return np.concatenate([image / scale, places]).reshape(len(volume) + 3, -1)


def _merged(
    regions: NDArray[np.int64], features: NDArray[np.float64], counts: Sequence[int]
) -> dict[int, NDArray[np.int16]]:
    """Regions merged until so many are left (Ward's criterion among neighbours), (D, H, W) for each number.

    Args:
        regions: Connected ones, (D, H, W), numbered from 0.
        features: (F, D * H * W).
        counts: How many are to be left, in any order.
    """
    number = int(regions.max()) + 1
    size = np.bincount(regions.ravel(), minlength=number).astype(np.float64)
    mean = np.stack([np.bincount(regions.ravel(), values, number) for values in features], axis=1) / size[:, None]

    def costs(one: NDArray[np.int64], other: NDArray[np.int64]) -> list[float]:
        """What merging the regions of each pair adds to the squared distances."""
        apart = ((mean[one] - mean[other]) ** 2).sum(axis=1)
        found: list[float] = (size[one] * size[other] / (size[one] + size[other]) * apart).tolist()
        return found

    pairs = _touching(regions, number)
    beside: list[set[int]] = [set() for _ in range(number)]
    for one, other in pairs.tolist():
        beside[one].add(other)
        beside[other].add(one)
    # The cheapest first, of equal ones that of the lowest numbers; an entry counts while both ages are what they were.
    age = [0] * number
    queue = [(cost, one, other, 0, 0) for cost, (one, other) in zip(costs(*pairs.T), pairs.tolist(), strict=True)]
    heapify(queue)
    name, found = np.arange(number), dict[int, NDArray[np.int16]]()
    for left in range(number, 0, -1):
        for count in counts:
            if left == min(count, number):
                found[count] = np.unique(name, return_inverse=True)[1].astype(np.int16)[regions]
        if len(found) == len(set(counts)):
            break
        _, kept, gone, *ages = heappop(queue)
        while [age[kept], age[gone]] != ages:
            _, kept, gone, *ages = heappop(queue)
        both = size[kept] + size[gone]
        mean[kept] = (size[kept] * mean[kept] + size[gone] * mean[gone]) / both
        size[kept] = both
        name[name == gone] = kept
        age[kept], age[gone] = age[kept] + 1, -1
        beside[kept] = (beside[kept] | beside[gone]) - {kept, gone}
        for other in beside[kept]:
            beside[other] = (beside[other] - {gone}) | {kept}
        others = np.array(sorted(beside[kept]), dtype=np.int64)
        for cost, other in zip(costs(np.full_like(others, kept), others), others.tolist(), strict=True):
            first, second = min(kept, other), max(kept, other)
            heappush(queue, (cost, first, second, age[first], age[second]))
    return found


def _touching(regions: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Which regions share a face, (E, 2): every pair once, the lower number first, in order."""
    codes = []
    for axis in range(regions.ndim):
        rows = np.moveaxis(regions, axis, 0)
        one, other = rows[:-1].ravel(), rows[1:].ravel()
        low, high = np.minimum(one, other)[one != other], np.maximum(one, other)[one != other]
        codes.append(np.unique(low * number + high))
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), number), axis=1)


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
