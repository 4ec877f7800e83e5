"""The host's side of an episode: which case, which crop. Everything drawn here comes from one generator per env."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.config import EnvConfig
from mecca_env.data.base import DataError, PreparedCase
from mecca_env.data.placement import Placement, canonical_placement, draw_placement, fixed_placement
from mecca_env.data.preprocessing import move_regions, place
from mecca_env.data.selection import Cases
from mecca_env.guide import supervoxels
from mecca_env.rng import stream
from mecca_env.simulator import Episode

_SHUFFLED_AT_MOST = 1 << 16  # beyond that many cases an order is not worth its memory; repeats are rare anyway


class EpisodeStream:
    """One env's host randomness: its NumPy generator, its walk through the cases, its count of episodes.

    Args:
        seed: Everything the env draws follows from it; None takes one from the operating system.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1) if seed is None else int(seed)
        self.rng = np.random.default_rng(self.seed)
        self.episode = -1
        self._order: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def next_case(self, indices: NDArray[np.int64] | range) -> int:
        """The next case: one shuffled pass through all after another; independent draws where they are endless."""
        if len(indices) > _SHUFFLED_AT_MOST:
            return int(indices[int(self.rng.integers(len(indices)))])
        if len(self._order) == 0:
            self._order = self.rng.permutation(np.asarray(indices))
        case, self._order = int(self._order[0]), self._order[1:]
        return case

    def next_key(self) -> int:
        """The random stream of the next episode."""
        self.episode += 1
        return stream(self.seed, self.episode)


class EpisodeMaker:
    """Cuts episodes out of cases.

    A drawn crop that is turned can miss a label that lies in the corners of its box; such an episode takes the upright
    crop of evaluation instead, which always holds the label.

    Args:
        cases: Which cases of which data set.
        config: Settings of the decision process.
        device: Where the episodes' tensors live.
    """

    def __init__(self, cases: Cases, config: EnvConfig, device: torch.device) -> None:
        self._cases = cases
        self._config = config
        self._device = device
        self._augment = cases.split == "train" if config.augment is None else config.augment

    def make(self, source: EpisodeStream, index: int | None = None) -> tuple[Episode, Placement]:
        """The next episode of an env, of case `index` if given, and where its grid lies in the scan."""
        config = self._config
        key = source.next_key()
        if index is None:
            index = source.next_case(self._cases.indices)
        case = self._cases.source.case(index)
        if self._augment:
            placement = draw_placement(
                case, config.shape, source.rng, extension=config.extension, rotation=config.rotation
            )
        else:
            placement = fixed_placement(case, config.shape, evaluation_extension=config.evaluation_extension)
        try:
            volume, label = place(case, placement, intensity_clip=config.intensity_clip, device=self._device)
        except DataError:
            if not self._augment:
                raise
            placement = fixed_placement(case, config.shape, evaluation_extension=config.evaluation_extension)
            volume, label = place(case, placement, intensity_clip=config.intensity_clip, device=self._device)
        episode = Episode(
            volume=volume,
            label=label,
            case_index=index,
            labelled=self._cases.is_labelled(index),
            key=key,
            regions=self._regions(index, case, placement) if config.guide else None,
        )
        return episode, placement

    def _regions(self, index: int, case: PreparedCase, placement: Placement) -> Tensor:
        """The case's supervoxels, moved along with the episode's crop, flips and rotation."""
        config = self._config
        canonical = canonical_placement(case, config.shape)
        assert config.supervoxels is not None
        counts, spacing, compactness = config.supervoxels, config.slic_spacing, config.slic_compactness

        def build() -> NDArray[np.int16]:
            volume, _ = place(case, canonical, intensity_clip=config.intensity_clip)
            return supervoxels(volume.numpy(), counts, spacing, compactness)

        cut = (config.extension, config.rotation, config.evaluation_extension, config.intensity_clip)
        settings = (config.shape, counts, spacing, compactness, cut)
        stored = torch.from_numpy(self._cases.supervoxels(index, settings, build))
        return torch.stack([move_regions(step, canonical, placement) for step in stored]).to(self._device)
