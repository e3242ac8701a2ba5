"""The flags that decide how a policy check is printed. Knows nothing of policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])

output = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "csv", "json", "junit", "sarif"]),
    default="table",
    show_default=True,
    help="Form of the report.",
)
categories = click.option(
    "-c",
    "--categories",
    multiple=True,
    metavar="A,B",
    help="Only policies of these categories. Default: all.",
)
legacy_json = click.option(
    "--json", "json", is_flag=True, help="Deprecated: say -o json, whose structure is another."
)
print_all = click.option(
    "--print-all-violations", is_flag=True, hidden=True, help="Deprecated: all are printed."
)

#: Columns; those of ``checkforms.HEADERS``, written again so that ``--help`` loads nothing; a test holds them together.
HEADERS = ("POLICY", "SEVERITY", "BREAKS BUILD", "DESCRIPTION", "VIOLATION", "REMEDIATION")
DEPLOY_HEADERS = (
    "POLICY",
    "SEVERITY",
    "BREAKS DEPLOY",
    "DEPLOYMENT",
    "DESCRIPTION",
    "VIOLATION",
    "REMEDIATION",
)


def check_options(command: F) -> F:
    """The flags that a ``checkforms.Form`` is made of."""
    return _options(command, HEADERS, "image-check")


def deploy_check_options(command: F) -> F:
    """The flags that a ``checkforms.DeployForm`` is made of."""
    return _options(command, DEPLOY_HEADERS, "deployment-check")


def _options(command: F, headers: tuple[str, ...], suite: str) -> F:
    for option in reversed(
        (
            click.option(
                "--headers",
                multiple=True,
                metavar="A,B",
                help=f"Columns of table and csv. Default: all: {', '.join(headers)}.",
            ),
            click.option(
                "--required-headers",
                multiple=True,
                metavar="A,B",
                help="Leave out rows in which one of these is empty.",
            ),
            click.option(
                "--row-jsonpath-expressions",
                hidden=True,
                help="Columns as gJSON paths of `results.violatedPolicies`.",
            ),
            click.option(
                "--merge-output/--no-merge-output",
                default=True,
                hidden=True,
                help="For scripts of the original's; nothing is merged.",
            ),
            click.option("--no-header", is_flag=True, help="No line with the columns' names."),
            click.option("--headers-as-comments", is_flag=True, help="The csv's columns' names after a ';'."),
            click.option("--compact-output", is_flag=True, help="JSON on one line."),
            click.option(
                "--junit-suite-name",
                default=suite,
                show_default=True,
                help="What junit calls the suite.",
            ),
        )
    ):
        command = option(command)
    return command
