"""A thousand requests that are wrong in some way: a sentence for each, no memory for lies, nobody else disturbed."""

from __future__ import annotations

import json
import random
import resource
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_agents.serve.service import Service
from tests.support.viewers import Reply, Viewer, packed

Asked = Callable[..., tuple[Viewer, Service]]
Message = dict[str, Any]
LIMIT = 1 << 20
PATHS = ("/set_image", "/add_scribble_interaction", "/add_lasso_interaction", "/add_initial_seg_interaction")
MESSAGES = ("/set_target_buffer", "/add_point_interaction", "/add_bbox_interaction", "/set_do_autozoom")
VALUES: Sequence[Any] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        3.5,
        1e308,
        1 << 70,
        float("nan"),
        float("inf"),
        "",
        "uint8",
        "object",
        [],
        {},
        [[]],
        [1, 2],
    ),
    *([1, 2, 3], [1, float("nan"), 3], [[1, 2]] * 3, [[5, 2]] * 3, [[0, 1 << 62]] * 3, [["a", "b"]] * 3, [1e300] * 3),
)
NAMES = (
    *("coordinates", "bbox_coords", "include_interaction", "run_prediction", "shape", "dtype", "do_autozoom"),
    *("interaction_bbox", "image_properties", "spacing", "force_full_refine"),
)


class Fuzzer:
    """Requests that are wrong in some way, the same ones every time."""

    def __init__(self, image: NDArray[np.float32]) -> None:
        self.random = random.Random(21)
        self.arrays = [packed(image[None]), packed(np.ones(image.shape, np.uint8)), packed(np.ones((3, 4, 5), bool), 2)]

    def message(self) -> bytes:
        draw = self.random
        if draw.random() < 0.2:
            return bytes(draw.randrange(256) for _ in range(draw.randrange(40)))
        fields = {draw.choice(NAMES): draw.choice(VALUES) for _ in range(draw.randrange(5))}
        text = json.dumps(draw.choice(VALUES) if draw.random() < 0.1 else fields).encode()
        return (
            b"[" * 50_000
            if draw.random() < 0.02
            else text[: draw.randrange(len(text) + 1)]
            if draw.random() < 0.1
            else text
        )

    def array(self) -> bytes:
        draw = self.random
        data = bytearray(draw.choice(self.arrays))
        at = 8 + data[7]
        kind = draw.randrange(8)
        if kind == 0:  # a size that lies
            place = at + 8 * draw.randrange(data[6])
            data[place : place + 8] = struct.pack("<q", draw.choice((0, -1, 1, 7, 1 << 20, 1 << 40, (1 << 63) - 1)))
        elif kind == 1:  # codec, version, dimensions, length of the name
            data[draw.randrange(4, 8)] = draw.randrange(256)
        elif kind == 2:  # a type
            data[8:at] = draw.choice((b"object", b"float128", b"V8", b"<f4", b"complex64", b"\xff\xfe"))
        elif kind == 3:  # numbers and sizes of chunks
            place = at + 8 * data[6] + draw.randrange(20)
            data[place : place + 4] = struct.pack("<I", draw.choice((0, 2, 1 << 30, (1 << 32) - 1)))
        elif kind == 4:
            del data[draw.randrange(len(data)) :]
        elif kind == 5:
            data += bytes(draw.randrange(256) for _ in range(draw.randrange(1, 50)))
        else:  # damage, mostly in the packed chunk
            for _ in range(draw.randrange(1, 20)):
                data[draw.randrange(len(data))] = draw.randrange(256)
        return bytes(data)

    def headers(self) -> dict[str, str]:
        draw, found = self.random, {}
        if draw.random() < 0.3:
            found["x-meta"] = self.message().decode("latin-1")
        if draw.random() < 0.1:
            found["x-lease-token"] = draw.choice(("", "x", "\xe9" * 300, "../../etc/passwd"))
        if draw.random() < 0.1:
            found["content-length"] = draw.choice(("-1", "abc", "9" * 30, str(1 << 40), "1e3"))
        if draw.random() < 0.1:
            found["host"] = draw.choice(("evil.example", "", "127.0.0.1:99999", "[::1", "localhost"))
        if draw.random() < 0.05:
            found["origin"] = draw.choice(("http://evil.example", "null", "http://["))
        return found


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_a_thousand_requests_that_are_wrong(asked: Asked, scan: NDArray[np.float32]) -> None:
    viewer, service = asked(most_bytes=LIMIT, patience=0.05)
    other = viewer.claim()
    image = scan.T
    assert viewer.open(image).status == 200
    viewer.post("/add_point_interaction", {"coordinates": [10, 14, 12]})
    (lease,) = service.leases
    kept = lease.held.prompts.session.mask()
    token = viewer.claim()
    viewer.open(image)
    threads, memory = threading.active_count(), _memory()
    fuzzer, statuses = Fuzzer(image), Counter[int]()
    for number in range(1000):
        arrays = fuzzer.random.random() < 0.6
        path = fuzzer.random.choice(PATHS if arrays else MESSAGES)
        body = fuzzer.array() if arrays else fuzzer.message()
        reply = viewer.ask("POST", path, body, fuzzer.headers(), _slow(body) if number % 100 == 50 else None)
        statuses[reply.status] += 1
        assert reply.status != 500 and (reply.status == 200 or _is_a_sentence(reply)), (path, body[:80], reply)
    assert statuses[200] < 300 and {400, 403, 408, 410, 413} <= set(statuses), statuses
    assert _memory() - memory < 64 << 20 and threading.active_count() <= threads + 2  # the pool's
    assert np.array_equal(lease.held.prompts.session.mask(), kept)
    viewer.headers["x-lease-token"] = token
    assert viewer.open(image).status == 200
    viewer.headers["x-lease-token"] = other
    answer = viewer.post("/undo", {})
    assert answer.status == 200 and answer.meta["ran_prediction"] and not lease.held.prompts.shown.any()


