"""Everything a vector env needs to go on bit for bit, without what can be made again from the data set.

An episode is a pure function of its case and of where its env's host generator stood before it began. So neither scans
nor labels nor supervoxels are stored: the episode is made again, and what its steps have changed is laid over it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.data.selection import Cases
from mecca_env.episodes.stream import BIT_GENERATORS, EpisodeStream, StreamState
from mecca_env.process.config import EnvConfig
from mecca_env.state import State
from mecca_env.tensors.rng import mix

FORMAT = 1
"""Of `Snapshot`; raised when an older reader would misread it."""

_LATER = (
    *("boundary_weight", "boundary_sigma", "labelled_cases", "labelled_draw"),
    *("protocol", "signed", "box", "crop", "start", "time", "box_jitter", "click_side"),
)
"""Settings that earlier snapshots of this format do not name: those were taken with the defaults."""

_CHANGING = {
    "step": "step",
    "probability": "probability",
    "hint": "hint",
    "clicks": "clicks",
    "n_clicks": "n_clicks",
    "dice": "dice",
    "advice": "advice",
    "cell": "situation",
    "signs": "signs",
    "time": "time",
}
"""Fields of `State` that change within an episode, by the names that they have in a snapshot of this format."""

_WALK = "walk."
_WALKS: dict[str, bool | None] = {"all": None, "labelled": True, "unlabelled": False}


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A vector env at one moment, ready to be stored.

    Attributes:
        tensors: On the host, contiguous and sharing no memory, as safetensors asks for.
        host: Numbers, strings, lists and dicts by string; means the same after `json.loads(json.dumps(host))`.
    """

    tensors: dict[str, Tensor]
    host: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Origin:
    """Everything that an episode can be made of again.

    Attributes:
        stream: Where the env's `EpisodeStream` stood before the episode was made.
        case: The case that was asked for; None: it was drawn.
    """

    stream: StreamState
    case: int | None


def identity(
    cases: Cases, config: EnvConfig, num_envs: int, mode: AutoresetMode, max_episode_steps: int | None = None
) -> dict[str, Any]:
    """Everything that must be the same where a snapshot is restored, as JSON: envs, cases by name, every setting.

    The device is not among it: trajectories are the same on each.
    """
    listed = not cases.endless
    names = "\n".join(cases.source.case_name(int(i)) for i in cases.indices) if listed else repr(cases.indices)
    names += getattr(cases.source, "identity", "")
    names += "".join(recordings.identity for recordings in cases.every_recording())
    settings = {field.name: _plain(getattr(config, field.name)) for field in fields(config)}
    return {
        "num_envs": num_envs,
        "autoreset_mode": mode.value,
        "dataset": cases.source.name,
        "modalities": int(cases.source.modalities),
        "split": cases.split,
        "number of cases": len(cases),
        **({} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}),
        "names of the cases (SHA-256)": hashlib.sha256(names.encode()).hexdigest(),
        **settings,
    }


def take(
    where: Mapping[str, Any],
    state: State,
    over: NDArray[np.bool_],
    origins: Sequence[Origin],
    generators: Sequence[Mapping[str, Any]],
    steps_taken: int,
) -> Snapshot:
    """Put an env into a snapshot.

    Args:
        where: Its `identity`.
        state: Of its B episodes.
        over: Which of them are over and wait for their reset, (B,).
        origins: Of each of them.
        generators: State of each env's bit generator as it is now.
        steps_taken: Steps made since construction, over all envs.

    Raises:
        ValueError: A generator is none of NumPy's default ones: a snapshot would have to store its arrays.
    """
    default, kinds = BIT_GENERATORS[0], {generator["bit_generator"] for generator in generators}
    if kinds != {default}:
        raise ValueError(f"np_random: expected {default}, NumPy's default, for a snapshot, got {sorted(kinds)}")
    tensors = {name: _stored(value) for name, value in _changing(state).items()}
    tensors["over"] = torch.from_numpy(over.copy())
    tensors["content"] = _stored(_content(state))
    episodes: list[dict[str, Any]] = []
    for i, origin in enumerate(origins):
        stream = origin.stream
        walks = {name: stream.walks[kind] for name, kind in _WALKS.items() if kind in stream.walks}
        tensors |= {f"{_WALK}{i}.{name}": torch.from_numpy(left.copy()) for name, left in walks.items()}
        episodes.append(
            {
                "seed": stream.seed,
                "episode": stream.episode,
                "generator": dict(stream.generator),
                "case": origin.case,
                "walks": {name: len(left) for name, left in walks.items()},
            }
        )
    host = {
        "format": FORMAT,
        "env": dict(where),
        "episodes": episodes,
        "generators": [dict(generator) for generator in generators],
        "steps_taken": steps_taken,
    }
    return Snapshot(tensors, host)


def join_snapshots(parts: Sequence[Snapshot]) -> Snapshot:
    """One snapshot of all envs, from those of envs that were played apart: the same cases and settings, other rows."""
    if len(parts) == 1:
        return parts[0]
    names = [name for name in parts[0].tensors if not name.startswith(_WALK)]
    tensors = {name: torch.cat([part.tensors[name] for part in parts]) for name in names}
    first = 0
    for part in parts:
        tensors |= {_walk_name(first, name): tensor for name, tensor in part.tensors.items() if name.startswith(_WALK)}
        first += part.host["env"]["num_envs"]
    host = {
        **parts[0].host,
        "env": {**parts[0].host["env"], "num_envs": first},
        "steps_taken": sum(part.host["steps_taken"] for part in parts),
        **{key: [one for part in parts for one in part.host[key]] for key in ("episodes", "generators")},
    }
    return Snapshot(tensors, host)


