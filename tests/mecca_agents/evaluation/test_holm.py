"""The correction of p values for their number, worked out by hand."""

from __future__ import annotations

import pytest

from mecca_agents.evaluation.statistics import holm


def test_holm_by_hand() -> None:
    # 3 x 0.01; 2 x 0.04, which is more than 1 x 0.05, so that one cannot be smaller.
    assert holm([0.04, 0.01, 0.05]) == pytest.approx([0.08, 0.03, 0.08])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.03]) == [0.03] and holm([]) == []


def test_what_is_no_p_is_refused() -> None:
    with pytest.raises(ValueError, match="p_values: expected numbers from 0 to 1"):
        holm([0.1, float("nan")])
