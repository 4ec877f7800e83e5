"""Fetching cases ahead: seen only in the time it saves, whatever goes wrong meanwhile."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from mecca_env.data.base import DataError, PreparedCase
from mecca_env.data.caching.background import Background
from mecca_env.data.caching.device import CaseStream
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS, Blobs, make_envs, random_actions

CPU = torch.device("cpu")


class Watched(Blobs):
    """Blobs that say by which thread they were asked, and fail where told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, bool]] = []
        self.fails: set[int] = set()
        self.inside = 0

    def case(self, index: int) -> PreparedCase:
        self.inside += 1
        assert self.inside == 1, "asked by two threads at once"
        try:
            self.asked.append((index, threading.current_thread() is threading.main_thread()))
            if index in self.fails:
                raise DataError(f"case {index} is gone")
            return super().case(index)
        finally:
            self.inside -= 1


def settled(envs: MeccaVectorEnv) -> None:
    """Everything that is coming has come."""
    for future in envs._episodes.maker._prepared._coming.values():
        future.exception()


def test_the_next_case_is_fetched_by_another_thread() -> None:
    source = Watched()
    envs = make_envs(2, dataset=source, prefetch=True)
    envs.reset(seed=0)
    settled(envs)
    before = len(source.asked)
    for _ in range(6):
        envs.reset()
        settled(envs)
    assert all(not main for _, main in source.asked[before:]) and source.asked[0][1]
    envs.close()


def test_by_default_a_source_of_ones_own_is_asked_by_its_caller_alone() -> None:
    source = Watched()
    envs = make_envs(2, dataset=source)
    for _ in range(4):
        envs.reset()
    assert all(main for _, main in source.asked)


def test_where_all_cases_are_there_nothing_is_fetched() -> None:
    source = Watched()
    envs = make_envs(2, dataset=source, prefetch=True, device_cache_bytes=1 << 30)
    for _ in range(8):
        envs.reset()
    settled(envs)
    assert sorted(index for index, _ in source.asked) == list(range(6))
    assert not envs._episodes.maker._prepared._coming
    envs.close()


def test_a_case_that_was_asked_for_does_not_start_a_guess() -> None:
    source = Watched()
    envs = make_envs(1, dataset=source, prefetch=True)
    for index in (3, 1, 2):
        envs.reset(options={"cases": [index]})
    assert source.asked == [(3, True), (1, True), (2, True)]
    envs.close()


def test_a_new_seed_makes_what_is_coming_moot() -> None:
    plain, ahead = make_envs(2), make_envs(2, prefetch=True)
    for seed in (4, None, 7, 7, None):
        one, two = (envs.reset(seed=seed)[1]["case_index"] for envs in (plain, ahead))
        assert torch.equal(one, two)
    ahead.close()


def test_an_error_is_raised_when_its_case_is_needed_and_never_earlier() -> None:
    probe = make_envs(1)
    order = [int(probe.reset(seed=seed)[1]["case_index"]) for seed in (0, None, None)]
    source = Watched()
    source.fails = {order[2]}
    envs = make_envs(1, dataset=source, prefetch=True)
    envs.reset(seed=0)
    envs.reset()
    settled(envs)
    assert (order[2], False) in source.asked  # it has failed already, behind
    for action in random_actions(envs, 2):
        envs.step(action)
    with pytest.raises(DataError, match=f"case {order[2]} is gone"):
        envs.reset()
    envs.close()


def test_what_failed_ahead_may_succeed_when_needed() -> None:
    source = Watched()
    cases = CaseStream(source, CPU, 0, threads=1, shared=False)
    source.fails = {3}
    cases.ahead([3])
    assert isinstance(cases._coming[3].exception(), DataError)
    source.fails = set()
    assert cases.get(3).image is source._cases[3].image
    cases.close()


