"""Where the cases of a segment come from: a built-in data set, seen with other targets, contrast or scanner."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_env.data.base import Scan
from mecca_env.data.built_in import BUILT_IN
from mecca_env.data.procedural.noise import Grid, Point
from mecca_env.data.procedural.source import ProceduralSource

_BIAS, _NOISE = 56, 0x6472696674  # streams of noise, apart from those of the built-in data sets
_BIAS_SPACING = 0.5  # of the bias field's features, in longest sides of the scan


@dataclass(frozen=True)
class Domain:
    """A distribution of cases.

    Attributes:
        name: In one word.
        dataset: Key of the built-in data set that is drawn (`mecca_env.data.built_in.BUILT_IN`).
        families: What targets may be, of `"Shapes"` alone (`mecca_env.data.shapes.families.FAMILIES`); none: all.
        curve: Points (before, after) of the curve that intensities go through, both in shares of the scan's range,
            with straight lines between them; none: they stay. What is lowest is air and stays in any case.
        bias: Standard deviation of a smooth multiplicative field.
        noise: Standard deviation of white noise, in shares of the scan's range.
        slices: So many slices along the last axis become one.
    """

    name: str
    dataset: str
    families: tuple[str, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()
    bias: float = 0.0
    noise: float = 0.0
    slices: int = 1


DRIFTS: dict[str, tuple[Domain, ...]] = {
    "organ": (
        Domain("blob", "Shapes", families=("ellipsoid", "lobes")),
        Domain("horn", "Shapes", families=("horn",)),
        Domain("wall", "Shapes", families=("wall",)),
        Domain("tubes", "Shapes", families=("tubes",)),
    ),
    "contrast": (
        Domain("bright", "Phantom"),
        Domain("dark", "Phantom", curve=((0.0, 1.0), (1.0, 0.0))),
        Domain("faint", "Phantom", curve=((0.0, 0.0), (0.45, 0.45), (1.0, 0.6))),
    ),
    "scanner": (
        Domain("usual", "Phantom"),
        Domain("noisy", "Phantom", noise=0.12),
        Domain("uneven", "Phantom", bias=0.4),
        Domain("thick", "Phantom", slices=4),
    ),
}
"""The segments of the built-in streams, by what changes from one to the next."""


class DomainSource(ProceduralSource):
    """2^30 cases of a domain as a `VolumeSource`, each a pure function of its index.

    Args:
        domain: Which.
        **settings: See `ProceduralSource`.
    """

    def __init__(self, domain: Domain, **settings: Any) -> None:
        super().__init__(**settings)
        families = {"families": domain.families} if domain.families else {}
        drawn = BUILT_IN[domain.dataset]
        self._domain, self._drawn = domain, drawn(**{**settings, **families})
        self.name, self.words = f"{drawn.name}-{domain.name}", f"{drawn.words} ({domain.name})"

    def scan(self, index: int) -> Scan:
        """Case `index` on its whole grid."""
        scan = self._drawn.scan(index)
        return replace(seen_in(scan, self._domain, key=index), name=self.case_name(index))


def seen_in(scan: Scan, domain: Domain, key: int) -> Scan:
    """A scan with the contrast and the scanner of a domain: the same for the same arguments on every machine.

    Args:
        scan: Of one modality.
        domain: Which.
        key: Of the random stream, in [0, 2^32).
    """
    image, low = scan.image[0], float(scan.image.min())
    size = float(scan.image.max()) - low
    if domain.curve:
        before, after = zip(*domain.curve, strict=True)
        mapped = np.interp((image - low) / size, before, after) * size + low
        image = np.where(image > low, mapped, low).astype(np.float32)
    label, affine = scan.label, scan.affine
    if domain.slices > 1:
        image, label, affine = _thick(image, label, affine, domain.slices)
    if domain.bias or domain.noise:
        sides = np.linalg.norm(affine[:3, :3], axis=0) * image.shape
        extent, (x, y, z) = Point(*(float(side) for side in sides)), image.shape
        grid = Grid.whole((x, y, z), extent, key, torch.device("cpu"))
        field = grid.noise(_BIAS, _BIAS_SPACING * max(extent)).numpy() * domain.bias
        noise = grid.white(_NOISE)[0].numpy() * (domain.noise * size)
        blurred = (image - low) * np.maximum(1.0 + field, 0.1) + low + noise
        image = np.where(image > low, blurred, low).astype(np.float32)
    return replace(scan, image=np.ascontiguousarray(image[None]), label=label, affine=affine)


def _thick(
    image: NDArray[np.float32], label: NDArray[np.bool_], affine: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Means of `count` slices; the label where it fills half of them or more, or any of them where it never does."""
    most = image.shape[2] // count * count
    slices = [image[:, :, first:most:count].astype(np.float64) for first in range(count)]
    filled = np.sum([label[:, :, first:most:count] for first in range(count)], axis=0)
    inside = 2 * filled >= count
    wider = np.eye(4)
    wider[2, 2], wider[2, 3] = count, (count - 1) / 2
    mean = np.asarray(sum(slices[1:], slices[0]) / count, np.float32)
    return mean, inside if inside.any() else filled > 0, affine @ wider
