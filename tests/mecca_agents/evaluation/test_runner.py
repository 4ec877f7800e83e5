"""Evaluation plays what was trained on: the same data set, never augmented, never cut short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mecca_agents.agent import Agent, Observation
from mecca_agents.cli import main
from mecca_agents.evaluation import COLUMNS, Result, dice_by_step, evaluate, evaluate_agent, table
from mecca_agents.evaluation.masks import MaskWriter
from mecca_agents.evaluation.play import PlayedStep
from mecca_agents.evaluation.reliability import Reliability
from mecca_agents.evaluation.runner import evaluation_envs
from mecca_agents.evaluation.statistics import bootstrap_interval
from mecca_agents.presets import PRESETS
from mecca_agents.runs import RunConfig, RunError, read_config
from mecca_agents.training import train
from mecca_env.data.base import DataError
from mecca_env.vector_env import MeccaVectorEnv

PRESET = PRESETS["demo"].replace(shape=(10, 9, 8), channels=4, updates=1, num_envs=2)
AFFINE = np.array([[0.0, -2.0, 0.0, 30.0], [1.5, 0.0, 0.0, -12.0], [0.0, 0.0, 4.0, 7.0], [0.0, 0.0, 0.0, 1.0]])
PLAYED_ON_PHANTOM = RunConfig(
    method="fake", env="MECCA-Phantom-v0", dataset="phantom", root=None, label=None, settings={}, preset=PRESET,
    modalities=1, seed=0,
)  # fmt: skip


class Raise(Agent):
    """Raises every probability by 0.4 and is equally sure of all; it is never trained nor kept."""

    learn = weights = load_weights = None

    def __init__(self, sureness: float | None = 0.75) -> None:
        self.sureness = sureness

    def act(self, observation: Observation) -> Any:
        return torch.full(observation["probability"].shape, 5)

    def confidence(self, observation: Observation, action: Any) -> Tensor | None:
        return None if self.sureness is None else torch.full(observation["probability"].shape, self.sureness)


class GuidedRaise(Raise):
    """The same for an environment with a guide."""

    def act(self, observation: Observation) -> Any:
        return {"adjustment": super().act(observation), "confidence": self.confidence(observation, None)}


def _decathlon(root: Path, channels: int = 1) -> Path:
    rng = np.random.default_rng(0)
    entries = []
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for number in range(5):
        image = rng.normal(size=(20, 20, 16, channels)[: 4 if channels > 1 else 3]).astype(np.float32)
        label = np.zeros((20, 20, 16), np.uint8)
        label[6:13, 7:14, 5:10] = 1
        name = f"scan_{number}.nii.gz"
        nib.save(nib.Nifti1Image(image, AFFINE), root / "imagesTr" / name)
        nib.save(nib.Nifti1Image(label, AFFINE), root / "labelsTr" / name)
        entries.append(f'{{"image": "./imagesTr/{name}", "label": "./labelsTr/{name}"}}')
    modality = ", ".join(f'"{c}": "MRI"' for c in range(channels))
    (root / "dataset.json").write_text(f'{{"modality": {{{modality}}}, "training": [{", ".join(entries)}]}}')
    return root


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on a data set that was found through MECCA_DATA."""
    monkeypatch.setenv("MECCA_DATA", str(tmp_path))
    _decathlon(tmp_path / "Task09_Spleen")
    settings = {"augment": True, "target_dice": 0.01, "extension": (1, 3)}
    train("iter-mrl", "MECCA-Spleen-v0", tmp_path / "run", preset=PRESET, settings=settings, device="cpu")
    return tmp_path / "run"


def test_last_and_best_are_different_checkpoints(run: Path) -> None:
    best = run / "checkpoints" / "best" / "model.safetensors"
    weights = load_file(best)
    save_file({key: torch.zeros_like(value) for key, value in weights.items()}, best)
    last, other = ([result.dice for result in evaluate(run, device="cpu", checkpoint=c)] for c in ("last", "best"))
    assert last != other
    with pytest.raises(RunError, match="expected the checkpoint last or best, got 'first'"):
        evaluate(run, device="cpu", checkpoint="first")


def test_it_finds_the_data_set_again_without_the_variable(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MECCA_DATA")
    results = evaluate(run, device="cpu")
    assert {result.dataset for result in results} == {"Task09_Spleen"}
    trained_on = read_config(run).train_cases
    assert len(trained_on) == 4 and not {result.case for result in results} & set(trained_on)


def test_it_never_plays_the_phantom_in_place_of_scans(run: Path, tmp_path: Path) -> None:
    (tmp_path / "Task09_Spleen").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="Task09_Spleen"):
        evaluate(run, device="cpu")


