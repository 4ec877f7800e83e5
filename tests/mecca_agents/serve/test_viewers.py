"""The orders in which plug-ins of viewers call, replayed by hand: napari's, 3D Slicer's, and what ends a session."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_agents.serve.capabilities import capabilities
from mecca_agents.serve.service import Service
from mecca_agents.session import Model
from tests.support.viewers import Viewer, packed, unpacked

Asked = Callable[..., tuple[Viewer, Service]]
AT_ONCE = {"run_prediction": True, "override_capability_checks": False}


class Shown:
    """A viewer's array, which takes over what each answer says."""

    def __init__(self, viewer: Viewer, shape: tuple[int, ...]) -> None:
        self.viewer, self.mask = viewer, np.zeros(shape, np.uint8)

    def post(self, path: str, body: Any, meta: Any = None) -> bool:
        reply = self.viewer.post(path, body, meta)
        assert reply.status == 200 and reply.headers["content-type"] == "application/octet-stream", reply.body
        told = reply.meta
        assert set(told) == {"ran_prediction", "bbox", "dtype", "shape"} and told["dtype"] == "uint8"
        if told["bbox"] is None:
            assert reply.body == b""
        else:
            part = unpacked(reply.body)
            assert part.dtype == np.uint8 and list(part.shape) == told["shape"]
            self.mask[tuple(slice(*side) for side in told["bbox"])] = part
        return bool(told["ran_prediction"])


def _served_mask(service: Service) -> NDArray[np.bool_]:
    (lease,) = service.leases
    return lease.held.prompts.session.mask().T


def _begin(asked: Asked, scan: NDArray[np.float32], *spacing: float) -> tuple[Shown, Service]:
    viewer, service = asked()
    claim = viewer.ask("POST", "/claim").json
    assert set(claim) == {"lease_token", "idle_timeout_seconds", "liveness_timeout_seconds", "max_sessions"}
    viewer.headers["x-lease-token"] = claim["lease_token"]
    assert viewer.ask("GET", "/capabilities").json == json.loads(json.dumps(capabilities(service.model)))
    image = scan.T
    assert viewer.open(image, spacing).json == {"original_image_shape": [1, *image.shape]}
    assert viewer.post("/set_target_buffer", {"shape": list(image.shape), "dtype": "uint8"}).json == {}
    return Shown(viewer, image.shape), service


def test_napari(asked: Asked, scan: NDArray[np.float32]) -> None:
    shown, service = _begin(asked, scan, 3.0, 1.0, 1.0)
    viewer = shown.viewer
    assert viewer.post("/set_do_autozoom", {"do_autozoom": True}).json == {}
    point = {"coordinates": [10.37, 14.2, 12.0], "include_interaction": True, **AT_ONCE}  # floats, from the mouse
    assert shown.post("/add_point_interaction", point)
    assert shown.mask[10, 14, 12] == 1
    box = {"bbox_coords": [[10.0, 11.0], [9.6, 19.5], [7.7, 16.2]], "include_interaction": True, **AT_ONCE}
    assert shown.post("/add_bbox_interaction", box)
    line = np.zeros(shown.mask.shape, np.uint8)
    line[10, 12:16, 12] = 1
    mark = {"include_interaction": False, "interaction_bbox": None, **AT_ONCE}
    assert shown.post("/add_scribble_interaction", packed(line, codec=2), mark)
    assert not shown.mask[10, 13, 12]  # the middle of the line
    part = {**mark, "include_interaction": True, "interaction_bbox": [[10, 11], [11, 15], [10, 14]]}
    assert shown.post("/add_lasso_interaction", packed(np.ones((1, 4, 4), np.uint8)), part)
    before = shown.mask.copy()
    assert shown.post("/undo", {})
    assert np.array_equal(shown.mask, _served_mask(service)) and not np.array_equal(shown.mask, before)
    waits = {**point, "coordinates": [3.0, 4.0, 5.0], "include_interaction": False, "run_prediction": False}
    assert not shown.post("/add_point_interaction", waits)
    assert shown.post("/predict", {"force_full_refine": False})
    assert np.array_equal(shown.mask, _served_mask(service))
    assert viewer.post("/heartbeat", {}).json["remaining_seconds"] > 599
    assert viewer.ask("POST", "/release").json == {"released": True}
    assert viewer.ask("POST", "/release").json == {"released": True} and not len(service.leases)


def test_slicer(asked: Asked, scan: NDArray[np.float32]) -> None:
    test = asked()[0]
    test.claim()  # "Test connection"
    assert test.ask("POST", "/release").status == 200
    shown, service = _begin(asked, scan, 3.0, 1.0, 1.0)
    point = {"coordinates": [10, 14, 12], "include_interaction": True, **AT_ONCE}
    assert shown.post("/add_point_interaction", point)
    first = shown.mask.copy()
    assert shown.viewer.post("/reset_interactions", {}).json == {}  # another segment, an empty one
    shown.mask[:] = 0
    assert not shown.post("/add_initial_seg_interaction", packed(shown.mask), {"run_prediction": False})
    assert shown.post("/add_point_interaction", {**point, "coordinates": [4, 5, 6]})
    second = shown.mask.copy()
    assert second[4, 5, 6] == 1
    edited = first.copy()  # back to the first one, which was painted on meanwhile
    edited[1:4, 1:4, 1:4] = 1
    assert shown.viewer.post("/reset_interactions", {}).json == {}
    assert not shown.post("/add_initial_seg_interaction", packed(edited), {"run_prediction": False})
    shown.mask[:] = edited
    assert np.array_equal(_served_mask(service), edited.astype(bool))
    assert shown.post("/add_bbox_interaction", {"bbox_coords": [[9, 12], [8, 20], [7, 17]], **AT_ONCE})
    assert np.array_equal(shown.mask, _served_mask(service))
    assert shown.post("/undo", {}) and np.array_equal(shown.mask, edited)


