"""``roxctl sbom``: what an SBOM lists is matched by Central."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from redoubt.cli.roxctl import options
from redoubt.cli.roxctl.image import fail, severity
from redoubt.cli.roxctl.printing import printer_options

_COMMANDS = {"scan": ("redoubt.cli.roxctl.sbom:scan", "Find the vulnerabilities of what an SBOM lists.")}


@options.group(_COMMANDS, timeout="5m")
def sbom() -> None:
    """Scan SBOMs through Central."""


@options.command(timeout="5m")
@click.option(
    "--file",
    type=click.Path(path_type=Path, allow_dash=True),
    required=True,
    help="The SBOM: SPDX 2.3 or CycloneDX, as JSON. `-` reads standard input.",
)
@click.option("--content-type", default="", help="Its media type. Default: told from its content.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "csv", "json", "sarif", "legacy-json"]),
    default="table",
    show_default=True,
    help="Form of the report; legacy-json is Central's answer as it came.",
)
@severity
@fail
@printer_options
@click.pass_context
def scan(ctx: click.Context, /, **given: Any) -> None:
    """Report the vulnerabilities of what an SBOM lists. The image itself isn't needed.

    \b
    roxctl image sbom -i registry.example/shop:1.4 > shop.spdx.json
    roxctl sbom scan --file shop.spdx.json --severity CRITICAL --fail
    """
    from redoubt.cli.roxctl import scanning

    scanning.scan_sbom(ctx, given)
