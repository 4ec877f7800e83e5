"""Sessions of people as a Minari data set: what the agent saw and did, without what was undone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mecca_agents.cli import main
from mecca_agents.offline.sessions import session_episodes
from mecca_agents.session import InteractiveSession, SessionError, load_model
from mecca_agents.session.history import MOST_UNDONE
from mecca_agents.session.playing.layers import whole_layer
from mecca_env.actions import ActionReader
from mecca_env.data.phantom import PhantomSource
from mecca_env.state import observe

Runs = Callable[..., Path]
BOX, CLICKS = ((25, 40, 17), (48, 63, 42)), [(36, 40, 29), (25, 52, 28), (47, 51.5, 30), (36, 62, 30)]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    made = PhantomSource().scan(1)
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(made.image[0], made.affine), path)
    return path


def _played(session: InteractiveSession, scan: Path) -> list[np.ndarray]:
    """Two steps, a third one taken back; the probability before each and at the end, on the agent's grid."""
    session.set_image(str(scan))
    session.set_box(*BOX)
    session.add_clicks(CLICKS)
    session.step()
    session.reset()  # what came before is not part of the episode
    session.add_clicks(CLICKS)
    found = [session._moment.state.probability[0].numpy()]
    session.step()
    session.add_clicks([(30, 45, 22)])
    found.append(session._moment.state.probability[0].numpy())
    session.step()
    found.append(session._moment.state.probability[0].numpy())
    session.step()
    session.undo()
    return found


def test_an_episode_is_what_was_not_taken_back(scan: Path) -> None:
    with InteractiveSession("phantom", device="cpu") as session:
        probabilities = _played(session, scan)
        (episode,) = session_episodes(session)
    assert len(episode) == 2 and episode.case == "scan.nii.gz"
    assert np.array_equal(episode.observations["probability"], np.stack(probabilities))
    hints = episode.observations["hint"]
    assert (hints[0] == 1).sum() == len(CLICKS) and (hints[1] == 1).sum() == len(CLICKS) + 1
    assert isinstance(episode.actions, dict)  # the built-in agent has a guide
    change = np.array([-0.4, -0.2, -0.1, 0.1, 0.2, 0.4])[episode.actions["adjustment"]]
    expected = (probabilities[0] + change[0]).clip(0, 1)
    np.testing.assert_allclose(probabilities[1], expected, atol=1e-6)
    assert not episode.rewards.any() and not episode.terminations.any() and list(episode.truncations) == [False, True]


def test_a_session_without_a_step_or_with_forgotten_ones_is_none(scan: Path, tiny_run: Runs) -> None:
    with InteractiveSession(tiny_run("iter-mrl"), device="cpu") as session:
        session.set_image(str(scan))
        with pytest.raises(SessionError, match="expected at least one step, got none"):
            session_episodes(session)
        for _ in range(MOST_UNDONE):
            session.step()
        assert [len(episode) for episode in session_episodes(session)] == [MOST_UNDONE]
        session.step()
        with pytest.raises(SessionError, match="its first steps are forgotten"):
            session_episodes(session)


def test_the_command_writes_logs_as_a_data_set(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minari = pytest.importorskip("minari", reason="needs the extra offline")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    log = tmp_path / "session.json"
    with InteractiveSession(load_model("phantom", device="cpu")) as session:
        _played(session, scan)
        session.save_log(log)
        (expected,) = session_episodes(session)
    command = [
        "record",
        "phantom",
        "--sessions",
        str(log),
        str(log),
        "--dataset",
        "mecca/people-v0",
        "--device",
        "cpu",
    ]
    assert main(command) == 0
    assert "2 sessions" in capsys.readouterr().out
    dataset = minari.load_dataset("mecca/people-v0")
    for episode in dataset.iterate_episodes():
        assert np.array_equal(episode.observations["hint"], expected.observations["hint"])
        assert np.array_equal(episode.actions["adjustment"], expected.actions["adjustment"])

    assert main([*command, "--overwrite", "--env", "MECCA-Phantom-v0"]) == 2
    assert "--sessions" in capsys.readouterr().err
    scan.rename(tmp_path / "elsewhere.nii.gz")
    assert main([*command, "--overwrite"]) == 2
    assert "scan.nii.gz" in capsys.readouterr().err
    assert minari.load_dataset("mecca/people-v0").total_episodes == 2  # what was there is still there


def test_what_was_chosen_between_is_part_of_an_episode(scan: Path) -> None:
    with InteractiveSession("phantom", device="cpu") as session:
        session.set_image(str(scan))
        session.set_box(*BOX)
        session.add_clicks(CLICKS)
        session.proposals()
        session.choose(1)
        session.add_clicks([(30, 45, 22)])
        session.step()
        (episode,) = session_episodes(session)
        second = session._proposals.after[0].state.prediction[0].numpy()  # type: ignore[union-attr]
    assert list(episode.infos["choice"]) == [-1, 1, -1]
    assert np.array_equal(episode.infos["other"][1], second) and not episode.infos["other"][[0, 2]].any()
    taken = episode.observations["probability"][1] > 0.5
    assert (taken ^ second).any()
    change = np.array([-0.4, -0.2, -0.1, 0.1, 0.2, 0.4])[episode.actions["adjustment"][0]]
    expected = (episode.observations["probability"][0] + change).clip(0, 1)  # the action is that of the choice
    np.testing.assert_allclose(episode.observations["probability"][1], expected, atol=1e-6)


def test_each_step_of_an_agent_that_finds_its_view_leads_where_it_led(scan: Path) -> None:
    with InteractiveSession("general", device="cpu") as session:
        session.set_image(str(scan))
        views, config = [session.view], session.model.config
        for point in ((36, 51, 29), (36, 60, 29), (1, 1, 1), (36, 45, 29)):
            session.add_clicks(point, inside=True)
            views.append(session.view)
            session.step()
            views.append(session.view)
        session.undo(), session.undo()
        session.proposals()
        session.choose(0)
        session.add_clicks((70, 90, 50), inside=True)
        episodes, simulator = session_episodes(session), session._player._simulator
        answers, acted = [], [moment.acted for moment in session.moments()]
        for number, moment in enumerate(session.moments()[:-1], 1):
            assert np.array_equal(session.mask(number), whole_layer(moment, "mask"))
            answers.append(moment.state.probability)
    assert len(set(views)) > 3
    steps = [(episode, step) for episode in episodes for step in range(len(episode))]
    assert len(steps) == len(answers) == 4 and 1 < len(episodes)
    actions = ActionReader(config, 1, torch.device("cpu"))
    for (episode, step), state, answer in zip(steps, acted, answers, strict=False):
        seen = {name: torch.from_numpy(values[step])[None] for name, values in episode.observations.items()}
        assert state is not None and all(torch.equal(values, seen[name]) for name, values in observe(state).items())
        assert isinstance(episode.actions, dict)
        action = {name: torch.from_numpy(values[step])[None] for name, values in episode.actions.items()}
        after, *_ = simulator.step(state, *actions.read(action))
        assert torch.equal(after.probability, answer)
        assert torch.equal(after.probability[0], torch.from_numpy(episode.observations["probability"][step + 1]))
