"""An env that goes on from a snapshot, in another process as it were, is bit for bit the env it was taken of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from safetensors.torch import load_file, save_file
from torch import Tensor

from mecca_env.episodes.snapshot import Snapshot
from mecca_env.infos import info_of
from mecca_env.process.users import EdgeUser
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import GRID, SETTINGS, Blobs, make_envs, random_actions
from tests.support.trees import same_tensor

MODES = [mode.value for mode in AutoresetMode]
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "guide": {"guide": True, "supervoxels": (12, 10, 8)},
    "supervoxel": {"hint": "supervoxel", "supervoxels": (12, 10, 8), "reward": "boundary"},
    "shares": {"dataset": Blobs(8), "labelled_fraction": 0.25, "labelled_share": 0.5},
    "continuous": {"action": "continuous", "dataset": Blobs(modalities=2)},
    "target": {"target_dice": 0.3, "user": "imprecise", "hint": "euclidean"},
    "no clicks": {"clicks": (0, 0, 0), "augment": False},
}
STATE_KEYS = ("case_index", "labelled", "step", "dice", "clicks", "n_clicks", "advice")


def actions_for(envs: MeccaVectorEnv, steps: int) -> list[Any]:
    """Fixed actions in the form that the env takes."""
    discrete = random_actions(envs, steps)
    adjustment = discrete if envs.config.action == "discrete" else [(a / 3 - 1).astype(np.float32) for a in discrete]
    if not envs.config.guide:
        return adjustment
    return [
        {"adjustment": a, "confidence": (d / 6).astype(np.float32)} for a, d in zip(adjustment, discrete, strict=True)
    ]


def play(envs: MeccaVectorEnv, actions: list[Any]) -> list[Any]:
    """Everything that the calls returned; where nothing resets by itself, by the mask what is over."""
    seen: list[Any] = []
    for action in actions:
        seen.append(envs.step(action))
        terminated = seen[-1][2]
        if envs.autoreset_mode is AutoresetMode.DISABLED and terminated.any():
            seen.append(envs.reset(options={"reset_mask": terminated}))
    return seen


def same(one: Any, two: Any, where: str = "") -> None:
    """Equal in structure, dtype and every bit."""
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            same(one[key], two[key], f"{where}[{key!r}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two), where
        for i, (a, b) in enumerate(zip(one, two, strict=True)):
            same(a, b, f"{where}[{i}]")
    else:
        assert same_tensor(one, two), where


def stored(snapshot: Snapshot, folder: Path) -> Snapshot:
    """The snapshot as it comes back from a safetensors and a JSON file."""
    save_file(snapshot.tensors, folder / "envs.safetensors")
    (folder / "envs.json").write_text(json.dumps(snapshot.host))
    return Snapshot(load_file(folder / "envs.safetensors"), json.loads((folder / "envs.json").read_text()))


@pytest.mark.parametrize("steps", [0, 1, 3, 5], ids="after {} steps".format)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_goes_on_bit_for_bit(variant: str, mode: str, steps: int, tmp_path: Path) -> None:
    """From the beginning, the middle and the end of an episode, and into the third after that."""
    check_goes_on({"autoreset_mode": mode, **VARIANTS[variant]}, steps, tmp_path)


@pytest.mark.parametrize("share", [None, 0.5])
def test_goes_on_where_cases_are_endless(share: float | None, tmp_path: Path) -> None:
    check_goes_on({"dataset": "Phantom", "labelled_fraction": 0.3, "labelled_share": share}, 4, tmp_path)


def check_goes_on(settings: dict[str, Any], steps: int, folder: Path) -> None:
    """Play on after so many steps, the env itself and another that is restored, and compare everything."""
    envs, fresh = make_envs(3, **settings), make_envs(3, **settings)
    actions = actions_for(envs, steps + 8)
    envs.reset(seed=2**70)
    played = play(envs, actions[:steps])
    snapshot = stored(envs.snapshot(), folder)
    expected = play(envs, actions[steps:])
    observation, info = fresh.restore(snapshot)
    if played:
        same(observation, played[-1][0])
        now = {key: value for key, value in played[-1][-1].items() if key in STATE_KEYS}
        same({key: value for key, value in info.items() if key in STATE_KEYS}, now)
    assert not info["voxel_reward"].any() and fresh.steps_taken == 3 * steps
    same(play(fresh, actions[steps:]), expected)
    assert fresh.np_random_seed == envs.np_random_seed and fresh.steps_taken == envs.steps_taken
    same(fresh.reset(), envs.reset())
    assert [r.random() for r in fresh.np_random] == [r.random() for r in envs.np_random]


@pytest.mark.parametrize("share", [None, 0.5])
def test_goes_on_after_partial_resets_and_chosen_cases(share: float | None, tmp_path: Path) -> None:
    settings = {"autoreset_mode": "Disabled", "labelled_fraction": 0.5, "labelled_share": share}
    envs, fresh = make_envs(4, **settings), make_envs(4, **settings)
    actions = random_actions(envs, 12)
    envs.reset(seed=1, options={"cases": ["blob_2", None, 0, None]})
    play(envs, actions[:1])
    mask = np.array([False, True, True, False])
    envs.reset(seed=[None, None, 77, None], options={"reset_mask": mask, "cases": [None, 5, None, None]})
    play(envs, actions[1:2])
    snapshot = stored(envs.snapshot(), tmp_path)
    assert [episode["case"] for episode in snapshot.host["episodes"]] == [2, 5, None, None]
    names = [envs.case_name(i) for i in range(4)]
    pasted = [envs.paste_back(i)[0] for i in range(4)]
    expected = play(envs, actions[2:])
    fresh.reset(seed=5)  # what was there before leaves no trace
    play(fresh, actions[:1])
    fresh.restore(snapshot)
    assert [fresh.case_name(i) for i in range(4)] == names
    assert all(np.array_equal(fresh.paste_back(i)[0], pasted[i]) for i in range(4))
    same(play(fresh, actions[2:]), expected)


def test_a_snapshot_of_a_restored_env_is_the_same_snapshot(tmp_path: Path) -> None:
    envs, fresh = make_envs(3, **VARIANTS["guide"]), make_envs(3, **VARIANTS["guide"])
    envs.reset(seed=3)
    play(envs, actions_for(envs, 4))
    snapshot = envs.snapshot()
    fresh.restore(stored(snapshot, tmp_path))
    again = fresh.snapshot()
    same(snapshot.tensors, again.tensors)
    assert snapshot.host == again.host == json.loads(json.dumps(snapshot.host))


def test_draws_from_the_public_generator_are_remembered(tmp_path: Path) -> None:
    envs, fresh = make_envs(2), make_envs(2)
    envs.reset(seed=0)
    envs.np_random[1].random(5)
    fresh.restore(stored(envs.snapshot(), tmp_path))
    same(fresh.reset(), envs.reset())


def test_neither_changes_the_other_afterwards() -> None:
    envs = make_envs(2)
    envs.reset(seed=0)
    actions = random_actions(envs, 8)
    play(envs, actions[:1])
    snapshot = envs.snapshot()
    before = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
    first = play(envs, actions[1:])
    same(snapshot.tensors, before)
    envs.restore(snapshot)
    for tensor in snapshot.tensors.values():
        tensor.zero_()
    same(play(envs, actions[1:]), first)


def test_one_from_before_a_setting_was_there_had_its_default() -> None:
    envs, fresh = make_envs(2), make_envs(2)
    envs.reset(seed=0)
    snapshot = envs.snapshot()
    for name in ("boundary_weight", "boundary_sigma", "labelled_cases", "labelled_draw"):
        del snapshot.host["env"][name]
    fresh.restore(snapshot)
    same(play(fresh, random_actions(envs, 4)), play(envs, random_actions(envs, 4)))
    with pytest.raises(ValueError, match=r"another: boundary_sigma is 3.0 here, 2.0 there$"):
        make_envs(2, boundary_sigma=3.0).restore(snapshot)


def test_it_is_small() -> None:
    """No scan, label, surface or supervoxels: ten bytes a voxel with a guide."""
    envs = make_envs(2, dataset=Blobs(modalities=4), **VARIANTS["guide"])
    envs.reset(seed=0)
    voxels = 2 * GRID[0] * GRID[1] * GRID[2]
    size = sum(tensor.nbytes for tensor in envs.snapshot().tensors.values())
    assert 10 * voxels <= size <= 10 * voxels + 1000


def test_it_shares_no_memory_where_nobody_clicks(tmp_path: Path) -> None:
    """Safetensors refuses tensors that do."""
    envs = make_envs(2, user="none")
    envs.reset(seed=0)
    same(stored(envs.snapshot(), tmp_path).tensors, envs.snapshot().tensors)


def my_reward(before: Tensor, after: Tensor, label: Tensor) -> Tensor:
    """Moves towards the label."""
    return (after - before) * (2.0 * label - 1.0)


def test_objects_of_ones_own_are_known_by_name() -> None:
    envs, fresh = (make_envs(2, user=EdgeUser(), reward=my_reward) for _ in range(2))
    envs.reset(seed=0)
    fresh.restore(envs.snapshot())
    same(play(fresh, random_actions(envs, 4)), play(envs, random_actions(envs, 4)))
    other = make_envs(2, reward=my_reward)
    with pytest.raises(ValueError, match=r"user is 'edge' here, 'mecca_env.process.users.edges.EdgeUser' there"):
        other.restore(envs.snapshot())


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"num_envs": 3}, r"num_envs is 3 here, 2 there$"),
    ({"shape": (16, 14, 13)}, r"shape is \[16, 14, 13\] here, \[16, 14, 12\] there$"),
    ({"autoreset_mode": "NextStep"}, r"autoreset_mode is 'NextStep' here, 'SameStep' there$"),
    ({"dataset": Blobs(5)}, r"number of cases is 5 here, 6 there; names of the cases \(SHA-256\) is "),
    ({"cases": [0, 1, 2, 3, 4]}, r"number of cases is 5 here, 6 there"),
    ({"dataset": "Phantom"}, r"dataset is 'phantom' here, 'blobs' there; .*number of cases is 536870912 here"),
    ({"dataset": Blobs(modalities=2)}, r"modalities is 2 here, 1 there$"),
    ({"split": "test"}, r"split is 'test' here, 'train' there$"),
    ({"guide": True}, r"guide is True here, False there$"),
    ({"labelled_fraction": 0.5, "labelled_share": 0.5}, r"labelled_share is 0.5 here, None there$"),
    ({"labelled_cases": 3, "labelled_draw": 1}, r"labelled_cases is 3 here, None there; labelled_draw is 1 here, 0 "),
    ({"hint_sigma": 3.0}, r"hint_sigma is 3.0 here, 2.0 there$"),
]


@pytest.mark.parametrize(("change", "message"), OTHERS, ids=[str(list(change)) for change, _ in OTHERS])
def test_another_env_is_refused_and_stays_as_it_was(change: dict[str, Any], message: str) -> None:
    envs = make_envs(2)
    envs.reset(seed=0)
    other = make_envs(**{"num_envs": 2, **change})
    before = other.reset(seed=9)
    with pytest.raises(ValueError, match=f"^snapshot: expected one of the same cases and settings, .*{message}"):
        other.restore(envs.snapshot())
    same((other._observe(other.state), info_of(other.state, None)), before)
    assert other.np_random_seed == tuple(9 + i for i in range(other.num_envs))


def test_the_same_names_on_other_scans_are_refused() -> None:
    class Renamed(Blobs):
        def case(self, index: int) -> Any:
            return super().case(len(self) - 1 - index)

    envs = make_envs(2, augment=False)
    envs.reset(seed=0, options={"cases": [0, 1]})
    with pytest.raises(ValueError, match=r"^snapshot: .* scans and labels .* in envs \[0, 1\], cases \[0, 1\]$"):
        make_envs(2, augment=False, dataset=Renamed()).restore(envs.snapshot())


def without(part: str, *path: Any) -> Callable[[Snapshot], Snapshot]:
    """The same snapshot without one entry."""

    def change(snapshot: Snapshot) -> Snapshot:
        whole = {"tensors": dict(snapshot.tensors), "host": json.loads(json.dumps(snapshot.host))}
        holder: Any = whole[part]
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
        return replace(snapshot, **whole)

    return change


def with_tensor(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Snapshot], Snapshot]:
    """The same snapshot with one tensor changed, or added."""
    return lambda s: replace(s, tensors={**s.tensors, name: change(s.tensors.get(name, torch.zeros(2)))})


DAMAGE: dict[str, tuple[Callable[[Snapshot], Snapshot], str]] = {
    "no hint": (without("tensors", "hint"), r"expected tensor 'hint' of \(2, 16, 14, 12\) torch.float32, got none"),
    "one row": (
        with_tensor("clicks", lambda t: t[:1]),
        r"tensor 'clicks' of \(2, 11, 3\) torch.int64, got \(1, 11, 3\)",
    ),
    "other dtype": (with_tensor("probability", Tensor.double), r"'probability' .* got \(2, 16, 14, 12\) torch.float64"),
    "foreign tensor": (with_tensor("weight", Tensor.clone), r"got \['weight'\] as well"),
    "no walk": (without("tensors", "walk.1.all"), "'walk.1.all'"),
    "short walk": (with_tensor("walk.0.all", lambda t: t[:2]), r"walk.0.all: \(2,\)"),
    "no generator": (without("host", "episodes", 1, "generator"), "'generator'"),
    "half a generator": (without("host", "generators", 0, "state"), "state"),
    "no episode": (without("host", "episodes", 1), "IndexError"),
    "no steps": (without("host", "steps_taken"), "'steps_taken'"),
    "no env": (without("host", "env"), "num_envs is 2 here, None there"),
    "no format": (without("host", "format"), "expected format 1, got None"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_snapshot_is_refused(damage: str) -> None:
    change, message = DAMAGE[damage]
    envs = make_envs(2)
    envs.reset(seed=0)
    envs.reset()
    before = envs.snapshot()
    with pytest.raises(ValueError, match=f"^snapshot: .*{message}"):
        envs.restore(change(before))
    same(envs.snapshot().tensors, before.tensors)
    assert envs.snapshot().host == before.host


def test_tensors_are_stored_under_the_names_of_earlier_versions() -> None:
    """Or runs that were trained with them would not resume."""
    envs = make_envs(1, guide=True)
    envs.reset(seed=0)
    names = "step probability hint clicks n_clicks dice advice cell over content"
    assert set(envs.snapshot().tensors) == set(names.split())


def test_there_is_nothing_to_take_before_the_first_reset_and_after_close() -> None:
    envs = make_envs(2)
    with pytest.raises(gym.error.ResetNeeded):
        envs.snapshot()
    envs.reset(seed=0)
    snapshot = envs.snapshot()
    envs.close()
    for call in (envs.snapshot, lambda: envs.restore(snapshot)):
        with pytest.raises(gym.error.ClosedEnvironmentError):
            call()


def test_on_the_device_of_the_env(device: str) -> None:
    """Trajectories are the same everywhere, so a run may move."""
    envs, fresh = make_envs(2), MeccaVectorEnv(2, Blobs(), device=device, **SETTINGS)
    envs.reset(seed=0)
    actions = random_actions(envs, 5)
    play(envs, actions[:1])
    fresh.restore(envs.snapshot())
    for one, two in zip(play(envs, actions[1:]), play(fresh, actions[1:]), strict=True):
        assert torch.equal(one[1], two[1].cpu())
        same(one[0], {key: value.cpu() for key, value in two[0].items()})
