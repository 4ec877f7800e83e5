"""The runs that come with the package: small, honest about themselves, and good enough to try a session with."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import mecca_agents
from experiments import built_in
from mecca_agents.cli import main
from mecca_agents.evaluation import evaluate_agent
from mecca_agents.runs.shipped import DEFAULT, SHIPPED, find_run, shipped
from mecca_agents.session import InteractiveSession, load_model
from mecca_env.data.phantom import PhantomSource
from mecca_env.data.shapes import ShapesSource
from mecca_env.prompts.components import deepest, largest_components

ROOT = Path(mecca_agents.__file__).parent


def test_it_is_small_and_says_what_it_was_trained_on() -> None:
    files = [path for path in (SHIPPED / "phantom").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["config.json", "model.safetensors"]
    assert sum(path.stat().st_size for path in files) < 2**20
    model = InteractiveSession("phantom", device="cpu").model
    assert model.method == "mecca-expected" and model.run.dataset == "phantom" and model.modalities == 1
    assert "the built-in phantom: no real scan, not for clinical use" in model.trained_on
    assert model.run.commit is not None and not model.run.commit.endswith("-dirty")


def test_the_run_for_any_organ_is_small_and_says_what_it_was_trained_on() -> None:
    assert DEFAULT == "general" and {"general", "phantom"} <= set(shipped())
    assert sum(path.stat().st_size for path in (SHIPPED / "general").rglob("*") if path.is_file()) < 2**20
    model = InteractiveSession(device="cpu").model
    assert model.run.dataset == "shapes" and model.run.root is None and model.config.signed and model.finds_its_view
    assert "the built-in random shapes: no real scan, not for clinical use" in model.trained_on
    assert f"2800 episodes after {built_in.RECIPES[DEFAULT].before}," in model.trained_on  # of which there were more
    assert model.run.commit is not None and not model.run.commit.endswith("-dirty")


def test_the_run_for_the_hippocampus_comes_with_the_terms_of_its_scans() -> None:
    folder = SHIPPED / "hippocampus"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2**20
    assert "CC BY-SA 4.0" in (folder / "TERMS.md").read_text(encoding="utf-8")
    model = InteractiveSession("hippocampus", device="cpu").model
    assert model.run.dataset == "Task04_Hippocampus" and model.run.root is None and model.run.begun_from == DEFAULT
    about = "Task04_Hippocampus (MECCA-Hippocampus-v0, 166 cases, 1600 episodes after general"
    assert model.trained_on.startswith(about)


@pytest.mark.parametrize("boxed", [True, False])
def test_it_segments_shapes_that_it_never_saw(boxed: bool) -> None:
    source, dice = ShapesSource(), []
    for number in (1, 3, 5, 7):
        scan = source.scan(number)
        voxels = np.argwhere(scan.label)
        with InteractiveSession(device="cpu") as session:
            session.set_image(scan.image, scan.affine)
            if boxed:
                session.set_box(voxels.min(axis=0), voxels.max(axis=0) + 1)
            scores = []
            for _ in range(4):
                wrong = session.mask() != scan.label
                at = next(largest_components(wrong, 1))
                voxel = deepest(at.mask)[0] + at.low
                session.add_clicks(voxel, inside=bool(scan.label[tuple(voxel)]))
                mask = session.step()
                assert mask[tuple(voxel)] == scan.label[tuple(voxel)]
                scores.append(2 * (mask & scan.label).sum() / (mask.sum() + scan.label.sum()))
            assert session.confidence() is not None and session.advice()
            dice.append(scores)
    mean = np.mean(dice, axis=0)
    assert mean[-1] > (0.7 if boxed else 0.45) and mean[-1] > mean[0]


def test_a_command_takes_the_name_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert find_run("general") == SHIPPED / "general" and find_run() == SHIPPED / DEFAULT
    assert main(["evaluate", "nobodys-run"]) != 0
    assert "nobodys-run: expected a run" in capsys.readouterr().err


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with 3.11")
def test_an_installation_has_it() -> None:
    import tomllib

    project = ROOT.parent / "pyproject.toml"
    if not project.exists():
        pytest.skip("this is an installation")
    patterns = tomllib.loads(project.read_text())["tool"]["setuptools"]["package-data"]["mecca_agents"]
    packed = {path for pattern in patterns for path in ROOT.glob(pattern)}
    kept = [*(ROOT / "data").rglob("*"), *(ROOT / "app" / "web").rglob("*")]  # the run, and the JavaScript of the page
    assert {path for path in kept if path.is_file()} <= packed


def test_it_segments_phantoms_that_it_never_saw() -> None:
    model = load_model("phantom", device="cpu")
    results = evaluate_agent(model.agent, model.run, cases=4)
    dice = [float(np.mean([r.dice for r in results if r.step == step])) for step in (1, 5)]
    assert dice[0] > 0.8 and dice[1] > 0.85 and dice[1] > dice[0]


def test_a_person_can_use_it_on_a_phantom() -> None:
    scan = PhantomSource().scan(1)
    voxels = np.argwhere(scan.label)
    with InteractiveSession("phantom", device="cpu") as session:
        session.set_image(scan.image, scan.affine)
        session.set_box(voxels.min(axis=0), voxels.max(axis=0) + 1)
        dice = []
        for step in range(3):
            wrong = _edge(scan.label) & ~_edge(session.mask())
            session.add_clicks(np.random.default_rng(step).choice(np.argwhere(wrong), 25 if step == 0 else 5))
            mask = session.step()
            dice.append(2 * (mask & scan.label).sum() / (mask.sum() + scan.label.sum()))
        assert min(dice) > 0.8 and session.advice() and session.confidence() is not None


def _edge(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask)