def test_neither_augmentation_nor_a_target_of_the_training_is_taken_over(run: Path) -> None:
    results = evaluate(run, device="cpu")
    assert [result.step for result in results] == [1, 2, 3, 4, 5]
    one, two = ([replace(r, seconds=0.0) for r in evaluate(run, device="cpu", seed=seed)] for seed in (0, 0))
    assert one == two


def test_volumes_of_other_modalities_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected volumes of 1 modalities, as in training, found 2"):
        evaluate(run, root=_decathlon(tmp_path / "two", channels=2), device="cpu")


@pytest.mark.parametrize("settings", [{"labelled_fraction": 0.01}, {"labelled_cases": 40, "labelled_draw": 3}])
def test_every_case_is_played_whatever_was_labelled_in_training(settings: dict[str, Any]) -> None:
    config = replace(PLAYED_ON_PHANTOM, settings={**settings, "labelled_share": 0.5})
    assert len({result.case for result in evaluate_agent(Raise(), config, cases=3)}) == 3


def test_the_seeds_of_training_and_user_are_told_apart() -> None:
    results = evaluate_agent(Raise(), replace(PLAYED_ON_PHANTOM, seed=7), cases=1, seed=5)
    assert {(result.seed, result.user_seed) for result in results} == {(7, 5)}
    assert COLUMNS[:6] == ("method", "dataset", "case", "seed", "user_seed", "step")


@pytest.mark.parametrize(("horizon", "clicks"), [(7, (4, 3, 2, 2, 2, 2, 2)), (2, (4, 3)), (3, (4, 3, 2))])
def test_numbers_for_each_step_follow_another_horizon(horizon: int, clicks: tuple[int, ...]) -> None:
    trained = {"horizon": 3, "clicks": (4, 3, 2), "supervoxels": (9, 8, 7)}
    config = replace(PLAYED_ON_PHANTOM, settings=trained)
    envs = evaluation_envs(config, cases=1, settings={"horizon": horizon})
    assert envs.config.clicks == clicks and len(envs.config.supervoxels or ()) == horizon
    results = evaluate_agent(Raise(), config, cases=1, settings={"horizon": horizon})
    assert [result.step for result in results] == list(range(1, horizon + 1))
    with pytest.raises(ValueError, match=f"clicks: expected one number for each of the {horizon} steps"):
        evaluation_envs(config, cases=1, settings={"horizon": horizon, "clicks": (1,)})


@pytest.mark.parametrize(("agent", "guide"), [(Raise(), False), (GuidedRaise(), True)])
def test_reliability_asks_whether_actions_go_in_the_direction_of_the_label(agent: Agent, guide: bool) -> None:
    reliability, foreground, voxels = Reliability(), 0, 0

    def count(played: PlayedStep) -> None:
        nonlocal foreground, voxels
        foreground += int(played.after.label.sum())
        voxels += played.after.label.numel()

    config = replace(PLAYED_ON_PHANTOM, settings={"guide": guide})
    evaluate_agent(agent, config, cases=2, observers=[reliability, count])
    row = reliability.rows()[7]
    assert reliability.voxels == row.voxels == voxels == 2 * 5 * 10 * 9 * 8
    assert row.confidence == 0.75 and row.right == reliability.right == pytest.approx(foreground / voxels)
    assert reliability.auroc() == 0.5 and reliability.steps == (1, 2, 3, 4, 5)
    assert reliability.calibration_error() == pytest.approx(abs(0.75 - foreground / voxels))


def test_the_direction_of_a_continuous_action_is_its_sign() -> None:
    class Know(Raise):
        def act(self, observation: Observation) -> Any:
            return torch.where(torch.arange(8) < 4, -0.01, 1.0).expand(observation["probability"].shape)

    seen: list[tuple[Tensor, Tensor]] = []
    reliability = Reliability()
    config = replace(PLAYED_ON_PHANTOM, settings={"action": "continuous"})
    evaluate_agent(
        Know(), config, cases=1, observers=[reliability, lambda t: seen.append((t.change, t.after.label[0]))]
    )
    right = sum(int((~label[..., :4]).sum() + label[..., 4:].sum()) for _, label in seen)
    assert reliability.right == pytest.approx(right / (5 * 720))
    assert seen[0][0].unique().tolist() == pytest.approx([-0.01, 1.0])


