"""``roxctl``: the commands that StackRox's users type, against a running Central."""

from __future__ import annotations

from redoubt.cli.entry import run, version_option
from redoubt.cli.roxctl import options

_HERE = "redoubt.cli.roxctl"

_COMMANDS = {
    "scanner": (f"{_HERE}.scanner:scanner", "Fetch vulnerability definitions, and upload them to Central."),
    "image": (f"{_HERE}.image:image", "Scan images through Central, and list what they hold."),
    "deployment": (f"{_HERE}.deployment:deployment", "Check manifests against policies."),
    "sbom": (f"{_HERE}.sbom:sbom", "Scan an SBOM through Central."),
    "definitions": (
        f"{_HERE}.definitions:definitions",
        "See and switch the definitions that Central works with.",
    ),
    "central": (f"{_HERE}.central:central", "Log in, and ask Central about itself and you."),
    "sensor": (f"{_HERE}.sensor:sensor", "Make the manifests of a new cluster's services."),
    "collector": (f"{_HERE}.collector:collector", "Upload kernel support packages."),
    "netpol": (f"{_HERE}.netpol:netpol", "See what network policies in manifests let through."),
    "version": (f"{_HERE}.version:version", "Print roxctl's version."),
    "completion": (f"{_HERE}.version:completion", "Print the completion script of a shell."),
}


@options.group(_COMMANDS)
@version_option
def roxctl() -> None:
    """Work with a running Central: give it definitions, scan images through it.

    \b
    Begin here:
      export ROX_ENDPOINT=central.example:8443 ROX_API_TOKEN=...   or: roxctl central login
      roxctl central whoami                                        does it answer, and who am I to it
      roxctl scanner download-db                                   where there is internet
      roxctl scanner upload-db --scanner-db-file BUNDLE.zip        behind the gap
      roxctl image scan -i registry.example/shop:1.4 -o table

    Exit codes are those of `redoubt`: 0 done, 1 findings, 2 typed wrong, 3 unreadable input, 4 definitions refused,
    5 credentials, 6 network or server. To scan without a server use `redoubt scan`.
    """
    from redoubt.cli.roxctl import settings

    if settings.no_color():
        import os

        os.environ["NO_COLOR"] = "1"
    if file := settings.stdout_file():
        _redirect(file)


def _redirect(file: str) -> None:
    """Standard output leads into ``file`` from here on, as ``ROX_STDOUT`` says."""
    import sys
    from pathlib import Path

    from redoubt.errors import AccessDenied

    try:
        sys.stdout = Path(file).open("w", encoding="utf-8")  # noqa: SIM115  # until the end
    except OSError as error:
        raise AccessDenied(f"{file}: {error.strerror}; check ROX_STDOUT") from None


def main() -> None:
    """Console script."""
    run(roxctl, "roxctl")
