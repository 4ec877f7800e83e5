"""Clicks to hint maps: Gaussian (Sec. 4.2), distances, whole supervoxels; peak 1, merged by maximum."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.kernels.dispatch import loops
from mecca_env.kernels.voxels import exists, flatten
from mecca_env.process.config import EnvConfig
from mecca_env.process.contracts import Hint
from mecca_env.state import State
from mecca_env.tensors.exact import shown
from mecca_env.tensors.recycled import Buffers


class PatchHint:
    """The same small cube of values around each click.

    Args:
        patch: Around a click in its middle, (P, P, P) float32, P odd; 1 there.
    """

    def __init__(self, patch: Tensor) -> None:
        self._patches = {patch.device: patch}
        self._buffers = Buffers()

    def add(self, hint: Tensor, clicks: Tensor, volume: Tensor) -> Tensor:
        """See `Hint.add`."""
        device = hint.device
        if device not in self._patches:
            self._patches[device] = self._patches[torch.device("cpu")].to(device)
        merged = self._buffers.empty(hint.shape, hint.dtype, device)
        loops(device).paste(hint, clicks, self._patches[device], merged)
        return merged


class GaussianHint(PatchHint):
    """A Gaussian around each click, cut off outside a cube: a "kernel size of eight voxels" (Sec. 4.2).

    Args:
        sigma: Standard deviation, voxels.
        radius: Half the cube's side, voxels.
    """

    def __init__(self, sigma: float, radius: int) -> None:
        patch = np.exp(-_squared_distances(radius) / (2.0 * sigma**2))
        super().__init__(torch.from_numpy(patch.astype(np.float32)))


class TruncatedDistanceHint(PatchHint):
    """max(0, 1 - d / radius), d the Euclidean distance in voxels to the nearest click: "edt".

    Distance transforms as hints, cut off at a distance, did better than Gaussians in the autoPET IV challenge
    (arXiv 2508.21680); there they are scaled otherwise.

    Args:
        radius: Where it has fallen to 0, voxels.
    """

    def __init__(self, radius: int) -> None:
        patch = np.maximum(1.0 - np.sqrt(_squared_distances(radius)) / radius, 0.0)
        super().__init__(torch.from_numpy(patch.astype(np.float32)))


class EuclideanHint:
    """exp(-d / sigma), d the Euclidean distance in voxels to the nearest click, over the whole grid.

    Squared distances are integers, so the map is a table look-up and has the same bits on every device.

    Args:
        sigma: Distance at which the hint has fallen to 1 / e, voxels.
        shape: The grid, (D, H, W).
    """

    def __init__(self, sigma: float, shape: tuple[int, int, int]) -> None:
        farthest = sum((n - 1) ** 2 for n in shape)
        values = np.exp(-np.sqrt(np.arange(farthest + 1)) / sigma)
        self._table = torch.from_numpy(np.append(values, 0.0).astype(np.float32))  # the last entry: no click

    def add(self, hint: Tensor, clicks: Tensor, volume: Tensor) -> Tensor:
        """See `Hint.add`."""
        none = len(self._table) - 1
        axes = [torch.arange(n, device=hint.device, dtype=torch.int32) for n in hint.shape[1:]]
        nearest = torch.full(hint.shape, none, dtype=torch.int32, device=hint.device)
        for click in clicks.to(torch.int32).unbind(1):  # (B, 3)
            d, h, w = ((axis[None] - click[:, i, None]) ** 2 for i, axis in enumerate(axes))
            squared = d[:, :, None, None] + h[:, None, :, None] + w[:, None, None, :]
            absent = (click[:, 0] < 0)[:, None, None, None]
            nearest = torch.minimum(nearest, torch.where(absent, none, squared))
        values = self._table.to(hint.device).index_select(0, nearest.view(-1)).view(hint.shape)
        return torch.maximum(hint, values)


class GeodesicHint:
    """exp(-d / sigma), d the geodesic distance to the nearest click: long across intensity edges.

    The cost of a path is its length in voxels times one plus the local gradient magnitude of the z-scored first
    modality, found by scikit-image's `MCP_Geometric` on the host: about a tenth of a second for each episode at
    55x55x30. Other packages weigh gradients differently and are not interchangeable with it.

    Args:
        sigma: Distance at which the hint has fallen to 1 / e, voxels in flat regions.
    """

    def __init__(self, sigma: float) -> None:
        self._sigma = sigma

    def add(self, hint: Tensor, clicks: Tensor, volume: Tensor) -> Tensor:
        """See `Hint.add`."""
        merged = hint.clone()
        for row, image, voxels in zip(merged, volume, clicks.tolist(), strict=True):
            starts = [tuple(voxel) for voxel in voxels if voxel[0] >= 0]
            if starts:
                values = self._map(image[0].cpu().numpy(), starts)
                torch.maximum(row, torch.from_numpy(values).to(row.device), out=row)
        return merged

    def _map(self, image: np.ndarray, starts: list[tuple[int, ...]]) -> np.ndarray:
        from skimage.graph import MCP_Geometric

        gradient = np.sqrt(sum(g.astype(np.float64) ** 2 for g in np.gradient(image)))
        distance, _ = MCP_Geometric(1.0 + gradient).find_costs(starts)
        values: np.ndarray = np.exp(-distance / self._sigma).astype(np.float32)
        return values


class SupervoxelHint:
    """1 in every supervoxel that holds a click: a click marks all that looks alike around it, so a few say much.

    As in BS-IRIS (Ma et al., IEEE TMI 2021). It reads the supervoxels in place of the scan, so it is no `Hint`.
    """

    def mark(self, hint: Tensor, clicks: Tensor, regions: Tensor, most: int) -> Tensor:
        """The hint map with more clicks in it.

        Args:
            hint: The map so far, (B, D, H, W) float32 in [0, 1]; not written to.
            clicks: New clicks, (B, K, 3) int64, rows of -1 are none.
            regions: Supervoxels, (B, D, H, W), integer numbers from 0.
            most: A number that all region numbers are below.

        Returns:
            A new map of the same shape; 1 in every clicked supervoxel, elsewhere what `hint` was.
        """
        shape = (hint.shape[1], hint.shape[2], hint.shape[3])
        index = regions.flatten(1).to(torch.int64)  # (B, D * H * W)
        there = exists(clicks[..., 0])
        region = index.gather(1, torch.where(there, flatten(clicks, shape), 0))  # (B, K)
        value = hint.new_zeros((len(hint), most + 1))  # the last column takes the rows of -1
        value.scatter_(1, torch.where(there, region, most), 1.0)
        return torch.maximum(hint, value.gather(1, index).view(hint.shape))


class CheckedHint:
    """Somebody's own hint, refused where its map is not one.

    Raises:
        ValueError: From `add`, naming the hint, what was expected and what was found.
    """

    def __init__(self, hint: Hint) -> None:
        self._hint = hint

    def add(self, hint: Tensor, clicks: Tensor, volume: Tensor) -> Tensor:
        """See `Hint.add`."""
        merged = self._hint.add(hint.clone(), clicks, volume)
        name = type(self._hint).__name__
        if merged.shape != hint.shape or merged.dtype != torch.float32:
            raise ValueError(
                f"hint {name}: expected float32 of shape {tuple(hint.shape)}, got {merged.dtype} {tuple(merged.shape)}"
            )
        low, high = (float(v) for v in merged.aminmax())
        if not (low >= 0.0 and high <= 1.0):  # also where they are NaN
            raise ValueError(f"hint {name}: expected values from 0 to 1, got values from {shown(low)} to {shown(high)}")
        return merged


class HintMaps:
    """The hint maps of B episodes: one each, or with signs two, of clicks inside and of clicks outside the target.

    Args:
        config: Settings of the decision process.

    Raises:
        ValueError, TypeError: As `make_hint`.
    """

    def __init__(self, config: EnvConfig) -> None:
        self._hint = make_hint(config.hint, config)
        self._signed = config.signed

    @property
    def reads_regions(self) -> bool:
        """True if hints are made of supervoxels."""
        return isinstance(self._hint, SupervoxelHint)

    def empty(self, label: Tensor) -> Tensor:
        """`State.hint` without a click, of labels (B, D, H, W)."""
        shape = (len(label), 2, *label.shape[1:]) if self._signed else label.shape
        return torch.zeros(shape, dtype=torch.float32, device=label.device)

    def add(self, state: State, clicks: Tensor, signs: Tensor | None, regions: Tensor | None, most: int) -> Tensor:
        """`State.hint` with more clicks in it.

        Args:
            state: B episodes.
            clicks: (B, K, 3) int64, rows of -1 are none.
            signs: Of them, (B, K), where the maps are two.
            regions: Supervoxels, (B, D, H, W), where hints are made of those.
            most: A number that all region numbers are below.
        """
        hint, volume = state.hint, state.volume
        if signs is not None:  # as if there were twice as many episodes
            hint = hint.flatten(0, 1)
            sides = signs[:, None] == torch.tensor((1, -1), device=signs.device)[:, None]  # (B, 2, K)
            clicks = torch.where(sides[..., None], clicks[:, None], -1).flatten(0, 1)
            if not isinstance(self._hint, (PatchHint, EuclideanHint)):  # which do not look at the scan
                volume = volume.repeat_interleave(2, dim=0)
            regions = None if regions is None else regions.repeat_interleave(2, dim=0)
        if isinstance(self._hint, SupervoxelHint):
            assert regions is not None
            merged = self._hint.mark(hint, clicks, regions, most)
        else:
            merged = self._hint.add(hint, clicks, volume)
        return merged.view(state.hint.shape)


def make_hint(hint: str | Hint, config: EnvConfig) -> Hint | SupervoxelHint:
    """The hint named "gaussian", "edt", "euclidean", "geodesic" or "supervoxel", or the object given.

    Raises:
        ValueError: The name is unknown; or the settings ask for signs, and the object says that it has none.
        TypeError: Neither a name nor an object with an `add` method.
    """
    if isinstance(hint, Hint) and not isinstance(hint, type):
        if config.signed and not getattr(hint, "signed", True):
            raise ValueError(f"hint: expected one that can have signs, since signed=True, got {type(hint).__name__}")
        return hint if isinstance(hint, (PatchHint, EuclideanHint, GeodesicHint)) else CheckedHint(hint)
    if hint == "gaussian":
        return GaussianHint(config.hint_sigma, config.hint_radius)
    if hint == "edt":
        return TruncatedDistanceHint(config.hint_radius)
    if hint == "euclidean":
        return EuclideanHint(config.hint_sigma, config.shape)
    if hint == "geodesic":
        return GeodesicHint(config.hint_sigma)
    if hint == "supervoxel":
        return SupervoxelHint()
    if isinstance(hint, str):
        names = "'gaussian', 'edt', 'euclidean', 'geodesic', 'supervoxel'"
        raise ValueError(f"hint: expected {names} or an object, got {hint!r}")
    raise TypeError(f"hint: expected a name or an object with an add() method, got {hint!r}")


def _squared_distances(radius: int) -> NDArray[np.int64]:
    """Of the voxels of a cube from its middle, (P, P, P), P = 2 radius + 1."""
    offset = np.arange(-radius, radius + 1)
    squared: NDArray[np.int64] = offset[:, None, None] ** 2 + offset[None, :, None] ** 2 + offset[None, None, :] ** 2
    return squared