def test_a_snapshot_goes_on_the_same_with_and_without() -> None:
    plain, ahead, other = make_envs(2), make_envs(2, prefetch=True), make_envs(2, prefetch=True)
    actions = random_actions(plain, 9)
    plain.reset(seed=1)
    ahead.reset(seed=1)
    for action in actions[:4]:
        plain.step(action)
        ahead.step(action)
    other.reset(seed=5)
    other.restore(ahead.snapshot())
    for action in actions[4:]:
        one, two, three = (envs.step(action) for envs in (plain, ahead, other))
        for envs in (two, three):
            assert all(torch.equal(one[0][name], envs[0][name]) for name in one[0]) and torch.equal(one[1], envs[1])
    for envs in (ahead, other):
        envs.close()


def test_generators_are_where_they_would_be_without() -> None:
    plain, ahead = make_envs(2), make_envs(2, prefetch=True)
    plain.reset(seed=2)
    ahead.reset(seed=2)
    for _ in range(8):  # past the end of a walk, where the next one is shuffled
        plain.reset()
        ahead.reset()
        for one, two in zip(plain.np_random, ahead.np_random, strict=True):
            assert one.bit_generator.state == two.bit_generator.state
    ahead.close()


@pytest.fixture
def threads() -> Callable[[], set[threading.Thread]]:
    """The threads that fetch ahead, without those that were there before."""

    def found() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("mecca_env ahead")}

    gc.collect()
    before = found()
    return lambda: found() - before


def test_close_and_being_forgotten_end_the_threads(threads: Callable[[], set[threading.Thread]]) -> None:
    envs = make_envs(1, prefetch=True)
    envs.reset(seed=0)
    assert threads()
    envs.close()
    assert not threads() and len(envs._episodes.maker._prepared) == 0
    cases = CaseStream(Blobs(), CPU, 0, threads=2, shared=True)
    cases.ahead([0, 1, 2])
    watched = weakref.ref(cases)
    assert threads()
    del cases
    gc.collect()
    assert watched() is None and not threads()


def test_an_env_without_it_starts_no_thread(threads: Callable[[], set[threading.Thread]]) -> None:
    for keywords in ({"prefetch": False}, {}):
        envs = make_envs(1, **keywords)
        envs.reset(seed=0)
        assert not threads()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_starts_empty_and_works(duplicate: Any) -> None:
    cases = CaseStream(Blobs(), CPU, 1 << 20, threads=1, shared=False)
    cases.ahead([1])
    cases.get(0)
    other = duplicate(cases)
    assert len(other) == 0 and not other._coming
    assert torch.equal(other.get(1).image, cases.get(1).image)
    cases.close()


def test_the_threads_of_others_keep_their_number_of_torch_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        background = Background(2)
        assert background.submit(torch.get_num_threads).result() == 1
        assert torch.get_num_threads() == 3
        found: list[int] = []
        later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert found == [3]
        background.close()
    finally:
        torch.set_num_threads(before)


def test_a_forked_process_fetches_by_itself() -> None:
    cases = CaseStream(Blobs(), CPU, 0, threads=1, shared=False)
    gate = threading.Event()
    cases.ahead([0])
    assert cases._background is not None
    cases._background.submit(gate.wait)
    cases.ahead([0, 1])  # waits behind the gate, in this process
    child = os.fork()
    if child == 0:
        case = cases.get(1)
        os._exit(0 if case.name == cases.source.case(1).name else 1)
    assert os.waitpid(child, 0)[1] == 0
    gate.set()
    cases.close()


@pytest.mark.slow
def test_a_process_ends_while_phantoms_are_still_to_be_drawn() -> None:
    code = (
        "from mecca_env.vector_env import MeccaVectorEnv\n"
        f"envs = MeccaVectorEnv(3, 'Phantom', **{SETTINGS!r})\n"
        "envs.reset(seed=0)\n"
        "print(len(envs._episodes.maker._prepared._coming))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "3" and not done.stderr
