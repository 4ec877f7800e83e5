"""What the benchmark of single convolutions compares is the same gradient, and what it measures becomes a table."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from benchmarks import convolutions, performance
from mecca_agents.bfloat16_convolution import gradients, subgrids


def test_both_ways_lead_to_the_same_weight_gradient() -> None:
    torch.manual_seed(0)
    inputs, gradient = (torch.randn(2, 4, 9, 8, 7, dtype=torch.float64) for _ in range(2))
    weight = torch.randn(4, 4, 3, 3, 3, dtype=torch.float64)
    wanted = (False, True, True)
    whole = gradients(gradient, inputs, weight, 3, wanted)
    pieces = gradients(subgrids(gradient, 3), subgrids(inputs, 3), weight, 1, wanted)
    assert whole[0] is None and pieces[0] is None
    for one, other in zip(whole[1:], pieces[1:], strict=True):
        assert one is not None and other is not None
        torch.testing.assert_close(one, other)


def test_what_it_measures_becomes_a_table() -> None:
    given = {"shape": [8, 7, 6], "batch": 1, "channels": 4, "dilations": [2], "repeats": 1}
    found = convolutions.run(SimpleNamespace(threads=1, device="cpu", **given))  # type: ignore[arg-type]
    assert [(row["precision"], row["dilation"]) for row in found["rows"]] == [("float32", 2), ("bf16", 2)]
    assert all(row["interleaved"] > 0 for row in found["rows"]) and "interleaved" in convolutions.report(found)
    assert "| bf16 | 2 |" in performance.tables({"convolutions": found})
