"""The measurements for a GPU run on any device; what only CUDA can say is told apart from what it said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import performance
from benchmarks.gpu import step, updates
from benchmarks.gpu.step import Watch, what_waits
from benchmarks.learner import Contender
from mecca_agents.presets import FAST, PRESETS
from mecca_env.kernels import backend
from tests.support.envs import make_envs

SHAPE = (10, 9, 8)
CPU = torch.device("cpu")


def _step(device: str) -> dict[str, Any]:
    given = {"batch": 2, "shape": list(SHAPE), "repeats": 1, "method": "iter-mrl", "loop_envs": 1, "channels": 4}
    return step.run(SimpleNamespace(threads=1, device=device, **given))  # type: ignore[arg-type]


@pytest.mark.slow  # trainings
def test_steps_are_compared_alone_and_under_a_learner() -> None:
    found = _step("cpu")
    assert found["alone"]["loops"].keys() == found["in_a_loop"]["loops"].keys() == {"compiled", "torch"}
    for kind, row in found["in_a_loop"]["loops"].items():
        assert 0 < row["steps_ms"] < row["update_ms"], kind
        assert found["alone"]["loops"][kind]["waits"] is None, "a CPU cannot say"
    text = performance.tables({"cuda_step": found})
    assert "### Env step, " in text and text.count("not to be seen on this device") == 2
    found["alone"]["loops"]["compiled"]["waits"] = ""
    found["alone"]["loops"]["torch"]["waits"] = "called a synchronizing CUDA operation"
    text = step.table(found)
    assert "| no |" in text and "| called a synchronizing CUDA operation |" in text


def test_a_share_is_the_bytes_moved_over_the_copys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "_episode", lambda envs, action: ([2.0], 1.0))
    found = step.alone(2, SHAPE, CPU, rounds=1)
    row, moved = found["loops"]["torch"], 22 * 2 * 10 * 9 * 8
    assert row["share"] == pytest.approx(moved / 2e-3 / 1e9 / found["copy_gb_per_s"])
    assert row["queued_share"] == pytest.approx(2 * row["share"])


def test_the_torch_side_runs_no_compiled_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(step, "_episode", lambda envs, action: (seen.append(backend._wanted), ([1.0], 1.0))[1])
    step.alone(1, SHAPE, CPU, rounds=1)
    assert seen == [True, False] * 2


def test_a_watch_counts_steps_once_and_changes_nothing() -> None:
    plain, watched = (make_envs(2, shape=SHAPE) for _ in range(2))
    watch = Watch(watched)
    action = torch.zeros((2, *SHAPE), dtype=torch.uint8)
    for envs in (plain, watched):
        envs.reset(seed=1)
    assert torch.equal(plain.step(action)[1], watched.step(action)[1])
    assert watch.milliseconds() > 0 and watch.milliseconds() == 0


@pytest.mark.cuda
@pytest.mark.parametrize("loops", step.LOOPS)
def test_cuda_says_who_waits(loops: str) -> None:
    envs = make_envs(2, shape=SHAPE, device="cuda", horizon=4, clicks=(6, 3, 2, 2))
    action = torch.zeros((2, *SHAPE), dtype=torch.uint8, device="cuda")
    assert what_waits(envs, action, step.LOOPS[loops]) == ""
    plain = envs.step
    envs.step = lambda actions: (plain(actions), action.sum().item())[0]  # type: ignore[method-assign]
    assert "synchroniz" in str(what_waits(envs, action, step.LOOPS[loops]))


@pytest.mark.slow  # trainings
def test_updates_of_every_setting_and_a_profile_become_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "paper", FAST.replace(shared_blocks=2, n_steps=None, dilations=(1, 2, 3)))
    given = {
        "shape": list(SHAPE),
        "channels": 4,
        "num_envs": [1, 2],
        "repeats": 1,
        "methods": ["iter-mrl"],
        "compiled": False,
    }
    found = updates.run(SimpleNamespace(threads=1, device="cpu", **given))  # type: ignore[arg-type]
    about = found["methods"]["iter-mrl"]
    assert [(row["num_envs"], row["precision"], row["compile"]) for row in about["rows"]] == [
        (1, "float32", False),
        (2, "float32", False),
    ]
    assert all(row["episodes_per_s"] == pytest.approx(1e3 * row["num_envs"] / row["ms"]) for row in about["rows"])
    assert all(0 < row["steps_ms"] < row["ms"] for row in about["rows"])
    work = [row["gflop_per_s"] * row["ms"] / 1e3 / row["num_envs"] for row in about["rows"]]
    assert work == pytest.approx([about["gflops"]] * 2)
    assert any("conv" in line["name"] for line in about["profile"]["operations"])
    about["rows"].append({"precision": "bf16", "compile": True, "num_envs": 8, "failed": "OutOfMemoryError: of it"})
    text = performance.tables({"cuda_updates": found})
    assert (
        "### Learner, 4 channels" in text and "| OutOfMemoryError: of it |" in text and "convolution_backward" in text
    )


def test_compiled_networks_are_measured_by_themselves() -> None:
    options: Any = SimpleNamespace(shape=list(SHAPE), channels=4, num_envs=[2, 8], compiled=False)

    def listed() -> list[tuple[str, int, bool]]:
        presets = updates.settings_of(options, torch.device("cuda"))
        return [(p.network.precision, p.num_envs, p.network.compile) for p in presets]

    assert listed() == [(precision, count, False) for precision in ("bf16", "float32") for count in (2, 8)]
    options.compiled = True
    assert listed() == [("bf16", 8, True)]


def test_what_cannot_run_is_told_and_does_not_stop_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Contender) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(Contender, "update", full)
    preset = FAST.replace(shape=SHAPE, channels=4)
    row = updates.measure("iter-mrl", preset, CPU, 1, 1.0)
    assert row["failed"] == "OutOfMemoryError: CUDA out of memory." and row["num_envs"] == 2
