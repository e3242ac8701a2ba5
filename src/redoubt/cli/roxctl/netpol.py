"""``roxctl netpol``: what network policies in manifests let through. No Central is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from redoubt.cli.roxctl import options

_HERE = "redoubt.cli.roxctl.netpol"
_COMMANDS = {"connectivity": (f"{_HERE}:connectivity", "See what network policies in manifests let through.")}
_KINDS = {
    "map": (f"{_HERE}:map_", "List all connections."),
    "diff": (f"{_HERE}:diff", "List what is otherwise between two folders."),
}

Command = TypeVar("Command", bound=Callable[..., Any])
_FOLDER = click.Path(path_type=Path)


@options.group(_COMMANDS)
def netpol() -> None:
    """Network policies in manifests, without a cluster and without Central."""


@options.group(_KINDS)
def connectivity() -> None:
    """What network policies let through between workloads."""


def _written(*formats: str) -> Callable[[Command], Command]:
    """How the result is written."""

    def adding(command: Command) -> Command:
        for option in (
            click.option("--fail", is_flag=True, help="Stop at the first file that cannot be read."),
            click.option("--strict", is_flag=True, help="What cannot be read is an error."),
            click.option("--remove", is_flag=True, help="Replace the output file where there is one."),
            click.option("--save-to-file", is_flag=True, help="Into connlist.FORMAT in this folder."),
            click.option("-f", "--output-file", type=_FOLDER, help="Into a file."),
            click.option(
                "-o", "--output-format", type=click.Choice(formats), default=formats[0], show_default=True,
                help="How it is written.",
            ),
        ):  # fmt: skip
            command = option(command)
        return command

    return adding


@options.command("map")
@click.argument("folder", type=_FOLDER)
@click.option(
    "--focus-workload",
    default="",
    metavar="NAME",
    help="Only what this workload (or NAMESPACE/NAME) has part in.",
)
@_written("txt", "json", "md", "dot", "csv")
def map_(folder: Path, focus_workload: str, output_format: str, **how: Any) -> None:
    """List the connections that the network policies in FOLDER let through between the workloads in it.

    Blocks of addresses in policies are listed as ranges; the rest of IPv4 is one of them. Ingresses and routes are not looked at.
    """
    from redoubt.cli.roxctl import connectivity as work

    manifests = work.read(folder, stop=how["fail"])
    text = work.mapped(manifests, output_format, focus_workload)
    work.give(text, output_format, how, problems=manifests.problems)


@options.command("diff")
@click.option("--dir1", type=_FOLDER, required=True, help="Manifests as they are.")
@click.option("--dir2", type=_FOLDER, required=True, help="Manifests as they would be.")
@_written("txt", "md", "csv", "dot")
def diff(dir1: Path, dir2: Path, output_format: str, **how: Any) -> None:
    """List the connections that are let through otherwise by the manifests in one folder and in another."""
    from redoubt.cli.roxctl import connectivity as work

    one, other = (work.read(each, stop=how["fail"]) for each in (dir1, dir2))
    text = work.differing(one, other, output_format)
    work.give(text, output_format, how, problems=[*one.problems, *other.problems])
