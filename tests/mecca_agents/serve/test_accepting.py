"""From a viewer to a case: the unmodified client prompts, a person corrects and saves, and `mecca learn` goes on."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from rich.console import Console

from mecca_agents.cli import main
from mecca_agents.online import learn, read_project
from mecca_agents.serve.terminal import Board
from mecca_agents.session import InteractiveSession, Model
from tests.mecca_agents.serve.conftest import serving
from tests.support import ROOT
from tests.support.volumes import ellipsoid, intensities, write_nifti

remote = pytest.importorskip("nnInteractive.inference.remote", reason='no client here: pip install -e ".[dev]"')

ANSWER = """
import sys
from mecca_agents.session import InteractiveSession, load_model
with InteractiveSession(load_model(sys.argv[1], device="cpu")) as session:
    session.load_log(sys.argv[2], sys.argv[3])
    session.save(sys.argv[4])
"""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Annotator:
    """Somebody with a viewer that reads and writes files as ITK does; it sends of a scan what the client can."""

    def __init__(self, url: str, scan: Path) -> None:
        self.scan = SimpleITK.ReadImage(str(scan))
        array = SimpleITK.GetArrayFromImage(self.scan)  # (z, y, x)
        self.mask = np.zeros(array.shape, np.uint8)
        self.client = remote.nnInteractiveRemoteInferenceSession(url)
        self.client.set_image(array[None], {"spacing": list(self.scan.GetSpacing()[::-1])})
        self.client.set_target_buffer(self.mask)

    def save(self, path: Path, mask: NDArray[Any]) -> Path:
        image = SimpleITK.GetImageFromArray(mask)
        image.CopyInformation(self.scan)
        SimpleITK.WriteImage(image, str(path))
        return path


def accept(shown: str, **words: Path) -> int:
    """Do what the server's terminal says, with the words in capitals replaced."""
    name, _, command = shown.partition(" is kept; with the saved mask: ")
    assert name.endswith(".json") and command.startswith("mecca accept ")
    return main([str(words.get(word, word)) for word in shlex.split(command)[1:]])


@pytest.mark.slow  # trains, and another interpreter
def test_masks_of_a_viewer_become_cases_and_are_learned_from(model: Model, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    project, out, masks = tmp_path / "project", io.StringIO(), []
    with serving(model, Board(Console(file=out, force_terminal=False)), logs=tmp_path / "logs") as served:
        for number in range(2):
            scan = write_nifti(tmp_path / f"scan{number}.nii.gz", intensities(ellipsoid(), number))
            person = Annotator(served.url, scan)
            person.client.add_point_interaction((8, 11, 12), True)
            person.client.add_point_interaction((1, 1, 1), False)
            masks.append((person.mask.astype(bool) | ellipsoid().T).T)  # a brush did the rest
            person.save(tmp_path / f"mask{number}.nrrd", masks[-1].T.astype(np.uint8))
            person.client.close()
    shown = [line for line in out.getvalue().splitlines() if "is kept" in line]
    assert len(shown) == 2
    for number, line in enumerate(shown):
        words = {"PROJECT": project, "SCAN": tmp_path / f"scan{number}.nii.gz", "MASK": tmp_path / f"mask{number}.nrrd"}
        assert accept(line, **words) == 0
    cases = read_project(project)
    assert [case.name.split("-")[0] for case in cases] == ["scan0", "scan1"]
    for case, mask in zip(cases, masks, strict=True):
        assert case.log is not None and case.log.weights == model.weights
        assert sum(entry.action == "add_clicks" for entry in case.log.entries) == 2
        label = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(project / "labels" / f"{case.name}.nii.gz")))
        assert np.array_equal(label.astype(bool).T, mask)
        with InteractiveSession(model) as again:  # on the scan's own file, not on what was sent
            again.load_log(case.log, case.log.files[0])
            assert again.steps == 2
    log = next((tmp_path / "logs").glob("*.json"))
    kept, answer = log.with_suffix(".nii"), tmp_path / "answer.nii"
    command = [sys.executable, "-c", ANSWER, str(model.folder), str(log), str(kept), str(answer)]
    subprocess.run(command, cwd=ROOT, check=True)
    with InteractiveSession(model) as again:
        again.load_log(log, kept)
        found = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(answer)))
        assert np.array_equal(found.astype(bool).T, again.mask())
    found = learn(project, model.folder, tmp_path / "out", updates=1, device="cpu", stream=io.StringIO())
    assert found.updates == 1 and sorted(found.verdict.before) == [case.name for case in cases]
    assert json.loads((tmp_path / "out" / "learned.json").read_text())
