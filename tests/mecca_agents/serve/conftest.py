"""A tiny run with signs, one without, a scan, and a server on this machine's own address."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("blosc2", reason='no blosc2 here: pip install -e ".[serve]"')
pytest.importorskip("starlette", reason='no Starlette here: pip install -e ".[serve]"')

from mecca_agents.presets import PRESETS
from mecca_agents.serve import Settings, make_app
from mecca_agents.serve.service import Service
from mecca_agents.session import Model, load_model
from mecca_agents.training import train
from tests.support.viewers import Viewer

TINY = PRESETS["general"].replace(shape=(12, 12, 10), channels=2, levels=2, updates=1, num_envs=1)


def _trained(folder: Path, **settings: Any) -> Model:
    keywords = {"device": "cpu", "stream": StringIO(), **({"settings": settings} if settings else {})}
    train("intercnn", "MECCA-Phantom-v0", folder, preset=TINY, **keywords)
    return load_model(folder, device="cpu")


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """One that knows signs and finds its view, trained once."""
    return _trained(tmp_path_factory.mktemp("runs") / "signed")


@pytest.fixture(scope="package")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """One of the paper's protocol: clicks on edges, in a box."""
    return _trained(tmp_path_factory.mktemp("runs") / "plain", protocol="paper")


def make_scan(shape: tuple[int, int, int] = (25, 30, 21), seed: int = 0) -> NDArray[np.float32]:
    """Noise with something bright in it, (x, y, z)."""
    image = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    image[tuple(slice(n // 3, 2 * n // 3) for n in shape)] += 3
    return image


@pytest.fixture
def scan() -> NDArray[np.float32]:
    """A scan, (x, y, z)."""
    return make_scan()


@pytest.fixture
def asked(model: Model) -> Iterator[Callable[..., tuple[Viewer, Service]]]:
    """A viewer of a server with some settings, without a network, and its sessions."""
    made: list[tuple[Viewer, Service]] = []

    def make(chosen: Model = model, *, clock: Callable[[], float] = time.monotonic, **settings: Any) -> Any:
        app, service = make_app(chosen, Settings(**settings), clock=clock)
        made.append((Viewer(app, settings.get("key")), service))
        return made[-1]

    yield make
    for viewer, service in made:
        service.close()
        viewer.close()


def settle(service: Service) -> None:
    """Wait until none of a server's threads has anything to do."""
    barrier = threading.Barrier(service.settings.workers)
    for waiting in [service._pool.submit(barrier.wait) for _ in range(barrier.parties)]:
        waiting.result(60)


@dataclass
class Served:
    """A server that runs; its clock goes on by `later` alone."""

    url: str
    service: Service
    clock: list[float] = field(default_factory=lambda: [0.0])

    def later(self, seconds: float) -> None:
        self.clock[0] += seconds


@contextmanager
def serving(model: Model, board: Any = None, **settings: Any) -> Iterator[Served]:
    """A server for the unmodified client, on this machine's own address."""
    import uvicorn

    clock = [0.0]
    app, service = make_app(model, Settings(port=0, **settings), board, clock=lambda: clock[0])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    try:
        yield Served(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", service, clock)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="package")
def served(model: Model) -> Iterator[Served]:
    """One with three sessions that keeps nothing."""
    with serving(model) as found:
        yield found
