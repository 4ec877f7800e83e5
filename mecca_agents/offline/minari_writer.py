"""Episodes as a Minari data set (https://minari.farama.org): `pip install -e ".[offline]"`.

Minari writes its HDF5 files uncompressed, and an episode of 55x55x30 voxels takes 13 MB so. Here every large array is
made beforehand, empty, with a filter and chunks, and Minari appends to it what it would otherwise put into a new one.
A chunk holds one slice at all steps: what stays the same from step to step, the scan above all, is stored once.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from typing_extensions import Self

from mecca_agents.offline.recorder import Episode
from mecca_agents.runs.locking import Locked, locked
from mecca_env.extras import missing

if TYPE_CHECKING:
    from minari.dataset.minari_storage import MinariStorage

FILE = "main_data.hdf5"
"""The file that Minari keeps all episodes in."""

LEAST_AXES = 3
"""Arrays of fewer axes, time among them, are small; the filter is for grids."""


class DatasetError(ValueError):
    """A data set cannot be made; the message names it, what was expected and what was found."""


class DatasetWriter:
    """Writes episodes as a Minari data set that appears when it is complete, and not at all if that never happens.

        with DatasetWriter("mecca/spleen-human-v0", env.observation_space, env.action_space, spec=env.spec) as writer:
            writer.add(recorder.episode())
        dataset = minari.load_dataset("mecca/spleen-human-v0")

    It lies where Minari keeps its data sets: under $MINARI_DATASETS_PATH, or ~/.minari/datasets. Until it is complete,
    it is in a hidden folder there.

    Args:
        dataset: Its Minari id, `namespace/name-v0`.
        observation_space: Of the observations.
        action_space: Of the actions.
        spec: What `dataset.recover_environment()` makes the environment from, or None.
        test_spec: The same for `recover_environment(eval_env=True)`.
        algorithm: Who played.
        description: For people.
        overwrite: Replace a data set of this id.

    Attributes:
        path: Where it lies when it is complete.
        episodes: How many were added.
        steps: How many steps they had.

    Raises:
        ImportError: Minari is not installed; the message says what to install.
        DatasetError: The id is none, there is such a data set already, or another process is writing it.
        OSError: Its folder cannot be written to.
    """

    def __init__(
        self,
        dataset: str,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        spec: EnvSpec | None = None,
        test_spec: EnvSpec | None = None,
        algorithm: str = "",
        description: str = "",
        overwrite: bool = False,
    ) -> None:
        minari = import_minari()
        self._namespace = _namespace_of(dataset)
        self.path = Path(minari.storage.get_dataset_path(dataset))
        self._root = Path(minari.storage.get_dataset_path())
        self._work = self._root / f".{dataset.replace('/', '.')}.recording"
        self._id, self._overwrite = dataset, overwrite
        self._spaces, self._spec = (observation_space, action_space), spec
        self._about: dict[str, Any] = {"dataset_id": dataset, "minari_version": minari.__version__}
        self._about |= {"algorithm_name": algorithm, "description": description}
        if test_spec is not None:
            self._about["eval_env_spec"] = test_spec.to_json()
        self.episodes = self.steps = 0
        self._storage: MinariStorage | None = None
        self._held = ExitStack()
        self._check()

    def __enter__(self) -> Self:
        try:
            self._held.enter_context(locked(self._work))
        except Locked:
            raise DatasetError(f"{self._id}: another process is writing this data set") from None
        try:
            self._tidy()
            self._check()
            self._storage = self._made()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._leave()

    def add(self, episode: Episode) -> None:
        """Write one more episode.

        Raises:
            ValueError: An observation or action is none of the space's.
            OSError: There is no more space on the disk, for instance.
        """
        from minari.data_collector import EpisodeBuffer

        assert self._storage is not None, "add() belongs into the writer's context"
        number, (observation_space, action_space) = self.episodes, self._spaces
        observations = _of_space("observation", observation_space, episode.observations)
        actions = _of_space("action", action_space, episode.actions)
        self._prepare(number, {"observations": observations, "actions": actions, "infos": episode.infos})
        self._storage.update_episodes(
            [
                EpisodeBuffer(
                    id=number,
                    seed=episode.seed,
                    options=None if episode.case is None else {"case": episode.case},
                    observations=observations,
                    actions=actions,
                    rewards=list(episode.rewards),
                    terminations=list(episode.terminations),
                    truncations=list(episode.truncations),
                    infos=dict(episode.infos) or None,
                )
            ]
        )
        self.episodes += 1
        self.steps += len(episode)

    def _check(self) -> None:
        """Refuse to write over what is there."""
        if not self.path.exists():
            return
        if not (self.path / "data").is_dir():
            raise DatasetError(f"{self._id}: expected a free name, found a folder that is no data set: {self.path}")
        if not self._overwrite:
            raise DatasetError(f"{self._id}: exists already in {self.path}; choose another name, or pass overwrite")

    def _made(self) -> MinariStorage:
        from minari.dataset.minari_storage import MinariStorage

        folder = self._work / "dataset" / "data"
        folder.mkdir(parents=True)
        storage = MinariStorage.new(folder, *self._spaces, self._spec, data_format="hdf5", jpeg_encoding=False)
        storage.update_metadata(self._about)
        return storage

    def _prepare(self, number: int, parts: Mapping[str, Any]) -> None:
        """Make the large arrays of an episode, empty, for Minari to append to."""
        import h5py

        assert self._storage is not None
        with h5py.File(self._storage.data_path / FILE, "a", track_order=True) as file:
            for name, values in _arrays(f"episode_{number}", parts):
                if values.ndim >= LEAST_AXES:
                    chunk = (len(values), *(1,) * (values.ndim - 3), *values.shape[-2:])
                    file.create_dataset(
                        name,
                        shape=(0, *values.shape[1:]),
                        maxshape=(None, *values.shape[1:]),
                        dtype=values.dtype,
                        chunks=chunk,
                        compression="gzip",
                        shuffle=True,
                    )

    def _finish(self) -> None:
        """Put the data set in its place, and what was there out of it."""
        if not self.episodes:
            raise DatasetError(f"{self._id}: expected at least one episode, got none")
        minari = import_minari()
        if self._namespace is not None and self._namespace not in minari.namespace.list_local_namespaces():
            minari.namespace.create_namespace(self._namespace)
        if self.path.exists():
            self.path.rename(self._work / "previous")
        (self._work / "dataset").rename(self.path)

    def _tidy(self) -> None:
        """Clear away what a process that was killed has left; killed while it replaced, it has moved the old one."""
        previous = self._work / "previous"
        if previous.exists() and not self.path.exists():
            previous.rename(self.path)
        for left in (previous, self._work / "dataset"):
            if left.exists():
                shutil.rmtree(left)

    def _leave(self) -> None:
        self._storage = None
        self._tidy()
        shutil.rmtree(self._work)
        self._held.close()


def import_minari() -> ModuleType:
    """Minari. Raises `ImportError` with what to install where it or h5py is missing."""
    try:
        import h5py  # noqa: F401
        import minari.namespace
        import minari.storage
    except ImportError as error:
        raise ImportError(missing("a Minari data set", str(error.name), "offline"), name=error.name) from error
    assert isinstance(minari, ModuleType)
    return minari


def _namespace_of(dataset: str) -> str | None:
    """The part of an id before its last slash. Raises `DatasetError` where it is none."""
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        namespace, _, _ = parse_dataset_id(dataset)
    except (ValueError, TypeError):  # the latter without a version
        raise DatasetError(f"dataset: expected an id such as mecca/phantom-oracle-v0, got {dataset!r}") from None
    return None if namespace is None else str(namespace)


def _of_space(name: str, space: gym.Space[Any], values: Any) -> Any:
    """Values of all steps, (N, ...), in the dtype of the space. Raises `ValueError` where they are none of it.

    Everything is looked at: what a person's session has noted may be anything.
    """
    if isinstance(space, gym.spaces.Dict):
        if not isinstance(values, Mapping) or set(values) != set(space):
            given = sorted(values) if isinstance(values, Mapping) else type(values).__name__
            raise ValueError(f"{name}: expected {sorted(space)}, got {given}")
        return {key: _of_space(f"{name}['{key}']", part, values[key]) for key, part in space.items()}
    found = np.asarray(values)
    if found.shape[1:] != space.shape:
        raise ValueError(f"{name}: expected shape {space.shape}, got {found.shape[1:]}")
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: expected finite values, got NaN or infinity")
    fitted = found.astype(space.dtype)
    changed = fitted.dtype.kind in "iu" and bool((fitted != found).any())
    if changed or not all(space.contains(step) for step in fitted):
        raise ValueError(f"{name}: expected values of its {type(space).__name__}, got {found.min()} to {found.max()}")
    return fitted


def _arrays(name: str, values: Any) -> list[tuple[str, Any]]:
    """Every array below a name, with its path."""
    if isinstance(values, Mapping):
        return [found for key, value in values.items() for found in _arrays(f"{name}/{key}", value)]
    return [(name, np.asarray(values))]
