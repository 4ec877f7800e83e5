"""Episodes as Minari data sets: what is read is what was played, small, whole or not there at all."""

from __future__ import annotations

import builtins
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mecca_agents.agent import make_agent
from mecca_agents.cli import main
from mecca_agents.offline.minari_writer import FILE, DatasetError, DatasetWriter
from mecca_agents.offline.record import record
from mecca_agents.offline.recorder import Episode, Recorder, play_episode, play_episodes
from mecca_agents.presets import PRESETS, Preset
from mecca_agents.runs.envs import make_envs as make_phantom
from mecca_agents.runs.loading import make_task
from mecca_agents.training import train
from mecca_env.process.users import EdgeUser
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.agents import write_scans
from tests.support.envs import GRID, Blobs, make_envs

minari = pytest.importorskip("minari")
h5py = pytest.importorskip("h5py")

NAME = "mecca/blobs-v0"
PHANTOM = "record oracle --env MECCA-Phantom-v0 --shape 12 11 10 --cases 2 --device cpu --dataset".split()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Minari keeps its data sets."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


def _envs(**settings: Any) -> MeccaVectorEnv:
    return make_envs(1, autoreset_mode="Disabled", **settings)


def _episodes(envs: MeccaVectorEnv, count: int = 2, method: str = "random") -> list[Episode]:
    preset, task = Preset(shape=GRID), make_task(envs.config, envs.dataset.modalities)
    agent = make_agent(method, preset, task, device=torch.device("cpu"), seed=0)
    return list(play_episodes(agent, envs, count))


def _writer(envs: MeccaVectorEnv, name: str = NAME, **more: Any) -> DatasetWriter:
    return DatasetWriter(name, envs.single_observation_space, envs.single_action_space, **more)


def _same(read: Any, played: Any) -> None:
    if isinstance(played, dict):
        assert set(read) == set(played)
        for key in played:
            _same(read[key], played[key])
    else:
        np.testing.assert_array_equal(read, played)


def _written(envs: MeccaVectorEnv, episodes: list[Episode], **more: Any) -> Any:
    with _writer(envs, **more) as writer:
        for episode in episodes:
            writer.add(episode)
    return minari.load_dataset(NAME)


