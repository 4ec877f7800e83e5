"""The server of `mecca serve`: addresses, errors in words, clocks and the terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mecca_agents.runtime.addresses import in_url, is_local, listen
from mecca_agents.serve.guard import Guard
from mecca_agents.serve.leases import Full, Gone
from mecca_agents.serve.service import Service
from mecca_agents.serve.settings import Settings
from mecca_agents.serve.wire import TooLarge, WireError, import_blosc2
from mecca_agents.session import Model, SessionError
from mecca_env.data.base import DataError
from mecca_env.extras import missing

RETRY_AFTER = 10
"""Seconds after which a viewer that found no session may ask again."""


def make_app(
    model: Model, settings: Settings, board: Any = None, clock: Callable[[], float] = time.monotonic
) -> tuple[Guard, Service]:
    """The server's application, for any ASGI server, and its sessions.

    Args:
        model: The trained method.
        settings: How.
        board: Shows the sessions (`mecca_agents.serve.terminal.Board`); None: nothing does.
        clock: Seconds, for idle and silent sessions.

    Raises:
        ImportError: A library of the extra `serve` is not installed.
        ValueError: The run needs several modalities.
    """
    import_blosc2()
    try:
        from starlette.applications import Starlette

        from mecca_agents.serve.itk_snap import ItkSnapRoutes
        from mecca_agents.serve.routes import ViewerRoutes
    except ImportError as error:
        raise ImportError(missing("mecca serve", "starlette and pydantic", "serve")) from error

    told: dict[str, Any] = {"changed": board.changed, "kept": board.kept} if board else {}
    service = Service(model, settings, clock=clock, **told)
    if board:
        board.watch(service.leases)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        service.warm_up()
        tasks = [asyncio.create_task(service.sweep())]
        tasks += [asyncio.create_task(board.keep_fresh())] if board else []
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            service.close()

    routes = [*(ItkSnapRoutes(service).routes() if settings.itk_snap else ()), *ViewerRoutes(service).routes()]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=_handlers())
    app.router.redirect_slashes = False
    return Guard(app, key=settings.key, local=is_local(settings.host)), service


def serve(model: Model, settings: Settings) -> None:
    """Serve until Ctrl-C.

    Args:
        model: The trained method.
        settings: How.

    Raises:
        ImportError: A library of the extra `serve` is not installed.
        OSError: The address cannot be listened on.
        ValueError: The run needs several modalities.
    """
    try:
        import uvicorn

        from mecca_agents.serve.terminal import Board
    except ImportError as error:
        raise ImportError(missing("mecca serve", "uvicorn and rich", "serve")) from error
    board = Board()
    app, _ = make_app(model, settings, board)
    listening = listen(settings.host, settings.port)
    config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=2, timeout_keep_alive=75)
    address = f"http://{in_url(settings.host)}:{listening.getsockname()[1]}"
    key = f", key {settings.key}" if settings.key else ""
    print(f"mecca serve: {address}{key}  (Ctrl-C ends it)", flush=True)
    print(f"{model.method}, trained on {model.trained_on}", flush=True)
    with board.showing():
        uvicorn.Server(config).run(sockets=[listening])


def _handlers() -> dict[Any, Any]:
    """How each error is answered: a status and a sentence, and nothing else."""
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response

    from mecca_agents.serve.bodies import Refused

    def sentence(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
        return JSONResponse({"detail": text}, status, headers)

    def refused(_: Request, error: Refused) -> Response:
        return sentence(error.status, error.sentence, error.headers)

    def gone(request: Request, _: Exception) -> Response:
        there = request.headers.get("x-lease-token") or request.path_params.get("session")
        return sentence(410, "lease expired or unknown" if there else "lease token missing")

    def full(_: Request, error: Exception) -> Response:
        text = "sessions: expected a free one, found none; close one in a viewer, or ask again later"
        return sentence(503, text, {"Retry-After": str(RETRY_AFTER)})

    def unknown(_: Request, error: HTTPException) -> Response:
        return sentence(error.status_code, str(error.detail), dict(error.headers or {}))

    return {
        Refused: refused,
        Gone: gone,
        Full: full,
        HTTPException: unknown,
        TooLarge: lambda _, error: sentence(413, str(error)),
        WireError: lambda _, error: sentence(400, str(error)),
        SessionError: lambda _, error: sentence(400, str(error)),
        DataError: lambda _, error: sentence(400, str(error)),
        MemoryError: lambda _, error: sentence(503, "memory: expected more than this machine has"),
        Exception: lambda _, error: sentence(500, "the server met an error of its own; its terminal shows which"),
    }
