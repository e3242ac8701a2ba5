"""``roxctl image``: an image is scanned through Central, checked against policies, or listed as an SBOM."""

from __future__ import annotations

from typing import Any

import click

from redoubt.cli.roxctl import checkoptions, options
from redoubt.cli.roxctl.printing import printer_options

_COMMANDS = {
    "scan": ("redoubt.cli.roxctl.image:scan", "Find the vulnerabilities of an image."),
    "check": ("redoubt.cli.roxctl.image:check", "Check an image against policies of the build."),
    "sbom": ("redoubt.cli.roxctl.image:sbom", "List what is in an image, as SPDX 2.3."),
}

#: What the original prints, and what Central's whole report makes possible beyond that.
FORMS = ("table", "csv", "json", "sarif", "legacy-json", "legacy-csv")
WHOLE = ("report", "report-json", "html", "cyclonedx", "spdx", "junit", "gitlab", "openvex")
#: Those of ``results.SEVERITIES``, written again so that ``--help`` loads nothing; a test holds them together.
SEVERITIES = ("UNKNOWN", "LOW", "MODERATE", "IMPORTANT", "CRITICAL")


@options.group(_COMMANDS, timeout="10m")
def image() -> None:
    """Scan images through Central, and list what they hold."""


def _image_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "-i",
                "--image",
                "image",
                required=True,
                metavar="NAME",
                help="The image, as registry.example/shop:1.4.",
            ),
            click.option(
                "-f",
                "--force",
                is_flag=True,
                help="Let Central fetch and look at it again, whatever it has stored.",
            ),
            click.option(
                "--platform",
                default="",
                metavar="OS/ARCH",
                help="Which image of a multi-platform one, as linux/arm64. Default: the Indexer's own.",
            ),
            click.option("--cluster", default="", help="Let the Sensor of this cluster (name or ID) scan."),
            click.option(
                "--namespace", default="", help="With --cluster: the namespace whose pull secrets are used."
            ),
            options.retries,
            options.retry_delay,
        )
    ):
        command = option(command)
    return command


severity = click.option(
    "--severity",
    "severity",
    multiple=True,
    type=options.Words(SEVERITIES),
    metavar="A,B",
    help=f"Only these: {', '.join(SEVERITIES)}. Default: all.",
)
fail = click.option("--fail", is_flag=True, help="Exit with 1 if a vulnerability (of --severity) is found.")


@options.command(timeout="10m")
@_image_options
@click.option(
    "-o",
    "--output",
    type=click.Choice([*FORMS, *WHOLE]),
    help="Form of the report. Default: legacy-json, for scripts that expect it.",
)
@severity
@fail
@printer_options
@click.option("-a", "--include-snoozed", is_flag=True, help="Flaws that somebody put off, too.")
@click.option("--format", "format", type=click.Choice(["json", "csv"]), help="Deprecated: say --output.")
@click.pass_context
def scan(ctx: click.Context, /, **given: Any) -> None:
    """Scan an image through Central and report its vulnerabilities.

    Central finds what `redoubt scan` finds with the same definitions; nothing of the image travels through this machine. Needs
    write access to Image.

    What could not be judged is warned of on standard error: no findings never means "could not tell".

    \b
    roxctl image scan -i registry.example/shop:1.4 -o table
    roxctl image scan -i registry.example/shop:1.4 -o table --headers CVE,COMPONENT,FIXED_VERSION --required-headers FIXED_VERSION
    roxctl image scan -i registry.example/shop:1.4 -o sarif --severity IMPORTANT,CRITICAL --fail      for a pipeline
    roxctl image scan -i registry.example/shop:1.4 -o html > shop.html      (also report, cyclonedx, spdx, junit, gitlab, openvex)
    """
    from redoubt.cli.roxctl import scanning

    scanning.scan_image(ctx, given)


@options.command(timeout="10m")
@_image_options
@checkoptions.output
@checkoptions.categories
@click.option("--send-notifications", is_flag=True, help="Let Central notify of violations.")
@checkoptions.check_options
@checkoptions.legacy_json
@click.option(
    "--json-fail-on-policy-violations",
    type=bool,
    default=True,
    help="Deprecated, with --json: whether violations count for the exit code.",
)
@checkoptions.print_all
@click.pass_context
def check(ctx: click.Context, /, **given: Any) -> None:
    """Check an image against the policies of the build stage.

    Exits with 1 if a policy is violated that says the build must fail, with 0 if only others are. A policy that could not be asked
    is warned of. Needs read access to Detection.

    \b
    roxctl image check -i registry.example/shop:1.4
    roxctl image check -i registry.example/shop:1.4 -o junit > policies.xml
    roxctl image check -i registry.example/shop:1.4 -c "Vulnerability Management"
    """
    from redoubt.cli.roxctl import checking

    checking.check_image(ctx, given)


@options.command(timeout="10m")
@_image_options
@click.pass_context
def sbom(ctx: click.Context, /, **given: Any) -> None:
    """Write an SPDX 2.3 document of what is in an image to standard output.

    \b
    roxctl image sbom -i registry.example/shop:1.4 > shop.spdx.json
    """
    from redoubt.cli.roxctl import scanning

    scanning.image_sbom(ctx, given)
