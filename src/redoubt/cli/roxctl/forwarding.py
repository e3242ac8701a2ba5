"""``--use-current-k8s-context``: Central is reached by a port that ``kubectl`` forwards while the command runs.

Which cluster, as whom, and how is kubectl's business: this asks it for the namespace, Central's CA and a port.
"""

from __future__ import annotations

import base64
import binascii
import re
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from redoubt.cli.console import clean
from redoubt.cli.roxctl.endpoint import Endpoint
from redoubt.cli.roxctl.settings import Settings
from redoubt.errors import NetworkError, UsageError

_NAMESPACE = "stackrox"
_SERVICE, _PORT = "svc/central", 443
#: The name in Central's certificate inside of a cluster.
_SERVER_NAME = "central.stackrox"
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")
#: Seconds that kubectl is given for each answer.
_PATIENCE = 30.0


@contextmanager
def forwarded(told: Settings) -> Iterator[Settings]:
    """The settings with the forwarded port as endpoint. Raises ``UsageError`` without kubectl, ``NetworkError``."""
    program = shutil.which("kubectl") or shutil.which("oc")
    if program is None:
        raise UsageError(
            "--use-current-k8s-context needs kubectl; install it, or name Central with --endpoint"
        )
    namespace = _asked(program, "config", "view", "--minify", "-o", "jsonpath={..namespace}") or _NAMESPACE
    with tempfile.TemporaryDirectory(prefix="roxctl-") as folder:
        ca = told.ca
        if ca is None and not told.skip_verify:
            ca = _authority(program, namespace, Path(folder))
        with _port(program, namespace) as port:
            yield replace(
                told,
                endpoint=Endpoint("127.0.0.1", port, told.endpoint.plaintext),
                server_name=told.server_name or _SERVER_NAME,
                ca=ca,
            )


def _authority(program: str, namespace: str, folder: Path) -> Path | None:
    """Central's CA out of its secret; None where that may not be read, and the system's authorities decide."""
    with suppress(NetworkError, binascii.Error, ValueError):
        path = r"jsonpath={.data.ca\.pem}"
        encoded = _asked(program, "-n", namespace, "get", "secret", "central-tls", "-o", path)
        if encoded:
            file = folder / "ca.pem"
            file.write_bytes(base64.b64decode(encoded, validate=True))
            return file
    return None


@contextmanager
def _port(program: str, namespace: str) -> Iterator[int]:
    command = [program, "-n", namespace, "port-forward", "--address", "127.0.0.1", _SERVICE, f":{_PORT}"]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL
        ) as running,
    ):
        try:
            assert running.stdout is not None
            ready, _, _ = select.select([running.stdout], [], [], _PATIENCE)
            line = running.stdout.readline(4096).decode("utf-8", "replace") if ready else ""
            match = _FORWARDING.match(line)
            if match is None:
                complaints.seek(0)
                raise NetworkError(
                    _why(complaints.read(2000), f"no port to {_SERVICE} in namespace {namespace}")
                )
            yield int(match[1])
        finally:
            running.terminate()


def _asked(program: str, *words: str) -> str:
    """What kubectl prints. Raises ``NetworkError`` where it fails."""
    try:
        done = subprocess.run(
            [program, *words], capture_output=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise NetworkError("kubectl did not answer; check the cluster and the current context") from None
    if done.returncode:
        raise NetworkError(_why(done.stderr[:2000], "kubectl failed"))
    return done.stdout.decode("utf-8", "replace").strip()


def _why(complaint: bytes, otherwise: str) -> str:
    text = clean(" ".join(complaint.decode("utf-8", "replace").split()))[:300]
    return f"kubectl says: {text or otherwise}; check the current context, or name Central with --endpoint"
