"""Sums and means with the same bits in whatever order they are taken, and numbers in as many digits as they have."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SCALE = 2.0**24
"""Rewards are added up in whole multiples of 1 / SCALE."""


def exact_mean(values: Tensor) -> Tensor:
    """Mean over all but the first axis, (B, ...) float32 -> (B,) float32, with the same bits in any order of summing.

    Floating-point sums depend on how the work is split, hence on the batch and on the number of threads. Sums of whole
    numbers do not, as long as they stay below 2^53: values are rounded to 2^-24 (6e-8) and added as such.
    """
    flat = values.reshape(values.shape[0], -1)
    total = (flat * SCALE).round_().sum(dim=1, dtype=torch.float64)
    return (total / (SCALE * flat.shape[1])).to(torch.float32)


def shown(value: float) -> str:
    """A number of float32 or float64 for a message, in as few digits as no other one has: 1 is 1, 1.0000001 is not."""
    text = f"{value:g}"
    if float(text) == value:
        return text
    with np.errstate(over="ignore"):
        narrow = np.float32(value)
    return str(narrow) if float(narrow) == value else repr(value)
