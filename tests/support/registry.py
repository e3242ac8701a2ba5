"""A real registry (Debian's ``docker-registry``) for tests, filled with ``skopeo``; on 127.0.0.1 only.

``start_registry`` runs one: open, with passwords, with tokens, with TLS. The token service is a stand-in written
here (``StandInTokenService``); the registry checks its signatures for real. ``FlakyProxy`` is a stand-in for a
bad network: it cuts connections after a number of bytes.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from redoubt.wire import ports

USERNAME, PASSWORD = "tester", "correct horse"
_BCRYPT = "$2b$04$PALLjVW1trZpp0p88s9UIuTGN8nVWPVIZSicstcC8IlFa9tlRSpEK"  # of PASSWORD
MISSING = [name for name in ("docker-registry", "skopeo") if shutil.which(name) is None]

needs_registry = pytest.mark.skipif(
    bool(MISSING), reason=f"needs the Debian package(s) {', '.join(MISSING) or 'docker-registry, skopeo'}"
)


@dataclass
class Registry:
    """A running registry. ``host`` is ``127.0.0.1:PORT``; ``log`` is what it wrote."""

    host: str
    storage: Path
    log: Path
    ca_file: Path | None = None
    credentials: bool = False

    def push(self, source: str, name: str, *options: str) -> str:
        """Copy ``source`` (skopeo's words: ``oci:DIR:TAG``, ``docker-archive:FILE``) and return its reference."""
        reference = f"{self.host}/{name}"
        words = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", *options]
        if self.credentials:
            words.append(f"--dest-creds={USERNAME}:{PASSWORD}")
        done = subprocess.run(
            [*words, source, f"docker://{reference}"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return reference

    def requests(self, method: str = "GET") -> list[str]:
        """The paths that were asked for, in order."""
        found = []
        for line in self.log.read_text().splitlines():
            parts = line.split('"')
            if len(parts) > 1 and parts[1].startswith(f"{method} "):
                found.append(parts[1].split(" ")[1])
        return found


@dataclass
class Authority:
    """A CA of our own with one certificate for 127.0.0.1 and localhost, as PEM files."""

    ca_file: Path
    certificate: Path
    key: Path


def make_authority(folder: Path) -> Authority:
    """Make the keys and certificates in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("Test CA", ca_key.public_key(), "Test CA", ca_key, ca=True)
    leaf = _certificate("127.0.0.1", key.public_key(), "Test CA", ca_key, ca=False)
    made = Authority(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    made.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(_pem(key))
    return made


@contextmanager
def start_registry(
    folder: Path,
    *,
    password: bool = False,
    tls: Authority | None = None,
    tokens: StandInTokenService | None = None,
) -> Iterator[Registry]:
    """Run a registry that keeps its blobs in ``folder``. ``password``: ``USERNAME`` and ``PASSWORD`` are needed."""
    folder.mkdir(parents=True, exist_ok=True)
    storage, log = folder / "storage", folder / "log"
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
        "http": {"secret": "not a secret"},
    }
    if password:
        (folder / "htpasswd").write_text(f"{USERNAME}:{_BCRYPT}\n")
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if tokens is not None:
        config["auth"] = {
            "token": {
                "realm": tokens.url,
                "service": tokens.service,
                "issuer": tokens.issuer,
                "rootcertbundle": str(tokens.bundle),
            }
        }
    if tls is not None:
        config["http"]["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    for _ in range(3):
        port = ports.free(1)[0]
        config["http"]["addr"] = f"127.0.0.1:{port}"
        (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["docker-registry", "serve", str(folder / "config.yml")],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), "OTEL_TRACES_EXPORTER": "none"},
            )
        try:
            if _answers(port, process):
                yield Registry(
                    f"127.0.0.1:{port}",
                    storage,
                    log,
                    ca_file=tls.ca_file if tls else None,
                    credentials=password or tokens is not None,
                )
                return
        finally:
            process.terminate()
            process.wait(60)
    pytest.fail(f"docker-registry does not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry without passwords or TLS, shared by a session's tests; skips where the packages are missing."""
    if MISSING:
        pytest.skip(f"needs the Debian package(s) {', '.join(MISSING)}")
    with start_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


class StandInTokenService:
    """Stands in for a site's token service: signs JWTs as the distribution project's token document says.

    ``asked`` are the queries it got; ``lifetime`` is of the tokens, in seconds; ``allow_anonymous`` lets
    anybody pull.
    """

    service, issuer = "test-registry", "test-issuer"

    def __init__(self, folder: Path, *, lifetime: int = 60, allow_anonymous: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate("Tokens", self._key.public_key(), "Tokens", self._key, ca=True)
        self._der = certificate.public_bytes(serialization.Encoding.DER)
        self.bundle = folder / "tokens.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.lifetime, self.allow_anonymous = lifetime, allow_anonymous
        self.asked: list[dict[str, str]] = []
        self.refresh_token = "a refresh token"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def token(self, user: str, scope: str) -> str:
        """A signed token for a scope such as ``repository:app:pull``."""
        kind, name, actions = ([*scope.split(":"), "", "", ""])[:3] if scope else ("", "", "")
        now = int(time.time())
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(self._der).decode()]}
        claims = {
            "iss": self.issuer,
            "sub": user,
            "aud": self.service,
            "exp": now + self.lifetime,
            "nbf": now - 30,
            "iat": now,
            "jti": str(len(self.asked)),
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}] if scope else [],
        }
        signed = f"{_url64(json.dumps(header).encode())}.{_url64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_url64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
                expected = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
                given = self.headers.get("Authorization")
                self._answer(query, given == expected or (given is None and service.allow_anonymous))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                query = {key: value[0] for key, value in parse_qs(body).items()}
                self._answer(query, query.get("refresh_token") == service.refresh_token)

            def _answer(self, query: dict[str, str], allowed: bool) -> None:
                service.asked.append(query)
                body = json.dumps({"token": service.token(USERNAME, query.get("scope", ""))}).encode()
                self.send_response(200 if allowed else 401)
                self.send_header("Content-Length", str(len(body) if allowed else 0))
                self.end_headers()
                if allowed:
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler


@dataclass
class FlakyProxy:
    """Stands in for a bad network between a client and ``target`` (``host:port``).

    The n-th connection is cut after ``cuts[n]`` bytes of answer; later ones are left alone. ``asked`` are the
    first lines and ``Range`` headers that passed, where they are not encrypted.
    """

    target: str
    cuts: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> FlakyProxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                cut = self.cuts[self.connections] if self.connections < len(self.cuts) else None
                self.connections += 1
                threading.Thread(target=self._serve, args=(client, cut), daemon=True).start()

    def _serve(self, client: socket.socket, cut: int | None) -> None:
        host, _, port = self.target.partition(":")
        with suppress(OSError), client, socket.create_connection((host, int(port)), 5) as server:
            threading.Thread(target=self._upwards, args=(client, server), daemon=True).start()
            left = cut
            while data := server.recv(65536):
                if left is not None and len(data) >= left:
                    client.sendall(data[:left])
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
                left = None if left is None else left - len(data)
            client.shutdown(socket.SHUT_RDWR)

    def _upwards(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                lines = data.decode("latin-1").split("\r\n")
                ranges = [line for line in lines if line.lower().startswith("range:")]
                if lines[0].startswith(("GET ", "HEAD ")):
                    self.asked.append(" ".join([lines[0], *ranges]))
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(400):
        if process.poll() is not None:
            return False
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.025)
    return False


def _certificate(
    name: str, key: ec.EllipticCurvePublicKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
