"""A person whose agent learns, in a real browser: accept, learn, the next scan by new weights, back, and two kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mecca_agents.session import load_model
from tests.mecca_agents.online.conftest import accept
from tests.support import ROOT
from tests.support.improving import HOLD, improving_run
from tests.support.person import Person
from tests.support.volumes import ellipsoid, intensities, write_nifti

pytestmark = pytest.mark.slow  # a browser, a server and learners

_SERVER = """
import sys
from pathlib import Path
from mecca_agents.app.server import Settings, serve
from mecca_agents.online.live import LearnSettings
from mecca_agents.session import load_model

run, project, scan = map(Path, sys.argv[1:])
learning = LearnSettings(project, updates=8, niceness=0)  # tests run on all cores
serve(load_model(run, device="cpu"), Settings(scan.parent, (scan,), port=0, learning=learning), show=False)
"""


class _Place:
    """A folder with scans, a run and a project of three cases, and servers that people work with."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.project, self.run = folder, folder / "project", improving_run(folder / "begun")
        for number in (10, 11, 12):
            write_nifti(folder / "scans" / f"scan{number}.nii.gz", intensities(ellipsoid(), number))
        self.truth = write_nifti(folder / "truth.nii.gz", ellipsoid().astype(np.uint8))
        accept(load_model(self.run, device="cpu"), self.project, 3, target="thing")
        self.servers: list[subprocess.Popen[str]] = []

    def serve(self) -> str:
        """Begin another server; its address."""
        command = [sys.executable, "-c", _SERVER, str(self.run), str(self.project), str(self.scan(10))]
        surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
        server = subprocess.Popen(command, cwd=self.folder, env=surroundings, stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert server.stdout is not None
        return server.stdout.readline().split()[2]

    def scan(self, number: int) -> Path:
        return self.folder / "scans" / f"scan{number}.nii.gz"

    def learner(self, since: float = 0.0) -> int:
        """The process that learns, once it is in the middle of it; one that began after that moment."""
        log = self.project / "learning" / "work" / "all" / "metrics.csv"
        _wait(lambda: log.exists() and log.stat().st_mtime > since)
        children = Path(f"/proc/{self.servers[-1].pid}/task").glob("*/children")
        (learner,) = {int(pid) for found in children for pid in found.read_text().split()}
        return learner

    def dice(self, case: str) -> float:
        """Of an accepted mask."""
        (path,) = (self.project / "labels").glob(f"{case}*.nii.gz")
        mask, truth = np.asarray(nib.load(path).dataobj) > 0, ellipsoid()
        return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def _wait(condition: Callable[[], bool]) -> None:
    """There is no hurry on a busy machine, but no endless wait either."""
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def _is_over(process: int) -> bool:
    """Whether it is gone, or waits for nothing but somebody who hears of its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def place(tmp_path: Path) -> Iterator[_Place]:
    made = _Place(tmp_path)
    yield made
    for server in made.servers:
        server.kill()
        server.wait()


@pytest.fixture
def come(browser: Any) -> Iterator[Callable[[str], Person]]:
    """A person at the page of an address, who looks at its tab *Learning*."""
    windows: list[Any] = []

    def at(url: str) -> Person:
        windows.append(browser.new_context(viewport={"width": 1280, "height": 720}))
        person = Person(windows[-1].new_page(), url).come()
        person.page.get_by_role("tab", name="Learning").click()
        return person

    yield at
    for window in windows:
        window.close()


def _sees(person: Person, mark: str, words: str) -> None:
    """Wait until a line of the tab says so."""
    person.until(
        "([name, words]) => [...document.querySelectorAll('.' + name)].some((e) => e.innerText.includes(words))",
        [mark, words],
    )


def _switch(person: Person) -> None:
    person.page.get_by_role("switch").click()


def _prompt_and_accept(person: Person, name: str, mask: Path | None = None) -> None:
    """A click in the middle of a view, a step, where it is bad another mask, and the key that accepts."""
    person.press("c")
    person.until("() => document.querySelector('.mv-view').classList.contains('mv-click')")
    picture = person.page.locator("[data-plane=axial] > svg").bounding_box()
    person.page.mouse.click(picture["x"] + picture["width"] / 2, picture["y"] + picture["height"] / 2)
    person.until("() => document.querySelector('.mv').dataset.clicks > 0")
    person.press("s")
    person.until("() => document.querySelectorAll('path.mv-is-mask').length > 0")
    person.idle()
    if mask is not None:
        person.send("Load mask", mask)
    person.press("j")
    person.hears(f"Accepted as {name}-")


def test_accept_learn_go_on_with_the_new_weights_and_back(place: _Place, come: Callable[[str], Person]) -> None:
    url = place.serve()
    person, other = come(url), come(url)
    _sees(person, "at-work", "At work: begun")
    _prompt_and_accept(person, "scan10", place.truth)
    assert place.dice("scan10") == 1
    _sees(person, "learned-cases", "scan10")
    _sees(other, "learning-doing", "4 cases accepted")

    # the learner is killed in the middle
    (place.folder / HOLD).touch()
    _switch(person)
    _sees(other, "learning-doing", "Learning")
    os.kill(place.learner(), signal.SIGKILL)
    for each in (person, other):
        _sees(each, "learning-fault", "The learner was killed (SIGKILL); the weights stay as they were")
    assert not list((place.project / "runs").glob("[0-9]*"))

    # the whole server is, and it is opened again; the learner goes with it
    since = time.time()
    _switch(person)
    _sees(other, "learning-doing", "4 cases accepted")
    _switch(person)
    learner = place.learner(since)
    place.servers[-1].kill()
    _wait(lambda: _is_over(learner))
    person, other = (come(url) for url in [place.serve()] * 2)
    _sees(person, "at-work", "At work: begun")

    # now it may end
    (place.folder / HOLD).unlink()
    _switch(person)
    new = "begun, 0001, learned from 2 cases"
    for each in (person, other):
        _sees(each, "at-work", f"At work on this scan: begun; from the next scan on: {new}")
        _sees(each, "verdict", "Last learning: the new weights count")
    _switch(person)
    person.send("Open scan", place.scan(11))
    _sees(person, "at-work", f"At work: {new}")
    _prompt_and_accept(person, "scan11")
    assert place.dice("scan11") > 0.8
    _sees(other, "learned-cases", "scan11")
    _sees(other, "learned-means", new)

    other.button("Back").click()
    _sees(person, "at-work", f"At work on this scan: {new}; from the next scan on: begun")
    person.send("Open scan", place.scan(12))
    _sees(person, "at-work", "At work: begun")
    _prompt_and_accept(person, "scan12")
    assert place.dice("scan12") < 0.2
    assert (place.project / "runs" / "0001" / "learned.json").is_file()
