"""A small web server for tests, on 127.0.0.1, that answers as it is told and remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """``length``: what ``Content-Length`` claims, where that is not the truth."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


class Web:
    """``answer`` is called with each request, in several threads. ``tls``: what to speak HTTPS with."""

    def __init__(self, answer: Callable[[Asked], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self._body()
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                web.asked.append(asked)
                given = answer(asked)
                self.send_response(given.status)
                for name, value in given.headers.items():
                    self.send_header(name, value)
                length = len(given.body) if given.length is None else given.length
                chunked = "Transfer-Encoding" in given.headers
                if given.status != 304 and not chunked:
                    self.send_header("Content-Length", str(length))
                if length != len(given.body) or chunked:
                    self.close_connection = True
                self.end_headers()
                self.wfile.write(given.body)

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_GET

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that hang up are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        if tls is not None:
            # The handshake happens in the connection's own thread, on the first read.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'http' if tls is None else 'https'}://{self.host}"

    def __enter__(self) -> Web:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def script(*answers: Answer) -> Callable[[Asked], Answer]:
    """These answers in order; the last one again and again."""
    left = list(answers)

    def answer(asked: Asked) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer
