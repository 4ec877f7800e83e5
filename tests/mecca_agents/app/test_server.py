"""The command, and what its server answers to requests that no page makes."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mecca_agents.app.guard import MOST_BODY
from mecca_agents.app.server import warm_up
from mecca_agents.cli import main
from mecca_agents.session import Model
from tests.support import ROOT
from tests.support.annotation import Case, Served


def _ask(served: Served, method: str, path: str, body: bytes = b"", headers: Any = None) -> tuple[int, bytes]:
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=300)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _works(served: Served, case: Case) -> None:
    """A tab of this server still opens a scan and gives slices of it."""
    tab = served.tabs.add()
    try:
        tab.open_scan([case.scan], ["scan"])
        query = "low=0&high=500&opacity=0.5&modality=0&heat=&outlines=mask"
        status, body = _ask(served, "GET", f"/session/{tab.key}/slice/axial/3?{query}")
        assert status == 200 and body.startswith(b'{"image":"data:image/png;base64,')
    finally:
        served.tabs.remove(tab)


@pytest.fixture(scope="module")
def targets(served: Served, case: Case) -> Any:
    """Secret names of a page with a scan and of one without."""
    full, empty = served.tabs.add(), served.tabs.add()
    full.open_scan([case.scan], ["scan"])
    yield full.key, empty.key
    served.tabs.remove(full)
    served.tabs.remove(empty)


def _segments(keys: Any) -> st.SearchStrategy[str]:
    known = st.sampled_from(
        [*keys, *"session slice axial coronal upload 0 3 99999 -1 .. %2e%2e etc passwd %00 \u0661".split(), ""]
        + "_nicegui _nicegui_ws socket.io 3.18.0 static esm components".split()
    )
    wild = st.lists(known | st.text(max_size=8), max_size=7).map(lambda parts: "/" + _joined(parts))
    planes, numbers = (
        st.sampled_from(["axial", "coronal", "oblique"]),
        st.integers(-3, 60).map(str) | st.text(max_size=4),
    )
    slices = st.tuples(st.sampled_from(keys), planes, numbers).map(lambda t: f"/session/{t[0]}/slice/{_joined(t[1:])}")
    uploads = st.sampled_from(keys).map(lambda key: f"/session/{key}/upload")
    return wild | slices | uploads


def _joined(parts: Any) -> str:
    return "/".join(quote(part, safe="%") for part in parts)


def _queries() -> st.SearchStrategy[str]:
    names = st.sampled_from(
        ["low", "high", "opacity", "modality", "heat", "outlines", "name", "token", "EIO", "transport"]
    )
    values = st.sampled_from(["0", "1", "nan", "-inf", "1e999", "action", "mask", "x.nii", "4", "polling"]) | st.text(
        max_size=6
    )
    return st.lists(st.tuples(names, values), max_size=7).map(
        lambda pairs: "&".join(f"{name}={quote(value)}" for name, value in pairs)
    )


@pytest.mark.slow
def test_a_thousand_malformed_requests(served: Served, case: Case, targets: Any, monkeypatch: Any) -> None:
    """They crash nothing and open nothing: no file is opened or listed for them, no upload stays, no page is made."""
    opened: list[Any] = []
    monkeypatch.setattr("mecca_agents.session.interactive.open_image", lambda *given: opened.append(given))
    monkeypatch.setattr("mecca_agents.app.tab.folder.Folder.file", lambda *given: opened.append(given))
    monkeypatch.setattr("mecca_agents.app.tab.folder.Folder.listing", lambda *given: opened.append(given))
    before, statuses = set(served.tabs._open), []

    @settings(max_examples=1000, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(["GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]),
        _segments(targets),
        _queries(),
        st.binary(max_size=200),
        st.sampled_from(
            4 * [{}] + [{name: "http://evil.example"} for name in ("Origin", "Host", "Cookie", "Content-Type")]
        ),
    )
    def ask(method: str, path: str, query: str, body: bytes, headers: dict[str, str]) -> None:
        if path.strip("/") == "" and method == "GET":
            path = "/session"  # the page itself is well formed
        status, _ = _ask(served, method, f"{path}?{query}", body, headers)
        statuses.append(status)
        assert status < 500
        for key in targets:
            uploads = served.tabs.find(key).uploads
            for upload in list(uploads._kept.values()):
                assert upload.path.parent == uploads.folder and upload.path.name.startswith(upload.key)
                uploads.discard(upload)
            assert list(uploads.folder.iterdir()) == []

    ask()
    monkeypatch.undo()
    assert len(statuses) >= 1000 and {400, 403, 404, 405} <= set(statuses), Counter(statuses)
    assert opened == [] and set(served.tabs._open) <= before  # those of other tests may still be closing
    _works(served, case)


def test_bytes_that_are_no_requests(served: Served, case: Case) -> None:
    rng, address = random.Random(0), urlsplit(served.url)
    for number in range(60):
        with socket.create_connection((address.hostname, address.port), timeout=300) as connection:
            start = b"GET /session/x HTTP/1.1\r\nHost: localhost\r\n" if number % 2 else b""
            connection.sendall(start + rng.randbytes(rng.randrange(1, 3000)) + b"\r\n\r\n")
    _works(served, case)


LEADING_OUT = ("../server.py", "%2e%2e/server.py", "..%2fserver.py", "../../../../../../etc/passwd", "//etc/passwd")


@pytest.mark.parametrize("folder", ["esm/mecca-viewer", "static", "components", "resources/x", "libraries"])
def test_no_path_leads_out_of_what_the_page_loads(folder: str, served: Served) -> None:
    import nicegui

    for path in LEADING_OUT:
        assert _ask(served, "GET", f"/_nicegui/{nicegui.__version__}/{folder}/{path}")[0] in (404, 405)


PACKETS = (b"4" * 100, b"40{", b'42["event",{"id":"x"}]', b"\x1e" * 5000, b"b" + b"A" * 1000, b"\xff\xfe" * 200)
PACKETS += (b'451-["event",{"_placeholder":true,"num":0}]', b"4" + b"9" * 300 + b"-x", b"")


@pytest.mark.parametrize("packet", PACKETS)
def test_packets_that_no_socket_sends(packet: bytes, served: Served, case: Case) -> None:
    socket_path = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    status, body = _ask(served, "GET", socket_path)
    assert status == 200
    sent, _ = _ask(served, "POST", f"{socket_path}&sid={json.loads(body[1:])['sid']}", packet)
    assert sent < 500
    _works(served, case)


def test_headers_that_are_long_or_many(served: Served, case: Case) -> None:
    assert _ask(served, "GET", "/session/x", headers={"X": "a" * (1 << 20)})[0] < 500
    assert _ask(served, "GET", "/session/x", headers={f"X{number}": "a" for number in range(20_000)})[0] < 500
    _works(served, case)


@pytest.mark.parametrize(
    "path", ["/_nicegui_ws/socket.io/?EIO=4&transport=polling", "/_nicegui/x", "/session/x/slice/axial/0", "/session/x"]
)
def test_bodies_that_are_too_large_are_refused(path: str, served: Served, case: Case) -> None:
    try:
        status, _ = _ask(served, "POST", path, b"x" * (MOST_BODY + 1))
        assert status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server hung up before all of it was sent
    _works(served, case)


def test_slices_of_nothing_and_beyond_the_scan(served: Served, targets: Any) -> None:
    full, empty = targets
    query = "?low=0&high=500&opacity=0.5&modality=0&heat=&outlines=mask"
    assert _ask(served, "GET", f"/session/{full}/slice/axial/0{query}")[0] == 200
    for path in (
        f"{full}/slice/axial/44",
        f"{full}/slice/oblique/1",
        f"{full}/slice/axial/-1",
        f"{empty}/slice/axial/0",
    ):
        status, body = _ask(served, "GET", f"/session/{path}{query}")
        assert status == 400 and b'"error":' in body
    assert _ask(served, "GET", f"/session/{full}x/slice/axial/0{query}")[0] == 404


def test_an_upload_that_is_too_large_leaves_nothing(served: Served, targets: Any) -> None:
    tab = served.tabs.find(targets[0])
    most = tab.uploads.most_bytes
    try:
        status, body = _ask(served, "POST", f"/session/{tab.key}/upload?name=a.nii", b"x" * (most + 1))
        assert status == 400 and b"expected at most" in body
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server hung up before all of it was sent
    assert list(tab.uploads.folder.iterdir()) == []
    assert _ask(served, "POST", f"/session/{tab.key}/upload?name=a.nii", b"x" * 100)[0] == 200
    for upload in list(tab.uploads._kept.values()):
        tab.uploads.discard(upload)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.nii"], "none.nii: expected a scan, found no such file"),
        (["--folder", "none"], "none: expected a folder, found none"),
        (["--run", "none"], "none"),
        (["--token", "short"], "token: expected at least 16"),
        (["--host", "0.0.0.0", "--token", "short"], "token: expected at least 16"),
        (["--host", "192.0.2.1"], "192.0.2.1:0: cannot be listened on"),
        (["--max-upload-mb", "0"], "max_upload_mb: expected at least 1"),
        (["--project", "p", "--checkpoint", "best"], "checkpoint: expected last with a project, which is learned from"),
        (["--project", "p", "--learn-minutes", "0"], "minutes of a learning: expected a number above 0, got 0.0"),
    ],
)
def test_what_the_command_refuses(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["annotate", "--no-show", "--port", "0", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_no_person_waits_for_what_is_loaded_late() -> None:
    """The libraries of a step, of its scores and of its outlines are there before anybody asks."""
    program = (
        "import sys; from mecca_agents.app.server import warm_up; from mecca_agents.session import load_model; "
        "late = {'monai.metrics.utils', 'skimage.measure', 'numba'}; assert not late & set(sys.modules); "
        "warm_up(load_model('phantom', device='cpu')); assert late <= set(sys.modules), late - set(sys.modules)"
    )
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], check=True, env=surroundings)


def test_a_run_that_was_trained_with_signs_is_warmed_up_too(signed_model: Model) -> None:
    """Where it cannot be, the first person waits, and nobody hears why."""
    warm_up(signed_model)
    assert "skimage.draw" in sys.modules  # of a lasso


def test_without_nicegui_the_command_names_the_extra(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)
    assert main(["annotate", "--no-show", "--port", "0"]) == 2
    assert 'pip install -e ".[app]"' in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_serves_with_a_token_and_stops(tmp_path: Path) -> None:
    """As a process of its own, on all addresses."""
    command = [sys.executable, "-m", "mecca_agents.cli", "annotate", "--no-show", "--host", "0.0.0.0", "--port", "0"]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        try:
            assert process.stdout is not None
            address = urlsplit(process.stdout.readline().split()[2])
            served = Served(f"http://127.0.0.1:{address.port}/", None)  # type: ignore[arg-type]
            assert address.query.startswith("token=") and len(address.query) > 30
            assert _ask(served, "GET", "/")[0] == 401
            assert _ask(served, "GET", "/?token=wrong")[0] == 401
            assert _ask(served, "GET", f"/?{address.query}")[0] == 303
            cookie = f"mecca_token_0={address.query[6:]}"
            status, body = _ask(served, "GET", "/", headers={"Cookie": cookie})
            assert status == 200 and b"mecca annotate" in body
        finally:
            process.terminate()
    assert process.returncode is not None
    assert list(tmp_path.iterdir()) == []
