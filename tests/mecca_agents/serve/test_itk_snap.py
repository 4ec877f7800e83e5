"""ITK-SNAP's requests, as the protocol's table has them; its answers have a byte for every voxel."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from mecca_agents.online import read_project
from mecca_agents.serve.service import Service
from mecca_agents.session import read_log
from mecca_agents.session.saved import accept_saved
from tests.mecca_agents.serve.conftest import settle
from tests.support.viewers import Reply, Viewer

Asked = Callable[..., tuple[Viewer, Service]]
METADATA = {
    "dimensions": [25, 30, 21],
    "spacing": [0.5, 2.0, 3.0],
    "origin": [10.0, -20.0, 30.0],
    "direction": [1, 0, 0, 0, 0, -1, 0, 1, 0],
    "components_per_pixel": 1,
    "component_type": "float",
}


def _form(volume: NDArray[Any], metadata: Any) -> tuple[bytes, dict[str, str]]:
    content = gzip.compress(np.asarray(volume.T, "<f4").tobytes(), 1)  # x runs fastest
    head = 'Content-Disposition: form-data; name="{}"'
    body = b"--cut\r\n" + head.format("file").encode() + b'; filename="image.gz"\r\n'
    body += b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"
    body += b"--cut\r\n" + head.format("metadata").encode() + b"\r\n\r\n" + json.dumps(metadata).encode()
    return body + b"\r\n--cut--\r\n", {"content-type": "multipart/form-data; boundary=cut"}


def _mask(reply: Reply, scan: NDArray[Any]) -> NDArray[np.int8]:
    assert reply.status == 200, reply.body
    raw = gzip.decompress(base64.b64decode(reply.json["result"]))
    assert len(raw) == scan.size
    return np.frombuffer(raw, np.int8).reshape(scan.shape[::-1]).T


@pytest.fixture
def begun(asked: Asked, scan: NDArray[np.float32]) -> tuple[Viewer, Service, str]:
    viewer, service = asked(itk_snap=True)
    assert "version" in viewer.ask("GET", "/status").json
    session = viewer.ask("GET", "/start_session").json["session_id"]
    body, headers = _form(scan, METADATA)
    assert viewer.ask("POST", f"/upload_raw/{session}?filename=head.nii.gz", body, headers).status == 200
    return viewer, service, session


@pytest.mark.parametrize("prefix", ["", "/v2"])
def test_its_requests_in_order(begun: tuple[Viewer, Service, str], scan: NDArray[np.float32], prefix: str) -> None:
    viewer, service, session = begun
    (lease,) = service.leases
    inner = lease.held.prompts.session
    where = "point=12&point=14&point=10" if prefix else "x=12&y=14&z=10"
    found = _mask(viewer.ask("GET", f"{prefix}/process_point_interaction/{session}?{where}&foreground=true"), scan)
    assert found[12, 14, 10] == 1 and np.array_equal(found.astype(bool), inner.mask())
    for kind, side, x in (("scribble", "false", 12), ("lasso", "true", 4)):
        line = np.zeros(scan.shape, np.float32)
        line[x : x + 2, 14, 10] = 1
        body, headers = _form(line, METADATA)
        path = f"{prefix}/process_{kind}_interaction/{session}?foreground={side}"
        found = _mask(viewer.ask("POST", path, body, headers), scan)
        assert np.array_equal(found.astype(bool), inner.mask()) and found[x, 14, 10] == (side == "true")
    assert viewer.ask("GET", f"{prefix}/reset_interactions/{session}").status == 200 and inner.pristine
    assert viewer.ask("GET", f"{prefix}/end_session/{session}").status == 200 and not len(service.leases)
    gone = viewer.ask("GET", f"/process_point_interaction/{session}?x=1&y=1&z=1&foreground=true")
    assert gone.status == 410 and gone.detail == "lease expired or unknown"


def test_where_the_scan_lies_is_known(begun: tuple[Viewer, Service, str]) -> None:
    (lease,) = begun[1].leases
    expected = np.array([[-0.5, 0, 0, -10], [0, 0, 3, 20], [0, 2, 0, 30], [0, 0, 0, 1]], float)  # LPS, turned to RAS
    assert np.allclose(lease.held.prompts.session.affine, expected)


def test_a_mask_that_it_saved_needs_no_more_than_the_log(
    asked: Asked, scan: NDArray[np.float32], tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    viewer, service = asked(itk_snap=True, logs=tmp_path / "logs")
    session = viewer.ask("GET", "/start_session").json["session_id"]
    viewer.ask("POST", f"/upload_raw/{session}", *_form(scan, METADATA))
    found = _mask(viewer.ask("GET", f"/process_point_interaction/{session}?x=12&y=14&z=10&foreground=true"), scan)
    viewer.ask("GET", f"/end_session/{session}")
    settle(service)
    saved = SimpleITK.GetImageFromArray(found.T.astype(np.uint8))
    saved.SetOrigin(METADATA["origin"])
    saved.SetSpacing(METADATA["spacing"])
    saved.SetDirection(METADATA["direction"])
    SimpleITK.WriteImage(saved, str(tmp_path / "mask.nii.gz"))
    (log,) = (tmp_path / "logs").glob("*.json")
    names = [accept_saved(tmp_path / "project", tmp_path / "mask.nii.gz", log=log) for _ in range(2)]
    (case,) = read_project(tmp_path / "project")
    assert names == [case.name] * 2 and case.log == read_log(log)


def test_newer_clients_find_a_model(asked: Asked) -> None:
    viewer, service = asked(itk_snap=True)
    (model,) = viewer.ask("GET", "/v2/models").json["models"]
    assert set(model) == {"id", "channels", "dimensions", "interactions"}
    assert viewer.ask("GET", f"/v2/start_session/{model['id']}").json["session_id"] and len(service.leases) == 1


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({**METADATA, "dimensions": [25, 30, 22]}, "expected 66000 bytes"),
        ({**METADATA, "dimensions": [25, 30]}, "expected a Metadata"),
        ({**METADATA, "dimensions": [25, 30, 0]}, "expected a Metadata"),
        ({**METADATA, "spacing": [1, 1, float("nan")]}, "expected a Metadata"),
        ({**METADATA, "direction": [1, 1, 1, 1, 1, 1, 1, 1, 1]}, "direction: expected a rotation"),
        ({**METADATA, "components_per_pixel": 3}, "expected one channel"),
        ({**METADATA, "dimensions": [1 << 40, 1 << 40, 9]}, "dimensions: expected at most"),
    ],
)
def test_what_it_says_of_a_scan_is_checked(
    asked: Asked, scan: NDArray[np.float32], metadata: Any, sentence: str
) -> None:
    viewer, _ = asked(itk_snap=True)
    session = viewer.ask("GET", "/start_session").json["session_id"]
    body, headers = _form(scan, metadata)
    refused = viewer.ask("POST", f"/upload_raw/{session}", body, headers)
    assert refused.status in (400, 413) and sentence in refused.detail


def test_errors_are_errors_for_it(begun: tuple[Viewer, Service, str], scan: NDArray[np.float32]) -> None:
    viewer, _, session = begun
    for path, sentence in (
        ("x=1&y=2", "point: expected three numbers"),
        ("x=a&y=1&z=1", "point: expected three numbers"),
        ("x=nan&y=1&z=1", "point: expected one of the scan's"),
        ("x=1&y=1&z=99", "point: expected one of the scan's"),
        ("x=1&y=1&z=1&foreground=maybe", "foreground: expected true or false"),
    ):
        refused = viewer.ask("GET", f"/process_point_interaction/{session}?{path}")
        assert refused.status == 400 and refused.detail.startswith(sentence)
    form = {"content-type": "multipart/form-data; boundary=cut"}
    for body, sentence in (
        (b"--cut--\r\n", "file: expected a part of this name"),
        (b"nonsense", "Invalid multipart data"),
    ):
        refused = viewer.ask("POST", f"/process_lasso_interaction/{session}?foreground=true", body, form)
        assert refused.status == 400 and sentence in refused.detail
    bomb, headers = _form(np.zeros((200, 200, 200), np.float32), METADATA)
    assert "expected 63000 bytes" in viewer.ask("POST", f"/process_lasso_interaction/{session}", bomb, headers).detail


def test_it_is_answered_only_where_that_was_asked_for(asked: Asked) -> None:
    viewer, _ = asked()
    assert viewer.ask("GET", "/status").status == 404 and viewer.ask("GET", "/start_session").detail == "Not Found"


def test_its_session_waits_until_another_is_wanted(asked: Asked) -> None:
    now = [0.0]
    viewer, service = asked(itk_snap=True, sessions=1, clock=lambda: now[0])
    viewer.ask("GET", "/start_session")
    now[0] = 3600.0
    service.leases.sweep()
    assert len(service.leases) == 1  # a person may look at a mask for an hour
    assert viewer.ask("GET", "/start_session").status == 200 and len(service.leases) == 1