def _files(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


WHOLE = ["mecca/blobs-v0/data/main_data.hdf5", "mecca/blobs-v0/data/metadata.json", "mecca/namespace_metadata.json"]


@pytest.mark.parametrize("modalities", [1, 2])
def test_what_is_read_is_what_was_played(modalities: int, home: Path) -> None:
    envs = _envs(dataset=Blobs(modalities=modalities))
    episodes = _episodes(envs, 3)
    dataset = _written(envs, episodes, algorithm="random", description="three")
    assert (dataset.total_episodes, dataset.total_steps) == (3, 9)
    for read, played in zip(dataset.iterate_episodes(), episodes, strict=True):
        for name in ("observations", "actions", "rewards", "terminations", "truncations", "infos"):
            _same(getattr(read, name), getattr(played, name))
        assert read.observations["volume"].dtype == np.float32 and read.actions.dtype == np.uint8
    about = list(dataset.storage.get_episode_metadata(range(3)))
    assert [(a["seed"], a["options"]["case"]) for a in about] == [(0, "blob_0"), (1, "blob_1"), (2, "blob_2")]
    assert dataset.storage.metadata["algorithm_name"] == "random"
    assert dataset.storage.metadata["description"] == "three"
    assert dataset.observation_space == envs.single_observation_space
    assert dataset.action_space == envs.single_action_space
    assert _files(home) == WHOLE


def test_other_kinds_of_actions() -> None:
    envs = _envs(action="continuous", guide=True)
    observation, info = envs.reset(seed=0)
    recorder = Recorder({k: v[0] for k, v in observation.items()}, {k: v[0] for k, v in info.items()})
    action = {"adjustment": torch.rand(1, *GRID) - 0.5, "confidence": torch.rand(1, *GRID)}
    observation, reward, *_, info = envs.step(action)
    recorder.step(
        {k: v[0] for k, v in action.items()},
        {k: v[0] for k, v in observation.items()},
        reward[0],
        info={k: v[0] for k, v in info.items()},
    )
    dataset = _written(envs, [recorder.episode()])
    (read,) = dataset.iterate_episodes()
    for key, value in action.items():
        np.testing.assert_array_equal(read.actions[key], value)
    assert read.truncations.tolist() == [True] and read.infos["advice"].dtype == bool


def test_the_scan_is_kept_once_and_what_repeats_is_small() -> None:
    envs = _envs()
    (episode,) = _episodes(envs, 1, "oracle")
    noise = np.random.default_rng(0).normal(size=GRID).clip(-5, 5).astype(np.float32)
    episode.observations["volume"][:] = noise
    dataset = _written(envs, [episode])
    with h5py.File(dataset.storage.data_path / FILE) as file:
        found = file["episode_0/observations/volume"]
        assert found.id.get_storage_size() < 1.1 * noise.nbytes  # and not 4 times as much
        assert file["episode_0/actions"].id.get_storage_size() < 0.5 * found.size / 4


def test_the_environments_are_made_again_and_begin_as_the_episodes_did(tmp_path: Path) -> None:
    root = write_scans(tmp_path / "Task09_Spleen")
    given: dict[str, Any] = {"root": root, "shape": (9, 9, 8), "horizon": 2, "clicks": (3, 2), "hint_sigma": 1.0}
    everything = make_phantom("MECCA-Spleen-v0", 1, **given)
    given["cases"] = [everything.dataset.case_name(int(index)) for index in everything.cases.indices]
    envs = make_phantom("MECCA-Spleen-v0", 1, autoreset_mode="Disabled", device="cpu", **given)
    agent = make_agent("random", Preset(), make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    record(agent, envs, NAME, episodes=4, seed=11)
    dataset = minari.load_dataset(NAME)
    env = dataset.recover_environment()
    about_all = list(dataset.storage.get_episode_metadata(range(4)))
    for episode, about in zip(dataset.iterate_episodes(), about_all, strict=True):
        observation, _ = env.reset(seed=about["seed"], options=about["options"])
        for step, action in enumerate(episode.actions):
            _same(observation, {key: value[step] for key, value in episode.observations.items()})
            observation, reward, terminated, _, info = env.step(action)
            assert reward == episode.rewards[step] and terminated == episode.terminations[step]
            _same(info["voxel_reward"], episode.infos["voxel_reward"][step + 1])
    test = dataset.recover_environment(eval_env=True).unwrapped
    assert test.config == env.unwrapped.config == envs.config
    test.reset(seed=0)
    assert test.vector.case_name(0) not in {about["options"]["case"] for about in about_all}


def test_a_user_of_ones_own_clicks_and_is_named(home: Path) -> None:
    class Person(EdgeUser):
        pass

    envs = make_phantom("MECCA-Phantom-v0", 1, autoreset_mode="Disabled", shape=(10, 9, 8), user=Person())
    agent = make_agent("random", Preset(), make_task(envs.config, 1), device=torch.device("cpu"), seed=0)
    record(agent, envs, NAME, episodes=1, algorithm="random")
    metadata = json.loads((home / NAME / "data" / "metadata.json").read_text())
    assert "by random, user Person;" in metadata["description"]
    assert "env_spec" not in metadata  # no text can say who clicked


def test_what_is_there_stays_unless_it_is_to_be_replaced(home: Path) -> None:
    envs = _envs()
    _written(envs, _episodes(envs, 1))
    before = (home / NAME / "data" / FILE).read_bytes()
    with pytest.raises(DatasetError, match="mecca/blobs-v0: exists already in .*; choose another name, or pass"):
        _writer(envs)
    assert (home / NAME / "data" / FILE).read_bytes() == before
    assert _written(envs, _episodes(envs, 2), overwrite=True).total_episodes == 2
    assert _files(home) == WHOLE


def test_a_folder_that_is_no_data_set_is_left_alone(home: Path) -> None:
    (home / NAME).mkdir(parents=True)
    (home / NAME / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError, match="expected a free name, found a folder that is no data set"):
        _writer(_envs(), overwrite=True)
    assert _files(home) == ["mecca/blobs-v0/thesis.txt"]


@pytest.mark.parametrize("before", [False, True])
def test_what_breaks_off_leaves_nothing_and_what_was_there(before: bool, home: Path) -> None:
    envs = _envs()
    episodes = _episodes(envs, 2)
    if before:
        _written(envs, episodes)
    with pytest.raises(KeyboardInterrupt), _writer(envs, overwrite=True) as writer:
        writer.add(episodes[0])
        raise KeyboardInterrupt
    assert _files(home) == (WHOLE if before else [])
    if before:
        assert minari.load_dataset(NAME).total_episodes == 2


def test_a_data_set_without_an_episode_is_none(home: Path) -> None:
    with pytest.raises(DatasetError, match="expected at least one episode, got none"), _writer(_envs()):
        pass
    assert _files(home) == []


def test_what_a_process_that_was_killed_has_left_is_cleared_away(home: Path) -> None:
    envs = _envs()
    episodes = _episodes(envs, 2)
    _written(envs, episodes[:1])
    work = home / ".mecca.blobs-v0.recording"
    (work / "dataset" / "data").mkdir(parents=True)
    (home / NAME).rename(work / "previous")  # killed between the two renamings
    with pytest.raises(DatasetError, match="exists already"), _writer(envs):
        pass
    assert minari.load_dataset(NAME).total_episodes == 1 and _files(home) == WHOLE
    assert list(minari.list_local_datasets()) == [NAME]


def test_two_processes_do_not_write_one_data_set(home: Path) -> None:
    envs = _envs()
    with _writer(envs) as writer:
        writer.add(_episodes(envs, 1)[0])
        with pytest.raises(DatasetError, match="mecca/blobs-v0: another process is writing this data set"):
            _writer(envs).__enter__()
    assert _files(home) == WHOLE


@pytest.mark.parametrize("name", ["blobs", "mecca/blobs", "", "mecca/blobs-v0/", "../blobs-v0", "mecca/b lobs-v0"])
def test_an_id_that_is_none_is_refused(name: str, home: Path) -> None:
    with pytest.raises(DatasetError, match="dataset: expected an id such as mecca/phantom-oracle-v0, got '"):
        _writer(_envs(), name)
    assert not home.exists() or _files(home) == []


def test_without_a_namespace() -> None:
    envs = _envs()
    with _writer(envs, "blobs-v3") as writer:
        writer.add(_episodes(envs, 1)[0])
    assert minari.load_dataset("blobs-v3").total_episodes == 1


def _changed(episode: Episode, **changes: Any) -> Episode:
    return Episode(**{**vars(episode), **changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: {"actions": e.actions[:, 1:]}, r"action: expected shape \(16, 14, 12\), got \(15, 14, 12\)"),
        (lambda e: {"actions": e.actions + 1}, "action: expected values of its MultiDiscrete, got 1 to 6"),
        (lambda e: {"actions": e.actions + 0.5}, "action: expected values of its MultiDiscrete, got 0.5 to 5.5"),
        (lambda e: {"actions": e.actions - 256}, "action: expected values of its MultiDiscrete, got -256 to -251"),
        (lambda e: {"actions": {"adjustment": e.actions}}, "action: expected shape"),
        (
            lambda e: {"observations": {**e.observations, "hint": e.observations["hint"] + 1}},
            r"observation\['hint'\]: expected values of its Box",
        ),
        (
            lambda e: {"observations": {**e.observations, "hint": e.observations["hint"] * np.nan}},
            r"observation\['hint'\]: expected finite values, got NaN or infinity",
        ),
        (
            lambda e: {"observations": {"hint": e.observations["hint"]}},
            r"observation: expected \['hint', 'probability', 'volume'\], got \['hint'\]",
        ),
    ],
)
def test_an_episode_that_does_not_fit_is_refused(change: Any, message: str, home: Path) -> None:
    envs = _envs()
    (episode,) = _episodes(envs, 1)
    with pytest.raises(ValueError, match=message), _writer(envs) as writer:
        writer.add(_changed(episode, **change(episode)))
    assert _files(home) == []


def test_the_command_records_the_oracle(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PHANTOM, "mecca/phantom-v0", "--episodes", "3"]) == 0
    assert "3 episodes, 0." in (said := capsys.readouterr().out) and 'load_dataset("mecca/phantom-v0")' in said
    dataset = minari.load_dataset("mecca/phantom-v0")
    assert dataset.total_episodes == 3 and dataset.action_space.shape == (12, 11, 10)
    assert all(episode.infos["dice"].tolist() == [0.0] + [1.0] * 5 for episode in dataset.iterate_episodes())
    assert main([*PHANTOM, "mecca/phantom-v0", "--episodes", "1"]) == 2
    assert "mecca/phantom-v0: exists already" in capsys.readouterr().err
    assert main([*PHANTOM, "mecca/phantom-v0", "--episodes", "1", "--overwrite"]) == 0
    assert minari.load_dataset("mecca/phantom-v0").total_episodes == 1


