"""Mean and standard deviation of a crop that lies anywhere in a scan, the same bits on every device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mecca_env.data.base import Box, PreparedCase

_MOST_LOOKED_AT = 1 << 18  # voxels; of larger crops every second, third ... along each axis
_FINEST = 4096.0  # parts of the case's own standard deviation that intensities are rounded to
_FARTHEST = 64.0  # of these deviations: what lies farther counts as if it lay there


def measured(case: PreparedCase, crop: Box) -> PreparedCase:
    """The case with mean and standard deviation of a crop in place of those around its label.

    Intensities are rounded and counted in whole numbers, so that the order of a sum does not matter. Padding and metal
    are left out (`PreparedCase.usual`). Of a modality that is constant there, or has nothing else, the case's own stay.

    Args:
        case: The case.
        crop: Which voxels of the scan; those that the case does not hold are left out.
    """
    ends = [o + n for o, n in zip(case.origin, case.label.shape, strict=True)]
    low = [max(a - o, 0) for a, o in zip(crop[0], case.origin, strict=True)]
    high = [min(b, end) - o for b, o, end in zip(crop[1], case.origin, ends, strict=True)]
    sides = [max(b - a, 0) for a, b in zip(low, high, strict=True)]
    step = max(int(np.ceil((float(np.prod(sides)) / _MOST_LOOKED_AT) ** (1 / 3))), 1)
    image = case.image[(slice(None), *(slice(a, b, step) for a, b in zip(low, high, strict=True)))]
    mean, std = case.mean.copy(), case.std.copy()
    for channel, values in enumerate(image):
        found = _mean_and_std(values.to(torch.float64), case, channel)
        if found is not None:
            mean[channel], std[channel] = found
    return replace(case, mean=mean, std=std)


def _mean_and_std(values: Tensor, case: PreparedCase, channel: int) -> tuple[float, float] | None:
    mean, std = float(case.mean[channel]), float(case.std[channel])
    if case.usual is not None:
        low, high = (float(end) for end in case.usual[channel])
        values = values[(values >= low) & (values <= high)]
    whole = (((values - mean) / std).clamp_(-_FARTHEST, _FARTHEST) * _FINEST).round_().to(torch.int64)
    count, total, squares = torch.stack((torch.ones_like(whole).sum(), whole.sum(), (whole * whole).sum())).tolist()
    spread = count * squares - total * total  # exact, as Python's integers are
    if not spread:
        return None
    unit = std / _FINEST
    return mean + unit * total / count, unit * float(np.sqrt(float(spread))) / count
