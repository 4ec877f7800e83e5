"""Results of trainings that were never made, with the spread that real ones have on the hippocampus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.8
"""Correlation of the columns of a table, the steps of a training say."""


def grids(
    rng: np.random.Generator,
    reports: int,
    columns: int,
    methods: int,
    *,
    trainings: int = 5,
    cases: int = 41,
    spread: float = 0.76,
    ease: float = 2.0,
    better: tuple[float, ...] = (),
) -> NDArray[np.float64]:
    """Dice % of equal methods, less its mean: (reports, columns, methods, trainings, cases).

    Args:
        rng: Where they are drawn from.
        reports: How many reports.
        columns: Columns of each, which are alike.
        methods: Methods in each column.
        trainings: Of each method.
        cases: That all are tested on.
        spread: Standard deviation of a training's mean.
        ease: Standard deviation of what makes a case easy for all methods; for one of them it is 0.5 more or less, and
            for one training 1.1.
        better: How much the first methods are better than the others.
    """

    def drawn(*shape: int) -> NDArray[np.float64]:
        shared, own = rng.normal(size=(reports, 1, *shape)), rng.normal(size=(reports, columns, *shape))
        mixed: NDArray[np.float64] = np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own
        return mixed

    results = ease * rng.normal(size=(reports, 1, 1, 1, cases)) + spread * drawn(methods, trainings, 1)
    results = results + 0.5 * drawn(methods, 1, cases) + 1.1 * drawn(methods, trainings, cases)
    results[:, :, : len(better)] += np.array(better)[:, None, None]
    return results
