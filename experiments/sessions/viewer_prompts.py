"""Measure what prompts as viewers send them lead to: a first one of some kind, then five single points.

    python -m experiments.sessions.viewer_prompts --run runs/general

On `--cases` phantoms and as many scans of random shapes, none of which was trained on, each first prompt is followed by
points at the middle of the largest error, inside or outside as the label says (the click of the CVPR 2025 challenge).
Everything goes through `mecca_agents.serve.prompting`, as in `mecca serve`; numbers are Dice on the scan's own grid.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_agents.serve.prompting.prompts import PromptedSession
from mecca_agents.session import Model, load_model
from mecca_agents.tables import grid
from mecca_env.data.base import Box, Scan
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.phantom import PhantomSource
from mecca_env.data.shapes import ShapesSource
from mecca_env.metrics import dice
from mecca_env.prompts import largest_error_click

POINTS = 5

First = Callable[[PromptedSession, NDArray[np.bool_]], object]


def _slice_box(label: NDArray[np.bool_], axis: int) -> Box:
    """Around the label on the slice where there is most of it."""
    index = int(label.sum(axis=tuple(other for other in range(3) if other != axis)).argmax())
    flat = np.zeros_like(label)
    np.moveaxis(flat, axis, 0)[index] = np.moveaxis(label, axis, 0)[index]
    return bounding_box(flat)


def _two_boxes(prompted: PromptedSession, label: NDArray[np.bool_]) -> None:
    prompted.add_box(*_slice_box(label, 2), True)
    prompted.add_box(*_slice_box(label, 1), True)


def _point(prompted: PromptedSession, label: NDArray[np.bool_]) -> None:
    """Into the middle of the largest error; where there is none, nothing."""
    click = largest_error_click(label, prompted.shown)
    if click is not None:
        prompted.add_point(click.voxel, click.sign > 0)


FIRST: dict[str, First] = {
    "a point": _point,
    "a box on one slice": lambda prompted, label: prompted.add_box(*_slice_box(label, 2), True),
    "boxes on two slices": _two_boxes,
    "a box in three dimensions": lambda prompted, label: prompted.add_box(*bounding_box(label), True),
}


def one(model: Model, scan: Scan, first: First) -> list[float]:
    """Dice % after the first prompt and after each point."""
    prompted = PromptedSession(model)
    with prompted.session:
        prompted.set_image(scan.image, scan.affine)
        first(prompted, scan.label)
        found = [_score(prompted.shown, scan)]
        for _ in range(POINTS):
            _point(prompted, scan.label)
            found.append(_score(prompted.shown, scan))
    return found


def _score(mask: NDArray[np.bool_], scan: Scan) -> float:
    return 100 * float(dice(torch.from_numpy(mask)[None], torch.from_numpy(scan.label)[None])[0])


def _scans(cases: int) -> Iterator[tuple[str, Scan]]:
    for source in (PhantomSource(), ShapesSource()):
        for case in range(cases):
            yield source.name, source.scan(2 * case + 1)  # odd ones are for tests


def main() -> None:
    """Measure and print, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="a run's folder, or the name of one that comes with the package")
    parser.add_argument("--cases", type=int, default=20)
    options = parser.parse_args()
    model = load_model(options.run, device="cpu")
    found: dict[tuple[str, str], list[list[float]]] = {}
    for source, scan in _scans(options.cases):
        for name, first in FIRST.items():
            found.setdefault((source, name), []).append(one(model, scan, first))
    rows = [[*names, *(f"{value:.1f}" for value in np.mean(values, axis=0))] for names, values in found.items()]
    head = [f"Dice %, {options.cases} scans", "first prompt", "after it", *(f"{n + 1} points" for n in range(POINTS))]
    print(grid(head, rows, padded=False))


if __name__ == "__main__":
    main()
