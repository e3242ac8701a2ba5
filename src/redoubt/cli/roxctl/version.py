"""``roxctl version`` and ``roxctl completion``: what is answered without Central."""

from __future__ import annotations

import click

from redoubt import __version__
from redoubt.cli.roxctl import options


@options.command()
@click.option("--json", "json", is_flag=True, help="Everything that is known, as JSON.")
def version(json: bool) -> None:
    """Print roxctl's version. Central is not asked: `roxctl central whoami` tells whether it answers."""
    if not json:
        click.echo(__version__)
        return
    import json as writer
    import platform

    from redoubt.cli.roxctl.releases import NEWEST_RELEASE

    words = {
        "MainVersion": __version__,
        "CollectorVersion": __version__,
        "ScannerVersion": __version__,
        "UpstreamRelease": NEWEST_RELEASE,
        "PythonVersion": platform.python_version(),
        "Platform": f"{platform.system().lower()}/{platform.machine()}",
    }
    click.echo(writer.dumps(words, indent=2))


@options.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  source <(roxctl completion bash)
    zsh:   source <(roxctl completion zsh)
    fish:  roxctl completion fish | source
    """
    from redoubt.cli import completing

    click.echo(completing.script(ctx.find_root().command, "roxctl", shell))
