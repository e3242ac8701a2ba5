"""``redoubt completion`` and ``redoubt version``."""

from __future__ import annotations

import click

from redoubt import __version__


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  source <(redoubt completion bash)
    zsh:   source <(redoubt completion zsh)
    fish:  redoubt completion fish | source
    """
    from redoubt.cli import completing

    root = ctx.find_root()
    click.echo(completing.script(root.command, root.info_name or "redoubt", shell))


@click.command()
@click.pass_context
def version(ctx: click.Context) -> None:
    """Print the version."""
    click.echo(f"{ctx.find_root().info_name} {__version__}")
