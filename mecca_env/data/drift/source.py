"""Several data sets one after another: as a data set, and in the order of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import PreparedCase
from mecca_env.data.mixture import check_modalities
from mecca_env.data.recorded import RecordedPrompts, Recordings
from mecca_env.data.selection import Cases

_ORDER = 0x6F72646572  # name of the random stream


class StreamSource:
    """The cases of all segments of a stream, segment after segment.

    Given as `dataset=` it is a data set as any other, whose cases come in any order: a memory of the stream is this
    source with `cases=`.

    Args:
        name: Of all of it.
        parts: The cases of each segment.
        identity: What else tells it from other streams.

    Attributes:
        name: As given.
        modalities: Of all of them.
        parts: As given.
        segments: Names of the segments.
        ends: (S,), the index after the last case of each.
        identity: A text that another stream has not.

    Raises:
        DataError: They have different numbers of modalities.
    """

    def __init__(self, name: str, parts: Sequence[Cases], identity: Any = None) -> None:
        self.name, self.parts = name, tuple(parts)
        self.modalities = check_modalities(parts)
        self.segments = tuple(part.source.name for part in parts)
        self.ends = np.cumsum([len(part) for part in parts])
        self.identity = repr((identity, self.segments, self.ends.tolist()))

    def __len__(self) -> int:
        """Number of cases of all segments."""
        return int(self.ends[-1])

    def segment(self, index: int) -> int:
        """The segment that case `index` is of, counted from 0. Raises `IndexError` when out of range."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name} case {index}: expected an index in [0, {len(self)})")
        return int(np.searchsorted(self.ends, index, side="right"))

    def cases_of(self, segment: int) -> range:
        """The indices of a segment's cases. Raises `IndexError` where there is no such segment."""
        if not 0 <= segment < len(self.parts):
            raise IndexError(f"{self.name} segment {segment}: expected 0 to {len(self.parts) - 1}")
        end = int(self.ends[segment])
        return range(end - len(self.parts[segment]), end)

    def located(self, index: int) -> tuple[Cases, int]:
        """The data set that case `index` is of, and which case it is there. Raises `IndexError` when out of range."""
        segment = self.segment(index)
        part = self.parts[segment]
        return part, int(part.indices[index - self.cases_of(segment).start])

    def case_name(self, index: int) -> str:
        """The name that the case has in its data set, and its segment."""
        part, own = self.located(index)
        return f"{part.source.case_name(own)}-segment{self.segment(index)}"

    def case(self, index: int) -> PreparedCase:
        """The prepared case. Raises `IndexError` when out of range, `DataError` where files are at fault."""
        part, own = self.located(index)
        return part.source.case(own)


@dataclass(eq=False)
class StreamCases(Cases):
    """Cases in the order of a stream: segment after segment, shuffled within each by the env's seed.

    They are labelled where they are in their data set.
    """

    def __post_init__(self) -> None:
        located = {int(index): self._stream.located(int(index)) for index in self.indices}
        self._labelled = {index for index, (part, own) in located.items() if part.is_labelled(own)}

    def order(self, seed: int) -> NDArray[np.int64]:
        """All cases as the env with that seed meets them: a pure function of the seed, whatever else it has played."""
        cases = np.asarray(self.indices, dtype=np.int64)
        segments = np.searchsorted(self._stream.ends, cases, side="right")
        shuffled = [
            np.random.default_rng([seed, _ORDER, int(segment)]).permutation(cases[segments == segment])
            for segment in np.unique(segments)
        ]
        return np.concatenate(shuffled)

    def walk(self, rng: np.random.Generator, seed: int, labelled: bool | None = None) -> NDArray[np.int64]:
        """See `Cases`; the same at every pass, and nothing is drawn."""
        order = self.order(seed)
        return order if labelled is None else order[np.isin(order, self.pool(labelled))]

    def place(self, index: int, seed: int) -> tuple[int, int] | None:
        """See `Cases`."""
        found = np.flatnonzero(self.order(seed) == index)
        return int(found[0]), self._stream.segment(index)

    def recorded(self, index: int) -> tuple[RecordedPrompts, float] | None:
        """See `Cases`."""
        part, own = self._stream.located(index)
        return part.recorded(own)

    def every_recording(self) -> list[Recordings]:
        """See `Cases`."""
        return [found for part in self._stream.parts for found in part.every_recording()]

    @property
    def _stream(self) -> StreamSource:
        assert isinstance(self.source, StreamSource)
        return self.source
