"""``roxctl deployment``: manifests are checked against policies before they are applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from redoubt.cli.roxctl import options
from redoubt.cli.roxctl.checkoptions import deploy_check_options

_COMMANDS = {
    "check": ("redoubt.cli.roxctl.deployment:check", "Check manifests against policies of the deploy stage."),
}


@options.group(_COMMANDS, timeout="10m")
def deployment() -> None:
    """Check workloads before they are there."""


@options.command(timeout="10m")
@click.option(
    "-f",
    "--file",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A file of YAML; - for standard input. Can be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "csv", "json", "junit", "sarif"]),
    default="table",
    show_default=True,
    help="Form of the report.",
)
@click.option(
    "-c",
    "--categories",
    multiple=True,
    metavar="A,B",
    help="Only policies of these categories. Default: all.",
)
@click.option("--force", is_flag=True, help="Let Central look at the images again, whatever it has stored.")
@click.option(
    "--cluster", default="", help="Let the Sensor of this cluster (name or ID) say more of the workloads."
)
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="Of workloads whose manifest names none."
)
@click.option("-v", "--verbose", is_flag=True, help="Name the objects that are no workloads.")
@click.option(
    "-r",
    "--retries",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="Tries after the first.",
)
@click.option(
    "-d",
    "--retry-delay",
    type=click.IntRange(0, 3600),
    default=3,
    show_default=True,
    help="Seconds between tries.",
)
@deploy_check_options
@click.option("--json", "json", is_flag=True, help="Deprecated: say -o json, whose structure is another.")
@click.option("--print-all-violations", is_flag=True, hidden=True, help="Deprecated: all are printed.")
@click.pass_context
def check(ctx: click.Context, /, **given: Any) -> None:
    """Check manifests against the policies of the deploy stage.

    Exits with 1 if a policy is violated that would scale the workload to zero, with 0 if only others are. Their images are scanned.
    What only a cluster knows (network policies, RBAC, services) is not asked of a manifest. Needs read access to Detection.

    \b
    roxctl deployment check -f shop.yaml
    helm template shop | roxctl deployment check -f - -o sarif
    """
    from redoubt.cli.roxctl import checking

    checking.check_deployment(ctx, given)
