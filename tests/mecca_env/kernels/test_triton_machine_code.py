"""The Triton kernels become machine code for real GPUs, which Triton's interpreter says nothing about; none is needed.

Whatever a kernel is launched with while envs are played is what it is compiled for.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.support import ROOT

pytest.importorskip("triton", minversion="3.4", reason="Triton is not installed, or older than 3.4")

from torch import Tensor
from triton.runtime.jit import JITFunction

from mecca_env.actions import ActionReader
from mecca_env.kernels import dispatch
from mecca_env.tensors.recycled import Buffers
from tests.mecca_env.kernels.machine_code import CAPABILITIES
from tests.support.envs import make_envs, random_actions

pytestmark = pytest.mark.slow  # a compiler

GRID = (10, 9, 8)
NAMES = {torch.uint8: "u8", torch.int32: "i32", torch.int64: "i64", torch.float32: "fp32", torch.float64: "fp64"}
Signature = tuple[str, dict[str, str], dict[str, Any]]


class Launched:
    """A kernel that notes what it is launched with.

    Args:
        name: Of it.
        kernel: It, interpreted.
        noted: Where that goes, by its text, so that each is there once.
    """

    def __init__(self, name: str, kernel: Any, noted: dict[str, Signature]) -> None:
        self._name, self._kernel, self._noted = name, kernel, noted
        self._parameters = JITFunction(kernel.fn).params

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def launch(*arguments: Any) -> None:
            types: dict[str, str] = {}
            constants: dict[str, Any] = {}
            for place, (parameter, value) in enumerate(zip(self._parameters, arguments, strict=True)):
                if parameter.is_constexpr or (type(value) is int and value == 1):  # Triton makes a constant of a 1
                    types[parameter.name], constants[str(place)] = "constexpr", value
                elif isinstance(value, Tensor):
                    types[parameter.name] = "*" + NAMES[value.dtype]
                else:
                    types[parameter.name] = "fp32" if isinstance(value, float) else "i32"
            signature = (self._name, types, constants)
            self._noted[json.dumps(signature)] = signature
            self._kernel[grid](*arguments)

        return launch


def launches(patch: pytest.MonkeyPatch) -> tuple[set[str], list[Signature]]:
    """Names of all kernels, and what they are launched with in episodes of several kinds of env."""
    kernels = importlib.import_module("mecca_env.kernels.triton_step")
    noted: dict[str, Signature] = {}
    jitted = {name for name, value in vars(kernels).items() if hasattr(value, "fn") and name.startswith("_")}
    names = jitted - {"_mix"}  # which kernels call
    for name in names:
        patch.setattr(kernels, name, Launched(name, getattr(kernels, name), noted))
    patch.setattr(dispatch, "_compiled", lambda kind: kernels)
    patch.setattr(Buffers, "empty", lambda self, shape, dtype, device: torch.empty(shape, dtype=dtype))
    many = tuple(a / 100 for a in range(-99, 100, 2))
    for batch, settings in (
        (2, {}),
        (1, {"guide": True, "clicks": (2, 1, 1)}),
        (2, {"adjustments": many}),
        (2, {"adjustments": (-1.0, 1.0), "target_dice": 0.9}),
    ):
        envs = make_envs(batch, shape=GRID, **settings)
        envs._actions = ActionReader(envs.config, batch, envs.device, late=True)
        envs.reset(seed=1)
        for action, dtype in zip(random_actions(envs, 3), (torch.uint8, torch.int32, torch.int64), strict=False):
            sent: Any = torch.as_tensor(action).to(dtype)
            if envs.config.guide:
                sent = {"adjustment": sent, "confidence": torch.rand(action.shape)}
            envs.step(sent)
    return names, list(noted.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="here the kernels run on a GPU")
def test_every_kernel_becomes_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        names, found = launches(patch)
    assert {name for name, *_ in found} == names and len(found) > 2 * len(names)
    around = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    program = [sys.executable, "-m", "tests.mecca_env.kernels.machine_code"]
    done = subprocess.run(program, cwd=ROOT, input=json.dumps(found), env=around, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(found) * len(CAPABILITIES)
