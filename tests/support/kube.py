"""A real Kubernetes API server for tests: etcd, kube-apiserver and, where they are, its controllers and scheduler.

``kube`` is a fresh cluster a session (and xdist worker), on ports of its own. There is no kubelet: pods are created,
admitted and bound to a node that a test makes up, and never run. The programs are those that ``KUBEBUILDER_ASSETS`` names
(``setup-envtest`` downloads such), else those that ``install.sh`` in the folder ``kube`` of ``REDOUBT_SHARED`` unpacks.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from redoubt.children import bound
from redoubt.wire import ports
from support.data import ROOT
from support.tls import Authority

Object = dict[str, Any]
T = TypeVar("T")

#: Seconds until a program that was started answers, and until one that is ended is killed.
_START = 60.0
_END = 10.0
#: Clusters start one at a time on a machine: each takes a core for some ten seconds.
_LOCK = Path(tempfile.gettempdir()) / "redoubt-test-kube.lock"
_PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses", "Endpoints": "endpoints"}
_CLUSTERED = frozenset(
    {
        "Namespace",
        "Node",
        "ClusterRole",
        "ClusterRoleBinding",
        "PersistentVolume",
        "ValidatingWebhookConfiguration",
        "CustomResourceDefinition",
    }
)
#: What the API server shows where it sends its audit events.
AUDIT_TOKEN = "token-of-the-audit-webhook"
_numbers = itertools.count(1)


def programs() -> Path:
    """The folder with ``kube-apiserver`` and ``etcd``; skips the test where there are none."""
    if named := os.environ.get("KUBEBUILDER_ASSETS"):
        if all((Path(named) / each).exists() for each in ("kube-apiserver", "etcd")):
            return Path(named)
        pytest.skip(f"KUBEBUILDER_ASSETS names {named}, which has no kube-apiserver and etcd")
    install = Path(os.environ.get("REDOUBT_SHARED", ROOT.parent / "shared")) / "kube" / "install.sh"
    if not install.exists():
        pytest.skip("needs a kube-apiserver: name a folder with one in KUBEBUILDER_ASSETS")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(os.environ.get("KUBE_HOME") or Path(cache) / "kube-test")
    done = subprocess.run(
        [install], env={**os.environ, "KUBE_HOME": str(home)}, capture_output=True, timeout=240, check=False
    )
    # Its status may be that of a pipe that broke as it showed a version.
    if not all((home / "bin" / each).exists() for each in ("kube-apiserver", "etcd")):
        pytest.skip(f"kube-apiserver cannot be unpacked: {done.stderr.decode(errors='replace')[-300:]}")
    return home / "bin"


class Refused(AssertionError):
    """The API server said no. ``status`` is HTTP's, ``told`` its ``Status`` object."""

    def __init__(self, what: str, status: int, told: Object) -> None:
        super().__init__(f"{what}: {status} {told.get('message', told)}")
        self.status, self.told = status, told

    @property
    def message(self) -> str:
        """Its words."""
        return str(self.told.get("message", ""))