@pytest.mark.parametrize(("agent", "guide"), [(Raise(), False), (GuidedRaise(), True)])
def test_a_trusted_raise_labels_everything_foreground(agent: Agent, guide: bool) -> None:
    reliability, expected = Reliability(), list[float]()

    def everything(played: PlayedStep) -> None:
        share = float(played.after.label.float().mean())
        expected.append(2 * share / (1 + share))

    evaluate_agent(
        agent, replace(PLAYED_ON_PHANTOM, settings={"guide": guide}), cases=2, observers=[reliability, everything]
    )
    for step in reliability.steps:
        assert reliability.mask_dice(step) == pytest.approx([np.mean(expected)] * 3)


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_what_the_confidence_makes_of_the_actions(kind: str) -> None:
    """The policy errs in a known half of the grid; a confidence that says where makes the label of it."""

    class Half(Raise):
        def act(self, observation: Observation) -> Any:
            wrong = torch.arange(8) < 4
            up = self.label ^ wrong
            return torch.where(up, 4, 1) if kind == "discrete" else torch.where(up, 0.2, -0.2)

        def enter(self, envs: MeccaVectorEnv) -> None:
            self.label = envs.state.label

        def confidence(self, observation: Observation, action: Any) -> Tensor:
            return torch.where(torch.arange(8) < 4, 0.25, 0.75).expand(observation["probability"].shape)

    reliability, seen = Reliability(), list[PlayedStep]()
    config = replace(PLAYED_ON_PHANTOM, settings={"action": kind})
    evaluate_agent(Half(), config, cases=1, observers=[reliability, seen.append])
    for played in seen:
        assert torch.equal(played.mask_with(torch.zeros(10, 9, 8, dtype=torch.bool)), played.after.prediction[0])
    first, second = reliability.mask_dice(1), reliability.mask_dice(2)
    assert first.policy < 0.6 and first.simulated_label == first.calibrated == 1.0
    assert second.simulated_label == 1.0  # what stands at 0.3 is not foreground after one calibrated step more
    before, label = seen[1].before.probability[0], seen[1].after.label[0]
    turned = (before + torch.where(label, 0.2, -0.2)).clamp(0, 1).mul(10).round() > 5
    overlap = 2 * int((turned & label).sum()) / int(turned.sum() + label.sum())
    assert second.calibrated == pytest.approx(overlap) and second.calibrated < 1
    lines = reliability.table().splitlines()
    assert lines[-1] == "A confidence has something to teach where the last two reach the policy's."
    assert lines[-6].split() == ["1", f"{100 * first.policy:.2f}", "100.00", "100.00"]


def test_agents_without_confidence_leave_the_reliability_empty() -> None:
    reliability = Reliability()
    evaluate_agent(Raise(None), PLAYED_ON_PHANTOM, cases=1, observers=[reliability])
    assert reliability.voxels == 0


