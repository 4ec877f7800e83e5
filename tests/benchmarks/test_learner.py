"""The contenders of the learner's benchmark do the same work: what they learn and answer is the same."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from benchmarks import learner, performance
from mecca_agents.presets import FAST

pytestmark = pytest.mark.slow  # trainings

PRESET = FAST.replace(shape=(10, 9, 8), num_envs=2, channels=4, confidence_channels=4, shared_blocks=2)
DEVICE = torch.device("cpu")


@pytest.mark.parametrize("method", ["iter-mrl", "mecca"])
def test_all_contenders_learn_the_same(method: str) -> None:
    ours = learner.Contender(method, PRESET, DEVICE)
    plain = [learner.Contender(method, PRESET, DEVICE, plain=True, passes=passes) for passes in (1, 2)]
    for contender in (ours, *plain):
        contender.update()
        contender.answer()
    for contender in plain:
        for name, value in ours.agent.weights().items():
            torch.testing.assert_close(contender.agent.weights()[name], value, rtol=0, atol=1e-4, msg=name)


def test_what_it_measures_becomes_a_table() -> None:
    given = {"preset": "demo", "shape": [10, 9, 8], "dilations": [1, 2], "channels": 4, "num_envs": 2}
    options = SimpleNamespace(threads=1, device="cpu", methods=["iter-mrl"], repeats=1, **given)
    found = learner.run(options)  # type: ignore[arg-type]
    row = found["methods"]["iter-mrl"]
    assert row["ours"].keys() == {"float32"} and row["gflops"] > 0
    assert all(ours["one_pass_ratio"] == row["one_pass_ms"] / ours["ms"] for ours in row["ours"].values())
    assert "ratios" in learner.report(found)
    row["ours"]["bf16"] = row["ours"]["float32"]  # as on a GPU
    text = performance.tables({"learner": found})
    assert "### Learner, 10 x 9 x 8 voxels" in text and "dilations 1 2;" in text and "| iter-mrl | bf16 |" in text
