"""What is accepted lies in a project whole, is a data set, and what does not fit there is said in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import nibabel
import numpy as np
import pytest

from mecca_agents.online import ProjectError, read_project
from mecca_agents.online.project import kept_out, scan_of
from mecca_agents.session import InteractiveSession, Model, SessionError, accepting, read_log
from mecca_env.data.base import DataError
from tests.mecca_agents.online.conftest import accept
from tests.support import ROOT
from tests.support.volumes import AFFINE, SHAPE, ellipsoid, intensities, write_nifti, write_pairs


def files_of(project: Path) -> list[str]:
    return sorted(
        str(path.relative_to(project)) for path in project.rglob("*") if path.is_file() and path.name != accepting.LOCK
    )


def test_scan_mask_and_log_can_be_read_by_anybody(session: InteractiveSession, tmp_path: Path) -> None:
    name = session.accept(tmp_path / "a" / "project", target="spleen")
    project = tmp_path / "a" / "project"
    assert files_of(project) == [f"images/{name}.nii.gz", f"labels/{name}.nii.gz", f"logs/{name}.json"]
    assert name.startswith("spleen__scan-") and not [p for p in project.iterdir() if p.is_dir() and p.name[0] == "."]
    scan, mask = (nibabel.load(project / kind / f"{name}.nii.gz") for kind in ("images", "labels"))
    assert scan.get_data_dtype() == np.uint8 or scan.get_data_dtype() == np.int16
    np.testing.assert_array_equal(scan.dataobj, intensities(ellipsoid()))
    np.testing.assert_array_equal(mask.dataobj, ellipsoid())
    np.testing.assert_allclose(scan.affine, AFFINE)
    np.testing.assert_allclose(mask.affine, AFFINE)
    assert json.loads((project / "logs" / f"{name}.json").read_text())["entries"][-1]["action"] == "set_mask"
    (case,) = read_project(project)
    assert (case.name, case.target) == (name, "spleen") and case.log == read_log(project / "logs" / f"{name}.json")


def test_a_project_is_a_data_set(model: Model, tmp_path: Path) -> None:
    names = accept(model, tmp_path, 2)
    envs = gym.make_vec("MECCA-Volumes-v0", num_envs=1, root=tmp_path, split="all", shape=(12, 12, 10)).unwrapped
    _, info = envs.reset(seed=0)
    assert len(envs.cases) == 2 and sorted(names) == [envs.dataset.case_name(i) for i in range(2)]


def test_the_same_scan_again_takes_its_own_place(session: InteractiveSession, tmp_path: Path) -> None:
    first = session.accept(tmp_path)
    other = ellipsoid(radii=(4, 4, 3))
    session.set_mask(other)
    assert session.accept(tmp_path) == first and len(read_project(tmp_path)) == 1
    np.testing.assert_array_equal(nibabel.load(tmp_path / "labels" / f"{first}.nii.gz").dataobj, other)
    assert session.accept(tmp_path, target="liver") != first and len(read_project(tmp_path)) == 2


def test_a_scan_that_is_opened_from_the_project_stays_one_case(model: Model, tmp_path: Path) -> None:
    (name,) = accept(model, tmp_path, 1)
    scan = tmp_path / "images" / f"{name}.nii.gz"
    content = scan.read_bytes()
    with InteractiveSession(model) as opened:
        opened.set_image(scan)
        opened.set_mask(ellipsoid(radii=(4, 4, 3)))
        assert opened.accept(tmp_path) == name
    assert len(files_of(tmp_path)) == 3 and scan.read_bytes() == content


def test_a_link_in_place_of_a_copy(model: Model, tmp_path: Path) -> None:
    scan = write_nifti(tmp_path / "john_doe__1.nii", intensities(ellipsoid()))
    project = tmp_path / "project"
    with InteractiveSession(model) as opened:
        opened.set_image(scan)
        opened.set_mask(ellipsoid())
        name = opened.accept(project, link=True)
        assert name.startswith("john_doe_1-") and (project / "images" / f"{name}.nii").resolve() == scan.resolve()
        assert opened.accept(project) == name  # a copy takes the link's place, the scan stays
        assert [path.name for path in (project / "images").iterdir()] == [f"{name}.nii.gz"] and scan.is_file()
        opened.accept(project, link=True)
        scan.unlink()
        with pytest.raises(SessionError, match="link: expected .*john_doe__1.nii, found nothing there"):
            opened.accept(project, link=True)
    with pytest.raises(DataError, match=rf"{name}\.nii: expected .*link that leads nowhere|{name}\.nii: .*found"):
        read_project(project)


@pytest.mark.parametrize("target", ["", "a b", "a__b", "../a", "x" * 41])
def test_a_target_is_a_word(target: str, session: InteractiveSession, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="target: expected one word"):
        session.accept(tmp_path / "p", target=target)
    assert not (tmp_path / "p").exists()


def test_an_empty_mask_is_not_accepted(session: InteractiveSession, tmp_path: Path) -> None:
    session.reset()
    with pytest.raises(SessionError, match="accept: expected a mask with foreground"):
        session.accept(tmp_path / "p")
    with pytest.raises(SessionError, match="cannot be put there .*irectory"):
        (tmp_path / "file").write_text("")
        session.set_mask(ellipsoid())
        session.accept(tmp_path / "file")


@pytest.mark.parametrize("fails", ["save_mask", "save_scan"])
def test_a_full_disk_leaves_what_was_there(
    fails: str, session: InteractiveSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.accept(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files_of(tmp_path)}
    session.set_mask(ellipsoid(radii=(4, 4, 3)))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(accepting, fails, full)
    with pytest.raises(SessionError, match="the case cannot be put there .No space left on device"):
        session.accept(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files_of(tmp_path)} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "images", "labels", "logs"]


def test_two_at_once_never_mix(model: Model, tmp_path: Path) -> None:
    """Mask and log of a case are always those of one session, whoever reads and whenever."""
    masks = [ellipsoid(), ellipsoid(radii=(4, 4, 3))]
    sessions = [InteractiveSession(model) for _ in masks]
    for opened, mask in zip(sessions, masks, strict=True):
        opened.set_image(intensities(ellipsoid()), AFFINE)
        opened.set_mask(mask)
    name = sessions[0].accept(tmp_path)
    errors: list[BaseException] = []

    def work(opened: InteractiveSession) -> None:
        try:
            for _ in range(6):
                assert opened.accept(tmp_path) == name
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(opened,)) for opened in sessions]
    for thread in threads:
        thread.start()
    looked = 0
    while any(thread.is_alive() for thread in threads) or not looked:
        with accepting.writing(tmp_path):
            mask = np.asarray(nibabel.load(tmp_path / "labels" / f"{name}.nii.gz").dataobj) > 0
            log = read_log(tmp_path / "logs" / f"{name}.json")
        (one,) = (k for k, each in enumerate(masks) if np.array_equal(mask, each))
        assert log.entries == sessions[one].log()
        looked += 1
    for thread in threads:
        thread.join()
    assert not errors and len(read_project(tmp_path)) == 1


@pytest.mark.slow  # another interpreter
def test_a_writer_that_is_killed_leaves_a_project_that_can_be_read(model: Model, tmp_path: Path) -> None:
    names = accept(model, tmp_path, 1)
    code = """