@pytest.mark.parametrize(
    ("sureness", "message"),
    [
        (1.5, "confidence of Raise: expected values from 0 to 1, got values from 1.5 to 1.5"),
        (1.0000001, "got values from 1.0000001 to 1.0000001"),
        (float("nan"), "values from nan"),
    ],
)
def test_a_confidence_that_is_none_is_refused(sureness: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_agent(Raise(sureness), PLAYED_ON_PHANTOM, cases=1, observers=[Reliability()])


def test_a_confidence_of_another_shape_is_refused() -> None:
    class Flat(Raise):
        def confidence(self, observation: Observation, action: Any) -> Tensor:
            return torch.zeros(1, 10, 9)

    with pytest.raises(ValueError, match=r"confidence of Flat: expected shape \(1, 10, 9, 8\), got \(1, 10, 9\)"):
        evaluate_agent(Flat(), PLAYED_ON_PHANTOM, cases=1, observers=[Reliability()])


def test_masks_lie_on_the_scans_own_grids_and_figures_beside_them(run: Path, tmp_path: Path) -> None:
    final: dict[str, np.ndarray] = {}

    def keep(played: PlayedStep) -> None:
        final[played.case] = played.envs.paste_back(0)[0]

    masks, figures = tmp_path / "new" / "masks", tmp_path / "new" / "figures"
    results = evaluate(run, masks=masks, figures=figures, device="cpu", observers=[keep])
    cases = {result.case for result in results}
    assert {path.name for path in masks.iterdir()} == {f"{case}.nii.gz" for case in cases}
    assert {path.name for path in figures.iterdir()} == {f"{case}.png" for case in cases}
    for case in cases:
        mask = nib.load(masks / f"{case}.nii.gz")
        assert mask.shape == (20, 20, 16) and mask.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(mask.affine, AFFINE)
        np.testing.assert_array_equal(np.asarray(mask.dataobj), final[case])


def test_the_mask_is_the_final_one(run: Path, tmp_path: Path) -> None:
    """Everything raised is foreground: the mask is the whole crop, which is the label's box and six voxels around."""
    (tmp_path / "masks").mkdir()
    config = replace(read_config(run), settings={})
    results = evaluate_agent(Raise(), config, observers=[MaskWriter(tmp_path / "masks")])
    mask = np.asarray(nib.load(tmp_path / "masks" / f"{results[0].case}.nii.gz").dataobj)
    expected = np.zeros((20, 20, 16))
    expected[0:19, 1:20, 0:16] = 1  # the label is 6:13, 7:14, 5:10
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("argument", ["masks", "figures"])
@pytest.mark.parametrize("place", ["taken", "taken/below"])
def test_a_folder_that_cannot_be_made_is_refused_before_any_work(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, place: str
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr("mecca_agents.evaluation.runner.make_envs", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(RunError, match=f"{place}: expected a folder for files, cannot make it: "):
        evaluate(run, device="cpu", **{argument: tmp_path / place})


def test_a_folder_that_is_read_only_is_refused_before_any_work(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mecca_agents.runs.folder.os.access", lambda path, mode: Path(path) != tmp_path)
    monkeypatch.setattr("mecca_agents.evaluation.runner.make_envs", lambda *_, **__: pytest.fail("work was begun"))
    with pytest.raises(RunError, match="expected a folder to write to, cannot write there"):
        evaluate(run, device="cpu", masks=tmp_path)


def _result(case: str, step: int, dice: float, assd: float) -> Result:
    return Result("fake", "phantom", case, 3, 0, step, 20 + 5 * step, dice, assd, 2.0, 0.5, 0.01, 0.1)


def test_the_table_gives_means_and_intervals_over_cases() -> None:
    dice = np.array([0.5, 0.7, 0.9, 0.8] * 2)
    results = [_result(f"case_{i}", step, d / step, 2 * d) for i, d in enumerate(dice) for step in (1, 2)]
    lines = table(results).splitlines()
    assert lines[0] == "phantom, 8 cases, fake" and len(lines) == 4
    for step, line in ((1, lines[2]), (2, lines[3])):
        low, high = bootstrap_interval(100 * dice / step)
        near, far = bootstrap_interval(2 * dice)
        assert line.split() == [
            str(step), f"{20 + 5 * step}.0", f"{72.5 / step:.2f}", f"[{low:.2f},", f"{high:.2f}]",
            "1.45", f"[{near:.2f},", f"{far:.2f}]",
            "2.00", "50.0", "1.00",
        ]  # fmt: skip


def test_the_mean_dice_of_every_step() -> None:
    results = [_result(case, step, dice / step, 1.0) for case, dice in (("a", 0.5), ("b", 0.75)) for step in (1, 2)]
    assert dice_by_step(results) == [62.5, 31.25]


@pytest.mark.parametrize("cases", [1, 7])
def test_of_fewer_than_eight_cases_there_is_no_interval(cases: int) -> None:
    row = table([_result(f"case_{i}", 1, 0.5, 1.25) for i in range(cases)]).splitlines()[2]
    assert row.split() == ["1", "25.0", "50.00", "1.25", "2.00", "50.0", "1.00"]


def test_the_command_line_prints_the_reliability_and_writes_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mecca_agents.evaluation.runner.PHANTOM_CASES", 2)
    train("mecca", "MECCA-Phantom-v0", tmp_path / "run", preset=PRESET, device="cpu")
    options = [f"--{name}={tmp_path / name}" for name in ("figures", "masks")]
    assert main(["evaluate", str(tmp_path / "run"), f"--out={tmp_path / 'test.csv'}", *options]) == 0
    printed = capsys.readouterr().out
    assert "phantom, 2 cases, mecca" in printed
    assert "simulated label (Eq. 10)" in printed and "has something to teach where" in printed
    assert "confidence in 7,200 actions" in printed and "AUROC 0." in printed and " 0.9 - 1.0 " in printed
    assert len((tmp_path / "test.csv").read_text().splitlines()) == 1 + 2 * 5
    assert len(list((tmp_path / "figures").glob("*.png"))) == len(list((tmp_path / "masks").glob("*.nii.gz"))) == 2
    (tmp_path / "taken").write_text("a file")
    assert main(["evaluate", str(tmp_path / "run"), f"--figures={tmp_path / 'taken'}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