def test_a_full_server_says_when_to_come_again(asked: Asked) -> None:
    viewer, service = asked(sessions=2)
    viewer.claim(), viewer.claim()
    full = viewer.ask("POST", "/claim")
    assert full.status == 503 and full.headers["retry-after"] == "10" and "expected a free one" in full.detail
    assert viewer.ask("GET", "/healthz").json == {"ok": True}


def test_a_lease_that_is_missing_unknown_or_over_is_410(asked: Asked, scan: NDArray[np.float32]) -> None:
    now = [0.0]
    viewer, service = asked(clock=lambda: now[0], idle=100, liveness=50)
    for path in ("/undo", "/heartbeat", "/set_image", "/add_point_interaction"):
        missing = viewer.post(path, {})
        assert (missing.status, missing.detail) == (410, "lease token missing")
    viewer.headers["x-lease-token"] = "nobody's"
    assert viewer.ask("GET", "/lease_status").detail == "lease expired or unknown"
    viewer.claim()
    now[0] = 40.0
    assert viewer.ask("GET", "/lease_status").json == {"remaining_seconds": 60, "idle_timeout_seconds": 100}
    now[0] = 51.0  # that was no sign of life
    assert viewer.post("/heartbeat", {}).status == 410 and not len(service.leases)
    viewer.claim()
    assert viewer.post("/add_point_interaction", {"coordinates": [1, 1, 1]}).detail.startswith("session: expected a sc")
    assert viewer.post("/undo", {}).status == 400 and viewer.post("/set_target_buffer", {}).status == 400


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/set_target_buffer", {"shape": [21, 30, 25], "dtype": "float32"}, "dtype: expected bool or an integer type"),
        ("/set_target_buffer", {"shape": [21, 30, 25], "dtype": "O"}, "dtype: expected bool or an integer type"),
        ("/set_target_buffer", {"shape": [21, 30], "dtype": "uint8"}, "expected a TargetBuffer"),
        ("/set_target_buffer", {"shape": [21, 30, -25], "dtype": "uint8"}, "expected a TargetBuffer"),
        ("/set_target_buffer", {"shape": [21, 30, 24], "dtype": "uint8"}, "shape: expected the image's"),
        ("/add_point_interaction", {"coordinates": [1, 2]}, "expected a Point"),
        ("/add_point_interaction", {"coordinates": [1, 2, 1e999]}, "expected a Point"),
        ("/add_point_interaction", {"coordinates": [1, 2, 30]}, "point: expected one of the scan's"),
        ("/add_bbox_interaction", {"bbox_coords": [[1, 2], [1, 2]]}, "expected a BoundingBox"),
        ("/add_bbox_interaction", {"bbox_coords": [[50, 60]] * 3}, "box: expected one of the scan's"),
        ("/set_do_autozoom", {"do_autozoom": "perhaps"}, "expected a Zoom"),
        ("/set_do_autozoom", b'{"do_autozoom": NaN}', "expected a Zoom"),
    ],
)
def test_what_is_wrong_is_said(asked: Asked, scan: NDArray[np.float32], path: str, body: Any, sentence: str) -> None:
    shown, _ = _begin(asked, scan, 1, 1, 1)
    refused = shown.viewer.post(path, body)
    assert refused.status == 400 and sentence in refused.detail


def test_images_that_no_agent_can_use_are_refused(asked: Asked, scan: NDArray[np.float32]) -> None:
    viewer, _ = asked(most_bytes=1 << 20)
    viewer.claim()
    image = scan.T.copy()
    properties = {"image_properties": {"spacing": [1, 0, 1]}}
    assert "spacing" in viewer.post("/set_image", packed(image[None]), properties).detail
    assert "one channel" in viewer.post("/set_image", packed(np.stack([image, image])), {}).detail
    assert "constant" in viewer.post("/set_image", packed(np.ones_like(image)[None]), {}).detail
    image[1, 2, 3] = np.nan
    assert "NaN" in viewer.post("/set_image", packed(image[None]), {}).detail
    large = viewer.post("/set_image", packed(np.zeros((1, 64, 64, 65), np.float32)))
    assert large.status == 413 and "at most 1048576 bytes" in large.detail
    assert viewer.post("/set_target_buffer", {"shape": [1 << 40, 9, 9], "dtype": "int64"}).status == 413


def test_capabilities_say_what_a_run_takes(model: Model, plain_model: Model) -> None:
    signed, plain = capabilities(model), capabilities(plain_model)
    assert signed["do_autozoom"] and signed["supports_zero_shot_label_refinement"]
    assert not plain["do_autozoom"] and not plain["supports_zero_shot_label_refinement"]
    for found in (signed, plain):
        assert found["supported_interactions"] == dict.fromkeys(
            ("points", "scribble", "lasso", "bbox2d", "bbox3d"), True
        )
        assert found["supports_undo"] and found["supports_initial_label"] and found["patch_size"] == [10, 12, 12]
        channels = [found["channel_mapping"].pop("prev_seg"), *sum(found["channel_mapping"].values(), [])]
        assert sorted(channels) == list(range(found["num_interaction_channels"]))
        assert "the built-in phantom" in found["license"]
