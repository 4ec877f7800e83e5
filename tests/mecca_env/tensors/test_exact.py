"""Numbers in messages: few digits, and as many as it takes."""

from __future__ import annotations

import numpy as np
import pytest

from mecca_env.tensors.exact import shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-1.0, "-1"),
        (0.5, "0.5"),
        (float(np.float32(0.1)), "0.1"),
        (float(np.nextafter(np.float32(1), np.float32(2))), "1.0000001"),
        (float(np.nextafter(1.0, 2.0)), "1.0000000000000002"),
        (1.2345678901234567e300, "1.2345678901234567e+300"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_a_number_is_shown_so_that_it_can_be_told_from_others(value: float, text: str) -> None:
    assert shown(value) == text
