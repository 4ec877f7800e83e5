"""What the experiment on the guide counts, against counts made by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from experiments.guidance import Clicks


def _turn(step: int, clicks: list[tuple[int, int, int]], advice: torch.Tensor | None) -> Any:
    label = torch.zeros(1, 10, 10, 10, dtype=torch.bool)
    label[0, 2:4, 2, 2] = label[0, 8, 8, 8] = True  # three wrong voxels, since nothing is predicted
    before = SimpleNamespace(
        clicks=torch.tensor([[*clicks, (-1, -1, -1)]]),
        prediction=torch.zeros_like(label),
        label=label,
        advice=advice,
    )
    return SimpleNamespace(step=step, before=before, envs=SimpleNamespace(config=SimpleNamespace(clicks=(1, 4, 4))))


def test_only_clicks_that_are_new_count() -> None:
    advice = torch.zeros(1, 10, 10, 10, dtype=torch.bool)
    advice[0, 3, 2, 2] = True
    clicks = Clicks()
    clicks(_turn(1, [(0, 0, 0)], None))
    assert clicks.rows == []
    clicks(_turn(2, [(0, 0, 0), (8, 8, 8), (8, 8, 5)], advice))
    apart, advised, near, made = clicks.rows[0]
    assert (apart, advised, near, made) == pytest.approx((3.0, 1 / 3, 1 / 3, 2 / 4))
    clicks(_turn(3, [(0, 0, 0), (8, 8, 8), (8, 8, 5)], None))  # nobody clicked, and nobody was advised
    apart, advised, near, made = clicks.rows[1]
    assert math.isnan(apart) and (advised, near, made) == (1.0, 0.0, 0.0)
    assert clicks.means() == pytest.approx([3.0, 2 / 3, 1 / 6, 1 / 4])