def snapshot_rows(snapshot: Snapshot, first: int, count: int) -> Snapshot:
    """The snapshot of `count` of its envs, from the `first` on, as if these had been played alone."""
    host, rows = snapshot.host, slice(first, first + count)
    envs = host["env"]["num_envs"]
    if count == envs:
        return snapshot
    tensors = {name: value[rows].clone() for name, value in snapshot.tensors.items() if not name.startswith(_WALK)}
    for name, tensor in snapshot.tensors.items():
        if name.startswith(_WALK) and first <= int(name.split(".")[1]) < first + count:
            tensors[_walk_name(-first, name)] = tensor
    part = {
        **host,
        "env": {**host["env"], "num_envs": count},
        "steps_taken": host["steps_taken"] * count // envs,
        **{key: host[key][rows] for key in ("episodes", "generators")},
    }
    return Snapshot(tensors, part)


def read_origins(snapshot: Snapshot, where: Mapping[str, Any]) -> tuple[list[Origin], list[dict[str, Any]]]:
    """Read where the episodes of a snapshot came from, once it is clear that it was taken of such an env.

    Args:
        snapshot: As `take` made it, or as it came back from files.
        where: The `identity` of the env that is to go on.

    Returns:
        Every env's origin, and the state of its bit generator at the moment of the snapshot.

    Raises:
        ValueError: It is of another env, with all that differs; or it is not a whole snapshot.
    """
    host = snapshot.host
    if host.get("format") != FORMAT:
        raise ValueError(f"snapshot: expected format {FORMAT}, got {host.get('format')!r}")
    found, expected = (json.loads(json.dumps(part)) for part in (host.get("env", {}), dict(where)))
    found = {name: _plain(getattr(EnvConfig, name)) for name in _LATER} | found
    if found != expected:
        names = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
        differ = "; ".join(f"{name} is {expected.get(name)!r} here, {found.get(name)!r} there" for name in names)
        raise ValueError(f"snapshot: expected one of the same cases and settings, got another: {differ}")
    try:
        origins = [_origin(snapshot, i, host["episodes"][i]) for i in range(where["num_envs"])]
        generators = [dict(host["generators"][i]) for i in range(where["num_envs"])]
        int(host["steps_taken"])
        for origin, generator in zip(origins, generators, strict=True):
            EpisodeStream.at(replace(origin.stream, generator=generator))
            EpisodeStream.at(origin.stream)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"snapshot: expected every env's seed, episode, generator, case and walks, got {error!r}"
        ) from error
    return origins, generators


def overlay(fresh: State, snapshot: Snapshot) -> State:
    """The state at the moment of the snapshot, from its episodes as they began.

    Raises:
        ValueError: A tensor is missing, unknown, or of another shape or dtype; or a case is no longer what it was.
    """
    expected = _changing(fresh)
    expected |= {"over": fresh.labelled, "content": fresh.case_index}  # for their shape and dtype
    walks = {f"{_WALK}{i}.{name}" for i in range(len(fresh.step)) for name in _WALKS}
    unknown = sorted(set(snapshot.tensors) - set(expected) - walks)
    if unknown:
        raise ValueError(f"snapshot: expected the tensors {sorted(expected)} and walks, got {unknown} as well")
    for name, like in expected.items():
        given = snapshot.tensors.get(name)
        if given is None or given.shape != like.shape or given.dtype != like.dtype:
            got = "none" if given is None else f"{tuple(given.shape)} {given.dtype}"
            raise ValueError(f"snapshot: expected tensor {name!r} of {tuple(like.shape)} {like.dtype}, got {got}")
    other = (_content(fresh).cpu() != snapshot.tensors["content"].cpu()).nonzero()[:, 0].tolist()
    if other:
        raise ValueError(
            f"snapshot: expected the scans and labels it was taken with, got others in envs {other}, "
            f"cases {fresh.case_index[other].tolist()}"
        )
    there = fresh.label.device
    changed = {_CHANGING[name]: snapshot.tensors[name].to(there, copy=True) for name in expected if name in _CHANGING}
    return replace(fresh, **changed)


def _changing(state: State) -> dict[str, Tensor]:
    """The tensors of a state that change within an episode, by their names in a snapshot."""
    found = {name: getattr(state, field) for name, field in _CHANGING.items()}
    return {name: value for name, value in found.items() if value is not None}


def _origin(snapshot: Snapshot, index: int, episode: Mapping[str, Any]) -> Origin:
    walks: dict[bool | None, NDArray[np.int64]] = {}
    for name, length in episode["walks"].items():
        left = snapshot.tensors[f"{_WALK}{index}.{name}"]
        if left.shape != (length,) or left.dtype != torch.int64:
            raise ValueError(f"{_WALK}{index}.{name}: {tuple(left.shape)} {left.dtype}")
        walks[_WALKS[name]] = left.cpu().numpy().copy()
    stream = StreamState(int(episode["seed"]), int(episode["episode"]), dict(episode["generator"]), walks)
    return Origin(stream, episode["case"])


def _walk_name(shift: int, name: str) -> str:
    """The name of a walk's tensor when its env is `shift` rows further on."""
    _, row, kind = name.split(".")
    return f"{_WALK}{int(row) + shift}.{kind}"


def _stored(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _content(state: State) -> Tensor:
    """A checksum of each episode's scan and label, (B,) int64: whole numbers, the same in any order of adding."""
    bits = state.volume.reshape(len(state.step), -1).view(torch.int32)  # (B, M * D * H * W)
    both = torch.cat((bits, state.label.flatten(1).to(torch.int32)), dim=1)
    return (both.to(torch.int64) * mix(torch.arange(both.shape[1], device=both.device))).sum(1)


def _plain(value: Any) -> Any:
    """A setting as JSON; of a function or an object its name, since its address differs in every process."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"
