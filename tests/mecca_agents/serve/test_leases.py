"""Leases: two clocks, how many there are, and what is taken back when."""

from __future__ import annotations

import pytest

from mecca_agents.serve.leases import Full, Gone, Lease, Leases


class Room:
    """Leases of numbers, with a clock that a test sets."""

    def __init__(self, most: int = 2) -> None:
        self.now, self.closed, self.changes = 0.0, list[int](), 0
        self.leases: Leases[int] = Leases(
            lambda: len(self.leases),
            lambda lease: self.closed.append(lease.number),
            most=most,
            idle=100.0,
            liveness=20.0,
            clock=lambda: self.now,
            changed=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    def act(self, lease: Lease[int], seconds: float = 0.0) -> None:
        with self.leases.at_work(lease, "point"):
            self.now += seconds


def test_a_silent_viewer_loses_its_lease_and_one_that_beats_keeps_it() -> None:
    room = Room()
    silent, alive = room.leases.claim(), room.leases.claim()
    for _ in range(3):
        room.now += 10
        room.leases.beat(room.leases.find(alive.token))
    room.leases.sweep()
    assert room.closed == [silent.number] and list(room.leases) == [alive]
    with pytest.raises(Gone):
        room.leases.find(silent.token)


def test_beats_do_not_put_off_the_idle_clock_and_prompts_do() -> None:
    room = Room()
    lease = room.leases.claim()
    for _ in range(9):
        room.now += 10
        remaining = room.leases.beat(room.leases.find(lease.token))
    assert remaining == 10
    room.act(lease)
    assert room.leases.remaining(lease) == 100 and (lease.last, lease.took) == ("point", 0)
    for _ in range(11):
        room.now += 10
        room.leases.beat(lease)
    with pytest.raises(Gone):  # also before anything sweeps
        room.leases.find(lease.token)
    assert room.closed == [1]


def test_what_is_at_work_is_not_taken_back_however_long_it_takes() -> None:
    room = Room()
    lease = room.leases.claim()
    with room.leases.at_work(lease, "set_image"):
        room.now += 1000
        room.leases.sweep()
        assert room.leases.find(lease.token) is lease
    room.leases.sweep()
    assert lease.took == 1000 and list(room.leases) == [lease]


def test_there_are_so_many_and_no_more_until_one_is_given_back_or_over() -> None:
    room = Room(most=2)
    first, _ = room.leases.claim(), room.leases.claim()
    with pytest.raises(Full):
        room.leases.claim()
    room.leases.release(first)
    room.leases.release(first)
    assert room.closed == [1] and room.leases.claim().number == 3
    room.now += 21
    assert room.leases.claim().number == 4 and room.closed == [1, 2, 3]


def test_a_viewer_that_never_beats_keeps_its_lease_until_somebody_wants_it() -> None:
    room = Room(most=1)
    lease = room.leases.claim(beats=False)
    room.now += 99
    with pytest.raises(Full):
        room.leases.claim()
    room.now += 1000
    room.leases.sweep()
    assert room.leases.find(lease.token) is lease
    room.act(lease)
    with pytest.raises(Full):
        room.leases.claim()
    room.now += 101
    assert room.leases.claim().number == 2 and room.closed == [1]


def test_tokens_cannot_be_guessed_and_all_is_closed_at_the_end() -> None:
    room = Room(most=50)
    tokens = {room.leases.claim().token for _ in range(50)}
    assert len(tokens) == 50 and min(map(len, tokens)) >= 32
    room.leases.close()
    assert len(room.leases) == 0 and room.closed == list(range(1, 51)) and room.changes == 100
