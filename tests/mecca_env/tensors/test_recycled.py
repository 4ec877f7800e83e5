"""Buffers: memory is used again when nobody holds it, and never before."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mecca_env.tensors.recycled import SPARE, Buffers
from tests.support.envs import make_envs, random_actions

CPU = torch.device("cpu")
SHAPE = (2, 3, 4)


def make(buffers: Buffers, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float32) -> Tensor:
    return buffers.empty(shape, dtype, CPU)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int32])
def test_what_was_asked_for(dtype: torch.dtype) -> None:
    tensor = make(Buffers(), dtype=dtype)
    assert tensor.shape == SHAPE and tensor.dtype == dtype and tensor.is_contiguous()
    tensor.fill_(3)
    assert bool((tensor == 3).all())


def test_memory_that_nobody_holds_is_used_again() -> None:
    buffers = Buffers()
    place = make(buffers).data_ptr()
    assert make(buffers).data_ptr() == place


@pytest.mark.parametrize(
    "kept",
    [
        lambda tensor: tensor,
        lambda tensor: tensor[1, 2],
        lambda tensor: tensor.view(-1)[5:],
        lambda tensor: tensor.numpy()[0],
        lambda tensor: np.from_dlpack(tensor),
        lambda tensor: tensor.untyped_storage(),
        lambda tensor: {"in": [tensor.detach()]},
    ],
    ids=["itself", "a row", "a view", "an array", "DLPack", "its storage", "in a container"],
)
def test_memory_that_somebody_holds_is_not(kept: Callable[[Tensor], Any]) -> None:
    buffers = Buffers()
    tensor = make(buffers).fill_(7)
    place, held = tensor.data_ptr(), kept(tensor)
    del tensor
    others = [make(buffers) for _ in range(4)]
    assert place not in [other.data_ptr() for other in others]
    del held
    assert place in [make(buffers).data_ptr()]


def test_other_sizes_and_types_share_no_memory() -> None:
    buffers = Buffers()
    tensors = [make(buffers), make(buffers, (24,)), make(buffers, dtype=torch.int32), make(buffers)]
    for number, tensor in enumerate(tensors):
        tensor.fill_(number)
    assert [int(tensor.view(-1)[0]) for tensor in tensors] == [0, 1, 2, 3]


def test_only_a_few_blocks_are_kept_for_later() -> None:
    buffers = Buffers()
    held = [make(buffers) for _ in range(10)]
    places = {tensor.data_ptr() for tensor in held}
    del held
    first = make(buffers)
    (blocks,) = buffers._blocks.values()
    assert first.data_ptr() in places and len(blocks) == 1 + SPARE


def test_a_copy_has_blocks_of_its_own() -> None:
    buffers = Buffers()
    tensor = make(buffers)
    for other in (copy.deepcopy(buffers), pickle.loads(pickle.dumps(buffers))):
        assert make(other).data_ptr() != tensor.data_ptr() and not buffers._blocks.keys() - other._blocks.keys()


def test_an_env_takes_up_the_memory_of_steps_that_nobody_kept() -> None:
    envs = make_envs(2, horizon=20, clicks=(3,) * 20)
    envs.reset(seed=0)
    places: list[set[int]] = [set() for _ in range(3)]
    for action in random_actions(envs, 12):
        observation, _, _, _, info = envs.step(action)
        grids = (observation["probability"], observation["hint"], info["voxel_reward"])
        for seen, grid in zip(places, grids, strict=True):
            seen.add(grid.data_ptr())
    assert max(len(seen) for seen in places) <= 2 + SPARE
