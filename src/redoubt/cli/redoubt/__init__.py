"""``redoubt``: scan on the spot, and work with definitions."""

from __future__ import annotations

import click

from redoubt.cli.entry import HELP, LazyGroup, run, version_option

_HERE = "redoubt.cli.redoubt"

_COMMANDS = {
    "scan": (f"{_HERE}.scan:scan", "Find the vulnerabilities of an image, archive or folder."),
    "index": (f"{_HERE}.scan:index", "List the packages of an image, archive or folder."),
    "match": (f"{_HERE}.scan:match", "Match an index made before against the definitions of today."),
    "explain": (f"{_HERE}.explaining:explain", "Tell why a flaw is, or is not, a finding in a target."),
    "definitions": (
        f"{_HERE}.definitions:definitions",
        "Build, carry, check and switch vulnerability definitions.",
    ),
    "java-index": (
        f"{_HERE}.java_index:java_index",
        "Name jars that don't say what they are, by their SHA-1.",
    ),
    "up": (f"{_HERE}.up:up", "Run Central, Indexer, Matcher and their database on this machine."),
    "central": (f"{_HERE}.serving:central", "Run Central, for Kubernetes."),
    "indexer": (f"{_HERE}.serving:indexer", "Run an Indexer, for Kubernetes."),
    "matcher": (f"{_HERE}.serving:matcher", "Run a Matcher, for Kubernetes."),
    "sensor": (f"{_HERE}.securing:sensor", "Watch a cluster for Central, for Kubernetes."),
    "admission": (f"{_HERE}.securing:admission", "Run an admission controller, for Kubernetes."),
    "node": (f"{_HERE}.collecting:node", "Tell the Sensor what is installed on this node."),
    "collector": (f"{_HERE}.collecting:collector", "Tell what processes in this node's containers do."),
    "certificates": (
        f"{_HERE}.certificates:certificates",
        "Make the services' CA, issue certificates, exchange them.",
    ),
    "completion": (f"{_HERE}.completion:completion", "Print the completion script of a shell."),
    "version": (f"{_HERE}.completion:version", "Print the version."),
}


@click.group(cls=LazyGroup, commands_at=_COMMANDS, context_settings=HELP)
@version_option
def redoubt() -> None:
    """Find known vulnerabilities in container images, without the internet.

    \b
    Begin here:
      redoubt definitions import BUNDLE.zip    carry definitions in (once, then daily)
      redoubt scan registry.local/shop:1.4     scan an image in your registry
      redoubt scan shop.tar                    scan what `docker save` wrote
      redoubt scan shop.tar --fail-on high     stop a pipeline (exit code 1)

    Every option can also be given as an environment variable (REDOUBT_SCAN_FAIL_ON=high) or in
    ~/.config/redoubt/config.toml; a flag wins over the environment, and that over the file.
    """


def main() -> None:
    """Console script."""
    run(redoubt, "redoubt")
