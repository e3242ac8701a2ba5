"""A small stand-in for a Kubernetes API server, for what a real one does not do on demand. Not an API server: it lists and watches.

Plain HTTP on loopback. A test puts objects and events in; watches wait until there is something to say.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


class ApiServer:
    """``objects`` by path (``/api/v1/pods``); ``say`` sends an event to those who watch a path."""

    def __init__(self, folder: Path, *groups: str) -> None:
        self.folder = folder
        self.groups = groups
        self.resources: dict[str, list[str]] = {"/api/v1": ["pods", "namespaces"]}
        self.objects: dict[str, list[Object]] = defaultdict(list)
        self.version = 1
        #: Answers in place of the usual ones: status and body.
        self.refusals: dict[str, tuple[int, Object]] = {}
        self.requests: list[str] = []
        self.watchers: dict[str, list[asyncio.StreamWriter]] = defaultdict(list)
        self.port = 0
        self._connections: set[asyncio.StreamWriter] = set()

    def kubeconfig(self) -> Path:
        """A file that clients read."""
        path = self.folder / "stand-in.kubeconfig"
        given = {
            "clusters": [{"name": "t", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "t", "user": {"token": "t"}}],
            "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
            "current-context": "t",
        }
        path.write_text(json.dumps(given))
        return path

    async def say(self, path: str, kind: str, given: Object) -> None:
        """An event of a watch."""
        await self.write(path, json.dumps({"type": kind, "object": given}).encode() + b"\n")

    async def write(self, path: str, data: bytes) -> None:
        """Bytes into every watch of a path."""
        for writer in list(self.watchers[path]):
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()

    async def hang_up(self, path: str) -> None:
        """End every watch of a path."""
        for writer in self.watchers.pop(path, []):
            writer.write(b"0\r\n\r\n")
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._connections.add(writer)
        try:
            while request := (await reader.readline()).decode():
                size = 0
                while (line := (await reader.readline()).decode().strip().lower()) not in ("", "\r\n"):
                    if line.startswith("content-length:"):
                        size = int(line.partition(":")[2])
                await reader.readexactly(size)
                target = urlsplit(request.split()[1])
                self.requests.append(request.split()[1])
                query = parse_qs(target.query)
                if "watch" in query and target.path not in self.refusals:
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                    )
                    self.watchers[target.path].append(writer)
                    await reader.read()
                    return
                status, body = self._answer(target.path)
                data = json.dumps(body).encode()
                head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
                writer.write(head.encode() + data)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(writer)
            for each in self.watchers.values():
                if writer in each:
                    each.remove(writer)
            writer.close()

    def _answer(self, path: str) -> tuple[int, Object]:
        if path in self.refusals:
            return self.refusals[path]
        if path == "/version":
            return 200, {"gitVersion": "v1.99.0"}
        if path == "/apis":
            return 200, {"groups": [{"name": each} for each in self.groups]}
        if path in self.resources:
            return 200, {"resources": [{"name": each, "verbs": _VERBS} for each in self.resources[path]]}
        if any(path == f"{root}/{each}" for root, there in self.resources.items() for each in there):
            return 200, {"metadata": {"resourceVersion": str(self.version)}, "items": self.objects[path]}
        return 404, {"message": "not found", "code": 404}

    async def close(self) -> None:
        """End all connections."""
        for writer in list(self._connections):
            writer.close()


@asynccontextmanager
async def serving(made: ApiServer) -> AsyncIterator[ApiServer]:
    """The stand-in on a free port of loopback."""
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
