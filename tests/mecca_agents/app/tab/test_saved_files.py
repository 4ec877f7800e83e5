"""What the page hands to the browser: masks that lie on their scans, under names that a file may have."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.tab import Tab
from mecca_agents.app.tab.tabs import Tabs
from mecca_agents.session import Model, read_log
from mecca_env.data.base import DataError
from tests.support.annotation import Case
from tests.support.headers import seen, write_header


@pytest.mark.parametrize("letters", ["a" * 215, "a" * 248, "é" * 120])
def test_a_scan_with_a_long_name(letters: str, model: Model, case: Case, tmp_path: Path) -> None:
    scan = tmp_path / f"{letters}.nii.gz"
    shutil.copy(case.scan, scan)
    tab = Tab(model, Folder(tmp_path), 1 << 20)
    tab.open_scan([scan], [scan.name])
    tab.set_box(*case.box)
    tab.step()
    for make, ending in ((tab.mask_file, "_mask.nii.gz"), (tab.log_file, "_session.json")):
        name, content = make()
        assert name.endswith(ending) and letters.startswith(name.removesuffix(ending))
        assert min(len(letters.encode()), 240) <= len(name.encode()) <= 255
        (tmp_path / name).write_bytes(content)
    log = read_log(tmp_path / name)
    assert [e.details["path"].endswith("_mask.nii.gz") for e in log.entries if e.action == "save"] == [True]
    tab.open_log(tmp_path / name, name)
    names = {entry.details["path"] for entry in tab.session.log() if entry.action == "save"}
    (tmp_path / name).write_bytes(tab.log_file()[1])
    assert {e.details["path"] for e in read_log(tmp_path / name).entries if e.action == "save"} == names
    assert list(tab.uploads.folder.iterdir()) == []
    tab.close()


def test_a_page_may_let_a_label_lie_a_little_apart(model: Model, case: Case, tmp_path: Path) -> None:
    label = nibabel.load(case.label_file)
    label.affine[0, 3] += 0.002
    nibabel.save(nibabel.Nifti1Image(label.dataobj, label.affine), tmp_path / "label.nii")
    for tolerance in (None, 0.01):
        tabs = Tabs(model, Folder(tmp_path), 1 << 20, 1, tolerance)
        tab = tabs.add()
        tab.open_scan([case.scan], ["head.nii.gz"])
        if tolerance is None:
            with pytest.raises(DataError, match="label: expected the affine of the scan"):
                tab.open_label(tmp_path / "label.nii", "label")
        else:
            tab.open_label(tmp_path / "label.nii", "label")
            assert tab.review is not None and tab.review.label.sum() == case.label.sum()
        tabs.close()


def test_a_mask_and_the_distances_of_a_scan_in_metres(model: Model, case: Case, tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    image, label = nibabel.load(case.scan), nibabel.load(case.label_file)
    metres = np.diag([1e-3, 1e-3, 1e-3, 1]) @ case.affine
    turned = metres.copy()
    turned[:3, :3] = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ metres[:3, :3]
    for name, data in (("head.nii", image.get_fdata()), ("label.nii", label.get_fdata())):
        kind = np.float32 if name == "head.nii" else np.uint8
        form = {"sform": metres, "qform": turned, "codes": (2, 1), "unit": "meter"}
        write_header(tmp_path / name, data.astype(kind), **form)
    scores = []
    for folder, scan, truth in ((case.folder, case.scan, case.label_file), (tmp_path, "head.nii", "label.nii")):
        tab = Tab(model, Folder(folder), 1 << 20)
        tab.open_scan([folder / scan], [Path(scan).name])
        tab.open_label(folder / truth, "label")
        tab.set_box(*case.box)
        tab.step()
        assert tab.review is not None
        scores.append(tab.review.scores[0])
        (tmp_path / "mask.nii.gz").write_bytes(tab.mask_file()[1])
        for of_scan, of_mask in zip(seen(folder / scan), seen(tmp_path / "mask.nii.gz"), strict=True):
            assert of_scan is not None and np.array_equal(of_scan, of_mask)
        tab.close()
    assert scores[1].assd == pytest.approx(scores[0].assd, rel=1e-5) and scores[0].assd > 0.1
    assert scores[1].dice == scores[0].dice
