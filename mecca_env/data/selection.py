"""The cases that an environment plays: source, split, chosen cases, labelled share."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_env.data.base import PreparedCase, VolumeSource
from mecca_env.data.built_in import BUILT_IN, STAND_IN
from mecca_env.data.caching.disk import fetch, file_identity
from mecca_env.data.catalog import CATALOG, open_dataset
from mecca_env.data.files import FileSource
from mecca_env.data.procedural.source import procedural_split
from mecca_env.data.recorded import RecordedPrompts, Recordings, checked_share, read_recordings
from mecca_env.data.splits import SPLITS, labelled_names
from mecca_env.data.targets import LabelChoice, foreground_values
from mecca_env.data.world.grids import checked_tolerance
from mecca_env.tensors.rng import fold

_LISTED_AT_MOST = 1 << 16  # a source with more cases than that is procedural: its cases are not listed by name
_RAREST = 0.001  # of endless cases, looked for by drawing until one is found
_KEPT_SUPERVOXELS = 64


@dataclass(eq=False)
class Cases:
    """The cases that an environment draws from.

    Attributes:
        source: The data set.
        split: "train", "test" or "all".
        indices: Indices into the source, ascending.
        labelled_fraction: Share of the cases that are labelled (Sec. 3.6). Cases of one scan (`label="each"`), and
            scans of one patient, are labelled together or not at all, so the share is one of patients.
        labelled_cases: So many of them are, in place of a share; likewise a number of patients.
        labelled_draw: Which draw of the labelled cases it is.
        recordings: What people have given on some of the cases; None: on none.

    Raises:
        DataError: Fewer cases, or patients, than are to be labelled.
        ValueError: A number of endless cases is to be labelled.
    """

    source: VolumeSource
    split: str
    indices: NDArray[np.int64] | range
    labelled_fraction: float = 1.0
    labelled_cases: int | None = None
    labelled_draw: int = 0
    recordings: Recordings | None = None
    _labelled: set[int] | None = field(default=None, init=False, repr=False)
    _kept: OrderedDict[tuple[object, ...], NDArray[np.int16]] = field(
        default_factory=OrderedDict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if len(self.indices) <= _LISTED_AT_MOST:
            patients: dict[str, list[int]] = {}
            for index in map(int, self.indices):
                patients.setdefault(self._patient(index), []).append(index)
            kind = "cases" if len(patients) == len(self) else "patients"
            chosen = labelled_names(
                list(patients), self.labelled_fraction, self.labelled_draw, count=self.labelled_cases, kind=kind
            )
            self._labelled = {index for patient in chosen for index in patients[patient]}
        elif self.labelled_cases is not None:
            raise ValueError(
                f"labelled_cases: expected cases that can be listed, to choose {self.labelled_cases} of them, "
                f"got the {len(self)} of {self.source.name}; give cases= a number, or labelled_fraction="
            )

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.indices)

    @property
    def endless(self) -> bool:
        """True if there are too many cases to list them, as procedural sources have."""
        return self._labelled is None

    def pool(self, labelled: bool) -> NDArray[np.int64]:
        """The cases that are labelled, or those that are not, ascending; only where cases are not endless."""
        assert self._labelled is not None
        everything = np.asarray(self.indices, dtype=np.int64)
        return everything[np.isin(everything, list(self._labelled), invert=not labelled)]

    def walk(self, rng: np.random.Generator, seed: int, labelled: bool | None = None) -> NDArray[np.int64]:
        """One pass through the cases, or through the labelled (True) or the others (False), in the order of an env.

        Args:
            rng: Of the env; what is shuffled is shuffled by it.
            seed: Of the env, not below 0.
            labelled: Which.
        """
        return rng.permutation(np.asarray(self.indices if labelled is None else self.pool(labelled)))

    def place(self, index: int, seed: int) -> tuple[int, int] | None:
        """Where case `index` stands in the stream of the env with that seed, and in which segment; None: in no stream.

        Both are counted from 0.
        """
        return None

    def recorded(self, index: int) -> tuple[RecordedPrompts, float] | None:
        """What somebody has given on case `index`, and the share of its episodes in which that is given again."""
        found = None if self.recordings is None else self.recordings.cases.get(self.source.case_name(index))
        return None if found is None or self.recordings is None else (found, self.recordings.share)

    def every_recording(self) -> list[Recordings]:
        """Those of all data sets that the cases are of; empty where nobody has given anything."""
        return [self.recordings] if self.recordings is not None and self.recordings.cases else []

    @property
    def labelled_part(self) -> float:
        """The share of the cases that is labelled; where they are endless, of very many of them."""
        return self.labelled_fraction if self._labelled is None else len(self._labelled) / len(self)

    def check_share(self, share: float | None) -> None:
        """Refuse a share of labelled episodes (`EnvConfig.labelled_share`) that these cases cannot give.

        Raises:
            ValueError: No case, or of endless ones hardly any, is of a kind that is to be played.
        """
        if share is None:
            return
        for labelled, kind in ((True, "labelled"), (False, "unlabelled")):
            if not labelled and share == 1:
                continue
            part = self.labelled_part if labelled else 1 - self.labelled_part
            if part < _RAREST if self.endless else not part:
                least, found = (f"{_RAREST:.1%}", f"{part:.2%}") if self.endless else ("one", "none")
                name = "labelled_fraction" if self.labelled_cases is None else "labelled_cases"
                raise ValueError(
                    f"labelled_share={share!r}, {name}={getattr(self, name)!r}: "
                    f"expected at least {least} of the {len(self)} cases to be {kind}, got {found}"
                )

    def is_labelled(self, index: int) -> bool:
        """Tell whether case `index` gives rewards; the same for every env, seed and method."""
        if self._labelled is not None:
            return index in self._labelled
        return int(fold(torch.tensor(index), self.labelled_draw)) < self.labelled_fraction * 2.0**32

    def find(self, case: str | int | None) -> int | None:
        """Index of a case of this selection, given by name or index; None stays None.

        Raises:
            ValueError: It is not one of them.
        """
        if case is None:
            return None
        index = next((i for i in self._candidates(case) if i in self.indices), None)
        if index is None:
            raise ValueError(f"case: expected one of the {len(self)} cases of split {self.split!r}, got {case!r}")
        return int(index)

    def find_all(self, case: str | int) -> list[int]:
        """Indices of all cases of a scan that is given by name, or of the one case that `find` finds."""
        source = self.source if isinstance(self.source, FileSource) else None
        several = [] if source is None else [int(i) for i in self.indices if source.files(int(i)).name == case]
        found = self.find(case) if not several else None
        return several if found is None else [found]

    def supervoxels(
        self, index: int, case: PreparedCase, settings: tuple[object, ...], build: Callable[[], NDArray[np.int16]]
    ) -> NDArray[np.int16]:
        """The supervoxels of case `index`: from memory, from the disk cache of its files, or built."""
        key = (index, settings)
        regions = self._kept.pop(key, None)
        if regions is None:
            regions = (
                build() if not isinstance(self.source, FileSource) else self._from_disk(index, case, settings, build)
            )
        self._kept[key] = regions
        if len(self._kept) > _KEPT_SUPERVOXELS:
            self._kept.popitem(last=False)
        return regions

    def _from_disk(
        self, index: int, case: PreparedCase, settings: tuple[object, ...], build: Callable[[], NDArray[np.int16]]
    ) -> NDArray[np.int16]:
        assert isinstance(self.source, FileSource)
        files = self.source.files(index)
        key = {
            "kind": "supervoxels",
            "files": [file_identity(path) for path in files.paths],
            "labels": self.source.foreground(index),
            "cut": (case.origin, tuple(case.label.shape)),
            "settings": settings,
            "format": 3,  # of what is computed: another way of making them is another number
        }
        return np.asarray(fetch(key, lambda: {"regions": build()})["regions"], dtype=np.int16)

    def _patient(self, index: int) -> str:
        """Whose scan a case is (`CaseFiles.patient`); of what is no file, its own name."""
        return self.source.files(index).patient if isinstance(self.source, FileSource) else self.source.case_name(index)

    def _candidates(self, case: str | int) -> list[int]:
        if not isinstance(case, str):
            return [int(case)] if hasattr(case, "__index__") else []
        if len(self.indices) <= _LISTED_AT_MOST:
            return [int(i) for i in self.indices if self.source.case_name(int(i)) == case]
        digits = case.rpartition("_")[2]  # names of a procedural source end in the index
        guess = int(digits) if digits.isdecimal() else -1
        return [guess] if guess in self.indices and self.source.case_name(guess) == case else []


def open_cases(
    dataset: str | VolumeSource,
    *,
    extension: tuple[int, int],
    rotation: float,
    evaluation_extension: int,
    labelled_fraction: float = 1.0,
    labelled_cases: int | None = None,
    labelled_draw: int = 0,
    whole: bool = False,
    root: str | PathLike[str] | None = None,
    split: str = "train",
    cases: int | Sequence[str | int] | None = None,
    label: LabelChoice = None,
    modalities: Sequence[str] | None = None,
    fallback: bool = True,
    skip_bad: bool = False,
    tolerance: float | None = None,
    prompts: str | PathLike[str] | None = None,
    prompted: float = 1.0,
    device: torch.device | str = "cpu",
    memory_bytes: int = 0,
) -> Cases:
    """Open a data set by key, or take a source, and select cases.

    Args:
        dataset: A key of `mecca_env.data.catalog.CATALOG` or of `mecca_env.data.built_in.BUILT_IN`, or a source.
        extension: Least and most voxels a training crop extends beyond the label on each side (Sec. 4.1).
        rotation: Largest rotation in training, degrees.
        evaluation_extension: Extension of the crops of evaluation, voxels.
        labelled_fraction: Share of the cases that are labelled (Sec. 3.6).
        labelled_cases: So many of the cases are labelled, in place of a share.
        labelled_draw: Which draw of the labelled cases.
        whole: Keep whole scans, for crops that lie anywhere in them; a source of one's own has what it has.
        root: Folder of the data set; None looks under $MECCA_DATA.
        split: "train", "test" or "all". A source of one's own is taken whole.
        cases: Names or indices; an integer takes that many from the split's beginning. With `label="each"` the name of
            a scan stands for all its cases. The indices of a built-in data set are its
            seeds, even ones to train on and odd ones to test on.
        label: Foreground values, None for the data set's own; "each": every value of every scan is a case of its own.
        modalities: Which images to stack, for layouts that hold several.
        fallback: Take the phantom, with one warning, where no root is given and none is found.
        skip_bad: Leave unusable cases out with a warning.
        tolerance: Millimetres that the files of a case may lie apart; None: next to nothing.
        prompts: A file of recorded prompts (`mecca_env.data.recorded`), by the names of cases; None: there is none.
        prompted: The share of the episodes of those cases in which they are given.
        device: Where built-in cases are drawn.
        memory_bytes: What prepared cases that the data set itself keeps may take; a source that is given decides that.

    Raises:
        ValueError: An argument is out of range.
        DataError: The data set cannot be used.
    """
    if split not in SPLITS:
        raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    checked_tolerance(tolerance)
    for name, path in (("root", root), ("prompts", prompts)):
        if path is not None and not isinstance(path, (str, PathLike)):
            raise TypeError(f"{name}: expected a path, got {path!r}")
    share = checked_share(prompted)
    recordings = None if prompts is None else read_recordings(Path(prompts), share)
    source = dataset if not isinstance(dataset, str) else None
    if source is not None and not isinstance(source, VolumeSource):
        raise TypeError(f"dataset: expected a key or a VolumeSource, got {dataset!r}")
    foreground_values(label)  # refused here where the phantom stands in, too
    if isinstance(dataset, str) and dataset not in BUILT_IN:
        if dataset not in CATALOG:
            raise ValueError(f"dataset: expected one of {', '.join((*CATALOG, *BUILT_IN))}, got {dataset!r}")
        names = _names(cases)
        source = open_dataset(
            dataset,
            None if root is None else Path(root),
            label,
            fallback,
            modalities=modalities,
            split=split,
            names=names,
            extension=extension,
            rotation=rotation,
            evaluation_extension=evaluation_extension,
            skip_bad=skip_bad,
            tolerance=tolerance,
            whole=whole,
            memory_bytes=memory_bytes,
        )
        cases = None if names is not None and source is not None else cases
    elif any(given is not None for given in (root, label, modalities)):
        raise ValueError(
            "root, label and modalities belong to data sets of files, "
            f"got root={root!r}, label={label!r}, modalities={modalities!r}"
        )
    indices: range = range(len(source)) if source is not None else procedural_split(split)
    if source is None:
        source = BUILT_IN.get(str(dataset), STAND_IN)(
            extension=extension,
            rotation=rotation,
            evaluation_extension=evaluation_extension,
            whole=whole,
            device=device,
            memory_bytes=memory_bytes,
        )
    everything = Cases(source, split, indices)
    chosen = _select(everything, cases)
    found = Cases(source, split, chosen, labelled_fraction, labelled_cases, labelled_draw, recordings)
    if recordings is not None:
        _check_names(str(prompts), recordings, found)
    return found


def _check_names(path: str, recordings: Recordings, cases: Cases) -> None:
    """Warn where nothing is recorded of any of the cases: of another split, or of other names."""
    names = set() if cases.endless else {cases.source.case_name(int(index)) for index in cases.indices}
    if names and recordings.cases and names.isdisjoint(recordings.cases):
        warnings.warn(
            f"prompts: expected names of some of the {len(cases)} cases, {min(names)!r} for one, "
            f"found none in {path}, which has {min(recordings.cases)!r}; nothing is given again",
            UserWarning,
            stacklevel=3,
        )


def _names(cases: int | Sequence[str | int] | None) -> list[str] | None:
    if isinstance(cases, str) or not isinstance(cases, Iterable):
        return None
    names = [case for case in cases if isinstance(case, str)]
    return names if names and len(names) == len(cases) else None


def _select(everything: Cases, cases: int | Sequence[str | int] | None) -> NDArray[np.int64] | range:
    if cases is None:
        return everything.indices
    if isinstance(cases, str) or not isinstance(cases, (Iterable, int, np.integer)):
        raise TypeError(f"cases: expected a number or a sequence of names or indices, got {cases!r}")
    if isinstance(cases, (int, np.integer)):
        if not 1 <= cases <= len(everything):
            raise ValueError(f"cases: expected 1 to {len(everything)} for split {everything.split!r}, got {cases!r}")
        return everything.indices[: int(cases)]
    found = sorted({index for case in cases for index in everything.find_all(case)})
    if not found:
        raise ValueError("cases: expected at least one, got none")
    return np.array(found, dtype=np.int64)
