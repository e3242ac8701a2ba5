"""``roxctl scanner``: definitions are fetched where there is internet, and given to Central behind the gap."""

from __future__ import annotations

from pathlib import Path

import click

from redoubt.cli.roxctl import options

_COMMANDS = {
    "download-db": (
        "redoubt.cli.roxctl.scanner:download_db",
        "Fetch an offline bundle of definitions (where there is internet).",
    ),
    "upload-db": ("redoubt.cli.roxctl.scanner:upload_db", "Upload a bundle of definitions to Central."),
}


@options.group(_COMMANDS)
def scanner() -> None:
    """Carry vulnerability definitions to a Central that has no internet.

    \b
    Where there is internet:
      roxctl scanner download-db --scanner-db-file today.zip
    Behind the gap:
      roxctl scanner upload-db --scanner-db-file today.zip
    """


@options.command("download-db", timeout="no limit, but a connection that stands still is given up")
@click.option(
    "--version",
    "version",
    metavar="X.Y.Z",
    help="The release of StackRox whose bundle is meant. Default: the one that Central follows, else the newest that "
    "roxctl knows.",
)
@click.option(
    "--scanner-db-file",
    "scanner_db_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it. Default: what it is called upstream, as 4.11/scanner-vulns-4.11.zip.",
)
@click.option("--force", is_flag=True, help="Replace files that are here already.")
@click.option("--skip-central", is_flag=True, help="Don't ask Central which release it follows.")
@click.option(
    "--skip-variants", is_flag=True, help="Try the version as it is written only, and not 4.11 for 4.11.3."
)
@click.pass_context
def download_db(
    ctx: click.Context,
    version: str | None,
    scanner_db_file: Path | None,
    force: bool,
    skip_central: bool,
    skip_variants: bool,
) -> None:
    """Fetch an offline bundle of vulnerability definitions, and say who vouches for it.

    Of version 4.11.3-rc.1 the bundles of 4.11.3-rc.1, 4.11.3 and 4.11 are tried in this order. What broke off goes on where it
    stopped when the command is given again.

    It comes from StackRox (install.stackrox.io), whose bundles nobody signs, or from the address, folder, file:// URL or zip in
    ROX_SCAN_DB_DL_BASE_URL. A bundle that `redoubt definitions build` signed is verified with the roots that
    `redoubt definitions trust list` shows.

    \b
    roxctl scanner download-db                                        into 4.11.3/ or 4.11/ here
    roxctl scanner download-db --scanner-db-file today.zip --force    daily, always the same file
    ROX_SCAN_DB_DL_BASE_URL=/mnt/stick roxctl scanner download-db     from what somebody brought
    """
    from redoubt.cli.roxctl import downloading

    downloading.download_db(
        ctx,
        version=version,
        file=scanner_db_file,
        force=force,
        skip_central=skip_central,
        skip_variants=skip_variants,
    )


@options.command("upload-db", timeout="no limit, but a transfer that stands still is given up")
@click.option(
    "--scanner-db-file",
    "scanner_db_file",
    type=click.Path(path_type=Path),
    required=True,
    help="The bundle: of `redoubt definitions build` or `delta`, or of `roxctl scanner download-db`.",
)
@click.option(
    "--allow-older",
    is_flag=True,
    help="Accept a bundle older than the last one of its channel; Central records it.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notices; warnings stay.")
@click.pass_context
def upload_db(ctx: click.Context, scanner_db_file: Path, allow_older: bool, quiet: bool) -> None:
    """Upload a bundle of vulnerability definitions to Central, which verifies it and switches to it in one step.

    Needs write access to Administration. What is refused (exit code 4: not signed by a root that Central trusts, damaged, older than
    the last one) leaves what was active as it is.

    \b
    export ROX_API_TOKEN=...
    roxctl scanner upload-db -e central.example:443 --scanner-db-file=today.zip
    """
    from redoubt.cli.roxctl import uploading

    uploading.upload_db(ctx, scanner_db_file, allow_older=allow_older, quiet=quiet)