def _slow(body: bytes) -> list[Message]:
    """The first half of a body, and then nothing."""
    return [{"type": "http.request", "body": body[: len(body) // 2], "more_body": True}]


def _is_a_sentence(reply: Reply) -> bool:
    return 0 < len(reply.detail) < 1000 and "Traceback" not in reply.detail and 'File "' not in reply.detail


@pytest.mark.parametrize("length", [None, "5"])
def test_a_body_that_is_longer_than_it_says_is_stopped_when_it_is_too_long(asked: Asked, length: str | None) -> None:
    viewer, _ = asked(most_bytes=LIMIT)
    viewer.claim()
    part = {"type": "http.request", "body": bytes(LIMIT), "more_body": True}
    headers = {"content-length": length} if length else {}
    reply = viewer.ask("POST", "/set_image", b"", headers, [part] * 9)
    assert reply.status == 413 and "at most" in reply.detail


def test_a_connection_that_ends_and_a_body_that_never_does(asked: Asked) -> None:
    viewer, service = asked(patience=0.05, longest_body=0.2)
    viewer.claim()
    gone = viewer.ask("POST", "/set_image", b"", messages=[{"type": "http.disconnect"}])
    assert gone.status == 400
    slow = viewer.ask("POST", "/set_image", b"", messages=_slow(b"NNIA" * 9))
    assert slow.status == 408 and slow.headers["connection"] == "close"
    (lease,) = service.leases
    assert lease.working == 0 and not lease.lock.locked()


def test_fifty_sessions_claimed_and_dropped_leave_nothing(asked: Asked, scan: NDArray[np.float32]) -> None:
    now = [0.0]
    viewer, service = asked(clock=lambda: now[0])

    def once(number: int) -> None:
        viewer.claim()
        viewer.open(np.tile(scan.T, (1, 2, 2)))
        viewer.post("/add_point_interaction", {"coordinates": [10, 14, 12]})
        if number % 2:
            viewer.ask("POST", "/release")
        now[0] += 61.0

    for number in range(4):
        once(number)
    threads, memory = threading.active_count(), _memory()
    for number in range(50):
        once(number)
    service.leases.sweep()
    assert len(service.leases) == 0
    assert threading.active_count() <= threads + 1 and _memory() - memory < 24 << 20


def test_an_error_of_the_servers_own_is_a_sentence_without_a_traceback(
    asked: Asked, scan: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    viewer, service = asked()
    viewer.claim()
    viewer.open(scan.T)
    (lease,) = service.leases

    def fails(*given: Any) -> None:
        raise RuntimeError("secret of the server")

    monkeypatch.setattr(lease.held.prompts, "add_point", fails)
    reply = viewer.post("/add_point_interaction", {"coordinates": [10, 14, 12]})
    assert reply.status == 500 and "secret" not in reply.detail and "terminal shows which" in reply.detail
    assert "secret of the server" in caplog.text
    monkeypatch.undo()
    assert viewer.post("/add_point_interaction", {"coordinates": [10, 14, 12]}).status == 200
