"""``roxctl collector``: kernel support packages are carried to a Central that has no internet."""

from __future__ import annotations

from pathlib import Path

import click

from redoubt.cli.roxctl import options

_HERE = "redoubt.cli.roxctl.collector"

_COMMANDS = {"support-packages": (f"{_HERE}:support_packages", "Kernel support packages at Central.")}
_PACKAGES = {"upload": (f"{_HERE}:upload", "Upload a kernel support package.")}


@options.group(_COMMANDS)
def collector() -> None:
    """What Collectors of secured clusters need."""


@options.group(_PACKAGES)
def support_packages() -> None:
    """Kernel support packages at Central.

    They matter to secured clusters of version 4.4 and earlier only: since then Collector's probe fits every kernel.
    """


@options.command(timeout="no limit, but a transfer that stands still is given up", retry=True)
@click.argument("package_file", metavar="PACKAGE", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace files that Central has with other contents.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notices; warnings stay.")
@click.pass_context
def upload(ctx: click.Context, package_file: Path, overwrite: bool, quiet: bool) -> None:
    """Upload the probes in PACKAGE, a zip, that Central does not have yet.

    Files that are there already are not sent again. Those that are there with other contents are named and stay as they are, unless
    --overwrite is given. Deprecated: only secured clusters of version 4.4 and earlier use them.

    \b
    roxctl collector support-packages upload support-pkg-latest.zip -e central.example:443
    """
    from redoubt.cli.roxctl import probes

    probes.upload(ctx, package_file, overwrite=overwrite, quiet=quiet)
