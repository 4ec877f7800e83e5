"""What an episode shows of a scan: where its grid lies, which box is drawn, and the first click, if that decides it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mecca_env.data.base import Box, PreparedCase, Triple
from mecca_env.data.grid.placement import Placement, draw_placement, fixed_placement
from mecca_env.kernels.interpolation import Coordinates
from mecca_env.process.choices import Purpose, draw_choice, read_choice
from mecca_env.process.config import BOXES, CROPS, EnvConfig
from mecca_env.prompts.boxes import middle_slice_box
from mecca_env.prompts.components import deepest, largest_components

_OFF_THE_SLICE = 0.5
"""What the observation shows of a box of the middle slice on the other slices that it reaches to."""


@dataclass(frozen=True)
class ShownBox:
    """A box that the agent is shown.

    Attributes:
        low: First voxel on the scan's grid.
        high: Opposite corner, exclusive.
        middle: The slice along the third axis that it was drawn on; None: on all of them.
    """

    low: Triple
    high: Triple
    middle: int | None = None


@dataclass(frozen=True)
class View:
    """What an episode shows.

    Attributes:
        placement: Where its grid lies.
        upright: The same without flips and rotation, for when those have moved the label out of sight.
        crop: Which kind it is (`EnvConfig.crop`).
        box: What is shown of a box; None: nothing.
        click: The voxel of the scan that was clicked first, where the grid lies around it.
    """

    placement: Placement
    upright: Placement
    crop: str = "label"
    box: ShownBox | None = None
    click: Triple | None = None

    def at(self, placement: Placement) -> View:
        """The same where its grid lies elsewhere."""
        return replace(self, placement=placement)

    @property
    def first_click(self) -> Triple | None:
        """The voxel of the grid that `click` lies in."""
        if self.click is None:
            return None
        x, y, z = (torch.tensor([float(v)], dtype=torch.float64) for v in self.click)
        at = self.placement.in_grid(Coordinates(x[:, None], y[:, None], z))
        voxel = [int((c.flatten()[0] + 0.5).floor()) for c in (at.first, at.second, at.third)]
        d, h, w = (min(max(v, 0), n - 1) for v, n in zip(voxel, self.placement.shape, strict=True))
        return d, h, w


class ViewMaker:
    """Draws what episodes show.

    Args:
        config: Settings of the decision process.
        training: Whether crops are flipped and rotated, boxes jittered, clicks anywhere inside (`EnvConfig.augment`).
    """

    def __init__(self, config: EnvConfig, training: bool) -> None:
        self._config, self._training = config, training
        self._crops = read_choice("crop", config.crop, CROPS)
        self._boxes = read_choice("box", config.box, BOXES)

    def make(self, case: PreparedCase, rng: np.random.Generator, key: int) -> View:
        """What the episode with stream `key` shows of a case; flips, rotations and margins are drawn from `rng`."""
        crop, shown = draw_choice(self._crops, key, Purpose.CROP), draw_choice(self._boxes, key, Purpose.BOX)
        if crop == "label" and shown == "none":
            return self._placed(case, rng, case.box, crop)
        draws = np.random.default_rng([key, int(Purpose.JITTER)])
        box = self._box(case, shown, draws)
        kept = None if shown == "none" else box
        if crop == "label":
            return self._placed(case, rng, case.box, crop, kept)
        if crop == "box":
            return self._placed(case, rng, self._around(box, case), crop, kept)
        if crop == "scan":
            whole: Box = ((0, 0, 0), case.scan_shape)
            return self._placed(case, rng, whole, crop, kept, margin=False)
        click = self._first_click(case, draws)
        return self._placed(case, rng, self._cube(case, click, key), crop, kept, click, margin=False)

    def _placed(
        self,
        case: PreparedCase,
        rng: np.random.Generator,
        base: Box,
        crop: str,
        box: ShownBox | None = None,
        click: Triple | None = None,
        margin: bool = True,
    ) -> View:
        config = self._config
        fixed = config.evaluation_extension if margin else 0
        upright = fixed_placement(case, config.shape, fixed, base)
        if not self._training:
            return View(upright, upright, crop, box, click)
        drawn = config.extension if margin else (0, 0)
        placement = draw_placement(case, config.shape, rng, extension=drawn, rotation=config.rotation, box=base)
        return View(placement, upright, crop, box, click)

    def _box(self, case: PreparedCase, shown: str, draws: np.random.Generator) -> ShownBox:
        """The box: the label's, in training each face moved a little; or that of the middle slice."""
        if shown == "middle-slice":
            sliced = middle_slice_box(case.label.cpu().numpy(), draws, axis=2)
            low, high = (_moved(corner, case.origin) for corner in (sliced.low, sliced.high))
            return ShownBox(low, high, sliced.middle + case.origin[2])
        if not self._training:
            return ShownBox(*case.box)
        first, last = np.array(case.box, np.float64)
        reach = self._config.box_jitter * (last - first)
        first = np.clip(np.rint(first + draws.uniform(-reach, reach)), 0, np.array(case.scan_shape) - 1)
        last = np.clip(np.rint(last + draws.uniform(-reach, reach)), first + 1, case.scan_shape)
        return ShownBox(_triple(first), _triple(last))

    def _around(self, box: ShownBox, case: PreparedCase) -> Box:
        """The box that a crop is made of: of one slice's, a quarter more to each side, since others may be larger."""
        if box.middle is None:
            return box.low, box.high
        more = [(b - a) // 4 for a, b in zip(box.low[:2], box.high[:2], strict=True)]
        low = [max(a - m, 0) for a, m in zip(box.low[:2], more, strict=True)]
        high = [min(b + m, n) for b, m, n in zip(box.high[:2], more, case.scan_shape[:2], strict=True)]
        return (low[0], low[1], box.low[2]), (high[0], high[1], box.high[2])

    def _first_click(self, case: PreparedCase, draws: np.random.Generator) -> Triple:
        """A voxel of the label's largest part: its middle, in training any that lies half as deep."""
        part = next(largest_components(case.label.cpu().numpy(), 1))
        inside = deepest(part.mask, 0.5 if self._training else 1.0)
        return _moved(_triple(inside[draws.integers(len(inside))] + part.low), case.origin)

    def _cube(self, case: PreparedCase, click: Triple, key: int) -> Box:
        """A cube in mm around a voxel, cut off at the scan's border."""
        least, most = (float(side) for side in self._config.click_side)
        share = np.random.default_rng([key, int(Purpose.SIDE)]).random() if self._training else 0.5
        half = least * (most / least) ** share / 2
        spacing = np.linalg.norm(case.affine[:3, :3], axis=0)
        reach = np.maximum(np.rint(half / spacing), 1).astype(int)
        low = [max(c - int(r), 0) for c, r in zip(click, reach, strict=True)]
        high = [min(c + int(r) + 1, n) for c, r, n in zip(click, reach, case.scan_shape, strict=True)]
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def box_map(box: ShownBox | None, placement: Placement, device: torch.device) -> Tensor:
    """What the observation shows of a box, (D, H, W) float32: 1 inside, 0 outside.

    Of a box of the middle slice, 1 on that slice and a half on the others that it reaches to. Grids may be coarse: the
    slice takes up one layer at least.
    """
    if box is None:
        return torch.zeros(placement.shape, dtype=torch.float32, device=device)
    at = placement.in_scan(device)
    (a, b, c), (d, e, f) = box.low, box.high
    plane = (at.first >= a - 0.5) & (at.first < d - 0.5) & (at.second >= b - 0.5) & (at.second < e - 0.5)
    along = ((at.third >= c - 0.5) & (at.third < f - 0.5)).to(torch.float32)
    if box.middle is not None:
        away = (at.third - box.middle).abs()
        along = torch.where((away <= 0.5) | (away == away.min()), 1.0, along * _OFF_THE_SLICE)
    return plane.to(torch.float32)[:, :, None] * along


def _moved(voxel: Triple, by: Triple) -> Triple:
    return _triple([v + o for v, o in zip(voxel, by, strict=True)])


def _triple(values: object) -> Triple:
    a, b, c = (int(v) for v in np.asarray(values))
    return a, b, c
