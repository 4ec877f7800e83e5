"""A source of endless cases, each a pure function of its index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from mecca_env.data.base import PreparedCase, Scan
from mecca_env.data.caching.memory import RecentCases
from mecca_env.data.grid.cutting import prepare

CASES = 2**30
"""Number of cases: every index below it is one."""


def checked_index(name: str, index: int) -> int:
    """The index of a case of the source called `name`. Raises `IndexError` when out of range."""
    if not 0 <= index < CASES:
        raise IndexError(f"{name} case {index}: expected an index in [0, {CASES})")
    return int(index)


def procedural_split(split: str) -> range:
    """Even indices to train on, odd ones to test on: endless and disjoint."""
    return {"train": range(0, CASES, 2), "test": range(1, CASES, 2), "all": range(CASES)}[split]


class ProceduralSource(ABC):
    """2^30 drawn cases as a `VolumeSource`; recently used ones are kept in memory.

    Args:
        extension: Least and most voxels a training crop extends beyond the label on each side.
        rotation: Largest rotation about the slice axis in training, degrees.
        evaluation_extension: Voxels an evaluation crop extends beyond the label on each side.
        whole: Keep whole scans, for crops that lie anywhere in them.
        device: Where scans are drawn; prepared cases lie on the CPU.
        memory_bytes: How much prepared cases may take before the least recently used is dropped.

    Attributes:
        name: What the data set is called in results.
        words: What it is, for people.
        modalities: 1.
    """

    name: str
    words: str
    modalities = 1

    def __init__(
        self,
        *,
        extension: tuple[int, int] = (1, 11),
        rotation: float = 15.0,
        evaluation_extension: int = 6,
        whole: bool = False,
        device: torch.device | str = "cpu",
        memory_bytes: int = 256 * 2**20,
    ) -> None:
        self._settings: dict[str, Any] = {
            "extension": extension,
            "rotation": rotation,
            "evaluation_extension": evaluation_extension,
            "whole": whole,
        }
        self._device = torch.device(device)
        self._recent = RecentCases(memory_bytes)

    def __len__(self) -> int:
        """2^30."""
        return CASES

    def case_name(self, index: int) -> str:
        """The data set's name and the index in ten digits."""
        return f"{self.name}_{checked_index(self.name, index):010d}"

    @abstractmethod
    def scan(self, index: int) -> Scan:
        """Case `index` on its whole grid. Raises `IndexError` when out of range."""

    def case(self, index: int) -> PreparedCase:
        """Case `index`, cut around its label. Raises `IndexError` when out of range."""
        index = checked_index(self.name, index)
        return self._recent.get(index, lambda: prepare(self.scan(index), **self._settings))