class Api:
    """Calls to an API server as one user. Objects are dicts, as JSON has them."""

    def __init__(self, url: str, token: str, authority: Path) -> None:
        self.url, self._token = url, token
        self.trust(authority)

    def trust(self, authority: Path) -> None:
        """Trust this CA, and no other."""
        self._tls = ssl.create_default_context(cafile=str(authority))

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        kind: str = "application/json",
        within: float = 30.0,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Object]:
        """Status and body of any call. A body that is no JSON is under ``text``."""
        given = {"Authorization": f"Bearer {self._token}", "Content-Type": kind, **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=within, context=self._tls) as answer:
                status, told = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, told = error.code, error.read()
        try:
            found = json.loads(told)
        except ValueError:
            found = {"text": told.decode(errors="replace")}
        return status, found

    def ask(self, method: str, path: str, body: object = None, **more: Any) -> Object:
        """The same, where it is to succeed. Raises ``Refused``."""
        status, told = self.call(method, path, body, **more)
        if status >= 300:
            raise Refused(f"{method} {path}", status, told)
        return told

    def create(self, given: Object, *, query: str = "", **more: Any) -> Object:
        """Make an object. ``query`` is such as ``dryRun=All``. Raises ``Refused``."""
        return self.ask("POST", _path(given) + (f"?{query}" if query else ""), given, **more)

    def ensure(self, given: Object) -> None:
        """Make an object unless there is one of that name. Raises ``Refused``."""
        try:
            self.create(given)
        except Refused as refused:
            if refused.status != 409:
                raise

    def get(self, given: Object) -> Object:
        """An object as it is now, by ``apiVersion``, ``kind`` and ``metadata``. Raises ``Refused``."""
        return self.ask("GET", _path(given, named=True))

    def replace(self, given: Object, *, query: str = "") -> Object:
        """Put an object in the place of the one before. Raises ``Refused``."""
        return self.ask("PUT", _path(given, named=True) + (f"?{query}" if query else ""), given)

    def patch(self, given: Object, change: Object, part: str = "") -> Object:
        """Merge ``change`` into an object, or into its ``part`` (``status``, ``scale``). Raises ``Refused``."""
        path = _path(given, named=True) + (f"/{part}" if part else "")
        return self.ask("PATCH", path, change, kind="application/merge-patch+json")

    def delete(self, given: Object) -> None:
        """Delete an object at once; one that is gone already is fine. Raises ``Refused``."""
        status, told = self.call(
            "DELETE",
            _path(given, named=True),
            {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0},
        )
        if status >= 300 and status != 404:
            raise Refused(f"DELETE {_path(given, named=True)}", status, told)

    def exec(self, namespace: str, pod: str, *command: str) -> tuple[int, Object]:
        """Ask for a command in a pod. Past admission it fails with 500 or 400, as nothing runs."""
        query = "&".join(f"command={part}" for part in command)
        return self.call("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?stdout=true&{query}")


def _path(given: Object, *, named: bool = False) -> str:
    version, kind, meta = given["apiVersion"], given["kind"], given["metadata"]
    path = f"/apis/{version}" if "/" in version else f"/api/{version}"
    if kind not in _CLUSTERED:
        path += f"/namespaces/{meta.get('namespace', 'default')}"
    path += "/" + _PLURALS.get(kind, kind.lower() + "s")
    return path + (f"/{meta['name']}" if named else "")


