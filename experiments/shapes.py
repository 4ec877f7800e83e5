"""Draw docs/images/shapes.png: forty random shapes that `MECCA-Shapes-v0` tests on.

    python -m experiments.shapes

Each panel is the middle slice through a target in its evaluation crop, in the scan's finest plane and with square
millimetres; the label is outlined.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

from mecca_env.data.base import Scan
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.shapes import ShapesSource
from mecca_env.process.config import EnvConfig
from mecca_env.rendering import greyscale

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "shapes.png"

COLUMNS, PANEL, GAP = 8, 112, 4
COLOURS = 48
"""Shades that the file has; a few more would hardly be seen and take twice the space."""

OUTLINE = (255, 196, 0)


def page(scans: Iterable[Scan]) -> Image.Image:
    """One panel for each scan, row by row."""
    panels = [_panel(scan) for scan in scans]
    rows = -(-len(panels) // COLUMNS)
    step = PANEL + GAP
    canvas = Image.new("RGB", (COLUMNS * step + GAP, rows * step + GAP), (18, 20, 24))
    for number, panel in enumerate(panels):
        left, top = number % COLUMNS * step + GAP, number // COLUMNS * step + GAP
        canvas.paste(panel, (left + (PANEL - panel.width) // 2, top + (PANEL - panel.height) // 2))
    return canvas


def _panel(scan: Scan) -> Image.Image:
    """The slice, its longer side `PANEL` pixels: the first of its axes to the right, the second one upwards."""
    cut = _crop(scan.label)
    label, image = scan.label[cut], scan.image[(0, *cut)]
    spacing = np.linalg.norm(scan.affine[:3, :3], axis=0)
    axis = 2 - int(spacing.round(3)[::-1].argmax())  # of equal ones the last, which is the slices'
    index = int(np.median(np.nonzero(label)[axis]))
    grey = _upright(greyscale(image), axis, index)
    extent = np.delete(np.array(label.shape) * spacing, axis)
    size = tuple(int(max(round(side), 1)) for side in extent * (PANEL / extent.max()))
    smooth = Image.fromarray((255 * grey).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    mask = np.asarray(Image.fromarray(_upright(label, axis, index)).resize(size, Image.Resampling.NEAREST))
    pixels = np.stack(3 * [np.asarray(smooth)], axis=-1)
    pixels[mask & ~binary_erosion(mask)] = OUTLINE
    return Image.fromarray(pixels)


def _crop(label: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The evaluation crop."""
    margin = EnvConfig().evaluation_extension
    return tuple(slice(max(a - margin, 0), b + margin) for a, b in zip(*bounding_box(label), strict=True))


def _upright(array: NDArray[np.generic], axis: int, index: int) -> NDArray[np.generic]:
    return np.ascontiguousarray(array.take(index, axis=axis).T[::-1])


def main() -> None:
    """Draw the page and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PICTURE)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="number of the first of the test cases")
    options = parser.parse_args()
    source = ShapesSource()
    numbers = range(options.first, options.first + options.cases)
    picture = page(source.scan(2 * number + 1) for number in numbers)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(COLOURS).save(options.out, optimize=True)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
