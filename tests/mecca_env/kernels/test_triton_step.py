"""The Triton kernels, in Triton's interpreter where there is no GPU: the same bits as torch."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mecca_env.actions import ActionReader
from mecca_env.kernels import backend, dispatch, torch_step
from mecca_env.process.hints import GaussianHint
from mecca_env.process.transitions import TableTransition
from mecca_env.process.users import EdgeUser
from mecca_env.tensors.exact import SCALE
from mecca_env.tensors.recycled import Buffers
from tests.support.envs import make_envs, make_state, random_actions

pytest.importorskip("triton", reason="Triton is not installed")
GRID = (10, 9, 8)


@pytest.fixture(scope="module")
def there() -> torch.device:
    """The device that the kernels run on."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    """The kernels; without a GPU interpreted (`conftest.py`)."""
    return importlib.import_module("mecca_env.kernels.triton_step")


@pytest.fixture
def on_device(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything takes the kernels and torch's memory, as on a GPU, on whatever device."""
    monkeypatch.setattr(dispatch, "_compiled", lambda kind: kernels)
    monkeypatch.setattr(
        Buffers, "empty", lambda self, shape, dtype, device: torch.empty(shape, dtype=dtype, device=device)
    )
    yield


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_integers_out_of_range(kernels: ModuleType, there: torch.device, dtype: torch.dtype) -> None:
    limits = torch.iinfo(dtype)
    good = torch.arange(2500, device=there).remainder(6).view(2, 25, 50).to(dtype)
    for wrong in ((), (9,), (limits.max,), (limits.min,), (limits.min, limits.max)):
        values = good.clone()
        for place, value in enumerate(wrong):
            values[1, 24, 49 - place] = value
        kept, beyond = kernels.within(values, 0, 5)
        assert kept.dtype == torch.uint8 and torch.equal(kept, values.clamp(0, 5).to(torch.uint8))
        lowest, highest = min((0, *wrong)), max((5, *wrong))
        assert beyond.tolist() == [min(-lowest, 2**62), highest - 5]
        for one, other in zip(torch_step.within(values, 0, 5), (kept, beyond), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("size", [12, 132, 1500])
def test_look_up(kernels: ModuleType, there: torch.device, size: int) -> None:
    rng = np.random.default_rng(size)
    situation = torch.from_numpy(rng.integers(0, size - 5, (3, 2500))).to(torch.int32).to(there)
    action = torch.from_numpy(rng.integers(0, 6, (3, 2500))).to(torch.uint8).to(there)
    probabilities, gains = (torch.from_numpy(rng.random(size, dtype=np.float32)).to(there) for _ in range(2))
    situations = torch.from_numpy(rng.integers(0, size, size)).to(torch.int32).to(there)
    worth = torch.from_numpy(rng.integers(1, 9, (6, size))).to(torch.float64).to(there)
    case = (situation + action).long()
    into = (torch.empty_like(probabilities[case]), torch.empty_like(gains[case]), torch.empty_like(situations[case]))
    measured = kernels.look_up(situation, action, (probabilities, gains, situations), worth, into)
    for written, table in zip(into, (probabilities, gains, situations), strict=True):
        assert torch.equal(written, table[case])
    gain, wrong, wrong_literally, overlap, total, voxels = worth[:, case].sum(-1)
    expected = torch.stack((gain / SCALE / voxels, wrong / voxels, wrong_literally / voxels, overlap / total))
    assert torch.equal(measured, expected.to(torch.float32))


def test_progress(kernels: ModuleType, there: torch.device) -> None:
    step, keys = torch.tensor([0, 1, 2, 3, 7], device=there), torch.arange(20, device=there).view(5, 4)
    dice, budgets = torch.tensor([0.5, 0.2, 0.1, 0.0, 0.0], device=there), torch.tensor([9, 5, 4, 0], device=there)
    for target in (0.4, float("inf")):
        progress = kernels.advance(step, dice, keys, budgets, target)
        for fast, slow in zip(progress, torch_step.advance(step, dice, keys, budgets, target), strict=True):
            assert fast.dtype == slow.dtype and torch.equal(fast, slow)
        assert progress.over.tolist() == [target < 0.5, False, True, True, True]
        assert progress.budget.tolist() == [0 if target < 0.5 else 5, 4, 0, 0, 0]


def test_clicks_are_noted(kernels: ModuleType, there: torch.device) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        n_clicks = torch.from_numpy(rng.integers(0, 5, 3)).to(there)
        clicks = torch.from_numpy(rng.integers(0, 9, (3, 7, 3))).to(there)
        clicks[torch.arange(7, device=there) >= n_clicks[:, None]] = -1
        made = torch.from_numpy(rng.integers(0, 9, (3, seed % 3 + 1, 3))).to(there)
        made[torch.from_numpy(rng.random(made.shape[:2]) < 0.5).to(there)] = -1
        given = (clicks, n_clicks, made)
        for fast, slow in zip(kernels.append(*given), torch_step.append(*given), strict=True):
            assert torch.equal(fast, slow)


@pytest.mark.parametrize("within", [False, True])
def test_clicks(on_device: None, there: torch.device, within: bool) -> None:
    """Those made already are one row for both episodes in memory: kernels see tensors that are contiguous alone."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        probability = torch.from_numpy(rng.choice(np.array([0.4, 0.5, 0.6], np.float32), (2, *GRID)))
        clicks = torch.from_numpy(rng.integers(-1, 7, (2, 4, 3)))
        clicks[(clicks < 0).any(-1)] = -1
        advice = torch.from_numpy(rng.random((2, *GRID)) < 0.5)
        other = {"probability": probability, "clicks": clicks, "advice": advice}
        state = make_state(rng.random((2, *GRID)) < seed / 7, **other)
        moved = {name: value.to(there) for name, value in vars(state).items() if isinstance(value, Tensor)}
        state = type(state)(**moved)
        assert not state.clicks.is_contiguous()
        given = (state, torch.tensor([3, 5], device=there), 5, torch.from_numpy(rng.integers(0, 2**32, 2)).to(there))
        fast = EdgeUser(within).click(*given)
        with backend.plain_torch():
            slow = EdgeUser(within).click(*given)
        assert torch.equal(fast, slow)


@pytest.mark.parametrize("most", [1, 7, 40])
def test_clicks_on_a_large_surface(on_device: None, kernels: ModuleType, there: torch.device, most: int) -> None:
    """Of more places than one block of the kernel holds, and of fewer than clicks are asked for."""
    rng = np.random.default_rng(most)
    label = np.stack([rng.random((20, 18, 16)) < 0.5, np.arange(20 * 18 * 16).reshape(20, 18, 16) < 3])
    state = make_state(label, probability=torch.from_numpy(rng.choice(np.array([0.4, 0.6], np.float32), label.shape)))
    moved = {name: value.to(there) for name, value in vars(state).items() if isinstance(value, Tensor)}
    state = type(state)(**moved)
    assert state.surface.shape[1] > 2 * kernels.BLOCK
    given = (state, torch.tensor([most, most], device=there), most, torch.tensor([5, 6], device=there))
    fast = EdgeUser().click(*given)
    with backend.plain_torch():
        slow = EdgeUser().click(*given)
    assert torch.equal(fast, slow) and int((fast[0] >= 0).all(-1).sum()) == most


@pytest.mark.parametrize("radius", [0, 2, 6])
def test_hints(on_device: None, there: torch.device, radius: int) -> None:
    rng = np.random.default_rng(radius)
    hint = torch.from_numpy(rng.random((2, *GRID), dtype=np.float32)).to(there)
    clicks = torch.from_numpy(rng.integers(0, 7, (2, 4, 3))).to(there)
    clicks[:, 1] = -1
    before = hint.clone()
    fast = GaussianHint(1.5, radius).add(hint, clicks, hint[:, None])
    with backend.plain_torch():
        slow = GaussianHint(1.5, radius).add(hint, clicks, hint[:, None])
    assert torch.equal(fast, slow) and torch.equal(hint, before)


@pytest.mark.parametrize("settings", [{}, {"guide": True}, {"hint": "supervoxel"}], ids=str)
def test_an_env_gives_the_same_bits(on_device: None, there: torch.device, settings: dict[str, Any]) -> None:
    fast, slow = (make_envs(2, shape=GRID, device=str(there), **settings) for _ in range(2))
    assert isinstance(fast._episodes.simulator._transition, TableTransition)
    one: Any = fast.reset(seed=1)
    with backend.plain_torch():
        two: Any = slow.reset(seed=1)
    for action in random_actions(fast, 4):
        assert all(torch.equal(one[0][key], two[0][key]) for key in two[0])
        assert all(torch.equal(one[-1][key], two[-1][key]) for key in two[-1] if isinstance(two[-1][key], Tensor))
        sent: Any = {"adjustment": action, "confidence": torch.rand(action.shape)} if fast.config.guide else action
        one = fast.step(sent)
        with backend.plain_torch():
            two = slow.step(sent)


@pytest.mark.cuda
@pytest.mark.parametrize("settings", [{}, {"guide": True}, {"labelled_fraction": 0.5}], ids=str)
def test_cuda_itself_sees_nobody_wait(settings: dict[str, Any]) -> None:
    envs = make_envs(2, shape=GRID, device="cuda", horizon=4, clicks=(6, 3, 2, 2), **settings)
    envs.reset(seed=1)
    sent: Any = torch.zeros((2, *GRID), dtype=torch.uint8, device="cuda")
    if envs.config.guide:
        sent = {"adjustment": sent, "confidence": torch.rand((2, *GRID), device="cuda")}
    envs.step(sent)  # the first one compiles, and may copy its tables
    torch.cuda.set_sync_debug_mode("error")
    try:
        envs.step(sent)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no second CUDA device here")
def test_a_gpu_that_is_not_the_current_one() -> None:
    first, second = (make_envs(2, shape=GRID, device=f"cuda:{place}") for place in (0, 1))
    results: list[Any] = [[envs.reset(seed=1)] for envs in (first, second)]
    for action in random_actions(first, 4):
        for played, envs in zip(results, (first, second), strict=True):
            played.append(envs.step(action))
    for one, two in zip(*results, strict=True):
        assert all(torch.equal(one[0][key].cpu(), two[0][key].cpu()) for key in one[0])


WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "lift_fresh", "item", "masked_select", "unique")
"""Operations that wait for a GPU: reading a number, an output whose size depends on values, a tensor from a list."""


class Watching(TorchDispatchMode):
    """Notes every operation that would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if any(name == wait or name.startswith(f"{wait}_") for wait in WAITS):
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("plainly", [False, True], ids=["kernels", "torch"])
@pytest.mark.parametrize(
    "settings", [{}, {"guide": True}, {"labelled_fraction": 0.5}, {"hint": "supervoxel", "reward": "boundary"}], ids=str
)
def test_a_step_does_not_wait_for_the_device(
    on_device: None, there: torch.device, settings: dict[str, Any], plainly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "torch_cpu_step", torch_step)  # what a GPU would get
    monkeypatch.setattr(backend, "_wanted", not plainly)
    envs = make_envs(2, shape=GRID, device=str(there), **settings)
    envs._actions = ActionReader(envs.config, 2, there, late=True)
    envs.reset(seed=1)
    sent: Any = torch.zeros((2, *GRID), dtype=torch.uint8, device=there)
    if envs.config.guide:
        sent = {"adjustment": sent, "confidence": torch.rand((2, *GRID), device=there)}
    envs.step(sent)  # the first one may copy its tables
    with Watching() as watching:
        envs.step(sent)
    assert watching.waits == []
    with Watching() as watching:
        envs.state.label.nonzero(), torch.tensor([1]), int(envs.state.label.sum())
    assert len(watching.waits) == 3  # it does notice
