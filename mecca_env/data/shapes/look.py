"""What a target looks like: contrast, edge, texture, core, patches, where its edge fades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mecca_env.data.procedural.noise import Grid, Point
from mecca_env.data.shapes.drawing import chosen, direction, log_uniform
from mecca_env.data.shapes.families import Target
from mecca_env.data.shapes.forms import Form

_TEXTURE, _PATCHES, _FADE = 120, 121, 122  # streams of noise


@dataclass(frozen=True)
class Look:
    """Intensities of a target.

    Attributes:
        contrast: To the mean of what lies around it.
        clear: Standard deviations of what lies around it that are added to the contrast.
        darker: Where there is the choice.
        soft: Width of its edge, mm.
        texture: Standard deviation and spacing, mm, of noise inside.
        slope: Change of intensity from its middle to its end.
        heading: Of the slope, a unit vector.
        core: Depth in shares of the largest at which a core begins; 0: there is none.
        core_change: Intensity of the core above that of the rim, in contrasts.
        patch: Change of intensity in patches, in contrasts, and their spacing, mm.
        faint: Share of the contrast that is lost where its edge fades.
        leak: How far the target's intensity goes on where it leaks into its surroundings, mm.
        fade: Above which value of noise its edge fades or leaks, and the spacing, mm, of that noise.
        rim: Intensity of a layer around it.
        rim_width: Of that layer, mm; 0: there is none.
        gap: Between it and others that look the same, mm.
    """

    contrast: float
    clear: float
    darker: bool
    soft: float
    texture: tuple[float, float]
    slope: float
    heading: Point
    core: float
    core_change: float
    patch: tuple[float, float]
    faint: float
    leak: float
    fade: tuple[float, float]
    rim: float
    rim_width: float
    gap: float

    @classmethod
    def draw(cls, rng: np.random.Generator, target: Target, volume: float, thin: float, contrast: float) -> Look:
        """A random look of a target of `volume` mm3 on a grid that shows what is `thin` mm thick."""
        side = float(f"{volume ** (1 / 3):.5g}")
        cored = not target.beside and target.family != "plate" and rng.uniform() < 0.2
        fading = chosen(rng, {"": 0.5, "faint": 0.25, "leak": 0.25})
        return cls(
            contrast=contrast,
            clear=max(rng.uniform(-0.7, 2.0), 0.0),
            darker=bool(rng.uniform() < 0.35),
            soft=thin * (log_uniform(rng, 1.5, 5.0) if rng.uniform() < 0.2 else rng.uniform(0.5, 1.5)),
            texture=(rng.uniform(0.0, 0.3) * contrast, rng.uniform(2.0, 8.0) * thin),
            slope=rng.uniform(-0.5, 0.5) * contrast,
            heading=direction(rng),
            core=rng.uniform(0.25, 0.6) if cored else 0.0,
            core_change=rng.uniform(0.6, 1.6) * (1 if rng.uniform() < 0.5 else -1),
            patch=(rng.uniform(0.3, 1.0) if rng.uniform() < 0.25 else 0.0, rng.uniform(0.25, 0.5) * side),
            faint=rng.uniform(0.6, 0.9) if fading == "faint" else 0.0,
            leak=rng.uniform(0.15, 0.4) * side if fading == "leak" else 0.0,
            fade=(rng.uniform(0.3, 0.9), rng.uniform(0.4, 0.9) * side),
            rim=rng.uniform(0.0, 1.0),
            rim_width=thin * rng.uniform(1.0, 2.5) if rng.uniform() < 0.35 else 0.0,
            gap=thin * rng.uniform(1.0, 3.0) if rng.uniform() < 0.7 else 0.0,
        )

    def apart(self, level: float) -> float:
        """The intensity of a layer around it or of what it encloses, which is not the target's."""
        if abs(self.rim - level) >= self.contrast:
            return self.rim
        return level - self.contrast if self.rim < level and level > self.contrast else level + self.contrast

    def fading(self, grid: Grid) -> Tensor:
        """How much the target's edge fades or leaks, in [0, 1], (X, Y, Z) float32."""
        mark, spacing = self.fade
        return grid.noise(_FADE, spacing).float().sub_(mark).mul_(3.0).clamp_(0, 1)

    def interior(self, grid: Grid, form: Form, inside: Tensor, level: float) -> Tensor:
        """The target's own intensity wherever it might be, (X, Y, Z) float32.

        Args:
            grid: A part of the grid around the target.
            form: The target's.
            inside: Depth in the target there.
            level: Its intensity on the whole.
        """
        x, y, z = (
            (line - middle).mul_(along * self.slope / reach)
            for line, middle, along, reach in zip(
                grid.coordinates(), form.centre, self.heading, form.reach, strict=True
            )
        )
        interior = grid.noise(_TEXTURE, self.texture[1]).float().mul_(self.texture[0]).add_((x + y) + z).add_(level)
        if self.patch[0]:
            patches = grid.noise(_PATCHES, self.patch[1]).float().sub_(0.8).mul_(4.0).clamp_(0, 1)
            interior.add_(patches.mul_(self.patch[0] * self.contrast))
        if self.core:
            begin = self.core * float(inside.max())
            core = inside.sub(begin).mul_(1 / (2 * self.soft)).add_(0.5).clamp_(0, 1)
            interior.add_(core.mul_(self.core_change * self.contrast))
        return interior
