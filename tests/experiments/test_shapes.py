"""The picture of random shapes."""

from __future__ import annotations

import numpy as np
from PIL import Image

from experiments.shapes import COLUMNS, GAP, OUTLINE, PANEL, PICTURE, page
from mecca_env.data.base import Scan


def _scan(spacing: tuple[float, float, float]) -> Scan:
    label = np.zeros((40, 40, 30), bool)
    label[14:26, 14:20, 11:19] = True
    image = label[None] + np.random.default_rng(0).normal(0, 0.1, (1, *label.shape))
    return Scan("block", image.astype(np.float32), label, np.diag([*spacing, 1.0]))


def test_a_panel_shows_the_finest_plane_in_square_millimetres_with_an_outline() -> None:
    picture = np.asarray(page([_scan((1.0, 1.0, 3.0)), _scan((1.0, 2.0, 1.0))]))
    assert picture.shape == (PANEL + 2 * GAP, COLUMNS * (PANEL + GAP) + GAP, 3)
    boxes = []
    for left in (0, PANEL + GAP):
        rows, columns = np.nonzero((picture[:, left : left + PANEL + GAP] == OUTLINE).all(axis=-1))
        boxes.append((np.ptp(columns) + 1, np.ptp(rows) + 1))
    assert np.allclose(boxes[0], np.array((12, 6)) * PANEL / 24, atol=2)  # of a crop of 24 x 18 mm
    assert np.allclose(boxes[1], np.array((12, 8)) * PANEL / 24, atol=2)  # of 24 x 20 mm, the third axis upwards


def test_the_picture_is_small_and_holds_forty_panels() -> None:
    assert PICTURE.stat().st_size < 400_000
    with Image.open(PICTURE) as image:
        assert image.size == (COLUMNS * (PANEL + GAP) + GAP, 5 * (PANEL + GAP) + GAP)
