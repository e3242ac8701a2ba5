"""``roxctl``: the commands that StackRox's users type. So far the version and completion only."""

from __future__ import annotations

import click

from redoubt.cli.entry import HELP, LazyGroup, run, version_option

_COMMANDS = {
    "version": ("redoubt.cli.redoubt.completion:version", "Print the version."),
    "completion": ("redoubt.cli.redoubt.completion:completion", "Print the completion script of a shell."),
}


@click.group(cls=LazyGroup, commands_at=_COMMANDS, context_settings=HELP)
@version_option
def roxctl() -> None:
    """Work with a running Redoubt.

    Central does not exist yet, so there is little to type here. To scan without a server use `redoubt scan`.
    """


def main() -> None:
    """Console script."""
    run(roxctl, "roxctl")
