"""Loops compiled for the CPU: the same bits as torch, for any kind of env, any number of threads; and their choice."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mecca_env.kernels import backend, dispatch, torch_cpu_step, torch_step
from mecca_env.process.hints import GaussianHint
from mecca_env.process.users import EdgeUser
from mecca_env.tensors.rng import shuffle_keys
from tests.support.envs import make_envs, make_state, random_actions
from tests.support.trees import same_tensor

pytest.importorskip("numba", reason="Numba is not installed")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def compiled_loops_are_there() -> None:
    """The compiled loops, or these tests would compare torch with itself."""
    found = dispatch.loops(CPU)
    assert found not in (torch_cpu_step, torch_step), f"{backend.VARIABLE}={os.environ.get(backend.VARIABLE)}"


def tensors(tree: Any) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of what `reset` and `step` return, with a name."""
    if isinstance(tree, Tensor):
        yield "", tree
    elif isinstance(tree, dict | tuple):
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from ((f"{key}.{name}", tensor) for name, tensor in tensors(part))


def played(surroundings: AbstractContextManager[None], **settings: Any) -> list[dict[str, Tensor]]:
    """Everything that three envs return over two episodes and a half of random actions."""
    with surroundings:
        envs = make_envs(3, **settings)
        results: list[Any] = [envs.reset(seed=5)]
        for action in random_actions(envs, 8):
            confidence = torch.rand(action.shape, generator=torch.Generator().manual_seed(len(results)))
            results.append(envs.step({"adjustment": action, "confidence": confidence} if envs.config.guide else action))
    return [dict(tensors(result)) for result in results]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"guide": True},
        {"user": "imprecise"},
        {"labelled_fraction": 0.5},
        {"reward": "focal", "adjustments": (0.01, -0.02, 0.5)},
        {"target_dice": 0.3},
        {"hint_radius": 3, "hint_sigma": 1.0},
        {"hint": "supervoxel", "supervoxels": (30, 25, 20)},
        {"reward": "boundary"},
    ],
    ids=str,
)
def test_an_env_gives_the_same_bits_with_and_without(settings: dict[str, Any]) -> None:
    fast, slow = played(nullcontext(), **settings), played(backend.plain_torch(), **settings)
    for one, two in zip(fast, slow, strict=True):
        assert one.keys() == two.keys() and len(one) > 10
        for name in one:
            assert same_tensor(one[name], two[name]), name


def test_rows_split_over_threads_are_the_same() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = played(nullcontext())
        torch.set_num_threads(2)  # three rows for two threads
        together = played(nullcontext())
    finally:
        torch.set_num_threads(before)
    for one, two in zip(alone, together, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_an_error_in_another_thread_is_raised() -> None:
    def fails_on_the_last(rows: np.ndarray) -> None:
        if rows[-1] == 2:
            raise RuntimeError("the last row")

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with pytest.raises(RuntimeError, match="the last row"):
            backend.over_rows(fails_on_the_last, torch.arange(3))
    finally:
        torch.set_num_threads(before)


@given(
    seed=st.integers(0, 2**20),
    budget=st.lists(st.integers(0, 9), min_size=2, max_size=2),
    share=st.floats(0, 1),
)
def test_users_click_the_same_voxels(seed: int, budget: list[int], share: float) -> None:
    rng = np.random.default_rng(seed)
    state = make_state(rng.random((2, 6, 5, 7)) < share)
    probability = torch.from_numpy(rng.choice(np.array([0.4, 0.5, 0.6], np.float32), (2, 6, 5, 7)))
    clicks = torch.from_numpy(rng.integers(-1, 5, (2, 4, 3)))
    clicks[(clicks < 0).any(-1)] = -1
    advice = torch.from_numpy(rng.random((2, 6, 5, 7)) < 0.5)
    key = torch.from_numpy(rng.integers(0, 2**32, 2))
    for within in (False, True):
        looked = make_state(state.label.numpy(), probability=probability, clicks=clicks, advice=advice)
        user = EdgeUser(within_advice=within)
        fast = user.click(looked, torch.tensor(budget), 9, key)
        with backend.plain_torch():
            slow = user.click(looked, torch.tensor(budget), 9, key)
        assert torch.equal(fast, slow)


@given(seed=st.integers(0, 2**20), radius=st.integers(0, 4))
def test_hints_are_pasted_the_same(seed: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    hint = torch.from_numpy(rng.random((2, 6, 5, 7), dtype=np.float32))
    clicks = torch.from_numpy(rng.integers(0, 5, (2, 3, 3)))
    clicks[:, 1] = -1
    before = hint.clone()
    fast = GaussianHint(1.5, radius).add(hint, clicks, hint[:, None])
    with backend.plain_torch():
        slow = GaussianHint(1.5, radius).add(hint, clicks, hint[:, None])
    assert torch.equal(fast, slow) and torch.equal(hint, before)


@given(key=st.integers(0, 2**32 - 1), index=st.integers(0, 2**31 - 1))
def test_the_order_of_voxels_is_that_of_rng(key: int, index: int) -> None:
    expected = shuffle_keys(torch.tensor([key]), torch.tensor([[index]]))
    assert int(importlib.import_module("mecca_env.kernels.numba_step")._shuffle_key(key, index)) == int(expected)


@given(seed=st.integers(0, 2**20), before=st.lists(st.integers(0, 4), min_size=2, max_size=2))
def test_clicks_are_noted_the_same(seed: int, before: list[int]) -> None:
    rng = np.random.default_rng(seed)
    clicks, made = torch.full((2, 7, 3), -1), torch.from_numpy(rng.integers(0, 9, (2, 3, 3)))
    for row, count in enumerate(before):
        clicks[row, :count] = torch.from_numpy(rng.integers(0, 9, (count, 3)))
    made[torch.from_numpy(rng.random((2, 3)) < 0.5)] = -1  # not only at the end: a user may leave gaps
    given = (clicks, torch.tensor(before), made)
    for fast, slow in zip(dispatch.loops(CPU).append(*given), torch_step.append(*given), strict=True):
        assert torch.equal(fast, slow)


def said(caplog: pytest.LogCaptureFixture) -> str:
    backend._found.cache_clear()
    with caplog.at_level(logging.INFO, logger="mecca_env"):
        dispatch.loops(CPU)
    dispatch.loops(CPU)
    (record,) = caplog.records  # once, not at every step
    return record.getMessage()


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Look for the compiler again, then and afterwards."""
    yield
    backend._found.cache_clear()


def test_the_log_says_that_the_loops_run(caplog: pytest.LogCaptureFixture, forgotten: None) -> None:
    assert said(caplog) == "env: loops compiled by Numba"


def test_the_variable_switches_them_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, forgotten: None
) -> None:
    monkeypatch.setenv(backend.VARIABLE, "0")
    assert said(caplog) == "env: torch, since MECCA_COMPILED is 0"
    assert dispatch.loops(CPU) is torch_cpu_step


def test_without_numba_torch_does_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, forgotten: None
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert 'pip install -e ".[numba]"' in said(caplog)
    assert dispatch.loops(CPU) is torch_cpu_step


def test_a_compiler_that_is_too_old_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, forgotten: None
) -> None:
    import numba

    monkeypatch.setattr(numba, "__version__", "0.9.1")
    assert said(caplog) == 'env: torch; Numba 0.60 makes it faster (pip install -e ".[numba]"), here is 0.9.1'
    assert dispatch.loops(CPU) is torch_cpu_step
