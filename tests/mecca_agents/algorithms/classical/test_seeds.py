"""What prompts say for sure: voxels inside the target, and voxels outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mecca_agents.algorithms.classical.seeds import core_of, outside_of, seeds_of
from mecca_env.data.grid.placement import fixed_placement
from mecca_env.episodes.views import ShownBox, box_map
from tests.support.volumes import ellipsoid, prepared

SHAPE = (20, 18, 16)
AWAY = np.full(SHAPE, np.inf)


def maps(inside: Any = (), outside: Any = (), box: tuple[slice, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Hints with these clicks, and a box."""
    hint, shown = np.zeros((2, *SHAPE), np.float32), np.zeros(SHAPE, np.float32)
    for channel, clicks in enumerate((inside, outside)):
        for click in clicks:
            hint[channel][click] = 1
    if box is not None:
        shown[box] = 1
    return hint, shown


BOX = (slice(4, 16), slice(4, 14), slice(4, 12))


def test_what_clicks_say_counts_before_the_box() -> None:
    seeds = seeds_of(*maps([(2, 2, 2)], [(9, 9, 8)], BOX))
    assert seeds.inside[2, 2, 2] and seeds.outside[9, 9, 8] and not (seeds.inside & seeds.outside).any()
    assert seeds.outside[0, 0, 0] and seeds.outside[2, 2, 3] and not seeds.outside[5, 5, 5]


def test_a_click_is_as_thick_as_a_brush_and_two_share_what_is_between_them() -> None:
    seeds = seeds_of(*maps([(9, 9, 8)], [(12, 9, 8)]))
    assert seeds.inside[8:11, 9, 8].all() and seeds.inside[9, 11, 8] and not seeds.inside[9, 10:, 10:].any()
    assert seeds.outside[11:15, 9, 8].all()
    border = np.ones(SHAPE, bool)
    border[1:-1, 1:-1, 1:-1] = False
    assert seeds.outside[border].all() and not seeds.outside[1:6].any(where=~border[1:6])


def test_a_voxel_clicked_on_both_sides_says_nothing() -> None:
    hint, none = maps([(9, 9, 8)], [(9, 9, 8)])
    seeds = seeds_of(hint, None)
    assert not seeds.inside.any() and np.array_equal(seeds.outside, seeds_of(none[None].repeat(2, 0), None).outside)


@pytest.mark.parametrize("low", [(4, 4, 4), (0, 0, 0)])
@pytest.mark.parametrize("sides", [(12, 10, 8), (1, 1, 1), (2, 9, 1)])
def test_the_core_of_a_box_lies_in_its_middle(low: tuple[int, int, int], sides: tuple[int, int, int]) -> None:
    boxed = np.zeros(SHAPE, bool)
    boxed[tuple(slice(a, a + n) for a, n in zip(low, sides, strict=True))] = True
    core = core_of(boxed, AWAY)
    assert core.any() and not (core & ~boxed).any() and core.sum() <= max(boxed.sum() / 4, 8)


def test_of_the_core_the_part_that_is_nearer_to_a_click_outside_is_left_out() -> None:
    box = (slice(1, 19), slice(1, 17), slice(1, 15))
    whole, part = (seeds_of(*maps(outside=clicks, box=box)).inside for clicks in ([], [(13, 8, 7)]))
    assert whole[12, 10, 8] and not part[12].any() and part[11, 10, 8]  # further from the click than a brush is thick
    assert np.array_equal(part[:11], whole[:11])
    odd = (slice(4, 15), slice(4, 13), slice(4, 11))  # its middle is a voxel
    assert seeds_of(*maps(box=odd)).inside[9, 8, 7] and not seeds_of(*maps(outside=[(9, 8, 7)], box=odd)).inside.any()


def test_a_box_of_one_slice_says_what_lies_outside_on_that_slice_alone() -> None:
    case = prepared(ellipsoid(SHAPE), whole=True)
    placement = fixed_placement(case, SHAPE, 0, ((0, 0, 0), SHAPE))
    shown = box_map(ShownBox((4, 6, 3), (12, 10, 11), 7), placement, case.label.device).numpy()
    outside = outside_of(shown)
    assert outside[..., 7].sum() == 20 * 18 - 8 * 4 and outside[..., [0, 2, 11, 15]].all()
    assert outside[..., 5].sum() == 20 * 18 - 12 * 6 and not outside[2:14, 5:11, 5].any()


def test_a_box_as_large_as_the_grid_leaves_its_border_outside() -> None:
    hint, _ = maps()
    seeds = seeds_of(hint, np.ones(SHAPE, np.float32))
    assert seeds.outside.sum() == np.prod(SHAPE) - 18 * 16 * 14 and seeds.inside[9, 9, 8]
