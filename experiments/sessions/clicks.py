"""Draw docs/images/general.png: real scans before and after each click of a simulated person.

    python -m experiments.sessions.clicks --data /data

Hippocampi of the Medical Segmentation Decathlon (CC BY-SA 4.0), which the run for any organ never saw: the box, then
one click at a time. The slice is the one where the click is; what the agent says is outlined, the label dashed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from experiments.sessions.general import TARGETS, Person
from mecca_agents.session import load_model
from mecca_env.data.base import Scan
from mecca_env.rendering import greyscale

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "general.png"
PANEL, GAP, CLICKS = 176, 6, 4
MASK, LABEL, INSIDE, OUTSIDE = (255, 196, 0), (120, 220, 255), (90, 255, 120), (255, 90, 90)


def row_of(scan: Scan, person: Person) -> list[Image.Image]:
    """The panels of one scan."""
    middle = int(np.median(np.nonzero(scan.label)[2]))
    panels = [panel(scan, np.zeros_like(scan.label), middle, "scan")]
    person.box()
    panels.append(panel(scan, person.session.mask(), middle, f"box: Dice {person.played.dice[-1]:.0f}"))
    for number in range(1, CLICKS + 1):
        person.click()
        last = person.session.clicks[-1]
        person.step()
        words = f"click {number}: Dice {person.played.dice[-1]:.0f}"
        panels.append(panel(scan, person.session.mask(), round(last.point[2]), words, last.point, bool(last.inside)))
    return panels


def panel(
    scan: Scan,
    mask: NDArray[np.bool_],
    index: int,
    words: str,
    click: tuple[float, float, float] | None = None,
    inside: bool = True,
) -> Image.Image:
    """One slice, its first axis to the right and its second upwards."""
    grey = _upright(greyscale(scan.image)[0][:, :, index])
    scale = PANEL / max(grey.shape)
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    picture = Image.fromarray((255 * grey).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = np.stack(3 * [np.asarray(picture)], axis=-1)
    for part, colour, dashed in ((scan.label, LABEL, True), (mask, MASK, False)):
        large = np.asarray(Image.fromarray(_upright(part[:, :, index])).resize(size, Image.Resampling.NEAREST))
        edge = large & ~binary_erosion(large, iterations=2 if not dashed else 1)
        if dashed:
            rows, columns = np.indices(edge.shape)
            edge &= (rows + columns) // 4 % 2 == 0
        pixels[edge] = colour
    drawn = Image.fromarray(pixels)
    brush = ImageDraw.Draw(drawn)
    if click is not None:
        x, y = (click[0] + 0.5) * scale, size[1] - (click[1] + 0.5) * scale
        brush.ellipse((x - 6, y - 6, x + 6, y + 6), outline=INSIDE if inside else OUTSIDE, width=2)
        brush.line((x - 4, y, x + 4, y), fill=INSIDE if inside else OUTSIDE, width=2)
        if inside:
            brush.line((x, y - 4, x, y + 4), fill=INSIDE, width=2)
    brush.text((4, 3), words, fill=(255, 255, 255))
    return drawn


def page(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """All panels, row by row."""
    height = [max(each.height for each in row) + GAP for row in rows]
    width = [max(row[column].width for row in rows) + GAP for column in range(len(rows[0]))]
    canvas = Image.new("RGB", (sum(width) + GAP, sum(height) + GAP), (18, 20, 24))
    for number, row in enumerate(rows):
        for column, each in enumerate(row):
            canvas.paste(each, (GAP + sum(width[:column]), GAP + sum(height[:number])))
    return canvas


def _upright(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.ascontiguousarray(array.T[::-1])


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--run", default="general")
    parser.add_argument("--cases", type=int, default=3)
    parser.add_argument("--out", type=Path, default=PICTURE)
    options = parser.parse_args()
    model = load_model(options.run, device="cpu")
    scans = TARGETS[0].scans(options.data, options.cases)
    rows = [row_of(scan, Person(model, scan, number)) for number, scan in enumerate(scans)]
    page(rows).quantize(160, dither=Image.Dither.NONE).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
