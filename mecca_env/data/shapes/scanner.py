"""What a scanner makes of a scene: blur, uneven sensitivity, another scale of intensities, noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from torch import Tensor

from mecca_env.data.procedural.noise import Grid, Point
from mecca_env.data.shapes.drawing import chosen, log_uniform

_BIAS = 48  # stream of smooth noise
_VOXELS = 0x73686170  # stream of white noise


@dataclass(frozen=True)
class Scanner:
    """Everything that differs from one acquisition to the next.

    Attributes:
        blur: Share of a voxel that its two neighbours along each axis make up.
        bias: Standard deviation of the smooth multiplicative field.
        bias_spacing: Of that field, mm.
        bend: Of the intensity curve x / (bend + (1 - bend) x): 1 is straight, below 1 lifts the dark, above lowers it.
        noise: Standard deviation of the noise.
        kind: "rician" or "gaussian".
        grain: Share of a noise voxel that its neighbours make up: images that were interpolated have coarse noise.
        gain: Arbitrary units per unit of signal.
        offset: Arbitrary units.
    """

    blur: Point
    bias: float
    bias_spacing: float
    bend: float
    noise: float
    kind: str
    grain: float
    gain: float
    offset: float

    @classmethod
    def draw(cls, rng: np.random.Generator, extent: Point, contrast: float) -> Scanner:
        """A random scanner; its noise goes by the target's contrast."""
        x, y, z = rng.uniform(0.0, 0.45, 3).tolist()
        return cls(
            blur=Point(x, y, z),
            bias=rng.uniform(0.0, 0.14) if rng.uniform() < 0.7 else 0.0,
            bias_spacing=rng.uniform(0.4, 1.0) * max(extent),
            bend=log_uniform(rng, 0.5, 2.0) if rng.uniform() < 0.5 else 1.0,
            noise=min(max(contrast / log_uniform(rng, 1.8, 30.0), 0.004), 0.1),
            kind=chosen(rng, {"rician": 0.5, "gaussian": 0.5}),
            grain=rng.uniform(0.2, 0.6) if rng.uniform() < 0.3 else 0.0,
            gain=log_uniform(rng, 1.0, 3000.0),
            offset=rng.uniform(-1000.0, 100.0) if rng.uniform() < 0.2 else 0.0,
        )

    def acquire(self, grid: Grid, signal: Tensor) -> Tensor:
        """The image of (X, Y, Z) `signal`, mostly in [0, 1], which is overwritten; float32, arbitrary units."""
        for axis, share in enumerate(self.blur):
            signal = smoothed(signal, axis, share)
        if self.bias:
            signal.mul_(grid.noise(_BIAS, self.bias_spacing).float().mul_(self.bias).add_(1))
        signal.clamp_(0, 1.3)
        if self.bend != 1.0:
            signal.div_((signal * (1 - self.bend)).add_(self.bend))
        real, imaginary = (self._grained(part.mul_(self.noise)) for part in grid.white(_VOXELS))
        signal.add_(real)
        if self.kind == "rician":
            signal = signal.square_().add_(imaginary.square_()).sqrt_()
        return signal.mul_(self.gain).add_(self.offset)

    def _grained(self, noise: Tensor) -> Tensor:
        if not self.grain:
            return noise
        for axis in range(3):
            noise = smoothed(noise, axis, self.grain)
        kept = (1 - self.grain) * (1 - self.grain) + self.grain * self.grain / 2  # of the variance, along each axis
        return noise.mul_(1 / (kept * sqrt(kept)))


def smoothed(field: Tensor, axis: int, share: float) -> Tensor:
    """(X, Y, Z) `field` with `share` of every voxel taken from its two neighbours along an axis."""
    side = field.shape[axis]
    out = field * (1 - share)
    part = field * (share / 2)
    out.narrow(axis, 1, side - 1).add_(part.narrow(axis, 0, side - 1))
    out.narrow(axis, 0, side - 1).add_(part.narrow(axis, 1, side - 1))
    out.narrow(axis, 0, 1).add_(part.narrow(axis, 0, 1))
    out.narrow(axis, side - 1, 1).add_(part.narrow(axis, side - 1, 1))
    return out