import os, signal, sys
from pathlib import Path
from mecca_agents.session import accepting
with accepting.writing(Path(sys.argv[1])), accepting._staged(Path(sys.argv[1])) as staged:
    (staged / "half.nii.gz").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert [case.name for case in read_project(tmp_path)] == names and accept(model, tmp_path, 1) == names
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "images", "labels", "logs"]


@pytest.mark.slow  # another interpreter
@pytest.mark.parametrize("renamed", range(4))
def test_a_writer_that_is_killed_while_it_renames_leaves_no_half_of_a_case(
    renamed: int, session: InteractiveSession, begun: Path, tmp_path: Path
) -> None:
    """What was whole is put there by whoever reads or writes next; files are renamed label, log, scan."""
    scan, other = write_nifti(tmp_path / "scan.nii", intensities(ellipsoid())), ellipsoid(radii=(4, 4, 3))
    mask, project = write_nifti(tmp_path / "mask.nii", other.astype(np.uint8)), tmp_path / "project"
    code = """
import os, signal, sys
from mecca_agents.session import InteractiveSession, accepting
run, scan, mask, project, renamed = sys.argv[1:]
real, left = os.replace, int(renamed)
def replace(old, new):
    global left
    if ".whole" in str(old):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
    real(old, new)
with InteractiveSession(run, device="cpu") as session:
    session.set_image(scan)
    session.set_mask(mask)
    os.replace = replace
    session.accept(project, target="spleen")
os.kill(os.getpid(), signal.SIGKILL)
"""
    words = [sys.executable, "-c", code, *map(str, (begun, scan, mask, project, renamed))]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == -9
    there = [len(list((project / kind).iterdir())) for kind in ("labels", "logs", "images")]
    assert there == [int(renamed > place) for place in range(3)]
    (case,) = read_project(project)
    assert case.target == "spleen" and case.log is not None and len(files_of(project)) == 3
    np.testing.assert_array_equal(nibabel.load(project / "labels" / f"{case.name}.nii.gz").dataobj, other)
    assert sorted(path.name for path in project.iterdir()) == [".lock", "images", "labels", "logs"]


