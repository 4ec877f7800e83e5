"""The inner loops of the env step, and which of three ways of running them a device takes; all give the same bits."""

from __future__ import annotations

import importlib
from functools import cache
from typing import cast

import torch

from mecca_env.kernels import torch_step
from mecca_env.kernels.backend import is_compiled
from mecca_env.kernels.interface import Loops


def loops(device: torch.device) -> Loops:
    """The quickest loops for tensors on that device."""
    return _compiled(device.type) if is_compiled(device) else cast(Loops, torch_step)


@cache
def _compiled(kind: str) -> Loops:
    name = {"cpu": "numba_step", "cuda": "triton_step"}[kind]
    return cast(Loops, importlib.import_module(f"mecca_env.kernels.{name}"))
