"""A registry for tests that does as it is told while it sends: waits, lies about lengths, or sends without end."""

from __future__ import annotations

import json
import tarfile
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_BLOCK = bytes(1 << 20)


def _digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


def endless(size: int) -> Iterator[bytes]:
    """A tar with one file of ``size`` zeros, and more of them for as long as somebody takes it."""
    member = tarfile.TarInfo("srv/zeros")
    member.size = size
    yield member.tobuf(tarfile.GNU_FORMAT)
    while True:
        yield _BLOCK


class OddRegistry:
    """``add`` images, each of one layer. ``gate``: blobs are sent once it is set. ``sent``: bytes of layers so far."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        self.sent = 0
        self.streams = 0
        self._blobs: dict[str, bytes] = {}
        self._floods: dict[str, int] = {}
        self._manifests: dict[str, bytes] = {}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # who hangs up is part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> OddRegistry:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def add(
        self,
        name: str,
        layer: bytes = b"",
        *,
        claimed: int | None = None,
        flood: bool = False,
        diff_id: bytes = b"",
    ) -> str:
        """An image; its reference. ``claimed``: the layer's length in the manifest; ``flood``: it is sent without end.

        ``diff_id``: the tar, where ``layer`` is packed.
        """
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [_digest(diff_id or layer or name.encode())]},
            }
        ).encode()
        digest = _digest(layer or name.encode())
        self._blobs |= {_digest(config): config, digest: layer}
        if flood:
            self._floods[digest] = claimed or 60 << 30
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": _digest(config),
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": digest,
                    "size": len(layer) if claimed is None else claimed,
                }
            ],
        }
        data = json.dumps(manifest).encode()
        repository, _, tag = name.partition(":")
        self._manifests |= {f"/v2/{repository}/manifests/{which}": data for which in (tag, _digest(data))}
        return f"{self.host}/{name}"

    def lie(self, old: bytes, new: bytes) -> None:
        """From now on ``new`` is sent for ``old`` in whatever has it; digests stay as they were."""
        self._blobs = {digest: data.replace(old, new) for digest, data in self._blobs.items()}

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        """One request, in a thread of its own."""
        if asked.path in self._manifests:
            data = self._manifests[asked.path]
            self._send(asked, data, {"Content-Type": _MANIFEST, "Docker-Content-Digest": _digest(data)})
        elif (digest := asked.path.rpartition("/")[2]) in self._floods:
            self._flood(asked, self._floods[digest] - 4096)
        elif digest in self._blobs:
            if b"rootfs" not in self._blobs[digest]:
                self.asked.set()
                self.gate.wait(120)
                self.sent += len(self._blobs[digest])
            self._send(asked, self._blobs[digest], {})
        elif asked.path == "/v2/":
            self._send(asked, b"{}", {})
        else:
            asked.send_error(404)

    def _send(self, asked: BaseHTTPRequestHandler, data: bytes, headers: dict[str, str]) -> None:
        asked.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            asked.send_header(name, value)
        asked.end_headers()
        if asked.command == "GET":
            asked.wfile.write(data)

    def _flood(self, asked: BaseHTTPRequestHandler, size: int) -> None:
        asked.send_response(200)
        asked.send_header("Connection", "close")
        asked.end_headers()
        asked.close_connection = True
        self.streams += 1
        try:
            for block in endless(size):
                asked.wfile.write(block)
                self.sent += len(block)
        finally:
            self.streams -= 1
