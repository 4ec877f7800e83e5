"""On another device than the CPU everything is there and nowhere else; a GPU is not needed to see that."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from torch.utils import backend_registration

from tests.support import ROOT

pytestmark = pytest.mark.slow  # another interpreter

pytest.importorskip("triton", minversion="3.4", reason="Triton is not installed, or older than 3.4")
if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
    pytest.skip("this torch knows no devices made in Python", allow_module_level=True)


def test_everything_is_on_the_device_asked_for() -> None:
    around = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-m", "tests.conformance.placement"]
    done = subprocess.run(program, cwd=ROOT, env=around, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        "env {}, kernels",
        "env {'guide': True}, kernels",
        "check_vector_env",
        "mecca, chunks",
        "ua-mt, chunks",
    ):
        assert said in done.stdout
