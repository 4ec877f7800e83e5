"""A case's supervoxels: made once, on the grid over its whole cut, and moved to wherever an episode lies."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.data.base import PreparedCase
from mecca_env.data.grid.cutting import move_regions
from mecca_env.data.grid.placement import Placement, canonical_placement
from mecca_env.data.grid.sampling import resample_cases
from mecca_env.process.config import EnvConfig
from mecca_env.process.guide import supervoxels


def case_regions(case: PreparedCase, config: EnvConfig) -> NDArray[np.int16]:
    """Supervoxels for each step on `canonical_placement`, (T, D, H, W); its label plays no part."""
    assert config.supervoxels is not None
    grid = canonical_placement(case, config.shape)
    volume, *_ = resample_cases([case], [grid], config.intensity_clip, case.image.device)
    return supervoxels(volume[0].cpu().numpy(), config.supervoxels, config.slic_spacing, config.slic_compactness)


def placed_regions(regions: NDArray[np.int16], case: PreparedCase, placement: Placement) -> Tensor:
    """Carry what `case_regions` gave along with an episode's crop, flips and rotation, (T, D, H, W) on the host."""
    grid = canonical_placement(case, placement.shape)
    return torch.stack([move_regions(step, grid, placement) for step in torch.from_numpy(regions)])