class Cluster:
    """A cluster in ``folder``. ``start``, then ``stop``. ``admin`` may do all, ``plain`` nothing unless a test says so."""

    def __init__(self, programs: Path, folder: Path, *, controllers: bool = True) -> None:
        self._programs, self.folder = programs, folder
        self.port, self._etcd_port, self._peer_port, manager, scheduler, self.audit_port = ports.free(6)
        self._others = {"kube-controller-manager": manager, "kube-scheduler": scheduler}
        self.url = f"https://127.0.0.1:{self.port}"
        self.audit_log = folder / "audit.log"
        #: Whether what controllers make comes to be: replica sets, pods, default service accounts.
        self.controllers = controllers and (programs / "kube-controller-manager").exists()
        told = subprocess.run([programs / "kube-apiserver", "--version"], capture_output=True, check=True)
        found = re.search(rb"v1\.(\d+)", told.stdout)
        #: 20 for Kubernetes 1.20.
        self.minor = int(found[1]) if found else 99
        self.tokens = {
            each: secrets.token_hex(24)
            for each in ("admin", "plain", "kube-controller-manager", "kube-scheduler")
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._prepare()
        self.admin = self.api("admin")

    def api(self, user: str) -> Api:
        """Calls as that user of ``tokens``, or with a token of a service account."""
        return Api(self.url, self.tokens.get(user, user), self.authority)

    def kubeconfig(self, user: str = "admin", *, whole: bool = False) -> Path:
        """A file that clients read: ``KUBECONFIG``. It names the CA's file; with ``whole`` it has the CA in it."""
        path = self.folder / f"{user}{'-whole' * whole}.kubeconfig"
        cluster = {"server": self.url}
        if whole:
            cluster["certificate-authority-data"] = b64encode(self.authority.read_bytes()).decode()
        else:
            cluster["certificate-authority"] = str(self.authority)
        given = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }
        path.write_text(json.dumps(given))
        return path

    def start(self) -> None:
        """Start everything, one cluster at a time on the machine. Raises ``AssertionError`` with the log's end."""
        with _one_at_a_time():
            self._run("etcd", *self._etcd())
            self.start_server()
            if not self.controllers:
                return
            for name, port in self._others.items():
                self._run(name, *self._controller(name, port))
        self.until("a default service account", self._has_account)

    def start_server(self) -> None:
        """Start the API server alone, once etcd runs; until it answers."""
        self._run("kube-apiserver", *self._server())
        self.until("an API server that is ready", self._is_ready)

    def stop_server(self, sign: int = signal.SIGKILL) -> None:
        """End the API server alone; etcd keeps what there is. SIGTERM takes it as long as somebody watches: 10 s."""
        self._end("kube-apiserver", sign)

    def forget(self) -> None:
        """What was before now is not known any more: who watched and was away since has to list anew."""
        last = self.etcd("put", key=b64encode(b"/bump").decode(), value="")
        self.etcd("compaction", revision=last["header"]["revision"], physical=True)

    def etcd(self, path: str, **body: Any) -> Object:
        """etcd's own interface, past the API server."""
        address = f"http://127.0.0.1:{self._etcd_port}/v3/kv/{path}"
        request = urllib.request.Request(address, json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: Object = json.loads(answer.read())
        return found

    def exchange_authority(self) -> Path:
        """Start the API server anew, with a certificate of a new CA, which is returned. Nobody but ``admin`` knows it before ``publish``."""
        folder = self.folder / f"ca-{next(_numbers)}"
        folder.mkdir()
        self._certify(folder)
        self.admin.trust(folder / "ca.pem")
        self.stop_server()
        self.start_server()
        return folder / "ca.pem"

    def publish(self, authority: Path) -> None:
        """Put a CA where clients look for it. Controllers, which look at their start only, are started anew."""
        part = self.authority.with_suffix(".part")
        part.write_bytes(authority.read_bytes())
        part.replace(self.authority)
        if self.controllers:
            for name, port in self._others.items():
                self._end(name, signal.SIGKILL)
                self._run(name, *self._controller(name, port))

    def stop(self) -> None:
        """End everything. Nothing of it is wanted any more."""
        for name in reversed(list(self._processes)):
            self._end(name, signal.SIGKILL)

    def namespace(self, labels: dict[str, str] | None = None, name: str = "") -> str:
        """The name of a new namespace."""
        name = name or f"test-{os.getpid()}-{next(_numbers)}"
        meta = {"name": name, "labels": labels or {}}
        self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        if self.controllers:
            self.until(f"the default service account of {name}", lambda: self._has_account(name))
        return name

    def until(self, what: str, happened: Callable[[], T], within: float = _START) -> T:
        """What ``happened`` gives once it is true. Calls that fail meanwhile are made again."""
        end = time.monotonic() + within
        while True:
            try:
                if found := happened():
                    return found
                problem = ""
            except (OSError, Refused) as error:
                problem = f"; last: {error}"
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended while {what} was waited for: {self._log(name)}")
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not come within {within:.0f} s{problem}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        status, _ = self.admin.call("GET", "/readyz", within=5)
        return status == 200 and self.admin.call("GET", "/api/v1/namespaces/default")[0] == 200

    def _has_account(self, namespace: str = "default") -> bool:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        status, account = self.admin.call("GET", path)
        # Up to 1.23 the API server takes no pod before the account has its token.
        return status == 200 and (self.minor >= 24 or bool(account.get("secrets")))

    def _certify(self, folder: Path) -> Path:
        """A certificate for the API server, of a CA of its own: whose file is returned."""
        authority = Authority(folder, f"Test cluster CA in {folder.name}")
        authority.context("127.0.0.1", "localhost", "10.0.0.1", "kubernetes", "kubernetes.default.svc")
        self._leaf = folder / "leaf-127.0.0.1.pem"
        return authority.file

    def _prepare(self) -> None:
        self.authority = self._certify(self.folder)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._signing = self.folder / "accounts.pem"
        self._signing.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        users = {
            "admin": ("test-admin", "system:masters"),
            "plain": ("plain", "team-plain"),
            "kube-controller-manager": ("system:kube-controller-manager", "system:authenticated"),
            "kube-scheduler": ("system:kube-scheduler", "system:authenticated"),
        }
        self._token_file = self.folder / "tokens.csv"
        self._token_file.write_text(
            "".join(f'{self.tokens[each]},{name},{name},"{group}"\n' for each, (name, group) in users.items())
        )

    def _audited(self) -> list[str]:
        """Requests to secrets are told to whoever listens on ``audit_port`` and knows ``AUDIT_TOKEN``, and written to ``audit_log``."""
        rules: list[Object] = [
            {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
            {"level": "None"},
        ]
        policy, config = self.folder / "audit-policy.json", self.folder / "audit-webhook.json"
        policy.write_text(
            json.dumps(
                {
                    "apiVersion": "audit.k8s.io/v1",
                    "kind": "Policy",
                    "omitStages": ["RequestReceived"],
                    "rules": rules,
                }
            )
        )
        server = {"server": f"https://127.0.0.1:{self.audit_port}/audit", "insecure-skip-tls-verify": True}
        config.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "sensor", "cluster": server}],
                    "users": [{"name": "server", "user": {"token": AUDIT_TOKEN}}],
                    "contexts": [{"name": "it", "context": {"cluster": "sensor", "user": "server"}}],
                    "current-context": "it",
                }
            )
        )
        return [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            f"--audit-webhook-config-file={config}",
            "--audit-webhook-initial-backoff=1s",
            "--audit-webhook-batch-max-wait=1s",
        ]

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._peer_port))
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]

    def _server(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--cert-dir={self.folder / 'made'}",
            f"--tls-cert-file={self._leaf}",
            f"--tls-private-key-file={self._leaf}",
            "--anonymous-auth=false",
            f"--token-auth-file={self._token_file}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._signing}",
            f"--service-account-signing-key-file={self._signing}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
            "--profiling=false",
            *self._audited(),
            *([] if self.controllers else ["--disable-admission-plugins=ServiceAccount"]),
        ]

    def _controller(self, name: str, port: int) -> list[str]:
        given = [
            f"--kubeconfig={self.kubeconfig(name)}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={self.folder / 'made'}",
            "--leader-elect=false",
            *(["--port=0"] if self.minor < 23 else []),
        ]
        if name == "kube-controller-manager":
            given += [
                f"--service-account-private-key-file={self._signing}",
                f"--root-ca-file={self.authority}",
                "--use-service-account-credentials=true",
                # Nobody beats the heart of made-up nodes.
                "--node-monitor-grace-period=24h",
            ]
        return given

    def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [self._programs / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=bound(signal.SIGKILL),
            )

    def _end(self, name: str, sign: int) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.send_signal(sign)
        try:
            process.wait(_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END)

    def _log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-800:]


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Waits until others' clusters have started."""
    descriptor = os.open(_LOCK, os.O_RDONLY | os.O_CREAT, 0o666)
    end = time.monotonic() + 2 * _START
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise AssertionError("other clusters on this machine do not finish their start") from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def running(*, controllers: bool = True) -> Iterator[Cluster]:
    """A fresh cluster of the caller's own. Skips the test where there are no programs for it."""
    where = programs()
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="redoubt-kube-", dir=memory if memory.is_dir() else None))
    cluster = Cluster(where, folder, controllers=controllers)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def kube() -> Iterator[Cluster]:
    """A cluster for the module's tests: use namespaces of your own, and take webhooks away again.

    A session's would be one for each module as well, since it is imported, and none would end before the session does.
    """
    with running() as cluster:
        yield cluster
