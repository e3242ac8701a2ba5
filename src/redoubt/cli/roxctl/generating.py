"""``roxctl sensor generate``: the cluster's record at Central, an init bundle, and the manifests.

What the manifests are stands in ``secured-cluster.yaml`` beside this module; here it is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from redoubt.cli.console import Console, clean
from redoubt.cli.roxctl import bundles, connection, newfile
from redoubt.errors import AccessDenied, RedoubtError, UsageError

NAMESPACE = "stackrox"
_NAMESPACE = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n"
#: What Kubernetes takes as an amount of bytes; and an image's name, as far as it is looked at here.
_SIZE = re.compile(r"[0-9]+(\.[0-9]+)?([KMGTPE]i?|[kmE])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_PLACE = re.compile(r"\[?[A-Za-z0-9.:-]+\]?:[0-9]{1,5}")
#: Ways of watching that need the host's network, to see what starts without BPF.
_WITHOUT_BPF = ("auto", "proc_connector")

Manifest = dict[str, Any]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed."""

    name: str
    central: str
    main_image_repository: str
    collector_image_repository: str = ""
    image_pull_secret: str = ""
    collection_method: str = "core_bpf"
    admission_controller_enforcement: bool = True
    admission_controller_fail_on_error: bool = False
    admission_controller_disable_bypass: bool = False
    auto_lock_process_baselines: bool = False
    disable_tolerations: bool = False
    volume_claim: str = ""
    continue_if_exists: bool = False
    output_dir: Path | None = None

    @property
    def collector_image(self) -> str:
        """What nodes run."""
        return self.collector_image_repository or self.main_image_repository

    @property
    def method(self) -> str:
        """How Collectors watch."""
        chosen = self.collection_method.lower()
        return "core_bpf" if chosen == "default" else chosen


class _Cluster(msgspec.Struct):
    id: str = ""
    name: str = ""


class _Added(msgspec.Struct):
    cluster: _Cluster


class _Clusters(msgspec.Struct):
    clusters: tuple[_Cluster, ...] = ()


def kubernetes(ctx: click.Context, wanted: Wanted) -> None:
    """``roxctl sensor generate k8s``. Files are made first: a bundle that cannot be written is not asked for."""
    _check(wanted)
    console = Console()
    folder = wanted.output_dir or Path(f"sensor-{_plain(wanted.name)}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(
            f"{folder} is there already; move it away, or name another with --output-dir"
        ) from None
    except OSError as error:
        raise AccessDenied(f"{folder} cannot be made: {error.strerror}") from None
    try:
        with ExitStack() as stack:
            secrets = stack.enter_context(newfile.new(str(folder / "secrets.yaml")))
            (folder / "namespace.yaml").write_text(_NAMESPACE)
            (folder / "secured-cluster.yaml").write_text(text(wanted))
            with connection.central(ctx, console, timeout=60.0) as central:
                _added(central, wanted)
                name = f"{_plain(wanted.name)[:100]}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
                made = bundles.made(central, name)
            newfile.write(secrets, bundles.decoded(made.kubectl_bundle))
    except BaseException:
        for name in ("namespace.yaml", "secured-cluster.yaml"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
        raise
    console.notice(
        f"cluster {clean(wanted.name)}, init bundle {clean(made.meta.name)}, good until {clean(made.meta.expires_at)}"
    )
    console.notice(f"{folder}/secrets.yaml holds private keys, which Central does not keep")
    click.echo(f"kubectl apply -f {folder}/")


def _check(wanted: Wanted) -> None:
    if not wanted.name.strip():
        raise UsageError("--name: a cluster has a name")
    for option, image in (
        ("--main-image-repository", wanted.main_image_repository),
        ("--collector-image-repository", wanted.collector_image_repository),
    ):
        if image and not _IMAGE.fullmatch(image):
            raise UsageError(
                f"{option} {image!r} is not an image's name; write for example registry.example/redoubt:1.0"
            )
    if not _PLACE.fullmatch(wanted.central):
        raise UsageError(f"--central {wanted.central!r}: write HOST:PORT, as central.example:443")
    if wanted.volume_claim and not _SIZE.fullmatch(wanted.volume_claim):
        raise UsageError(f"--volume-claim {wanted.volume_claim!r} is not a size; write for example 1Gi")


def _plain(name: str) -> str:
    """A cluster's name as a file and an init bundle may be called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "cluster"


def _added(central: connection.Central, wanted: Wanted) -> None:
    """The cluster's record is at Central. Raises ``UsageError`` where there is one of that name."""
    if any(each.name == wanted.name for each in central.get("/v1/clusters", _Clusters).clusters):
        if not wanted.continue_if_exists:
            raise UsageError(
                f"Central has a cluster {clean(wanted.name)!r} already; --continue-if-exists makes manifests for it and leaves its "
                "configuration as it is"
            )
        return
    central.read(central.work("/v1/clusters", record(wanted)), _Added)


def record(wanted: Wanted) -> dict[str, Any]:
    """What Central is told of the cluster, ``storage.Cluster``."""
    enforce = wanted.admission_controller_enforcement
    return {
        "name": wanted.name,
        "type": "KUBERNETES_CLUSTER",
        "mainImage": wanted.main_image_repository,
        "collectorImage": wanted.collector_image,
        "centralApiEndpoint": wanted.central,
        "collectionMethod": {"none": "NO_COLLECTION", "ebpf": "EBPF"}.get(wanted.method, "CORE_BPF"),
        "admissionController": True,
        "admissionControllerUpdates": True,
        "admissionControllerEvents": True,
        "admissionControllerFailOnError": wanted.admission_controller_fail_on_error,
        "dynamicConfig": {
            "admissionControllerConfig": {
                "enabled": enforce,
                "enforceOnUpdates": enforce,
                "scanInline": True,
                "disableBypass": wanted.admission_controller_disable_bypass,
            },
            "autoLockProcessBaselinesConfig": {"enabled": wanted.auto_lock_process_baselines},
        },
        "tolerationsConfig": {"disabled": wanted.disable_tolerations},
    }


def text(wanted: Wanted) -> str:
    """The manifests, without Secrets, as YAML."""
    head = f"# The services of the cluster {wanted.name!r}, made by roxctl sensor generate. Their certificates are in secrets.yaml.\n"
    return head + yaml.safe_dump_all(manifests(wanted), sort_keys=False, width=1000, allow_unicode=True)


def manifests(wanted: Wanted) -> list[Manifest]:
    """The manifests, without Secrets, in the order in which they are to be made."""
    found = [_filled(each, wanted) for each in template()]
    if wanted.volume_claim:
        found.insert(
            0,
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "sensor", "namespace": NAMESPACE},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": wanted.volume_claim}},
                },
            },
        )
    return found


