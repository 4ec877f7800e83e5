"""Masks of an evaluation lie where the scans lie, and never take the place of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mecca_agents.evaluation.runner import evaluate
from mecca_agents.runs import RunError
from mecca_agents.runs.config import read_config
from mecca_env.data.base import DataError
from mecca_env.data.formats.npz import read_npz
from tests.support.headers import seen, write_header
from tests.support.volumes import AFFINE, ORGANS, ellipsoid, intensities, organs, write_mha, write_npz, write_pairs

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


def test_of_the_challenges_files_all_classes_of_a_scan_are_one_file(tiny_run: Runs, tmp_path: Path) -> None:
    root = write_npz(tmp_path / "files", "ab", organs(tuple(ORGANS)))
    given = {"root": root, "split": "all", "device": "cpu"}
    evaluate(tiny_run("oracle"), masks=tmp_path / "masks", label="each", **given)
    for scan in "ab":
        segs = np.load(tmp_path / "masks" / f"{scan}.npz")["segs"]
        assert segs.dtype == np.uint8 and segs.shape == read_npz(root / f"{scan}.npz").image.shape[::-1]
        expected = np.zeros_like(segs)
        for value in ORGANS:  # ascending: where two hold a voxel it is the later one's
            mask = np.asarray(nibabel.load(tmp_path / "masks" / f"{scan}-label{value}.nii.gz").dataobj)
            assert mask.any()
            expected[mask.T > 0] = value
        np.testing.assert_array_equal(segs, expected)
    names = [f"{scan}{end}" for scan in "ab" for end in ("-label1.nii.gz", "-label2.nii.gz", "-label4.nii.gz", ".npz")]
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == names
    for label, value in ((2, 2), (None, 1), ((1, 4), 1)):  # several, or all above 0: one object
        evaluate(tiny_run("oracle"), masks=tmp_path / "one", label=label, **given)  # type: ignore[arg-type]
        assert np.unique(np.load(tmp_path / "one" / "a.npz")["segs"]).tolist() == [0, value]


def test_the_challenges_own_files_are_never_replaced(tiny_run: Runs, tmp_path: Path) -> None:
    root = write_npz(tmp_path / "files", "ab")
    before = {path: path.read_bytes() for path in root.iterdir()}
    with pytest.raises(DataError, match=r"files/a\.npz: expected another name than the data's own"):
        evaluate(tiny_run("oracle"), root=root, split="all", masks=root, device="cpu")
    assert {path: path.read_bytes() for path in root.iterdir()} == before
