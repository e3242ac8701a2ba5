"""``roxctl sensor``: a new cluster's services, as manifests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from redoubt.cli.roxctl import options

_HERE = "redoubt.cli.roxctl.sensor"

_COMMANDS = {"generate": (f"{_HERE}:generate", "Make the manifests of a new cluster's services.")}
_KINDS = {"k8s": (f"{_HERE}:k8s", "For Kubernetes.")}

Command = TypeVar("Command", bound=Callable[..., Any])

#: How Collectors watch; ``default`` is the first. The original's are among them.
METHODS = ("core_bpf", "auto", "ebpf", "proc_connector", "none", "default")


@options.group(_COMMANDS, timeout="5m")
def sensor() -> None:
    """Bring a cluster under Central's eyes."""


@options.group(_KINDS, timeout="5m")
def generate() -> None:
    """Add a cluster at Central, and make all that `kubectl apply` needs to install its services."""


def _ignored(*names: str) -> Callable[[Command], Command]:
    """Options of the original that change nothing here."""

    def adding(command: Command) -> Command:
        for name in names:
            command = click.option(
                f"--{name}",
                hidden=True,
                help="Without effect.",
                expose_value=False,
                is_flag=False,
                flag_value="true",
            )(command)
        return command

    return adding


@options.command("k8s", timeout="5m")
@click.option("--name", required=True, help="What the cluster is called.")
@click.option(
    "--central",
    default="central.stackrox:443",
    show_default=True,
    metavar="HOST:PORT",
    help="Where the Sensor finds Central; its certificate has to be for this name.",
)
@click.option(
    "--main-image-repository",
    "--image",
    required=True,
    metavar="IMAGE",
    help="The image with Redoubt in it, as the cluster's nodes pull it.",
)
@click.option(
    "--collector-image-repository",
    default="",
    metavar="IMAGE",
    help="Another one for the nodes' services.",
)
@click.option(
    "--image-pull-secret",
    default="",
    metavar="NAME",
    help="A Secret to pull images with, in the namespace stackrox.",
)
@click.option(
    "--collection-method",
    type=click.Choice(METHODS, case_sensitive=False),
    default="core_bpf",
    show_default=True,
    help="How Collectors watch; auto falls back to a way without BPF, which needs the host's network; none: no Collector.",
)
@click.option(
    "--admission-controller-enforcement/--no-admission-controller-enforcement",
    default=True,
    show_default=True,
    help="Refuse what breaks a policy that is enforced.",
)
@click.option(
    "--admission-controller-fail-on-error",
    is_flag=True,
    help="Refuse what cannot be judged, also while no admission controller answers.",
)
@click.option(
    "--admission-controller-disable-bypass",
    is_flag=True,
    help="No way around by annotation.",
)
@click.option(
    "--auto-lock-process-baselines",
    is_flag=True,
    help="Lock process baselines when they are learned.",
)
@click.option("--disable-tolerations", is_flag=True, help="No Collector on tainted nodes.")
@click.option(
    "--volume-claim",
    default="",
    metavar="SIZE",
    help="Keep what waits for Central on a volume of this size, such as 1Gi. Default: with the Sensor's pod.",
)
@click.option("--continue-if-exists", is_flag=True, help="Go on where Central has a cluster of that name.")
@click.option(
    "--output-dir", type=click.Path(path_type=Path), default=None, help="A new folder. Default: sensor-NAME."
)
@_ignored(
    "create-upgrader-sa",
    "enable-pod-security-policies",
    "istio-support",
    "admission-controller-listen-on-creates",
    "admission-controller-listen-on-updates",
    "admission-controller-listen-on-events",
    "admission-controller-enforce-on-creates",
    "admission-controller-enforce-on-updates",
    "admission-controller-scan-inline",
    "admission-controller-timeout",
)
@click.pass_context
def k8s(ctx: click.Context, /, **given: Any) -> None:
    """Add a cluster at Central, make an init bundle for it, and write the manifests of its services: Sensor, admission controller, and on
    each node Collector and node agent, with the rights that each needs and no others.

    secrets.yaml holds private keys that are nowhere else, and is only yours to read; the other files can be kept anywhere. Needs
    read-write access to Cluster, Administration and Integration.

    \b
    roxctl sensor generate k8s --name ward --central central.example:443 --image registry.example/redoubt:1.0
    kubectl apply -f sensor-ward/
    """
    from redoubt.cli.roxctl import generating

    generating.kubernetes(ctx, generating.Wanted(**given))
