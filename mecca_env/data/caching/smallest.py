"""Intensities in the smallest type that holds them exactly: most scanners write whole numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def smallest_type(image: Tensor) -> Tensor:
    """The same numbers as uint8 or int16 where these hold every one of them, else the tensor as it is.

    Nothing that is computed of them in double precision changes.
    """
    if not image.is_floating_point() or image.numel() == 0:
        return image
    low, high = (float(bound) for bound in image.aminmax())
    for dtype in (torch.uint8, torch.int16):
        limits = torch.iinfo(dtype)
        if limits.min <= low and high <= limits.max:  # never with a NaN among them
            whole = image.to(dtype)
            return whole if torch.equal(whole.to(image.dtype), image) else image
    return image
