"""The views: each shows the same voxels as the scan, with the right side up, whatever the order of its axes."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from mecca_agents.app.drawing.planes import planes_of

WORLD = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}
AFFINES = [
    np.array([[s * (a == w) for a in order] for w, s in enumerate(signs)])
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3))
]


def _affine(rotation: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([1.0, 2.0, 3.0])
    return affine


@pytest.mark.parametrize("rotation", AFFINES)
def test_every_edge_says_what_lies_there(rotation: np.ndarray) -> None:
    """The world coordinate of each voxel, drawn as a picture, grows towards the edge that is named for it."""
    affine = _affine(rotation)
    shape = (4, 5, 6)
    index = np.indices(shape).reshape(3, -1)
    world = (affine[:3, :3] @ index).reshape(3, *shape)
    for plane in planes_of(affine):
        left, right, top, bottom = plane.edges
        for edge, here, there in (
            (right, np.s_[:, -1], np.s_[:, 0]),
            (left, np.s_[:, 0], np.s_[:, -1]),
            (top, np.s_[0], np.s_[-1]),
            (bottom, np.s_[-1], np.s_[0]),
        ):
            axis, sign = WORLD[edge]
            picture = plane.picture(world[axis].take(1, axis=plane.axis))
            assert (sign * (picture[here] - picture[there]) > 0).all()


def test_names_and_conventions() -> None:
    axial, coronal, sagittal = planes_of(np.eye(4))
    assert [plane.name for plane in (axial, coronal, sagittal)] == ["Axial", "Coronal", "Sagittal"]
    assert [plane.axis for plane in (axial, coronal, sagittal)] == [2, 1, 0]
    assert axial.edges == ("R", "L", "A", "P")
    assert coronal.edges == ("R", "L", "S", "I")
    assert sagittal.edges == ("A", "P", "S", "I")


def test_oblique_scans_have_three_views() -> None:
    turn = np.deg2rad(44.0)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    assert sorted(plane.axis for plane in planes_of(affine)) == [0, 1, 2]
