"""What a viewer waits for is measured with the viewers' own client."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.volumes import ellipsoid, intensities, write_nifti

pytest.importorskip("nnInteractive.inference.remote", reason='no client here: pip install -e ".[dev]"')

from benchmarks import serving


def test_every_prompt_is_timed(tmp_path: Path) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", np.kron(intensities(ellipsoid()), np.ones((2, 2, 2))))
    options = SimpleNamespace(threads=1, run=None, device="cpu", scan=scan, prompts=3, openings=1)
    results = serving.run(options)  # type: ignore[arg-type]
    assert results["shape"] == (48, 44, 32)
    assert {name: row["count"] for name, row in results["rows"].items()} == {
        **{"set_image": 1, "box on one slice": 1, "point": 3, "lasso": 1, "undo": 1, "first mask": 1}
    }
    assert all(0 < row["ms"] <= row["most"] for row in results["rows"].values())
    assert "a scan of 48 x 44 x 32" in serving.report(results)
