"""An image that the cluster reads itself: with its own Indexer and a pull secret of the namespace; Central does the rest."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from ociwriter import ImageWriter
from support.kube import Cluster, kube
from support.registry import PASSWORD as REGISTRY_PASSWORD
from support.registry import USERNAME, Registry, needs_registry, start_registry
from support.roots import dpkg_root
from support.secured import Process, Secured, workload
from support.up import PASSWORD, Up

__all__ = ["kube"]
pytestmark = needs_registry


def _indexer(up: Up) -> str:
    """Where the Indexer of a ``redoubt up`` listens: it stands in for the cluster's own."""
    for process in Path("/proc").iterdir():
        try:
            told = (process / "environ").read_bytes().split(b"\0") if process.name.isdigit() else []
        except OSError:
            continue
        found = dict(os.fsdecode(each).partition("=")[::2] for each in told)
        if found.get("REDOUBT_SCANNER_DATA") == str(up.data / "indexer"):
            return f"127.0.0.1:{found['REDOUBT_SCANNER_PORT']}"
    raise AssertionError("no Indexer runs")


def _pull_secret(namespace: str, host: str) -> dict[str, Any]:
    auths = {"auths": {host: {"username": USERNAME, "password": REGISTRY_PASSWORD}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "registry", "namespace": namespace},
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(auths).encode()).decode()},
    }


def _with_bundle(secured: Secured, folder: Path) -> None:
    """Give the Sensor the certificates of an init bundle, as people install it."""
    made = secured.central.ask("POST", "/v1/cluster-init/init-bundles", {"name": "ward"})
    values = yaml.safe_load(base64.b64decode(made["helmValuesBundle"]))
    told = values["sensor"]["serviceTLS"]
    for name, content in (("ca", values["ca"]["cert"]), ("cert", told["cert"]), ("key", told["key"])):
        (folder / f"{name}.pem").write_text(content)


def _roxctl_asks_the_cluster(up: Up, registry: Registry, archive: Path, namespace: str, folder: Path) -> None:
    """``image scan`` and ``deployment check`` with ``--cluster``."""
    image = registry.push(f"docker-archive:{archive}", "team/third:1")
    done = up.roxctl(
        "image", "scan", "-i", image, "--cluster", "ward", "--namespace", namespace, "-o", "json"
    )
    assert done.returncode == 0, done.stderr
    assert "zlib1g" in done.stdout
    manifest = folder / "shop.json"
    manifest.write_text(json.dumps(workload(namespace, "shop", image)))
    words = ("--file", str(manifest), "--cluster", "ward", "-o", "json")
    done = up.roxctl("deployment", "check", *words)
    assert done.returncode in (0, 1), done.stderr
    assert "Fixable Severity at least Important" in done.stdout or "No CPU request" in done.stdout


def test_a_registrys_images_are_scanned_by_the_cluster_that_is_set_for_it(
    kube: Cluster, tmp_path: Path
) -> None:
    writer = ImageWriter()
    writer.add(dpkg_root([("openssl", "3.0.2-0", ""), ("zlib1g", "1:1.2.11.dfsg-2", "zlib")]))
    archive = writer.write_docker_archive(tmp_path / "image.tar")
    namespace = kube.namespace()
    with (
        start_registry(tmp_path / "registry", password=True) as registry,
        Up(tmp_path, environment={"ROX_ADMIN_PASSWORD": PASSWORD}) as up,
    ):
        image = registry.push(f"docker-archive:{archive}", "team/shop:1.4")
        secured = Secured(up, kube, tmp_path)
        before = secured.sensor
        secured.sensor = Process(
            before.name,
            tmp_path / before.name,
            {**before._environment, "REDOUBT_SENSOR_INDEXER": _indexer(up)},
        )
        central = secured.central
        try:
            _with_bundle(secured, tmp_path / before.name / "certificates")
            kube.admin.create(_pull_secret(namespace, registry.host))
            secured.sensor.start()

            def cluster() -> dict[str, Any]:
                found = central.get("/v1/clusters")["clusters"]
                return next((each for each in found if each["healthStatus"].get("lastSynced")), {})

            identifier = secured.until("a cluster that was synced", cluster)["id"]
            config = {
                "enabledFor": "SPECIFIC",
                "registries": [{"path": registry.host, "clusterId": identifier}],
            }
            central.ask("PUT", "/v1/delegatedregistryconfig", config)
            found = central.ask("POST", "/v1/images/scan", {"imageName": image, "namespace": namespace})
            assert found["clusterId"] == identifier
            assert {each["name"] for each in found["scan"]["components"]} >= {"openssl", "zlib1g"}
            # A namespace without a pull secret has nothing to read the image with, and Central does not help out.
            other = registry.push(f"docker-archive:{archive}", "team/other:1")
            status, told = central.call(
                "POST", "/v1/images/scan", {"imageName": other, "namespace": "default"}
            )
            assert status >= 400, told
            kube.admin.create(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": "shop", "namespace": namespace},
                    "spec": {"containers": [{"name": "main", "image": other}]},
                }
            )

            def scanned() -> bool:
                listed = central.get(f"/v1/images?query={quote(f'Image:{other}')}")["images"]
                return any(each["name"] == other for each in listed)

            secured.until("the image of a pod of the cluster", scanned)
            _roxctl_asks_the_cluster(up, registry, archive, namespace, tmp_path)
        finally:
            secured.stop()
