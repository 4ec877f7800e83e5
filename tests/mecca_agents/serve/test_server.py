"""The command, what it shows, and what is kept of sessions."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from mecca_agents.cli import main
from mecca_agents.offline.sessions import session_episodes
from mecca_agents.serve import Settings, make_app
from mecca_agents.serve.service import Service
from mecca_agents.serve.terminal import Board
from mecca_agents.session import InteractiveSession, Model, SessionError, SessionLog, read_log
from tests.mecca_agents.serve.conftest import settle
from tests.support import ROOT
from tests.support.viewers import Viewer

Asked = Callable[..., tuple[Viewer, Service]]
POINT = {"coordinates": [10, 14, 12], "include_interaction": True}


@pytest.mark.parametrize("dtype", ["float32", "bool", "float16", "int64"])
def test_logs_and_their_scans_are_kept_and_done_again(
    asked: Asked, scan: NDArray[np.float32], tmp_path: Path, model: Model, dtype: str
) -> None:
    viewer, service = asked(logs=tmp_path)
    viewer.claim()
    image = (scan > 1 if dtype == "bool" else scan * 10).astype(dtype)
    viewer.open(image.T, (3, 2, 1))
    viewer.post("/add_point_interaction", POINT)
    (lease,) = service.leases
    first = lease.held.prompts.session.mask()
    viewer.open(image.T * 2 if dtype != "bool" else image.T, (1, 1, 1))  # another one: the first is written
    (log,) = tmp_path.glob("*.json")
    viewer.post("/add_point_interaction", POINT)
    viewer.ask("POST", "/release")
    settle(service)
    assert len(list(tmp_path.glob("*.json"))) == len(list(tmp_path.glob("*.nii"))) == 2
    kept = read_log(log)
    with InteractiveSession(model) as again:
        again.set_image(kept.files)
        again.load_log(kept)
        assert np.array_equal(again.mask(), first) and again.spacing == (1, 2, 3)
        session_episodes(again)  # `mecca record --sessions` does so


def test_a_scan_without_a_prompt_is_not_kept_and_the_end_of_the_server_keeps_the_others(
    asked: Asked, scan: NDArray[np.float32], tmp_path: Path
) -> None:
    viewer, service = asked(logs=tmp_path)
    viewer.claim()
    viewer.open(scan.T)
    viewer.ask("POST", "/release")
    settle(service)
    assert not list(tmp_path.iterdir())
    assert viewer.open(np.ones((5, 5, 5), np.float32)).status == 410
    viewer.claim()
    assert viewer.open(np.ones((5, 5, 5), np.float32)).status == 400 and not list(tmp_path.iterdir())
    viewer.open(scan.T)
    viewer.post("/add_point_interaction", POINT)
    (lease,) = service.leases
    service.close()
    with pytest.raises(SessionError, match="got one that was closed"):
        lease.held.prompts.session.mask()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".nii"]


@pytest.mark.parametrize(
    ("image", "spacing", "sentence"),
    [
        (np.ones((5, 5, 5), np.float32), (1, 1, 1), "image: expected"),
        (np.full((5, 5, 5), np.nan, np.float32), (1, 1, 1), "image: expected"),
        (np.arange(125, dtype=np.float32).reshape(5, 5, 5), (1e-300, 1, 1), "image: expected"),
        (np.arange(125, dtype=np.float32).reshape(5, 5, 5), (1e300, 1, 1), "image: expected"),
    ],
)
def test_a_scan_that_is_refused_leaves_the_one_before_and_its_log(
    asked: Asked, scan: NDArray[np.float32], tmp_path: Path, image: NDArray[np.float32], spacing: Any, sentence: str
) -> None:
    viewer, service = asked(logs=tmp_path)
    viewer.claim()
    viewer.open(scan.T)
    viewer.post("/add_point_interaction", POINT)
    refused = viewer.open(image, spacing)
    assert refused.status == 400 and refused.detail.startswith(sentence) and str(tmp_path) not in refused.detail
    assert [path.suffix for path in tmp_path.iterdir()] == [".nii"]
    viewer.post("/add_point_interaction", {**POINT, "coordinates": [4, 14, 12]})
    viewer.ask("POST", "/release")
    settle(service)
    ((log,), (kept,)) = tmp_path.glob("*.json"), tmp_path.glob("*.nii")
    found = read_log(log)
    assert found.files == (str(kept),) and sum(entry.action == "add_clicks" for entry in found.entries) == 2


def test_the_log_of_a_session_that_ends_is_written_in_another_thread(
    asked: Asked, scan: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, service = asked(logs=tmp_path)
    viewer.claim()
    viewer.open(scan.T)
    viewer.post("/add_point_interaction", POINT)
    threads, go, save = [], threading.Event(), SessionLog.save

    def slow(log: SessionLog, path: Path) -> None:
        threads.append(threading.current_thread())
        assert go.wait(60)
        save(log, path)

    monkeypatch.setattr(SessionLog, "save", slow)
    assert viewer.ask("POST", "/release").status == 200 and not list(tmp_path.glob("*.json"))
    assert viewer.claim()
    threading.Timer(0.1, go.set).start()
    service.close()
    assert len(list(tmp_path.glob("*.json"))) == 1 and threads != [threading.main_thread()]


def test_each_object_on_a_scan_has_a_log_of_its_own(
    asked: Asked, scan: NDArray[np.float32], tmp_path: Path, model: Model
) -> None:
    """A viewer's *next object* is a reset; what was done to the one before it is not what was done to this one."""
    viewer, service = asked(logs=tmp_path)
    viewer.claim()
    assert viewer.post("/reset_interactions", {}).status == 400  # there is no scan
    viewer.open(scan.T)
    viewer.post("/reset_interactions", {})
    assert not list(tmp_path.glob("*.json"))
    masks = []
    for z in (10, 4):
        viewer.post("/add_point_interaction", {**POINT, "coordinates": [z, 14, 12]})
        masks.append(next(iter(service.leases)).held.prompts.session.mask())
        viewer.post("/reset_interactions", {})
    viewer.ask("POST", "/release")
    settle(service)
    (kept,) = tmp_path.glob("*.nii")
    assert sorted(path.name for path in tmp_path.glob("*.json")) == [f"{kept.stem}-2.json", f"{kept.stem}.json"]
    for name, z, mask in zip(("", "-2"), (10, 4), masks, strict=True):
        log = read_log(tmp_path / f"{kept.stem}{name}.json")
        assert [entry.details["points"] for entry in log.entries if entry.action == "add_clicks"] == [[[12, 14, z]]]
        assert log.files == (str(kept),) and log.entries[1].at < 60
        with InteractiveSession(model) as again:
            again.load_log(log, kept)
            assert np.array_equal(again.mask(), mask)


