"""The unmodified client from PyPI drives the server: every method, and what its buffer shows after each prompt."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from numpy.typing import NDArray

from tests.docs.blocks import python_blocks
from tests.mecca_agents.serve.conftest import Served, make_scan
from tests.support import ROOT

remote = pytest.importorskip("nnInteractive.inference.remote", reason='no client here: pip install -e ".[dev]"')
Client = remote.nnInteractiveRemoteInferenceSession


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Person:
    """Somebody with the client, and an array in which it shows masks, (z, y, x)."""

    def __init__(self, served: Served, image: NDArray[Any], dtype: str = "uint8", spacing: Any = (3, 1, 1.5)) -> None:
        self.served, self.image = served, image
        self.client = Client(served.url)
        self.client.set_image(image[None], {"spacing": list(spacing)})
        self.buffer = np.zeros(image.shape, dtype)
        self.client.set_target_buffer(self.buffer)

    @property
    def prompts(self) -> Any:
        (held,) = (lease.held for lease in self.served.service.leases if lease.token == self.client._lease_token)
        return held.prompts

    def check(self, waiting: bool = False) -> None:
        """What it shows is what the server has, voxel by voxel."""
        assert set(np.unique(self.buffer)) <= {0, 1}
        assert np.array_equal(self.buffer.astype(bool), self.prompts.shown.T)
        if not waiting:
            assert np.array_equal(self.buffer.astype(bool), self.prompts.session.mask().T)


@pytest.fixture
def person(served: Served) -> Iterator[Person]:
    found = Person(served, make_scan().T)
    yield found
    found.client.close()


def test_every_public_method_of_the_client(person: Person, served: Served) -> None:
    client, seen = person.client, set()
    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}

    def call(name: str, *given: Any, **named: Any) -> Any:
        seen.add(name)
        return getattr(client, name)(*given, **named)

    assert client.supported_interactions == dict.fromkeys(("points", "scribble", "lasso", "bbox2d", "bbox3d"), True)
    assert client.supports_undo and client.supports_initial_label and "Not a medical device" in client.license
    line = np.zeros(person.buffer.shape, np.uint8)
    line[10, 12:17, 12] = 1
    assert call("add_point_interaction", (10.2, 14, 12), True) is not None
    assert person.buffer[10, 14, 12] == 1
    assert [click.point for click in person.prompts.session.clicks] == [(12, 14, 10.2)]
    person.check()
    call("add_bbox_interaction", [[10, 11], [10.4, 19.6], [8, 16]], True)
    person.check()
    assert person.prompts.session.box[1][:2] == (16, 20)
    call("add_scribble_interaction", line, True)
    person.check()
    call("add_lasso_interaction", line[10:11, 10:20, 8:16], False, interaction_bbox=[[10, 11], [10, 20], [8, 16]])
    person.check()
    assert person.buffer[10, 14, 12] == 0  # the last word of a voxel
    assert call("undo") is True
    person.check()
    assert call("add_point_interaction", (2, 3, 4), False, run_prediction=False) is None
    person.check(waiting=True)
    client._predict()
    seen.add("predict")
    person.check()
    mask = np.zeros(person.buffer.shape, np.uint8)
    mask[8:13, 9:18, 8:15] = 1
    call("add_initial_seg_interaction", mask)
    assert np.array_equal(person.buffer, mask)
    person.check()
    call("add_initial_seg_interaction", mask, run_prediction=True)
    person.check()
    call("reset_interactions")
    assert not person.buffer.any()
    person.check()
    assert call("undo") is False
    call("set_do_autozoom", False)
    assert call("ping") and 0 < call("heartbeat") <= 600 and call("lease_status")["idle_timeout_seconds"] == 600
    call("set_image", person.image[None, :9], {"spacing": [1, 1, 1]})
    call("set_target_buffer", np.zeros((9, *person.image.shape[1:]), np.int32))
    call("close")
    assert not any(lease.token == client._lease_token for lease in served.service.leases)
    assert methods - {"initialize_from_trained_model_folder"} == seen - {"predict"}  # that one is for local sessions


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64"])
def test_scans_of_every_type_and_odd_shapes(served: Served, dtype: str) -> None:
    image = (make_scan((17, 9, 14)) * 20 + 100).clip(0, 250).astype(dtype).T
    person = Person(served, image, "bool" if dtype == "uint8" else "int16", (2.5, 0.7, 1))
    session = person.prompts.session
    assert session.shape == (17, 9, 14) and session.spacing == (1, 0.7, 2.5)
    assert np.array_equal(session.image_slice(2, 5), image[5].T.astype(np.float32))
    person.client.add_point_interaction((7, 4, 8), True)
    person.check()
    person.client.close()


def test_errors_reach_the_client_as_its_own(served: Served, person: Person) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        person.client.add_point_interaction((99, 0, 0), True)
    assert refused.value.response.status_code == 400
    assert "expected one of the scan's (25, 30, 21) voxels" in refused.value.response.json()["detail"]
    with pytest.raises(httpx.HTTPStatusError) as refused:
        person.client.set_image(np.zeros((1, 5, 5, 5), np.float32), {})
    assert refused.value.response.status_code == 400 and "constant" in refused.value.response.json()["detail"]
    others = [Client(served.url) for _ in range(2)]
    with pytest.raises(remote.ServerAtCapacityError):
        Client(served.url)
    served.later(601)
    with pytest.raises(remote.SessionExpiredError):
        person.client.add_point_interaction((10, 14, 12), True)
    Client(served.url).close()
    for other in others:
        other.close()
    assert len(served.service.leases) == 0


def test_the_program_on_the_page(served: Served) -> None:
    (program,) = python_blocks(ROOT / "docs" / "serve.md")
    assert "http://127.0.0.1:1527" in program
    names: dict[str, Any] = {}
    exec(compile(program.replace("http://127.0.0.1:1527", served.url), "serve.md", "exec"), names)
    assert not names["mask"].any() and len(served.service.leases) == 0


SHAPES = ((25, 30, 21), (19, 8, 33))
WHO = st.integers(0, 1)
KINDS = ("uint8", "float64")


def _points() -> st.SearchStrategy[tuple[float, float, float]]:
    share = st.floats(0, 1, width=32)
    return st.tuples(share, share, share)


def test_what_two_people_see_is_what_the_server_has_after_each_of_200_prompts(served: Served) -> None:
    done = 0

    class Prompting(RuleBasedStateMachine):
        """Two people with scans of their own; each rule is one of them doing something."""

        people: list[Person]

        @initialize()
        def begin(self) -> None:
            self.people = [
                Person(served, (make_scan(shape, seed) * 30 + 120).clip(0, 255).astype(kind).T)
                for seed, (shape, kind) in enumerate(zip(SHAPES, KINDS, strict=True))
            ]
            self.waiting = [False, False]

        def _done(self, who: int, waiting: bool = False) -> None:
            nonlocal done
            done += 1
            self.waiting[who] = waiting
            for person, waits in zip(self.people, self.waiting, strict=True):
                person.check(waits)

        def _voxel(self, who: int, share: Any) -> list[float]:
            return [s * (n - 1) for s, n in zip(share, self.people[who].buffer.shape, strict=True)]

        @rule(who=WHO, share=_points(), inside=st.booleans(), at_once=st.booleans())
        def point(self, who: int, share: Any, inside: bool, at_once: bool) -> None:
            self.people[who].client.add_point_interaction(self._voxel(who, share), inside, run_prediction=at_once)
            self._done(who, not at_once)

        @rule(who=WHO, a=_points(), b=_points(), flat=st.integers(0, 3), sides=st.tuples(st.booleans(), st.booleans()))
        def box(self, who: int, a: Any, b: Any, flat: int, sides: Any) -> None:
            low, high = np.sort([self._voxel(who, a), self._voxel(who, b)], axis=0)
            corners = [[float(x), float(y) + 1] for x, y in zip(low, high, strict=True)]
            if flat < 3:
                corners[flat][1] = corners[flat][0] + 1
            self.people[who].client.add_bbox_interaction(corners, sides[0], run_prediction=sides[1])
            self._done(who, not sides[1])

        @rule(who=WHO, share=_points(), axis=st.integers(0, 2), inside=st.booleans(), part=st.booleans())
        def mark(self, who: int, share: Any, axis: int, inside: bool, part: bool) -> None:
            person = self.people[who]
            middle = [round(v) for v in self._voxel(who, share)]
            box = [[max(v - 2, 0), min(v + 3, n)] for v, n in zip(middle, person.buffer.shape, strict=True)]
            box[axis] = [middle[axis], middle[axis] + 1]
            inner = tuple(slice(*side) for side in box)
            mask = np.zeros(person.buffer.shape, np.uint8)
            mask[inner] = 1
            add = person.client.add_lasso_interaction if inside else person.client.add_scribble_interaction
            if part:
                add(mask[inner], inside, interaction_bbox=box)
            else:
                add(mask, inside)
            self._done(who)

        @rule(who=WHO, share=_points(), at_once=st.booleans(), empty=st.booleans())
        def first_mask(self, who: int, share: Any, at_once: bool, empty: bool) -> None:
            mask = np.zeros(self.people[who].buffer.shape, np.uint8)
            if not empty:
                mask[tuple(slice(max(round(v) - 3, 0), round(v) + 3) for v in self._voxel(who, share))] = 1
            self.people[who].client.add_initial_seg_interaction(mask, run_prediction=at_once)
            self._done(who)

        @rule(who=WHO)
        def undo(self, who: int) -> None:
            self.people[who].client.undo()
            self._done(who)

        @precondition(lambda self: any(self.waiting))
        @rule()
        def predict(self) -> None:
            who = self.waiting.index(True)
            self.people[who].client._predict()
            self._done(who)

        @rule(who=WHO)
        def reset(self, who: int) -> None:
            self.people[who].client.reset_interactions()
            assert not self.people[who].buffer.any()
            self._done(who)

        @rule(who=WHO)
        def expire(self, who: int) -> None:
            """The session is gone; a viewer takes another one and goes on from the mask that it shows."""
            lost, other = self.people[who], self.people[1 - who]
            lost.client.set_do_autozoom(True)
            for _ in range(10):
                served.later(55)  # saying that one is there is not doing something
                lost.client.heartbeat()
                other.client.set_do_autozoom(True)
            served.later(50)
            lost.client.heartbeat()
            served.later(1)
            with pytest.raises(remote.SessionExpiredError):
                lost.client.undo()
            lost.client.close()
            other.client.heartbeat()
            self.people[who] = Person(served, lost.image)
            self.people[who].client.add_initial_seg_interaction(lost.buffer)
            assert np.array_equal(self.people[who].buffer, lost.buffer)
            self._done(who)

        def teardown(self) -> None:
            for person in getattr(self, "people", ()):
                person.client.close()

    run_state_machine_as_test(Prompting, settings=settings(max_examples=9, stateful_step_count=30))
    assert done >= 200
