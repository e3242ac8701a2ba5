"""Options that several commands share, and the values that they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])

#: Those of ``formats.FORMATS``, written again so that ``--help`` loads nothing; a test holds them together.
FORMATS = (
    *("table", "json", "cyclonedx", "html"),
    *("csv", "sarif", "junit", "spdx", "gitlab", "github", "openvex"),
)
SEVERITIES = ("unknown", "negligible", "low", "medium", "high", "critical")
#: How a file's name ends → its format, the longer endings first.
_ENDINGS = {
    ".cdx.json": "cyclonedx",
    ".spdx.json": "spdx",
    ".sarif.json": "sarif",
    ".junit.xml": "junit",
    ".openvex.json": "openvex",
    ".vex.json": "openvex",
    ".cdx": "cyclonedx",
    ".sarif": "sarif",
    ".csv": "csv",
    ".html": "html",
    ".htm": "html",
    ".json": "json",
    ".txt": "table",
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Duration(click.ParamType["timedelta"]):
    """``36h``, ``5d``, ``90m``, ``2w``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """A ``timedelta``; a usage error otherwise."""
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(str(value).strip().lower())
        if not match:
            self.fail(f"{value!r} is not a duration; write for example 36h or 5d", param, ctx)
        try:
            return timedelta(**{_UNITS[match[2]]: float(match[1])})
        except OverflowError:
            self.fail(f"{value!r} is too long", param, ctx)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, listed in the order given."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


output = together(
    click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        help="Form of the report. Default: by the suffix of --output-file, else a table.",
    ),
    click.option(
        "--output-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write the report here instead of to standard output.",
    ),
)

listing = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the list.",
)

quiet = click.option("-q", "--quiet", is_flag=True, help="No notices and no progress; warnings stay.")

signing_keys = click.option(
    "--key",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    multiple=True,
    help="What to sign with: a folder of keygen, or a private key with root.json beside it. May be repeated.",
)

image = together(
    click.option(
        "--platform", help="Which image of a multi-platform one, as linux/arm64. Default: this machine's."
    ),
    click.option(
        "--ca-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Certificate authority of the registry, as PEM.",
    ),
    click.option(
        "--insecure", is_flag=True, help="Accept plain HTTP and unverified certificates of the registry."
    ),
    click.option(
        "--username", help="Registry user. Default: what docker, podman or a credential helper stored."
    ),
    click.option("--password-stdin", is_flag=True, help="Read the registry password from standard input."),
    click.option(
        "--java-index",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Names for jars that don't say what they are (see `redoubt java-index`).",
    ),
    click.option(
        "--package-files",
        is_flag=True,
        help="Count .rpm, .deb and .apk files that lie about as what they would install.",
    ),
    click.option("--no-cache", is_flag=True, help="Neither read nor write cached layer reports."),
    click.option(
        "--workers", type=click.IntRange(1, 64), help="Layers read at once. Default: one per CPU, 4 at most."
    ),
)

age = together(
    click.option(
        "--notice-after",
        type=Duration(),
        default="24h",
        show_default=True,
        help="Mention definitions older than this.",
    ),
    click.option(
        "--warn-after",
        type=Duration(),
        default="5d",
        show_default=True,
        help="Warn of definitions older than this.",
    ),
    click.option(
        "--fail-on-stale",
        is_flag=True,
        help="Exit with 4 and without a report if definitions are older than --warn-after.",
    ),
)

definitions = click.option(
    "--definitions",
    metavar="FILE|DIR|DIGEST",
    help="Definitions to use instead of the active ones. A bundle is verified like an import.",
)

#: Those of ``model.Detection``, written again so that ``--help`` loads nothing; a test holds them together.
DETECTIONS = ("precise", "comprehensive")

detection = click.option(
    "--detection",
    type=click.Choice(DETECTIONS),
    default="precise",
    show_default=True,
    help="Who judges what the system's packages brought of Python, npm and the like: precise: the distribution "
    "alone, where its data names unfixed flaws too; comprehensive: upstream's data as well.",
)

assessments = together(
    click.option(
        "--ignore-file",
        "ignore_file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        multiple=True,
        help="Rules that silence findings, as TOML, each with a reason. May be repeated.",
    ),
    click.option(
        "--vex",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        multiple=True,
        help="A VEX document (OpenVEX or CSAF) whose word on findings counts. May be repeated.",
    ),
)

judging = together(
    click.option(
        "--fail-on",
        type=click.Choice(SEVERITIES, case_sensitive=False),
        help="Exit with 1 if a finding is at least this severe; unknown: any finding.",
    ),
    click.option(
        "--fail-on-incomplete", is_flag=True, help="Exit with 3 if any part of the image could not be judged."
    ),
    click.option(
        "--fail-on-end-of-life",
        is_flag=True,
        help="Exit with 3 if the image's distribution is no longer looked after.",
    ),
    click.option(
        "--only-fixed", is_flag=True, help="Leave out what no version repairs that everybody can have."
    ),
    assessments,
    detection,
    click.option(
        "--show-suppressed", is_flag=True, help="List in a table the findings that do not count, and why."
    ),
    definitions,
)


def format_of(given: str | None, file: Path | None) -> str:
    """The output form: as given, else by how the file's name ends, else a table."""
    if given:
        return given
    name = file.name.lower() if file else ""
    return next((form for ending, form in _ENDINGS.items() if name.endswith(ending)), "table")
