"""``roxctl deployment``: manifests are checked against policies before they are applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from redoubt.cli.roxctl import checkoptions, options

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
@checkoptions.output
@checkoptions.categories
@click.option("--force", is_flag=True, help="Let Central look at the images again, whatever it has stored.")
@click.option(
    "--cluster", default="", help="Let the Sensor of this cluster (name or ID) say more of the workloads."
)
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="Of workloads whose manifest names none."
)
@click.option("-v", "--verbose", is_flag=True, help="Name the objects that are no workloads.")
@options.retries
@options.retry_delay
@checkoptions.deploy_check_options
@checkoptions.legacy_json
@checkoptions.print_all
@click.pass_context
def check(ctx: click.Context, /, **given: Any) -> None:
    """Check manifests against the policies of the deploy stage.

    Exits with 1 if a policy is violated that would scale the workload to zero, with 0 if only others are. Their images are scanned.
    What only a cluster knows (network policies, RBAC, services) is asked with --cluster. Needs read access to Detection.

    \b
    roxctl deployment check -f shop.yaml
    helm template shop | roxctl deployment check -f - -o sarif
    """
    from redoubt.cli.roxctl import checking

    checking.check_deployment(ctx, given)
