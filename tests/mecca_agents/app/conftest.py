"""A phantom scan, the small model, a server in a thread, and a browser."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mecca_agents.presets import PRESETS
from mecca_agents.session import Model, load_model
from mecca_agents.training import train
from mecca_env.data.phantom import phantom_scan

pytest.importorskip("nicegui", reason='no NiceGUI here: pip install -e ".[app]"')

from mecca_agents.app import Settings, make_app
from tests.support.annotation import Case, Served
from tests.support.person import Person

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def model() -> Model:
    """One that comes with the package, and that wants clicks on wrong edges."""
    return load_model("phantom", device="cpu")


@pytest.fixture(scope="session")
def signed_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """One that wants marks inside and outside, and finds its view by itself; it has not learned much."""
    folder = tmp_path_factory.mktemp("runs") / "signed"
    preset = PRESETS["general"].replace(shape=(12, 12, 10), channels=2, levels=2, updates=1, num_envs=1)
    train("intercnn", "MECCA-Phantom-v0", folder, preset=preset, device="cpu", stream=StringIO())
    return load_model(folder, device="cpu")


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A phantom whose axes run to the back, to the left and up, with voxels of different sides."""
    folder = tmp_path_factory.mktemp("scans")
    image, label = phantom_scan(3, size=(64, 56, 44))
    affine = np.array([[-3.0, 0, 0, 96], [0, -3.4, 0, 96], [0, 0, 2.9, -64], [0, 0, 0, 1]])
    scan, label_file = folder / "head.nii.gz", folder / "head_label.nii.gz"
    nib.save(nib.Nifti1Image(image[0].numpy(), affine), scan)
    nib.save(nib.Nifti1Image(label.numpy().astype(np.uint8), affine), label_file)
    return Case(folder, scan, label_file, label.numpy(), affine)


@pytest.fixture(scope="package")
def served(model: Model, case: Case) -> Iterator[Served]:
    """The page, served from this process; every page opens the case."""
    import uvicorn

    settings = Settings(case.folder, (case.scan,), reconnect=3.0, most_upload=8 << 20, most_pages=6)
    app, tabs = make_app(model, settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://127.0.0.1:{port}/", tabs)
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Chromium, without a screen."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser here: one of {', '.join(BROWSERS)} (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright here: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])  # root has no sandbox
        yield chromium
        chromium.close()


@pytest.fixture
def people(browser: Any, served: Served) -> Iterator[Callable[[], Person]]:
    """Makes people, each with a browser window of their own; the page must not have complained to any of them."""
    windows, made = [], []

    def make() -> Person:
        context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
        windows.append(context)
        made.append(Person(context.new_page(), served.url, served.tabs.find))
        return made[-1]

    yield make
    for context in windows:
        context.close()
    assert [error for person in made for error in person.errors] == []


@pytest.fixture
def person(people: Callable[[], Person]) -> Person:
    """Somebody at a page with the case opened."""
    return people().come()