def _other_grid(project: Path, name: str) -> None:
    write_nifti(project / "labels" / f"{name}.nii.gz", np.ones((5, 5, 5), np.uint8))


FAULTS: dict[str, tuple[Callable[[Path, str], object], str]] = {
    "mask on another grid": (_other_grid, r"labels/{0}\.nii\.gz.*(shape|grid|voxels)"),
    "no mask": (lambda p, n: (p / "labels" / f"{n}.nii.gz").unlink(), r"{0}\.nii\.gz: image without label"),
    "no scan": (lambda p, n: (p / "images" / f"{n}.nii.gz").unlink(), r"{0}\.nii\.gz: label without image"),
    "damaged scan": (lambda p, n: (p / "images" / f"{n}.nii.gz").write_bytes(b"no"), r"images/{0}\.nii\.gz: expected"),
    "damaged log": (lambda p, n: (p / "logs" / f"{n}.json").write_text("{"), r"logs/{0}\.json: expected the log"),
    "vanished": (
        lambda p, n: [(p / kind / f"{n}.nii.gz").unlink() for kind in ("images", "labels")],
        r"logs/{0}\.json: expected scan and mask of {0} beside this log, found neither",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_named(fault: str, model: Model, tmp_path: Path) -> None:
    bad, good = accept(model, tmp_path, 2)
    spoil, said = FAULTS[fault]
    spoil(tmp_path, bad)
    with pytest.raises((ProjectError, DataError), match=said.format(bad)) as raised:
        read_project(tmp_path)
    assert good not in str(raised.value)
    if fault == "vanished":
        assert [case.name for case in read_project(tmp_path, skip_bad=True)] == [good]
    else:
        with pytest.warns(UserWarning, match=f"{bad}"):
            assert [case.name for case in read_project(tmp_path, skip_bad=True)] == [good]


def test_the_log_of_another_scan_is_named(model: Model, tmp_path: Path) -> None:
    first, second = accept(model, tmp_path, 2)
    log = json.loads((tmp_path / "logs" / f"{first}.json").read_text())
    (tmp_path / "logs" / f"{first}.json").write_text(json.dumps({**log, "shape": [1, 2, 3]}))
    shape = ", ".join(map(str, SHAPE))
    with pytest.raises(ProjectError, match=rf"{first}\.json: expected the log of a scan of \({shape}\) voxels, found"):
        read_project(tmp_path)
    with pytest.raises(ProjectError, match="nothing: expected a project with images/ and labels/, found no images/"):
        read_project(tmp_path / "nothing")


def test_masks_from_elsewhere_need_no_log(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("a", "spleen__b"))
    assert [(case.name, case.target, case.log) for case in read_project(tmp_path)] == [
        ("a", "", None),
        ("spleen__b", "spleen", None),
    ]


@pytest.mark.parametrize("first", [3, 4, 10])
def test_a_case_that_was_learned_from_is_never_kept_out_later(first: int) -> None:
    names = [f"case_{n}" for n in range(80)]
    learned: set[str] = set()
    held: list[str] = []
    for count in range(first, 81):
        before, held = held, kept_out(names[:count], learned, held)
        assert set(before) <= set(held) and not learned & set(held)
        assert len(held) == (max(round(count / 4), 2) if count > 3 else 0)
        learned |= set(names[:count]) - set(held) if held else set()  # what none has judged is not gone on from
    assert len(held) == 20


def test_where_those_kept_out_were_deleted_others_judge() -> None:
    names = [f"case_{n}" for n in range(6)]
    held = kept_out(names, names, ["gone"])
    assert len(held) == 2 and set(held) <= set(names)
    assert kept_out(names[:4]) == kept_out(names[3::-1]) and len(kept_out(names[:4])) == 2
    (one, *_, other) = names
    assert len(kept_out(names, names[1:], [one])) == 2 and one in kept_out(names, names[1:], [one, "gone"])
    assert other in kept_out(names, names[:-1], ["gone"]) and len(kept_out(names, names[:-1], ["gone"])) == 2


def test_all_objects_of_a_scan_are_kept_out_together() -> None:
    names = [f"{target}__{scan}-{scan:08x}" for scan in range(12) for target in ("liver", "spleen", "tumour")]
    held = kept_out(names)
    assert {scan_of(name) for name in names if name in held}.isdisjoint(scan_of(n) for n in names if n not in held)
    assert len(held) == 9 and len({scan_of(name) for name in held}) == 3
    assert kept_out(names[:9]) == []  # three scans
    new = f"kidney__x-{scan_of(held[0])}"
    assert new in kept_out([*names, new], set(names) - set(held), held)
    old = next(name for name in names if name not in held)
    later = kept_out([*names, f"kidney__y-{scan_of(old)}"], set(names) - set(held), held)
    assert later == held and scan_of("spleen__b") == "spleen__b"