def test_a_log_whose_scan_vanished_is_one_sentence(
    asked: Asked, scan: NDArray[np.float32], tmp_path: Path, model: Model
) -> None:
    viewer, service = asked(logs=tmp_path)
    viewer.claim()
    viewer.open(scan.T)
    viewer.post("/add_point_interaction", POINT)
    viewer.ask("POST", "/release")
    settle(service)
    ((log,), (kept,)) = tmp_path.glob("*.json"), tmp_path.glob("*.nii")
    kept.unlink()
    with InteractiveSession(model) as again:
        with pytest.raises(ValueError, match=rf"^{kept}: expected a readable image file, found no such file$"):
            again.load_log(log, kept)
        with pytest.raises(SessionError, match=r"^session: expected a scan, got none yet; call set_image\(\) first$"):
            again.load_log(log)


@pytest.mark.parametrize("library", ["blosc2", "pydantic"])
def test_a_library_that_is_missing_is_named(model: Model, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    for name in ("bodies", "itk_snap", "routes"):
        monkeypatch.delitem(sys.modules, f"mecca_agents.serve.{name}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f'mecca serve needs .*{library}.*pip install -e ".\\[serve]"'):
        make_app(model, Settings())


def test_a_run_for_several_modalities_is_refused_at_the_start(model: Model) -> None:
    two = replace(model, run=replace(model.run, modalities=2))
    with pytest.raises(ValueError, match="expected a run for one modality, since viewers send one image, found one f"):
        make_app(two, Settings())


def test_silent_sessions_are_taken_back_without_anybody_asking(asked: Asked) -> None:
    now = [0.0]
    viewer, service = asked(sweep=0.01, clock=lambda: now[0])
    viewer.claim()
    now[0] = 61.0

    async def wait() -> None:
        sweeping = asyncio.create_task(service.sweep())
        while len(service.leases):
            await asyncio.sleep(0.01)
        sweeping.cancel()

    asyncio.run(asyncio.wait_for(wait(), 10))
    assert len(service.leases) == 0


def _board(model: Model, terminal: bool, logs: Path | None = None) -> tuple[Board, io.StringIO, Viewer, Service]:
    out = io.StringIO()
    board = Board(Console(file=out, force_terminal=terminal, width=100))
    app, service = make_app(model, Settings(logs=logs), board)
    return board, out, Viewer(app), service


def test_the_terminal_shows_a_line_and_a_table(model: Model, scan: NDArray[np.float32]) -> None:
    board, out, viewer, service = _board(model, terminal=True)
    with board.showing():
        viewer.claim()
        viewer.open(scan.T)
        viewer.post("/add_point_interaction", POINT)
    shown = out.getvalue()
    assert "1 of 3 sessions, 0 at work, 1 prompts" in shown
    assert "25 x 30 x 21" in shown and "add_point" in shown and "600 s" in shown
    service.close()


def test_elsewhere_there_is_a_line_for_each_thing_that_is_done(model: Model, scan: NDArray[np.float32]) -> None:
    board, out, viewer, service = _board(model, terminal=False)
    with board.showing():
        viewer.claim()
        viewer.open(scan.T)
        viewer.post("/add_point_interaction", POINT)
        viewer.ask("POST", "/release")
    settle(service)
    lines = out.getvalue().splitlines()
    assert [line.split(";")[0].split(" in ")[0] for line in lines] == [
        "session 1 begins",
        "session 1 set_image on 25 x 30 x 21",
        "session 1 add_point on 25 x 30 x 21",
        "session 1 is over",
    ]
    service.close()


@pytest.mark.parametrize("terminal", [True, False])
def test_the_command_that_accepts_a_mask_is_shown_with_each_log(
    model: Model, scan: NDArray[np.float32], tmp_path: Path, terminal: bool
) -> None:
    folder = tmp_path / "kept [scans]"
    folder.mkdir()
    board, out, viewer, service = _board(model, terminal, folder)
    with board.showing():
        viewer.claim()
        viewer.open(scan.T)
        viewer.post("/add_point_interaction", POINT)
        viewer.ask("POST", "/release")
        settle(service)
    (log,) = folder.glob("*.json")
    shown = f"{log.name} is kept; with the saved mask: mecca accept PROJECT --log '{log}' --scan SCAN --mask MASK\n"
    assert shown in out.getvalue()
    service.close()


def test_what_is_wrong_with_the_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, sentence in (
        ("--key short", "key: expected at least 16"),
        ("--itk-snap --host 0.0.0.0", "itk_snap: expected this machine's own address"),
        ("--run /nowhere/at/all", "expected a run"),
    ):
        assert main(["serve", *arguments.split()]) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.startswith("mecca: ") and error.count("\n") == 1


@pytest.mark.slow
def test_the_command_serves_and_ends_with_ctrl_c(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    command = [sys.executable, "-m", "mecca_agents.cli", "serve", "--run", str(model.folder), "--port", "0"]
    command += ["--device", "cpu", "--logs", str(tmp_path), "--itk-snap"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        first = server.stdout.readline()
        url = first.split()[2]
        assert first.startswith("mecca serve: http://127.0.0.1:") and "Ctrl-C ends it" in first

        def ask(path: str, **other: Any) -> Any:
            with urllib.request.urlopen(urllib.request.Request(url + path, **other)) as answer:
                return json.load(answer)

        assert ask("/healthz") == {"ok": True} and "version" in ask("/status")
        token = ask("/claim", method="POST")["lease_token"]
        assert ask("/lease_status", headers={"X-Lease-Token": token})["remaining_seconds"] > 590
        server.send_signal(signal.SIGINT)
        out, error = server.communicate(timeout=60)
    assert "session 1 begins; 1 of 3 sessions" in out and "session 1 is over" in out
    assert "Traceback" not in error and server.returncode in (0, 130), (server.returncode, error)
