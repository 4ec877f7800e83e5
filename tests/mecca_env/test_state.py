"""The batched state: other tensors in its fields, rows put in place of others, whatever the sizes of their surfaces."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from mecca_env.process.users import EdgeUser
from mecca_env.state import State, replace_rows
from tests.support.envs import make_state

SHAPE = (4, 5, 6)


def labels(*sizes: int) -> np.ndarray:
    """One column of voxels along the last axis for each size, away from voxel 0."""
    masks = np.zeros((len(sizes), *SHAPE), bool)
    for mask, size in zip(masks, sizes, strict=True):
        mask[2, 2, :size] = True
    return masks


def guided(state: State) -> State:
    regions = torch.zeros((len(state.step), 2, *state.shape), dtype=torch.int16)
    return replace(state, regions=regions, advice=state.label)


@pytest.mark.parametrize("guide", [False, True])
@pytest.mark.parametrize("sizes", [((3, 4, 5), (6, 2)), ((6, 6, 6), (1, 2)), ((1, 1, 1), (6, 6))])
def test_rows_are_replaced_and_nothing_else(sizes: tuple[tuple[int, ...], tuple[int, ...]], guide: bool) -> None:
    old, fresh = make_state(labels(*sizes[0])), replace(make_state(labels(*sizes[1])), step=torch.tensor([7, 8]))
    if guide:
        old, fresh = guided(old), guided(fresh)
    copies = {f.name: getattr(old, f.name) for f in fields(State)}
    copies = {name: None if value is None else value.clone() for name, value in copies.items()}
    merged = replace_rows(old, torch.tensor([2, 0]), fresh)
    for name, before in copies.items():
        value, new = getattr(merged, name), getattr(fresh, name)
        if before is None:
            assert value is None
        elif name not in ("surface", "neighbours"):
            assert torch.equal(value, torch.stack([new[1], before[1], new[0]]))
        if before is not None:
            assert torch.equal(getattr(old, name), before)
    assert merged.step.tolist() == [8, 0, 7]


def test_surfaces_of_other_widths_hold_no_voxel_that_is_not_there() -> None:
    for old, fresh in ((labels(3, 4), labels(6)), (labels(6, 5), labels(1))):
        merged = replace_rows(make_state(old), torch.tensor([0]), make_state(fresh))
        clicks = EdgeUser().click(merged, torch.tensor([9, 9]), 9, torch.tensor([1, 2]))
        expected = np.stack([fresh[0], old[1]])
        for row in range(2):
            made = {tuple(c) for c in clicks[row].tolist() if c[0] >= 0}
            assert made == {tuple(int(x) for x in v) for v in np.argwhere(expected[row])}


def test_prediction_is_what_lies_above_a_half() -> None:
    below, above = np.nextafter(np.float32([0.5, 0.5]), np.float32([0, 1]))
    state = make_state(labels(1)[:, :1, :1, :3], np.array([below, 0.5, above]).reshape(1, 1, 1, 3))
    assert state.prediction.view(-1).tolist() == [False, False, True] and state.shape == (1, 1, 3)


@pytest.mark.parametrize("name", [field.name for field in fields(State)])
def test_changed_is_what_dataclasses_replace_makes(name: str) -> None:
    state, other = make_state(labels(3)), torch.ones(1, *SHAPE)
    assert not state.prediction.any()
    made, expected = state.changed(**{name: other}), replace(state, **{name: other})
    assert type(made) is State
    assert all(getattr(made, field.name) is getattr(expected, field.name) for field in fields(State))
    assert torch.equal(made.prediction, expected.prediction)
    assert getattr(state, name) is not other


def test_changed_knows_its_fields() -> None:
    with pytest.raises(TypeError, match="expected fields of State, got colour"):
        make_state(labels(3)).changed(colour=torch.ones(1))
