"""``--use-current-k8s-context`` with a program that stands in for kubectl: it really forwards a port."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.roxctl import runner
from support.standin import TOKEN, StandIn, answer

KUBECTL = """#!{python}
import socket, sys, threading
words = sys.argv[1:]
if words[0] == "config":
    print("{namespace}", end="")
elif "secret" in words:
    print("{ca}", end="")
elif "port-forward" in words:
    assert words[:2] == ["-n", "{expected}"], words
    if "{fail}":
        sys.exit("error: services \\"central\\" not found")
    server = socket.create_server(("127.0.0.1", 0))
    print(f"Forwarding from 127.0.0.1:{{server.getsockname()[1]}} -> 8443", flush=True)
    def pump(a, b):
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    while True:
        here, _ = server.accept()
        there = socket.create_connection(("127.0.0.1", {port}))
        threading.Thread(target=pump, args=(here, there), daemon=True).start()
        threading.Thread(target=pump, args=(there, here), daemon=True).start()
"""


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    folder = tmp_path / "central"
    folder.mkdir()
    with StandIn(folder, "central.stackrox") as web:
        web.routes["GET /v1/mypermissions"] = answer({})
        yield web


def kubectl(
    tmp_path: Path, central: StandIn, *, namespace: str = "", fail: str = "", trusted: bool = True
) -> str:
    """A folder for PATH with a kubectl in it."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    ca = base64.b64encode(central.authority.file.read_bytes()).decode() if trusted else ""
    text = KUBECTL.format(
        python=sys.executable,
        namespace=namespace,
        expected=namespace or "stackrox",
        ca=ca,
        fail=fail,
        port=central.host.rpartition(":")[2],
    )
    (folder / "kubectl").write_text(text)
    (folder / "kubectl").chmod(0o755)
    return str(folder)


def variables(path: str) -> dict[str, str]:
    return {"ROX_ENDPOINT": "", "ROX_CA_CERT_FILE": "", "ROX_API_TOKEN": TOKEN, "PATH": path}


def test_central_is_reached_through_the_forwarded_port(tmp_path: Path, central: StandIn) -> None:
    run = runner(central)
    path = kubectl(tmp_path, central)
    assert "UserID" in run("central", "whoami", "--use-current-k8s-context", **variables(path)).stdout
    path = kubectl(tmp_path, central, namespace="security")
    done = run("central", "whoami", **variables(path), ROX_USE_KUBECONTEXT="true")
    assert "UserID" in done.stdout


def test_what_kubectl_complains_of_is_passed_on(tmp_path: Path, central: StandIn) -> None:
    run = runner(central)
    path = kubectl(tmp_path, central, fail="yes")
    stderr = run("central", "whoami", "--use-current-k8s-context", code=6, **variables(path)).stderr
    assert 'kubectl says: error: services "central" not found' in stderr
    path = kubectl(tmp_path, central, trusted=False)
    assert "--ca" in run("central", "whoami", "--use-current-k8s-context", code=6, **variables(path)).stderr


def test_without_kubectl_it_says_what_to_do(tmp_path: Path, central: StandIn) -> None:
    (tmp_path / "empty").mkdir()
    stderr = runner(central)(
        "central", "whoami", "--use-current-k8s-context", code=2, **variables(str(tmp_path / "empty"))
    ).stderr
    assert "needs kubectl" in stderr
