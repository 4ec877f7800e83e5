"""What a learning from choices would part them into, foreseen from counts alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mecca_agents.online.enough import ChoiceCount, count_choices, parts
from mecca_agents.online.preferences.learning import parted
from mecca_agents.online.project import ProjectError, kept_out


@dataclass(frozen=True)
class _OfCase:
    """A choice, as far as parting goes."""

    case: str


@pytest.mark.parametrize("seed", range(40))
def test_counts_are_those_of_the_learning(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    cases = [f"scan{number}" for number in range(rng.integers(1, 12))]
    counts = {case: int(rng.integers(0, 12)) for case in cases if rng.random() < 0.8}
    found = count_choices(counts, cases, tmp_path)
    choices: list[Any] = [_OfCase(case) for case, count in counts.items() for _ in range(count)]
    try:
        fit, test = parted(tmp_path, choices, kept_out(sorted(cases)))
    except ProjectError as error:
        assert not found.enough and f"found {found.learn} and {found.judge}" in str(error)
    else:
        assert found == ChoiceCount(len(fit), len(test)) and found.enough
    assert found.total == len(choices)


def test_one_of_four_goes_over_where_those_kept_out_are_too_few() -> None:
    assert parts(32, 0) == ChoiceCount(24, 8) and parts(32, 0).enough
    assert parts(28, 4) == ChoiceCount(21, 11) and not parts(28, 4).enough
    assert parts(24, 8) == ChoiceCount(24, 8) and not parts(31, 0).enough and not parts(23, 9).enough
    assert parts(41, 7) == ChoiceCount(30, 18) and parts(41, 8) == ChoiceCount(41, 8)
    assert parts(0, 0) == ChoiceCount()