def test_the_command_records_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preset = PRESETS["demo"].replace(shape=(10, 9, 8), channels=4, confidence_channels=4, updates=1)
    run = tmp_path / "run"
    train("mecca", "MECCA-Phantom-v0", run, preset=preset, cases=2, device="cpu")
    command = ["record", str(run), "--dataset", "mecca/run-v0", "--episodes", "2", "--split", "test", "--cases", "1"]
    assert main(command) == 0
    dataset = minari.load_dataset("mecca/run-v0")
    first, second = dataset.iterate_episodes()
    assert set(first.actions) == {"adjustment", "confidence"}
    _same(first.observations["volume"], second.observations["volume"])  # one case, as it is
    assert dataset.storage.metadata["algorithm_name"] == "mecca"
    assert main([*command, "--overwrite", "--shape", "9", "9", "9"]) == 2
    assert "expected none of --env, --label, --shape with a run, which knows; got --shape" in capsys.readouterr().err


def test_a_run_is_recorded_with_its_own_prompts(tmp_path: Path) -> None:
    preset = PRESETS["demo"].replace(shape=(10, 9, 8), channels=4, updates=1)
    settings = {"protocol": "one-click", "clicks": ((0, 2), 1, 1), "horizon": 3, "time": True}
    train("iter-mrl", "MECCA-Phantom-v0", tmp_path / "run", preset=preset, cases=2, settings=settings, device="cpu")
    command = ["record", str(tmp_path / "run"), "--dataset", "mecca/clicks-v0", "--episodes", "1", "--split", "test"]
    assert main([*command, "--cases", "1"]) == 0
    (episode,) = minari.load_dataset("mecca/clicks-v0").iterate_episodes()
    assert set(episode.observations) == {"volume", "probability", "hint", "box", "time"}
    assert episode.observations["hint"].shape == (4, 2, 10, 9, 8)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("record mecca --env MECCA-Phantom-v0 --dataset a/b-v0", "a method that needs no training, got 'mecca'"),
        ("record oracle --dataset a/b-v0", "record: expected --env with a method, got none for oracle"),
        ("record nobody --env MECCA-Phantom-v0 --dataset a/b-v0", "method: expected one of random, oracle"),
        ("record oracle --env MECCA-Phantom-v0 --dataset b", "dataset: expected an id such as"),
        ("record oracle --env MECCA-Phantom-v0 --dataset a/b-v0 --episodes 0", "episodes: expected"),
    ],
)
def test_wrong_commands_are_one_line(
    command: str, message: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not home.exists() or _files(home) == []


def test_without_minari_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def missing(name: str, *more: Any) -> Any:
        if name.partition(".")[0] == "minari":
            raise ModuleNotFoundError(f"No module named {name!r}", name="minari")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert main([*PHANTOM, "mecca/phantom-v0"]) == 2
    assert capsys.readouterr().err == (
        "mecca: a Minari data set needs minari; "
        'install it in a clone of the repository with pip install -e ".[offline]"\n'
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_recording_that_is_stopped_leaves_nothing(
    number: signal.Signals, code: int, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)

    def signalled(agent: Any, envs: Any, case: int, seed: int) -> Episode:
        if seed == 2:
            os.kill(os.getpid(), number)
        return play_episode(agent, envs, case, seed)

    monkeypatch.setattr("mecca_agents.offline.recorder.play_episode", signalled)
    assert main([*PHANTOM, "mecca/phantom-v0", "--episodes", "9"]) == code
    assert f"stopped by {number.name} after 3 of 9 episodes; nothing of them was kept" in capsys.readouterr().err
    assert signal.getsignal(number) == before
    assert _files(home) == []


def test_a_full_disk_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from minari.dataset._storages.hdf5_storage import HDF5Storage

    def full(self: Any, episodes: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(HDF5Storage, "update_episodes", full)
    assert main([*PHANTOM, "mecca/phantom-v0", "--episodes", "2"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert _files(home) == []
