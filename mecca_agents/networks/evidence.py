"""What prompts say of the scan: channels that a network is told besides its observation.

A convolution sees what lies around a voxel, and a person who clicks means all that looks like it. So for each kind of
mark (the present mask, signed clicks) intensities are counted among what it marks as target and among what it marks as
background, as in GrabCut (Rother et al., 2004), and every voxel is told the logarithm of the ratio. Of a box every
voxel is told how deep inside it lies: what looks like the inside of a box often lies outside of it as well. And every
voxel is told whether it is nearer to clicks inside, or to those outside and to what a box leaves out, on paths that
shun edges (`networks.paths`), and the same with the middle of the box as if it had been clicked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from mecca_agents.networks.paths import distances, nearer

BINS = 48
"""Of an intensity, over `RANGE`."""

RANGE = 4.0
"""Z-scored intensities beyond plus and minus this are counted in the outermost bins."""

SMOOTHING = 1.5
"""Standard deviation of the Gaussian that counts are smoothed with, bins."""

PRIOR = 0.1
"""Share of the whole grid's intensities in those of a mark, so that no ratio is infinite."""

PULL = 4.0
"""What a click adds to the logit of its own voxel before a network has learned how much it should be."""

CLICKED = 0.99
"""A hint is above it at clicks alone."""

BESIDE = 0.1
"""Where the hint of clicks outside is above it, the middle of a box says nothing."""

CORE = 0.35
"""Half-axes of the ellipsoid in the middle of a box that is taken to be inside, as a share of the box's own.

With seeds for GrowCut a box alone reached less with 0.25 on training cases of five data sets, and bent targets less
after clicks with 0.5.
"""

NARROW = 3
"""Power of a hint that clicks pull by: so that they do so right beside them, and not as far as hints reach."""


