"""Choices are what was shown and taken, and what the agent sees before; what was taken back is none."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch

from mecca_agents import train
from mecca_agents.online import ProjectError
from mecca_agents.online.preferences.choices import read_choices, stacked
from mecca_agents.session import InteractiveSession, Model, load_model
from tests.mecca_agents.online.conftest import TINY
from tests.mecca_agents.online.preferences.conftest import write_choices
from tests.support.volumes import AFFINE, write_nifti


def test_choices_are_what_was_shown_and_taken(model: Model, tmp_path: Path) -> None:
    project = tmp_path / "project"
    made = write_choices(model, project, 2, 3)
    found = read_choices(project, model)
    assert [choice.case for choice in found] == [case for case, of in made.items() for _ in of]
    for choice, (masks, index) in zip(found, [pair for of in made.values() for pair in of], strict=True):
        assert choice.index == index and choice.masks.shape == (2, *TINY.shape) and choice.masks.dtype == torch.bool
        shares = choice.masks.flatten(1).float().mean(1).numpy()  # of the view, which the grid covers
        view = (slice(0, 24), slice(0, 22), slice(0, 16))
        assert np.allclose(shares, [mask[view].mean() for mask in masks], atol=0.05)
        assert (choice.masks[1] ^ choice.masks[0]).any()
    batch, pairs = stacked(found)
    assert {"volume", "probability", "hint"} <= set(batch) and len(batch["volume"]) == len(pairs) == len(found)
    assert torch.equal(pairs[0, 0], found[0].masks[found[0].index])
    assert (pairs[:, 0].flatten(1).sum(1) >= pairs[:, 1].flatten(1).sum(1)).float().mean() > 0.8  # the larger is first
    assert (batch["probability"][0] == 0.5).all() and (batch["probability"][1] != 0.5).any()


def test_what_was_taken_back_is_no_choice(model: Model, tmp_path: Path) -> None:
    project = tmp_path / "project"
    write_choices(model, project, 1, 2)
    with InteractiveSession(model) as session:
        session.set_image(str(project / "images" / "scan0.nii.gz"))
        session.load_log(project / "logs" / "scan0.json")
        session.undo()
        session.save_log(project / "logs" / "scan0.json")
        assert len(read_choices(project, model)) == 1
        session.redo()
        session.save_log(project / "logs" / "scan0.json")
        assert len(read_choices(project, model)) == 2
        session.undo()
        session.proposals()
        index = 1 - read_choices(project, model)[1].index
        session.choose(index)
        session.reset()  # begins anew, and takes nothing back
        session.save(project / "mask.nii.gz")
        session.save_log(project / "logs" / "scan0.json")
    assert [choice.index for choice in read_choices(project, model)][1:] == [index]


def test_other_weights_learn_from_what_was_shown(project: Path, model: Model, tmp_path: Path) -> None:
    settings = {"protocol": "one-click", "horizon": 2}
    preset = TINY.replace(shape=(10, 10, 10))
    keywords = {"preset": preset, "settings": settings, "device": "cpu", "stream": StringIO(), "seed": 5}
    train("intercnn", "MECCA-Shapes-v0", tmp_path / "other", **keywords)
    other = load_model(tmp_path / "other", device="cpu")
    ours, theirs = read_choices(project, model), read_choices(project, other)
    assert [(choice.case, choice.index) for choice in ours] == [(choice.case, choice.index) for choice in theirs]
    assert theirs[0].masks.shape == (2, 10, 10, 10)
    for one, two in zip(ours[:4], theirs[:4], strict=True):
        sizes = [choice.masks.flatten(1).float().mean(1) for choice in (one, two)]
        torch.testing.assert_close(*sizes, atol=0.06, rtol=0)


def test_what_cannot_be_read_is_refused_in_a_sentence(project: Path, model: Model, tmp_path: Path, begun: Path) -> None:
    with pytest.raises(ProjectError, match=r"nothing: expected a project with images/ and logs/, found no logs/"):
        read_choices(tmp_path / "nothing", model)
    (tmp_path / "empty" / "logs").mkdir(parents=True)
    with pytest.raises(ProjectError, match="expected logs with choices between two proposals, found none"):
        read_choices(tmp_path / "empty", model)
    bad = tmp_path / "bad"
    shutil.copytree(project, bad)
    (bad / "logs" / "scan0.json").write_text("{")
    (bad / "images" / "scan1.nii.gz").unlink()
    write_nifti(bad / "images" / "scan2.nii.gz", np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10), AFFINE)
    data = json.loads((bad / "logs" / "scan3.json").read_text())
    data["entries"][-1]["details"]["pair"] = ["AAAA", "AAAA"]
    (bad / "logs" / "scan3.json").write_text(json.dumps(data))
    data = json.loads((bad / "logs" / "scan4.json").read_text())
    del data["entries"][2]["details"]["inside"]  # as a run without signs takes clicks
    (bad / "logs" / "scan4.json").write_text(json.dumps(data))
    with pytest.raises(ProjectError) as caught:
        read_choices(bad, model)
    sentences = str(caught.value).splitlines()
    expected = [
        "scan0.json: expected the log of a session, found something else",
        "scan1.json: expected its scan in images/, found none; put it back, or delete the log",
        "scan2.json: log: expected one of a scan of (8, 9, 10) voxels, found one of (24, 22, 16)",
        "scan3.json: log: expected the bits of a mask",
        "scan4.json: inside: expected True or False, since this run was trained with clicks inside and outside",
    ]
    assert len(sentences) == len(expected) and all(map(str.__contains__, sentences, expected))
    with pytest.warns(UserWarning, match=r"logs left out: .*scan0\.json"):
        assert {choice.case for choice in read_choices(bad, model, skip_bad=True)} == {"scan5"}
