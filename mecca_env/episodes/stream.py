"""The random streams of one env: which case comes next, and with which seed."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_env.data.selection import Cases
from mecca_env.tensors.rng import stream

BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
"""NumPy's; the first is that of its default generator."""

_DRAWS_AT_MOST = 1 << 16  # no luck in so many, at a chance of one in a thousand each, is no accident


def is_labelled_episode(number: int, share: float) -> bool:
    """Tell whether episode `number` of an endless row is of a labelled case, when `share` of all episodes are.

    They lie as evenly as they can: every run of n episodes holds n times `share` of them, rounded up or down. Exact for
    numbers of any size, with `share` read as the decimal that it prints as.
    """
    exact = Fraction(str(float(share)))
    return floor((number + 1) * exact) > floor(number * exact)


@dataclass(frozen=True, eq=False)
class StreamState:
    """The position of an `EpisodeStream`; nothing in it is ever written to.

    Attributes:
        seed: As `EpisodeStream.seed`.
        episode: Number of the present episode, -1 before the first.
        generator: State of the NumPy bit generator.
        walks: Cases left of each walk, in order: through all (None), the labelled (True), the unlabelled (False).
    """

    seed: int
    episode: int
    generator: Mapping[str, Any]
    walks: Mapping[bool | None, NDArray[np.int64]]


class EpisodeStream:
    """One env's host randomness: its NumPy generator, its walk through the cases, its count of episodes.

    Args:
        seed: Everything the env draws follows from it; None takes one from the operating system.
        rng: The generator; None: NumPy's default one of that seed.

    Attributes:
        seed: The seed; -1 - n where n was drawn from a generator of somebody's, whose seed nobody knows.
        rng: The generator.
        episode: Number of the present episode, -1 before the first.
    """

    def __init__(self, seed: int | None, rng: np.random.Generator | None = None) -> None:
        self.seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1) if seed is None else int(seed)
        self.rng = np.random.default_rng(self.seed) if rng is None else rng
        self.episode = -1
        self._walks: dict[bool | None, NDArray[np.int64]] = {}  # see `StreamState`

    @classmethod
    def of(cls, rng: np.random.Generator) -> EpisodeStream:
        """A stream that draws from somebody's generator from here on.

        Raises:
            TypeError: It is none of NumPy's.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"np_random: expected a numpy.random.Generator, got {type(rng).__name__}")
        return cls(-1 - int(rng.integers(1 << 63)), rng)

    @classmethod
    def at(cls, state: StreamState) -> EpisodeStream:
        """A stream that goes on from there.

        Raises:
            ValueError, TypeError, KeyError: `state.generator` is not one of a generator of NumPy's.
        """
        kind = str(state.generator["bit_generator"])
        if kind not in BIT_GENERATORS:
            raise ValueError(f"bit_generator: expected one of {', '.join(BIT_GENERATORS)}, got {kind!r}")
        stream = cls(state.seed, np.random.Generator(getattr(np.random, kind)(0)))
        stream.rng.bit_generator.state = deepcopy(dict(state.generator))
        stream.episode = state.episode
        stream._walks = dict(state.walks)
        return stream

    def state(self) -> StreamState:
        """Its position, for `at`."""
        return StreamState(self.seed, self.episode, dict(self.rng.bit_generator.state), dict(self._walks))

    def next_case(self, cases: Cases, labelled: bool | None = None) -> int:
        """The next case, of the labelled ones (True), of the others (False) or of all (None).

        One pass through them after another, shuffled or in the order of a stream (`Cases.walk`), a walk of its own for
        each of the three; independent draws where cases are endless, since there an order is not worth its memory and
        repeats are rare anyway.

        Raises:
            ValueError: None of very many endless cases is of the kind asked for.
        """
        if cases.endless:
            for _ in range(_DRAWS_AT_MOST):
                case = int(cases.indices[int(self.rng.integers(len(cases)))])
                if labelled is None or cases.is_labelled(case) is labelled:
                    return case
            raise ValueError(
                f"labelled_share, labelled_fraction: expected {'' if labelled else 'un'}labelled cases among "
                f"{len(cases)}, got none in {_DRAWS_AT_MOST} draws"
            )
        order = self._walks.get(labelled, np.empty(0, dtype=np.int64))
        if len(order) == 0:
            order = cases.walk(self.rng, self._key, labelled)
        self._walks[labelled] = order[1:]
        return int(order[0])

    def next_key(self) -> int:
        """The random stream of the next episode."""
        self.episode += 1
        return stream(self._key, self.episode)

    def place(self, cases: Cases, index: int) -> tuple[int, int] | None:
        """Where a case stands in this env's stream, see `Cases.place`."""
        return cases.place(index, self._key)

    @property
    def _key(self) -> int:
        """A number that all random streams of the env follow from, whatever it was made of."""
        return max(self.seed, -1 - self.seed)