@dataclass(frozen=True)
class Layout:
    """Where what is in an observation stands among its channels (`learning.rollout.stack_observation`).

    Attributes:
        modalities: Channels of the volume, the first ones; then comes the probability.
        signed: Whether there are two hint maps, of clicks inside and of clicks outside the target, or one.
        box: Whether a box follows the hints.
    """

    modalities: int
    signed: bool
    box: bool

    @property
    def channels(self) -> int:
        """Number of channels that `evidence` makes of it."""
        return 1 + 4 * self.signed + self.box + (self.signed or self.box)

    def marks(self, inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
        """How much every voxel is marked as target and as background, each (B, D, H, W), for each kind of mark."""
        at = self.modalities
        probability = inputs[:, at]
        decided = (probability != 0.5).flatten(1).any(1).view(-1, 1, 1, 1)
        found = [(probability * decided, (1 - probability) * decided)]
        if self.signed:
            found.append((inputs[:, at + 1].square(), inputs[:, at + 2].square()))
        return found

    def shown_box(self, inputs: Tensor) -> Tensor:
        """The box, (B, D, H, W)."""
        return inputs[:, self.modalities + 2 + self.signed]


def evidence(inputs: Tensor, layout: Layout) -> Tensor:
    """All that a network is told: `likeness` for each kind of mark, `depth` in the box, and `reached`.

    Args:
        inputs: An observation as channels, (B, C, D, H, W).
        layout: Which of them is what.

    Returns:
        (B, K, D, H, W), K = `layout.channels`.
    """
    maps = likeness(inputs, layout)
    if layout.box:
        maps.append(depth(layout.shown_box(inputs)))
    return torch.stack([*maps, *reached(inputs, layout)], dim=1)


def likeness(inputs: Tensor, layout: Layout) -> list[Tensor]:
    """Half the logarithm of how much more usual an intensity is in the target than in the background.

    The mean over modalities; 0 where nothing is marked.

    Args:
        inputs: An observation as channels, (B, C, D, H, W).
        layout: Which of them is what.

    Returns:
        A map for each kind of mark, (B, D, H, W).
    """
    volume = inputs[:, : layout.modalities].flatten(2)
    bins = ((volume + RANGE) * (BINS / (2 * RANGE))).clamp(0, BINS - 1).long().unbind(1)
    every = [_counted(torch.ones_like(inputs[:, 0]).flatten(1), of) for of in bins]
    usual = [counts / counts.sum(1, keepdim=True) + 1e-6 for counts in every]
    maps = []
    for marks in layout.marks(inputs):
        ratios = []
        for of, prior in zip(bins, usual, strict=True):
            target, background = (_spread(mark, of, prior) for mark in marks)
            ratios.append((target / background).log().gather(1, of))
        maps.append(torch.stack(ratios).mean(0).view_as(inputs[:, 0]) / 2)
    return maps


def reached(inputs: Tensor, layout: Layout) -> list[Tensor]:
    """What is near to clicks and to the box on paths that shun edges.

    What lies beyond a box is outside the target; without a box the border of the grid takes its place, which a target
    that is looked at seldom reaches.

    Args:
        inputs: An observation as channels, (B, C, D, H, W).
        layout: Which of them is what.

    Returns:
        Maps (B, D, H, W). With a box or signs: 1 where clicks inside or the middle of the box are near, -1 where clicks
        outside or what is beyond the box are, 0 where nothing is inside for sure. With signs also the same without the
        middle of the box, and how near, from 1 down to 0, clicks inside and clicks outside are.
    """
    if not (layout.box or layout.signed):
        return []
    nothing = torch.zeros_like(inputs[:, 0], dtype=torch.bool)
    inside = outside = near_outside = core = nothing
    boxed = nothing
    if layout.signed:
        hints = inputs[:, layout.modalities + 1], inputs[:, layout.modalities + 2]
        inside, outside, near_outside = hints[0] > CLICKED, hints[1] > CLICKED, hints[1] > BESIDE
    if layout.box:
        box = layout.shown_box(inputs)
        boxed, core = box > 0, depth(box) >= 1 - CORE**2
    beyond = torch.where(_anywhere(boxed), ~boxed, _border(nothing))
    seeds = torch.stack((inside, core & ~near_outside, outside, beyond & ~inside), dim=1)
    clicked, middle, refused, left_out = distances(inputs[:, : layout.modalities], seeds).unbind(1)
    against = torch.minimum(refused, left_out)
    maps = [nearer(torch.minimum(clicked, middle), against).where(_anywhere(inside | core), 0.0)]
    if layout.signed:
        maps.append(nearer(clicked, against).where(_anywhere(inside), 0.0))
        maps += [(-clicked).exp(), (-refused).exp()]
    return maps


def _anywhere(mask: Tensor) -> Tensor:
    """Whether there is any, (B, 1, 1, 1)."""
    return mask.flatten(1).any(1).view(-1, 1, 1, 1)


def _border(like: Tensor) -> Tensor:
    """The outermost voxels of a grid, (B, D, H, W) bool."""
    border = torch.ones_like(like)
    border[:, 1:-1, 1:-1, 1:-1] = False
    return border


def depth(box: Tensor) -> Tensor:
    """How deep inside a box voxels lie: 1 in its middle, 0 on the ellipsoid that fills it, not below -1; 0 without one.

    Args:
        box: As observations have it, (B, D, H, W).

    Returns:
        The same shape.
    """
    squares = torch.zeros_like(box)
    shown = box > 0
    for axis in (1, 2, 3):
        others = [other for other in (1, 2, 3) if other != axis]
        inside = shown.any(others[1]).any(others[0])  # (B, N): which of the layers across this axis
        at = torch.arange(inside.shape[1], dtype=box.dtype, device=box.device)
        low = torch.where(inside, at, torch.inf).amin(1, keepdim=True)
        high = torch.where(inside, at, -torch.inf).amax(1, keepdim=True)
        away = ((at - (low + high) / 2) / ((high - low + 1) / 2)).square()  # NaN where there is no box
        squares = squares + away.view(len(box), *(-1 if other == axis else 1 for other in (1, 2, 3)))
    return (1 - squares).clamp_min(-1).where(shown.flatten(1).any(1).view(-1, 1, 1, 1), 0.0)


def _spread(mark: Tensor, bins: Tensor, usual: Tensor) -> Tensor:
    """How usual each intensity is among what is marked, (B, BINS), all above 0.

    Args:
        mark: (B, D, H, W).
        bins: Of every voxel's intensity, (B, voxels).
        usual: How usual each intensity is among all voxels, (B, BINS).
    """
    marked = _counted(mark.flatten(1), bins)
    total = marked.sum(1, keepdim=True)
    prior = torch.where(total > 0.5, PRIOR, 1.0)
    return (1 - prior) * marked / total.clamp_min(0.5) + prior * usual


def _counted(weight: Tensor, bins: Tensor) -> Tensor:
    """Sums of weights by bin, smoothed, (B, BINS)."""
    counts = weight.new_zeros(len(weight), BINS).scatter_add_(1, bins, weight)
    reach = round(3 * SMOOTHING)
    away = torch.arange(-reach, reach + 1, dtype=weight.dtype, device=weight.device)
    kernel = (-0.5 * (away / SMOOTHING).square()).exp()
    return conv1d(counts.unsqueeze(1), (kernel / kernel.sum()).view(1, 1, -1), padding=reach).squeeze(1)


class Informed(nn.Module):
    """A network that is told `evidence`, and whose outputs for voxels of signed clicks lie on the clicks' sides.

    Args:
        network: Takes the observation's channels, whatever follows them, and those of `evidence`.
        layout: Of the observation.
        pulled: Branches whose first output is the logit of foreground.
    """

    def __init__(self, network: nn.Module, layout: Layout, pulled: Collection[str]) -> None:
        super().__init__()
        self.network, self.layout, self.pulled = network, layout, frozenset(pulled)
        if layout.signed and self.pulled:
            self.pull = nn.Parameter(torch.tensor(PULL))

    def forward(self, inputs: Tensor, only: str | None = None) -> dict[str, Tensor]:
        """(B, C, D, H, W) float32 to a (B, out, D, H, W) map for every branch, or for `only` one."""
        with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):  # counts are beyond bfloat16
            told = torch.cat((inputs, evidence(inputs, self.layout)), dim=1)
        outputs: dict[str, Tensor] = self.network(told, only=only)
        if not (self.layout.signed and self.pulled):
            return outputs
        at = self.layout.modalities + 1
        pull = self.pull * (inputs[:, at].pow(NARROW) - inputs[:, at + 1].pow(NARROW)).unsqueeze(1)
        return {
            name: torch.cat((out[:, :1] + pull, out[:, 1:]), dim=1) if name in self.pulled else out
            for name, out in outputs.items()
        }
