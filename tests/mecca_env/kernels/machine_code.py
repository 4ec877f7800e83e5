"""Compile Triton kernels for GPUs that need not be there: a program, since here Triton must not interpret them.

Reads JSON, kernels of `mecca_env.kernels.triton_step`: name, types of the arguments by name, and constants by place.
"""

from __future__ import annotations

import json
import sys

from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile

from mecca_env.kernels import triton_step

CAPABILITIES = (80, 90)
"""Of the A100, and of the H100."""


def main() -> None:
    """Compile each; the first that does not raises."""
    for name, types, constants in json.load(sys.stdin):
        kernel = getattr(triton_step, name)
        for capability in CAPABILITIES:
            source = ASTSource(kernel, types, {(int(place),): value for place, value in constants.items()})
            made = compile(source, target=GPUTarget("cuda", capability, 32))
            assert made.asm["cubin"][:4] == b"\x7fELF", name
            print(name, capability)


if __name__ == "__main__":
    main()
