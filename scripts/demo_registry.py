"""A registry that serves one OCI layout, read-only, on this machine: for the demo, where no registry may be installed.

A stand-in: of the OCI distribution specification it has what pulling needs (`/v2/`, manifests and blobs by tag and digest).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_PATH = re.compile(r"/v2/(?P<name>[a-z0-9/._-]+)/(?P<kind>manifests|blobs)/(?P<reference>[A-Za-z0-9:._-]+)")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@contextmanager
def serve(layout: Path) -> Iterator[str]:
    """Serve ``layout`` whatever name is asked for, while the body runs; gives ``host:port``."""
    index = json.loads((layout / "index.json").read_text())
    top = index["manifests"][0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path in ("/v2", "/v2/"):
                self._answer(b"{}", "application/json")
                return
            asked = _PATH.fullmatch(self.path)
            digest = asked["reference"] if asked else ""
            if asked and asked["kind"] == "manifests" and not digest.startswith("sha256:"):
                digest = top["digest"]
            found = _DIGEST.fullmatch(digest)
            blob = layout / "blobs" / "sha256" / found[1] if found else None
            if blob is None or not blob.is_file():
                self.send_error(404)
                return
            manifest = bool(asked and asked["kind"] == "manifests")
            self._answer(
                blob.read_bytes(), top["mediaType"] if manifest else "application/octet-stream", digest
            )

        do_HEAD = do_GET  # noqa: N815  # what http.server looks for

        def _answer(self, body: bytes, kind: str, digest: str = "") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if digest:
                self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
