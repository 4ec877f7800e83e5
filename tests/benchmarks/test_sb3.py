"""The contenders of the benchmark of distributions do the same work."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("stable_baselines3", reason="needs the extra sb3")

from benchmarks import sb3

SHAPE = (5, 4, 3)


def test_stock_and_ours_have_the_same_gradient() -> None:
    made = sb3.contenders(SHAPE)
    logits = torch.randn(sb3.STEPS, sb3.ACTIONS, *SHAPE, generator=torch.Generator().manual_seed(0))
    action, log_prob = made["stock"].act(logits)
    assert action.shape == (sb3.STEPS, *SHAPE)
    gradients = {}
    for name, contender in made.items():
        leaf = logits.clone().requires_grad_()
        contender.loss(leaf, action).backward()
        gradients[name] = leaf.grad
    stock, ours, *voxels = gradients.values()
    torch.testing.assert_close(stock / 60, ours)  # sums over 60 voxels, and means
    torch.testing.assert_close(*voxels)  # the ratio is 1 where nothing has been learned yet
    torch.testing.assert_close(log_prob, made["stock"].of(logits).log_prob(action.flatten(1)))
    torch.manual_seed(0)
    drawn, mean = made["A2C, VoxelActorCriticPolicy"].act(logits)
    torch.testing.assert_close(made["stock"].of(logits).log_prob(drawn.flatten(1)) / 60, mean)


def test_what_it_measures_becomes_lines() -> None:
    options = SimpleNamespace(threads=1, shape=[9, 8, 8], channels=4, device="cpu", repeats=2)
    found = sb3.run(options)  # type: ignore[arg-type]
    rows = found["rows"]
    assert rows["stock"]["ratio"] == 1.0
    for row in rows.values():
        assert row["update_ms"] == 5 * row["act_ms"] + row["learn_ms"] > 0
        assert row["ratio"] == rows["stock"]["update_ms"] / row["update_ms"]
    printed = sb3.report(found)
    assert "9 x 8 x 8 voxels" in printed and all(name in printed for name in rows)
