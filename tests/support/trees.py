"""Nested dicts of arrays, as resets and steps return them: rows of them, copies of them, and whether they are equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def rows(tree: Any, index: int) -> Any:
    """Row `index` of every array of nested dicts, as NumPy."""
    if isinstance(tree, dict):
        return {key: rows(value, index) for key, value in tree.items()}
    return np.asarray(tree.cpu() if isinstance(tree, torch.Tensor) else tree)[index]


def same(one: Any, two: Any, where: str = "") -> None:
    """Equal, bit for bit and in dtype where both are arrays."""
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            same(one[key], two[key], f"{where}[{key!r}]")
    else:
        here, there = np.asarray(one), np.asarray(two)
        assert np.array_equal(here, there, equal_nan=here.dtype.kind == "f" and there.dtype.kind == "f"), where


def same_tensor(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Equal in dtype and every value, on the host; a NaN is equal to a NaN."""
    return one.dtype == two.dtype and np.array_equal(
        one.cpu().numpy(), two.cpu().numpy(), equal_nan=one.is_floating_point()
    )


def same_rows(one: Any, two: Any, count: int) -> None:
    """The first `count` rows are equal."""
    for i in range(count):
        same(rows(one, i), rows(two, i))


def copied(tree: Any) -> Any:
    """A copy on the host, NumPy, with lists for tuples."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return [copied(value) for value in tree]
    return tree.cpu().clone().numpy()
