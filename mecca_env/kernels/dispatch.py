"""The choice among the implementations of the inner loops, all of which give the same bits.

| device | compiled loops are wanted and there | otherwise |
|---|---|---|
| CPU | `numba_step` | `torch_cpu_step` |
| CUDA | `triton_step` | `torch_step` |
| any other | | `torch_step` |

Nothing else in the package asks which of them runs.
"""

from __future__ import annotations

from functools import cache

import torch

from mecca_env.kernels import torch_cpu_step, torch_step
from mecca_env.kernels.backend import is_compiled
from mecca_env.kernels.interface import Loops


def loops(device: torch.device) -> Loops:
    """The quickest loops for tensors on that device."""
    if is_compiled(device):
        return _compiled(device.type)
    return torch_cpu_step if device.type == "cpu" else torch_step


@cache
def _compiled(kind: str) -> Loops:
    """The compiled loops; imported late, since loading Numba takes a second and Triton may not be installed."""
    if kind == "cpu":
        from mecca_env.kernels import numba_step

        return numba_step
    from mecca_env.kernels import triton_step

    return triton_step
