"""Accepting from a page: which object goes where, under which names; and the weights that the next scan gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.names import target_of
from mecca_agents.app.tab.objects import ObjectList
from mecca_agents.app.tab.tab import Tab
from mecca_agents.app.tab.tabs import Tabs
from mecca_agents.online.live import LearnSettings, ProjectLearner
from mecca_agents.session import Model, SessionError, load_model, read_log
from tests.support.annotation import Case


@pytest.fixture
def learner(model: Model, tmp_path: Path) -> ProjectLearner:
    return ProjectLearner(LearnSettings(tmp_path / "project"), model)


@pytest.fixture
def tab(model: Model, case: Case, learner: ProjectLearner) -> Iterator[Tab]:
    """At the case, which came as an upload does: under another name."""
    opened = Tab(model, Folder(case.folder), 1 << 20, learner=learner)
    opened.open_scan([case.scan], ["patient 7.nii.gz"])
    yield opened
    opened.close()


def _mask(project: Path, name: str) -> np.ndarray:
    return np.asarray(nib.load(project / "labels" / f"{name}.nii.gz").dataobj) > 0


def test_several_objects_are_cases_of_their_own(tab: Tab, learner: ProjectLearner) -> None:
    project = learner.project
    with pytest.raises(SessionError, match="accept: expected a mask with foreground"):
        tab.accept()
    assert not project.exists()
    tab.paint([[20, 20, 20], [30, 20, 20]], 2, 3, True)
    name = tab.accept()
    assert name.startswith("patient 7-") and sorted(path.name for path in (project / "labels").iterdir()) == [
        f"{name}.nii.gz"
    ]
    first = _mask(project, name)
    assert (first == tab.session.mask()).all()
    tab.mask_file()
    tab.accept()
    log = read_log(project / "logs" / f"{name}.json")
    assert log.files == ("patient 7.nii.gz",) and log.weights == tab.session.model.weights
    assert [entry.details for entry in log.entries if entry.action == "save"] == [{"path": "patient 7_mask.nii.gz"}]

    tab.add_object()
    tab.paint([[20, 30, 25]], 2, 4, True)
    with pytest.raises(SessionError, match="accept: expected a name for each of several objects, got 'Object 2'"):
        tab.accept()
    tab.objects = tab.objects.renamed(tab.objects.chosen, "left atrium (LA)")
    other = tab.accept()
    assert other.startswith("left-atrium-LA__patient 7-")
    assert (_mask(project, other) == tab.session.mask()).all() and (_mask(project, name) == first).all()
    assert len(list((project / "labels").iterdir())) == 2


def test_without_a_project_nothing_is_accepted(model: Model, case: Case) -> None:
    tab = Tab(model, Folder(case.folder), 1 << 20)
    with pytest.raises(SessionError, match="accept: expected a project, got none; begin with mecca annotate --project"):
        tab.accept()
    tab.close()


def _objects(*names: str) -> ObjectList:
    made = ObjectList()
    for name in names[1:]:
        made = made.added(name)
    return made.renamed(0, names[0])


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["Object 1"], None),
        (["Object 12"], None),
        (["spleen"], "spleen"),
        (["Objekt 1"], "Objekt-1"),
        (["a__b___c"], "a_b_c"),
        (["__ (right) kidney! "], "right-kidney"),
        (["müde Leber"], "müde-Leber"),
        (["x" * 60], "x" * 40),
        (["one", "Object 2", "two"], "two"),
    ],
)
def test_the_word_that_a_name_becomes(names: list[str], found: str | None) -> None:
    assert target_of(_objects(*names)) == found


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["??"], "expected an object's name with letters or digits, got '??'"),
        (["a b", "a-b"], "expected objects that differ in letters or digits, got 'a-b' and 'a b'"),
        (["one", "Object 2"], "expected a name for each of several objects, got 'Object 2'"),
    ],
)
def test_names_that_are_no_target(names: list[str], words: str) -> None:
    with pytest.raises(SessionError) as caught:
        target_of(_objects(*names))
    assert str(caught.value).startswith(f"accept: {words}")


def test_new_weights_come_with_the_next_scan_and_not_before(
    tab: Tab, learner: ProjectLearner, model: Model, case: Case
) -> None:
    newer = load_model("phantom", device="cpu")
    tab.set_box(*case.box)
    tab.step()
    learner._weights.model = newer
    before, version = tab.session, tab.session.version
    tab.add_object()
    tab.step()
    assert tab.session is before
    with pytest.raises(ValueError):
        tab.open_scan([case.folder / "none.nii.gz"], ["none.nii.gz"])
    assert tab.session is before and tab.planes and tab.session.steps == 1
    tab.open_scan([case.scan], ["again.nii.gz"])
    assert tab.session.model is newer and tab.session.version > version and tab.name == "again.nii.gz"
    with pytest.raises(SessionError, match="closed"):
        before.step()
    tab.step()
    assert tab.cases == 3  # the two objects of the session before are in the table of times
    learner._weights.model = model
    tab.open_scan([case.scan], ["back.nii.gz"])
    assert tab.session.model is model
    tabs = Tabs(newer, Folder(case.folder), 1 << 20, 2, learner=learner)
    assert tabs.add().session.model is model
    tabs.close()


def test_a_page_that_is_closed_while_a_scan_is_opened_keeps_nothing(
    tab: Tab, learner: ProjectLearner, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner._weights.model = load_model("phantom", device="cpu")
    fresh = learner.session_after(tab.session)
    monkeypatch.setattr(learner, "session_after", lambda now: fresh)
    real = fresh.set_image
    monkeypatch.setattr(fresh, "set_image", lambda scan: (real(scan), tab.close()))
    with pytest.raises(SessionError, match="closed"):
        tab.open_scan([case.scan], ["again.nii.gz"])
    assert fresh._closed
