"""Several data sets behind one environment: every case is drawn from one of them, by weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from mecca_env.data.base import DataError, PreparedCase, VolumeSource
from mecca_env.data.procedural.source import CASES
from mecca_env.data.recorded import RecordedPrompts, Recordings
from mecca_env.data.selection import Cases, open_cases
from mecca_env.tensors.rng import word

NAMES = ("env", "root", "label", "modalities", "split", "cases", "prompts", "prompted", "weight")
"""Entries of a source; `env` is an environment id, the others are as the environment takes them, `split` the first's
unless it is given."""

MEMORY_BYTES = 256 << 20
"""What prepared cases of each data set may take, since the same one comes under many numbers."""

_WORDS = 1 << 32


class MixedSource:
    """2^30 cases, each a pure function of its number: of which data set, and which case of that.

    Args:
        parts: Cases of each data set.
        weights: How often each of them comes, beside the others; above 0.

    Attributes:
        name: Of all data sets.
        modalities: Of all of them.
        parts: As given.
        shares: How often each of them comes, 1 in all.
        identity: Which cases it has, and how often: a text that another mixture has not.

    Raises:
        DataError: They have different numbers of modalities.
    """

    def __init__(self, parts: Sequence[Cases], weights: Sequence[float]) -> None:
        self.parts = tuple(parts)
        self.shares = tuple(float(weight) / float(np.sum(weights)) for weight in weights)
        self._ends = np.cumsum(weights) / float(np.sum(weights))
        self.name = "+".join(part.source.name for part in parts)
        self.modalities = check_modalities(parts)
        names = [[part.source.case_name(int(i)) for i in part.indices] for part in parts if not part.endless]
        self.identity = repr((self._ends.tolist(), [part.source.name for part in parts], names))

    def __len__(self) -> int:
        """2^30."""
        return CASES

    def drawn(self, index: int) -> tuple[Cases, int]:
        """The data set that case `index` is of, and which case it is there. Raises `IndexError` when out of range."""
        if not 0 <= index < CASES:
            raise IndexError(f"{self.name} case {index}: expected an index in [0, {CASES})")
        number = int(np.searchsorted(self._ends, word(index, 0) / _WORDS, side="right"))
        part = self.parts[min(number, len(self.parts) - 1)]
        return part, int(part.indices[word(index, 1) * len(part) // _WORDS])

    def case_name(self, index: int) -> str:
        """The name that the case has in its data set, and the index."""
        part, own = self.drawn(index)
        return f"{part.source.case_name(own)}_{index:010d}"

    def case(self, index: int) -> PreparedCase:
        """The prepared case. Raises `IndexError` when out of range, `DataError` where files are at fault."""
        part, own = self.drawn(index)
        return part.source.case(own)


@dataclass(eq=False)
class MixedCases(Cases):
    """Cases of a mixture; they are labelled where they are in their data set."""

    def __post_init__(self) -> None:
        """None is chosen: `labelled_cases` are those of each data set."""

    @property
    def labelled_part(self) -> float:
        """See `Cases`; of a data set that comes more often it counts more."""
        return sum(s * part.labelled_part for s, part in zip(self._mixed.shares, self._mixed.parts, strict=True))

    def is_labelled(self, index: int) -> bool:
        """Tell whether case `index` gives rewards."""
        part, own = self._mixed.drawn(index)
        return part.is_labelled(own)

    def recorded(self, index: int) -> tuple[RecordedPrompts, float] | None:
        """See `Cases`."""
        part, own = self._mixed.drawn(index)
        return part.recorded(own)

    def every_recording(self) -> list[Recordings]:
        """See `Cases`."""
        return [found for part in self._mixed.parts for found in part.every_recording()]

    @property
    def _mixed(self) -> MixedSource:
        assert isinstance(self.source, MixedSource)
        return self.source


def open_mixture(
    dataset: str | VolumeSource, sources: Sequence[Mapping[str, Any]], weight: float = 1.0, **keywords: Any
) -> Cases:
    """Open a data set, or several to mix.

    Args:
        dataset: The first.
        sources: The others, each with `env`, an environment id, and where wanted `root`, `label`, `modalities`,
            `split`, `cases`, `prompts`, `prompted` and `weight`, 1 by default; none: the first alone.
        weight: Of the first.
        **keywords: As `mecca_env.data.selection.open_cases` takes them; what belongs to one data set is of the first.

    Raises:
        ValueError: A source has unknown entries, no id of this package, or a weight that is not above 0; or as
            `open_cases`.
        DataError: As `open_cases`, or the data sets have different numbers of modalities.
    """
    weight = checked_weight("weight", weight)
    if not sources:
        return open_cases(dataset, **keywords)
    chosen = [read_source(number, source) for number, source in enumerate(sources)]
    keywords["memory_bytes"] = MEMORY_BYTES
    parts = [open_cases(dataset, **keywords)]
    for source in chosen:
        parts.append(open_cases(source["dataset"], **{**keywords, **own_keywords(source)}))
    mixed = MixedSource(parts, [weight, *(source["weight"] for source in chosen)])
    labelled = {name: keywords[name] for name in ("labelled_fraction", "labelled_cases") if name in keywords}
    return MixedCases(mixed, str(keywords.get("split", "train")), range(CASES), **labelled)


def own_keywords(source: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of `mecca_env.data.selection.open_cases` that are a source's own, whatever the others have."""
    own = {name: source.get(name) for name in ("root", "label", "modalities", "cases", "prompts")}
    own["prompted"] = source.get("prompted", 1.0)
    return own | {name: source[name] for name in ("split",) if name in source}


def check_modalities(parts: Sequence[Cases]) -> int:
    """The number of modalities of several data sets. Raises `DataError` where it is not the same of all."""
    first = parts[0].source
    for part in parts:
        if part.source.modalities != first.modalities:
            raise DataError(
                f"sources: expected the {first.modalities} modalities of {first.name}, "
                f"found {part.source.modalities} of {part.source.name}"
            )
    return first.modalities


def read_source(number: int, source: Mapping[str, Any]) -> dict[str, Any]:
    """A source with its data set's key and its weight.

    Args:
        number: Of the source, for messages.
        source: As `open_mixture` takes it.

    Raises:
        ValueError: It is none; the message says which, what was expected and what was given.
    """
    where = f"sources[{number}]"
    if not isinstance(source, Mapping) or not set(source) <= set(NAMES):
        raise ValueError(f"{where}: expected a mapping with env and some of {', '.join(NAMES[1:])}, got {source!r}")
    key = re.fullmatch(r"MECCA-(\w+)-v\d+", str(source.get("env")))
    if key is None:
        raise ValueError(f"{where}: expected env, an environment id, got {source.get('env')!r}")
    return {**source, "dataset": key[1], "weight": checked_weight(where, source.get("weight", 1.0))}


def checked_weight(name: str, weight: Any) -> float:
    """A weight. Raises `ValueError` where it is no number above 0."""
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not (isfinite(weight) and weight > 0):
        raise ValueError(f"{name}: expected a weight above 0, got {weight!r}")
    return float(weight)
