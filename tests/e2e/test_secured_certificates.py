"""Certificates, CAs and the API server's certificate exchanged below a secured cluster that goes on: no restart, no loss."""

from __future__ import annotations

import signal
import socket
import ssl
import time
from base64 import b64decode
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from redoubt.wire.authority import Authority, give
from redoubt.wire.identity import Service
from support.kernel import needs_bpf
from support.kube import Cluster, kube
from support.secured import UNKNOWN, Secured, refusal, refusing, workload
from support.storm import IMAGE, Shop, check, enforced, goes_on, shop, storm, warm

__all__ = ["kube"]
pytestmark = needs_bpf

#: Who has certificates: the services, and those of ``redoubt up`` by their folders.
_OF_UP = (Service.CENTRAL, Service.SCANNER_V4_INDEXER, Service.SCANNER_V4_MATCHER)
#: The Sensor has its own made anew by itself; and for the others Secrets, which nobody mounts here.
_OF_CLUSTER = {
    "admission": Service.ADMISSION_CONTROL,
    "collector": Service.COLLECTOR,
}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kube: Cluster) -> Iterator[Secured]:
    with refusing(tmp_path_factory.mktemp("secured"), kube) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def busy(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(secured, tmp_path_factory.mktemp("shop")) as made:
        yield made


def folders(secured: Secured) -> dict[Path, tuple[Service, str]]:
    """Where certificates are, whose and of whom."""
    found = {secured.up.data / "certificates" / each.host: (each, "") for each in _OF_UP}
    found |= {secured.folder / name / "certificates": (each, UNKNOWN) for name, each in _OF_CLUSTER.items()}
    assert all((folder / "cert.pem").exists() for folder in found)
    return found


def reissue(secured: Secured, authority: Authority) -> None:
    """New certificates for everybody."""
    for folder, (service, identifier) in folders(secured).items():
        authority.issue(service, identifier, hosts=["127.0.0.1", "localhost"]).write(folder)


def trust(secured: Secured, authority: Authority) -> None:
    """Everybody trusts these CAs and no others."""
    for folder in folders(secured):
        give(authority.trusted, folder)


def shown(port: int, name: str) -> bytes:
    """The certificate that a server shows to who asks for ``name``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as wrapped,
    ):
        return ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(True) or b"").encode()


def are_shown(secured: Secured) -> bool:
    """Whether Central, Sensor and admission controller show what is in their folders."""
    places = {
        secured.up.port: (secured.up.data / "certificates" / "central", "central.stackrox.svc"),
        secured.sensor_port: (own(secured), "sensor.stackrox.svc"),
        secured.admission_port: (
            secured.folder / "admission" / "certificates",
            "admission-control.stackrox.svc",
        ),
    }
    return all(
        shown(port, name).strip() == (folder / "cert.pem").read_bytes().strip()
        for port, (folder, name) in places.items()
    )


def own(secured: Secured) -> Path:
    """Where the Sensor's certificate is."""
    return secured.folder / "sensor" / "identity" / "current"


def follows(secured: Secured, authority: Authority) -> bool:
    """Whether the Sensor trusts these CAs, and has a certificate of the first."""
    trusted, shown = ((own(secured) / name).read_bytes() for name in ("ca.pem", "cert.pem"))
    return trusted.strip() == authority.trusted.strip() and authority.issued(shown)


def streams(secured: Secured) -> tuple[int, int]:
    """How often the Sensor connected to Central, and the Collector to the Sensor."""
    return (
        secured.sensor.said().count("connected to Central"),
        secured.collector.said().count('"event": "connected"'),
    )


def exchange(secured: Secured) -> None:
    """All certificates anew, of a second CA, and the first one trusted no more: in steps, each seen by everybody."""
    authority = Authority.load(secured.up.data / "ca").stage()
    trust(secured, authority)
    reissue(secured, authority)  # whoever shows it has read the CAs as well
    secured.until("the Sensor to follow", partial(follows, secured, authority))
    secured.until("new certificates", lambda: are_shown(secured))
    secured.until("the webhooks' CAs", lambda: registered(secured) == ca(secured))
    secured.central.trust(authority.trusted)  # people are given it, too
    authority = authority.switch()
    reissue(secured, authority)
    secured.until("the Sensor to follow again", partial(follows, secured, authority))
    secured.until("certificates of the second CA", lambda: are_shown(secured))
    before = streams(secured)
    authority = authority.retire()
    trust(secured, authority)
    secured.until("the Sensor to follow to the end", partial(follows, secured, authority))
    secured.until(
        "streams of who came with the first CA to begin anew",
        lambda: all(now > then for now, then in zip(streams(secured), before, strict=True)),
    )


def test_certificates_and_their_ca_are_exchanged_below_services_that_run(
    secured: Secured, busy: Shop
) -> None:
    processes = [each.process for each in (secured.up, secured.sensor, secured.admission, secured.collector)]
    with storm(busy, "exchanged") as made:
        warm(secured, made)
        began = time.monotonic()
        exchange(secured)
        goes_on(made, time.monotonic())
        secured.until("the webhooks' CA", lambda: registered(secured) == ca(secured))
    assert processes == [
        each.process for each in (secured.up, secured.sensor, secured.admission, secured.collector)
    ]
    assert all(each is not None and each.poll() is None for each in processes)
    enforced(made, 0, time.monotonic())
    check(made, set(made.since(began)), made.refused)


def registered(secured: Secured) -> bytes:
    """The CA that the API server asks the admission controller by."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stackrox"
    found = secured.kube.admin.ask("GET", path)["webhooks"][0]["clientConfig"]["caBundle"]
    return b64decode(found).strip()


def ca(secured: Secured) -> bytes:
    return (secured.folder / "admission" / "certificates" / "ca.pem").read_bytes().strip()


def test_the_api_server_forgets_and_has_another_ca(secured: Secured, kube: Cluster) -> None:
    namespace, admin = kube.namespace(), kube.admin
    webhooks = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "stackrox"},
    }
    admin.create(workload(namespace, "goes", IMAGE))
    admin.create(workload(namespace, "stays", IMAGE))
    secured.until("what was there before", lambda: len(secured.deployments(namespace)) == 2)
    assert secured.sensor.process is not None
    secured.sensor.process.send_signal(signal.SIGSTOP)
    try:
        admin.delete(workload(namespace, "goes", IMAGE))
        kube.forget()
        authority = kube.exchange_authority()
    finally:
        secured.sensor.process.send_signal(signal.SIGCONT)
    secured.until("the Sensor to say why", lambda: "CERTIFICATE_VERIFY_FAILED" in secured.sensor.said())
    kube.publish(authority)
    kube.kubeconfig(whole=True)
    admin.create(workload(namespace, "comes", IMAGE))
    secured.until(
        "what is there now", lambda: set(secured.deployments(namespace)) == {"stays", "comes"}, within=90
    )
    admin.delete(webhooks)
    namespace = kube.namespace()  # settings are others, and the webhooks are looked at
    forbidden = workload(namespace, "forbidden", IMAGE, securityContext={"privileged": True})
    secured.until("the webhooks to be registered again", lambda: refusal(secured, forbidden), within=90)
