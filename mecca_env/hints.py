"""Clicks to hint maps: Gaussian (Sec. 4.2), Euclidean distance, geodesic distance; peak 1, merged by maximum."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mecca_env.compiled import device_loops, host_loops, over_rows
from mecca_env.config import EnvConfig
from mecca_env.voxels import flatten, inside


@runtime_checkable
class Hint(Protocol):
    """Turns clicks into a map that a network can read."""

    def add(self, hint: Tensor, clicks: Tensor, volume: Tensor) -> Tensor:
        """The hint map with more clicks in it.

        Args:
            hint: The map so far, (B, D, H, W) float32 in [0, 1]; not written to.
            clicks: New clicks, (B, K, 3) int64, rows of -1 are none.
            volume: The scan, (B, M, D, H, W) float32.

        Returns:
            A new map of the same shape; 1 at every click, nowhere below what `hint` was.
        """
        ...


class GaussianHint:
    """A Gaussian around each click, cut off outside a cube: a "kernel size of eight voxels" (Sec. 4.2).

    Args:
        sigma: Standard deviation, voxels.
        radius: Half the cube's side, voxels.
    """

    def __init__(self, sigma: float, radius: int) -> None:
        offset = np.arange(-radius, radius + 1)
        squared = offset[:, None, None] ** 2 + offset[None, :, None] ** 2 + offset[None, None, :] ** 2
        self._patch = torch.from_numpy(np.exp(-squared / (2.0 * sigma**2)).astype(np.float32))
        self._radius = radius
        self._copies: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def add(self, hint: Tensor, clicks: Tensor, volume: Tensor) -> Tensor:
        """See `Hint.add`."""
        merged = hint.clone(memory_format=torch.contiguous_format)
        on_host, on_device = (find(hint.device) for find in (host_loops, device_loops))
        if on_host is not None:
            over_rows(on_host.paste, merged, clicks.contiguous(), shared=(self._patch.numpy(),))
        elif on_device is not None:
            on_device.paste(merged, clicks, self._there(hint.device)[0])
        elif hint.device.type == "cpu":
            self._paste_on_host(merged, clicks)
        else:
            self._paste_on_device(merged, clicks)
        return merged

    def _there(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The patch (P, P, P) and the offsets of its voxels (P * P * P, 3) on that device, copied there only once."""
        if device not in self._copies:
            steps = torch.arange(-self._radius, self._radius + 1, device=device)
            self._copies[device] = (self._patch.to(device), torch.cartesian_prod(steps, steps, steps))
        return self._copies[device]

    def _paste_on_host(self, hint: Tensor, clicks: Tensor) -> None:
        radius, patch, target = self._radius, self._patch.numpy(), hint.numpy()
        for row, places in zip(target, clicks.tolist(), strict=True):
            for place in places:
                if place[0] < 0:
                    continue
                low = [max(c - radius, 0) for c in place]
                high = [min(c + radius + 1, n) for c, n in zip(place, row.shape, strict=True)]
                window = row[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
                cut = [slice(lo - c + radius, hi - c + radius) for lo, hi, c in zip(low, high, place, strict=True)]
                np.maximum(window, patch[cut[0], cut[1], cut[2]], out=window)

    def _paste_on_device(self, hint: Tensor, clicks: Tensor) -> None:
        """The same patches in one scatter; a maximum does not depend on the order it is taken in."""
        batch, shape = len(hint), (hint.shape[1], hint.shape[2], hint.shape[3])
        patch, offsets = self._there(hint.device)
        voxels = clicks[:, :, None, :] + offsets  # (B, K, P * P * P, 3)
        there = inside(voxels, shape) & (clicks[:, :, None, 0] >= 0)
        flat = torch.where(there, flatten(voxels, shape), 0).reshape(batch, -1)
        values = torch.where(there, patch.reshape(1, 1, -1), 0.0).reshape(batch, -1)
        hint.view(batch, -1).scatter_reduce_(1, flat, values, "amax")


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
        for row, image, places in zip(merged, volume, clicks.tolist(), strict=True):
            starts = [tuple(place) for place in places if place[0] >= 0]
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
            raise ValueError(f"hint {name}: expected values from 0 to 1, got values from {low:g} to {high:g}")
        return merged


def make_hint(hint: str | Hint, config: EnvConfig) -> Hint:
    """The hint named "gaussian", "euclidean" or "geodesic", or the object given.

    Raises:
        ValueError: The name is unknown.
        TypeError: Neither a name nor an object with an `add` method.
    """
    if isinstance(hint, Hint) and not isinstance(hint, type):
        return hint if isinstance(hint, (GaussianHint, EuclideanHint, GeodesicHint)) else CheckedHint(hint)
    if hint == "gaussian":
        return GaussianHint(config.hint_sigma, config.hint_radius)
    if hint == "euclidean":
        return EuclideanHint(config.hint_sigma, config.shape)
    if hint == "geodesic":
        return GeodesicHint(config.hint_sigma)
    if isinstance(hint, str):
        raise ValueError(f"hint: expected 'gaussian', 'euclidean', 'geodesic' or an object, got {hint!r}")
    raise TypeError(f"hint: expected a name or an object with an add() method, got {hint!r}")
