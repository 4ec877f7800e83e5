"""Episodes cut out of cases: which case, which crop. Everything drawn here comes from one generator per env."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.data.base import DataError, PreparedCase
from mecca_env.data.caching.device import CaseStream, threads_ahead
from mecca_env.data.drift import StreamSource
from mecca_env.data.files import FileSource
from mecca_env.data.grid.crops import measured
from mecca_env.data.grid.placement import Placement
from mecca_env.data.grid.sampling import resample_case, resample_cases
from mecca_env.data.mixture import MixedSource
from mecca_env.data.procedural.source import ProceduralSource
from mecca_env.data.recorded import RecordedPrompts
from mecca_env.data.selection import Cases
from mecca_env.episodes.damage import damaged
from mecca_env.episodes.recorded import PromptGiver
from mecca_env.episodes.regions import case_regions, placed_regions
from mecca_env.episodes.stream import EpisodeStream, is_labelled_episode
from mecca_env.episodes.views import ShownBox, View, ViewMaker, box_map
from mecca_env.process.choices import Purpose, draw_choice, read_choice
from mecca_env.process.config import STARTS, EnvConfig
from mecca_env.process.simulator import EpisodeStart
from mecca_env.tensors.transfer import to_device

DEVICE_CACHE_BYTES = 1 << 30
"""Bytes that the prepared cases of an env may take on its device unless told otherwise."""

_ENDLESS_BYTES = 64 << 20


class EpisodeMaker:
    """Cuts episodes out of cases.

    A drawn crop that is rotated can miss a label that lies in the corners of its box; such an episode takes the upright
    crop of evaluation instead, which always holds the label.

    Args:
        cases: Which cases of which data set.
        config: Settings of the decision process.
        device: Where the episodes' tensors live.
        device_cache_bytes: What the prepared cases that are kept there may take. Of endless cases, which hardly ever
            come again, a few are kept at most.
        prefetch: Whether `look_ahead` fetches anything; None: if the data set is one of this package's, which can be
            read by several threads at once.

    Raises:
        ValueError: `labelled_share` asks for labelled or unlabelled cases and there are none.
    """

    def __init__(
        self,
        cases: Cases,
        config: EnvConfig,
        device: torch.device,
        device_cache_bytes: int = DEVICE_CACHE_BYTES,
        prefetch: bool | None = None,
    ) -> None:
        cases.check_share(config.labelled_share)
        self._cases = cases
        self._config = config
        self._device = device
        self._augment = cases.split == "train" if config.augment is None else config.augment
        self._views = ViewMaker(config, self._augment)
        self._starts = read_choice("start", config.start, STARTS)
        self._giver = PromptGiver(cases, config)
        ours = isinstance(cases.source, (FileSource, ProceduralSource, MixedSource, StreamSource))
        threads = threads_ahead() if ours else 1
        self._prepared = CaseStream(
            cases.source,
            device,
            min(device_cache_bytes, _ENDLESS_BYTES) if cases.endless else device_cache_bytes,
            threads if prefetch or (prefetch is None and ours) else 0,
            shared=ours,
        )
        self._next: dict[int, int | None] = {}

    def make(self, source: EpisodeStream, index: int | None = None) -> tuple[EpisodeStart, Placement]:
        """The next episode of an env, of case `index` if given, and where its grid lies in the scan."""
        return self.make_all([source], [index])[0]

    def make_all(
        self,
        sources: Sequence[EpisodeStream],
        indices: Sequence[int | None],
        masks: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> list[tuple[EpisodeStart, Placement]]:
        """The next episode of each of several envs, see `make`.

        Args:
            sources: Of the envs.
            indices: The case of each; None: the next one.
            masks: What each goes on from, (X, Y, Z) on its scan's grid, or None; None: none does.

        Raises:
            ValueError: A mask is of another grid, or nothing of it lies in the crop.
        """
        drawn = [self._draw(source, index) for source, index in zip(sources, indices, strict=True)]
        cases = [each.case for each in drawn]
        placements = [each.view.placement for each in drawn]
        clip = self._config.intensity_clip
        volume, label, missed = resample_cases(cases, placements, clip, self._device)
        for row in missed:
            if self._augment:
                placements[row] = drawn[row].view.upright
            volume[row], label[row] = resample_case(cases[row], placements[row], clip, self._device)
        made = []
        given = [None] * len(drawn) if masks is None else masks
        for row, each in enumerate(drawn):
            episode = EpisodeStart(
                volume=volume[row],
                label=label[row],
                case_index=each.index,
                labelled=self._cases.is_labelled(each.index),
                key=each.key,
                regions=self._regions(each.index, each.case, placements[row]) if self._config.needs_regions else None,
                box=box_map(each.box, placements[row], self._device) if self._config.shows_box else None,
                mask=self._start(given[row], each, label[row], placements[row]),
                first_click=each.view.at(placements[row]).first_click if each.recorded is None else None,
                place=sources[row].place(self._cases, each.index),
                given=self._giver.on_grid(each.recorded, placements[row]),
            )
            made.append((episode, placements[row]))
        return made

    def case(self, index: int) -> PreparedCase:
        """The prepared case `index`; its tensors live on the device and are not to be changed."""
        return self._prepared.get(index)

    def regions(self, index: int, placement: Placement) -> Tensor:
        """The supervoxels of case `index` for each step, where a placement shows them, (T, D, H, W) int16."""
        return self._regions(index, self.case(index), placement)

    def look_ahead(self, streams: Mapping[int, EpisodeStream | None]) -> None:
        """Fetch the next case of these envs in the background; nothing is drawn from their streams.

        Args:
            streams: By the number of the env; None: nobody can tell its next case.
        """
        if not self._prepared.looks_ahead or len(self._prepared) == len(self._cases):
            return
        self._next |= {env: None if at is None else self._foreseen(at) for env, at in streams.items()}
        self._prepared.ahead({case for case in self._next.values() if case is not None})

    def close(self) -> None:
        """Keep no cases, and fetch none ahead."""
        self._prepared.close()

    def _draw(self, source: EpisodeStream, index: int | None) -> _Drawn:
        key = source.next_key()
        if index is None:
            index = self._next_case(source)
        case = self.case(index)
        view = self._views.make(case, source.rng, key)
        if view.crop != "label":
            case = measured(case, (view.placement.low, view.placement.high))
        return _Drawn(key, index, case, view, self._giver.drawn(index, key))

    def _start(
        self, mask: NDArray[np.bool_] | None, drawn: _Drawn, label: Tensor, placement: Placement
    ) -> Tensor | None:
        """What an episode goes on from: the mask that was given, or what the settings say; None: from nothing."""
        if mask is not None:
            return self._on_grid(mask, drawn, placement)
        return None if drawn.recorded is not None else self._damaged(label, drawn.key)

    def _damaged(self, label: Tensor, key: int) -> Tensor | None:
        """What an episode goes on from by its settings, (D, H, W) bool; None: from nothing."""
        if draw_choice(self._starts, key, Purpose.START) == "half":
            return None
        rng = np.random.default_rng([key, int(Purpose.DAMAGE)])
        return to_device(torch.from_numpy(damaged(label.cpu().numpy(), rng)), self._device)

    def _on_grid(self, mask: NDArray[np.bool_], drawn: _Drawn, placement: Placement) -> Tensor:
        """A mask on a scan's grid, (X, Y, Z), where an episode's grid lies, (D, H, W) bool."""
        case = drawn.case
        if mask.shape != case.scan_shape:
            raise ValueError(f"mask: expected one on the grid of {case.name}, {case.scan_shape}, got {mask.shape}")
        cut = tuple(slice(o, o + n) for o, n in zip(case.origin, case.label.shape, strict=True))
        label = torch.from_numpy(np.ascontiguousarray(mask[cut])).to(case.label.device)
        try:
            found = resample_case(replace(case, label=label), placement, self._config.intensity_clip, self._device)
        except DataError as error:
            raise ValueError(
                f"mask: expected part of it in the crop of {case.name}, "
                f"{placement.low} to {placement.high} (exclusive), got none there"
            ) from error
        return found[1]

    def _foreseen(self, stream: EpisodeStream) -> int | None:
        """The case that would come next."""
        copy = EpisodeStream.at(stream.state())
        copy.episode += 1
        try:
            return self._next_case(copy)
        except ValueError:  # there is none of the kind it needs: said when it is needed
            return None

    def _next_case(self, source: EpisodeStream) -> int:
        """The case of the present episode; with a `labelled_share`, neighbouring seeds are out of step."""
        share = self._config.labelled_share
        kind = None if share is None else is_labelled_episode(source.seed + source.episode, share)
        return source.next_case(self._cases, kind)

    def _regions(self, index: int, case: PreparedCase, placement: Placement) -> Tensor:
        """The case's supervoxels, moved along with the episode's crop, flips and rotation."""
        config = self._config
        cut = (config.extension, config.rotation, config.evaluation_extension, config.intensity_clip)
        settings = (config.shape, config.supervoxels, config.slic_spacing, config.slic_compactness, cut)
        stored = self._cases.supervoxels(index, case, settings, lambda: case_regions(case, config))
        return to_device(placed_regions(stored, case, placement), self._device)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """An episode of which only its grid is missing."""

    key: int
    index: int
    case: PreparedCase
    view: View
    recorded: RecordedPrompts | None

    @property
    def box(self) -> ShownBox | None:
        """What is shown of a box: that of whoever was recorded, also where they drew none, or the view's."""
        if self.recorded is None:
            return self.view.box
        return None if self.recorded.box is None else ShownBox(*self.recorded.box)