def template() -> Iterator[Manifest]:
    """What ``secured-cluster.yaml`` holds."""
    held = resources.files("redoubt.cli.roxctl").joinpath("secured-cluster.yaml").read_text(encoding="utf-8")
    for each in yaml.safe_load_all(held):
        if not isinstance(each, dict):
            raise RedoubtError("secured-cluster.yaml is damaged; install Redoubt again")
        yield each


def _filled(given: Manifest, wanted: Wanted) -> Manifest:
    kind, name = given["kind"], given["metadata"]["name"]
    if kind == "ServiceAccount" and wanted.image_pull_secret:
        given["imagePullSecrets"] = [{"name": wanted.image_pull_secret}]
    if kind not in ("Deployment", "DaemonSet"):
        return given
    pod = given["spec"]["template"]["spec"]
    for each in pod["containers"]:
        each["image"] = wanted.collector_image if kind == "DaemonSet" else wanted.main_image_repository
    if name == "sensor":
        _set(pod["containers"][0], "ROX_CENTRAL_ENDPOINT", wanted.central)
        _set(pod["containers"][0], "ROX_CLUSTER_NAME", wanted.name)
        if wanted.volume_claim:
            claim = {"name": "data", "persistentVolumeClaim": {"claimName": "sensor"}}
            pod["volumes"] = [claim if each["name"] == "data" else each for each in pod["volumes"]]
    elif kind == "DaemonSet":
        _collect(pod, wanted)
    return given


def _collect(pod: Manifest, wanted: Wanted) -> None:
    """Collector and node agent, as the cluster is to be watched."""
    if wanted.disable_tolerations:
        del pod["tolerations"]
    if wanted.method == "none":
        pod["containers"] = [each for each in pod["containers"] if each["name"] != "collector"]
        return
    collector = pod["containers"][0]
    _set(collector, "ROX_COLLECTION_METHOD", wanted.method.upper())
    if wanted.method in _WITHOUT_BPF:
        pod |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
        collector["securityContext"]["capabilities"]["add"].append("NET_ADMIN")


def _set(container: Manifest, name: str, value: str) -> None:
    container["env"].append({"name": name, "value": value})
