"""Masks of voxels."""

from __future__ import annotations

from torch import Tensor


def dilated(mask: Tensor) -> Tensor:
    """(X, Y, Z) bool `mask` and its face neighbours."""
    grown = mask.clone()
    for dim, side in enumerate(mask.shape):
        grown.narrow(dim, 1, side - 1).logical_or_(mask.narrow(dim, 0, side - 1))
        grown.narrow(dim, 0, side - 1).logical_or_(mask.narrow(dim, 1, side - 1))
    return grown
