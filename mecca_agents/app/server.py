"""The server of `mecca annotate`: the page, what it fetches, and who may."""

from __future__ import annotations

import warnings
import webbrowser
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mecca_agents.app.drawing.contours import outline
from mecca_agents.app.guard import Guard
from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.review import score
from mecca_agents.app.tab.tabs import Tabs
from mecca_agents.online.live import LearnSettings, ProjectLearner
from mecca_agents.runtime.addresses import check_secret, in_url, is_local, listen, new_secret
from mecca_agents.session import InteractiveSession, Model
from mecca_env.data.world.grids import checked_tolerance
from mecca_env.extras import missing


@dataclass(frozen=True)
class Settings:
    """Settings of the server.

    Attributes:
        folder: The page opens files below it, and no others.
        scan: Files of a scan that every page opens at first, one for each modality; may be empty.
        host: Address to listen on.
        port: Port; 0: any that is free.
        token: What a browser must know; None: nothing.
        most_pages: Pages at a time.
        most_upload: Bytes that a page may send.
        tolerance: Millimetres that files of a scan, and masks of it, may lie apart; None: next to nothing.
        reconnect: Seconds that a page waits for its browser to come back before it is thrown away.
        workers: Threads for what takes long.
        learning: The project that accepted masks go into, and how is learned from it; None: there is none.

    Raises:
        ValueError: The address is not this machine's own and there is no token; or the token is too short, or the
            tolerance is none.
    """

    folder: Path
    scan: Sequence[Path] = field(default_factory=tuple)
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    most_pages: int = 16
    most_upload: int = 1 << 29
    tolerance: float | None = None
    reconnect: float = 60.0
    workers: int = 2
    learning: LearnSettings | None = None

    def __post_init__(self) -> None:
        checked_tolerance(self.tolerance)
        check_secret("token", self.token, self.host)


_SLOWEST = 60.0  # seconds that decide how often NiceGUI asks a browser whether it is there, and how long it waits


def new_token() -> str:
    """A random one."""
    return new_secret()


def make_app(model: Model, settings: Settings) -> tuple[Any, Tabs]:
    """The server's application, for any ASGI server, and what is open in it.

    There can be one in a process: NiceGUI keeps its pages in one place.

    Raises:
        ImportError: NiceGUI is not installed.
        SessionError: The folder is none.
        mecca_agents.online.ProjectError: The project cannot be one.
    """
    try:
        from fastapi import FastAPI
        from nicegui import ui
    except ImportError as error:
        raise ImportError(missing("the annotation page", "NiceGUI", "app")) from error
    from mecca_agents.app.page.page import add_page
    from mecca_agents.app.routes import routes

    learner = None if settings.learning is None else ProjectLearner(settings.learning, model)
    tabs = Tabs(model, Folder(settings.folder), settings.most_upload, settings.most_pages, settings.tolerance, learner)
    workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="mecca")

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        workers.submit(warm_up, model)
        if learner is not None:
            learner.begin()
        try:
            yield
        finally:
            if learner is not None:
                learner.close()
            tabs.close()
            workers.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, routes=routes(tabs))
    add_page(tabs, workers, settings.scan, settings.reconnect)
    ui.run_with(
        app,
        title="mecca annotate",
        dark=True,
        reconnect_timeout=max(settings.reconnect, _SLOWEST),
        show_welcome_message=False,
    )
    guarded = Guard(app, token=settings.token, local=is_local(settings.host), cookie=f"mecca_token_{settings.port}")
    return guarded, tabs


def warm_up(model: Model) -> None:
    """Play a little, so that no person waits for what is loaded and compiled at its first use."""
    noise = np.random.default_rng(0).normal(size=(model.modalities, 40, 40, 40)).astype(np.float32)
    with InteractiveSession(model) as session:
        session.set_image(noise)
        session.set_box((8, 8, 8), (32, 32, 32))
        inside = True if model.config.signed else None
        session.add_clicks((20, 20, 20), inside)
        session.add_lasso([(18, 18, 20), (22, 18, 20), (20, 22, 20)], inside)
        session.step()
        session.overlay("probability", 2, 20)
        session.advice()
        cube = np.pad(np.ones((4, 4, 4), bool), 4)
        score(cube, np.roll(cube, 1), session.spacing)
        outline(cube[4])


def serve(model: Model, settings: Settings, *, show: bool = True) -> None:
    """Serve until Ctrl-C.

    Args:
        model: The trained method.
        settings: How.
        show: Open the page in this machine's browser.

    Raises:
        ImportError: NiceGUI is not installed.
        OSError: The address cannot be listened on.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="nicegui")  # it looks at every object there is
    listening = listen(settings.host, settings.port)
    app, _ = make_app(model, settings)
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", ws_max_size=1 << 20, timeout_graceful_shutdown=2)
    port = listening.getsockname()[1]
    address = f"http://{in_url(settings.host)}:{port}/" + (f"?token={settings.token}" if settings.token else "")
    print(f"mecca annotate: {address}  (Ctrl-C ends it)", flush=True)
    if show and is_local(settings.host):
        webbrowser.open(address)
    uvicorn.Server(config).run(sockets=[listening])
