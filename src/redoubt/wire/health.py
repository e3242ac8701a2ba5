"""Whether a service lives and is ready, and its metrics: plain HTTP for Kubernetes and Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from redoubt.wire import ports

Ready = Callable[[], Awaitable[str]]


class Health:
    """``/health/liveness``, ``/health/readiness``, ``/metrics``.

    ``ready`` gives why the service is not ready, or an empty text.
    """

    def __init__(self, ready: Ready, registry: CollectorRegistry) -> None:
        self._ready = ready
        self._registry = registry
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._sockets: list[ports.Listening] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        path = scope["path"]
        status, body, kind = 200, b"ok\n", "text/plain; charset=utf-8"
        if scope["method"] not in ("GET", "HEAD"):
            status, body = 405, b"only GET\n"
        elif path == "/health/readiness":
            if why := await self._ready():
                status, body = 503, f"{why}\n".encode()
        elif path == "/metrics":
            body, kind = generate_latest(self._registry), CONTENT_TYPE_LATEST
        elif path != "/health/liveness":
            status, body = 404, b"see /health/liveness, /health/readiness and /metrics\n"
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def start(self, host: str, port: int) -> None:
        """Listen; an empty ``host`` means every address. Raises ``NetworkError`` where the port is taken."""
        # uvicorn's own way of listening ends the process where that fails.
        self._sockets = [ports.listening(host, port)]
        config = uvicorn.Config(self, lifespan="off", log_config=None, access_log=False, ws="none")
        self._server = uvicorn.Server(config)
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=self._sockets)
        self._task = asyncio.create_task(self._server.main_loop())

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.should_exit = True
            if self._task is not None:
                await self._task
            await self._server.shutdown(sockets=self._sockets)
