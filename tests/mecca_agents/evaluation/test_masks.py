"""Masks of an evaluation lie where the scans lie, and never take the place of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mecca_agents.evaluation.runner import evaluate
from mecca_agents.runs import RunError
from mecca_agents.runs.config import read_config
from mecca_env.data.base import DataError
from tests.support.headers import seen, write_header
from tests.support.volumes import AFFINE, ellipsoid, intensities, write_mha, write_pairs

Runs = Callable[..., Path]
MASK = ellipsoid()
FORMS = {"sform": AFFINE @ np.diag([1.1, 1, 1, 1]), "qform": AFFINE}


def test_they_lie_on_their_scans_in_every_reader(tiny_run: Runs, tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    headers = {
        "a.nii.gz": {"codes": (2, 1)},
        "b.nii": {"codes": (0, 0)},
        "c.hdr": {"codes": (4, 2), "unit": "micron"},
        "d.nii": {"codes": (1, 0), "version": 2},
    }
    for number, (name, header) in enumerate(headers.items()):
        write_header(tmp_path / "images" / name, intensities(MASK, number), **FORMS, **header)
        write_header(tmp_path / "labels" / name, MASK.astype(np.uint8), **FORMS, **header)
    write_mha(tmp_path / "images" / "e.mha", intensities(MASK))
    write_mha(tmp_path / "labels" / "e.mha", MASK.astype(np.uint8))
    evaluate(tiny_run("iter-mrl"), root=tmp_path, split="all", masks=tmp_path / "masks", device="cpu")
    for name in headers:
        mask = tmp_path / "masks" / f"{name.partition('.')[0]}.nii.gz"
        for of_scan, of_mask in zip(seen(tmp_path / "images" / name), seen(mask), strict=True):
            assert np.array_equal(of_scan, of_mask) or (of_scan is None and of_mask is None)
    for found in seen(tmp_path / "masks" / "e.nii.gz"):
        np.testing.assert_allclose(found, seen(tmp_path / "images" / "e.mha")[0], atol=1e-5)


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_into_the_data_set_itself_nothing_is_written(folder: str, tiny_run: Runs, tmp_path: Path) -> None:
    root = write_pairs(tmp_path)
    before = {path: path.read_bytes() for path in root.rglob("*.nii.gz")}
    with pytest.raises(DataError, match=rf"{folder}/a\.nii\.gz: expected another name than the data's own"):
        evaluate(tiny_run("iter-mrl"), root=root, split="all", masks=root / folder, device="cpu")
    assert {path: path.read_bytes() for path in root.rglob("*.nii.gz")} == before


def test_a_table_that_is_read_only_is_known_before_the_work(tiny_run: Runs, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("kept")
    table.chmod(0o444)
    with pytest.raises(RunError, match=r"table\.csv: cannot be written: the file there is read-only"):
        evaluate(tiny_run("iter-mrl"), root=write_pairs(tmp_path / "data"), out=table, device="cpu")
    with pytest.raises(RunError, match=r"a\.nii\.gz: expected the name of a table, found that of an image"):
        evaluate(tiny_run("iter-mrl"), out=tmp_path / "data" / "images" / "a.nii.gz", device="cpu")
    assert table.read_text() == "kept"


def test_an_evaluation_has_the_tolerance_of_its_training_or_its_own(tiny_run: Runs, tmp_path: Path) -> None:
    root = write_pairs(tmp_path, suffix=".nii")
    moved = AFFINE + [[0, 0, 0, 0.002], *[[0] * 4] * 3]
    write_header(root / "labels" / "b.nii", MASK.astype(np.uint8), sform=moved, qform=moved, codes=(1, 1))
    run = tiny_run("iter-mrl")
    assert read_config(run).tolerance is None
    with pytest.raises(DataError, match=r"b\.nii: expected the affine"):
        evaluate(run, root=root, split="all", device="cpu")
    assert {result.case for result in evaluate(run, root=root, split="all", tolerance=0.01, device="cpu")} == set("abc")
