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
    from click.shell_completion import get_completion_class

    root = ctx.find_root()
    name = root.info_name or "redoubt"
    maker = get_completion_class(shell)
    assert maker is not None
    click.echo(maker(root.command, {}, name, f"_{name.upper()}_COMPLETE").source())


@click.command()
@click.pass_context
def version(ctx: click.Context) -> None:
    """Print the version."""
    click.echo(f"{ctx.find_root().info_name} {__version__}")
