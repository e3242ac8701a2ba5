"""``roxctl definitions``: what Central's definitions are, how they became so, and whose bundles it accepts."""

from __future__ import annotations

from pathlib import Path

import click

from redoubt.cli.roxctl import options

_HERE = "redoubt.cli.roxctl.definitions"

_COMMANDS = {
    "status": (f"{_HERE}:status", "Show what is active, how old its sources are, and what else is kept."),
    "history": (f"{_HERE}:history", "Show what became active when, and who saw to it."),
    "rollback": (f"{_HERE}:rollback", "Make the definitions active that were so before."),
    "diff": (f"{_HERE}:diff", "Show what lies between two definitions that Central keeps."),
    "trust": (f"{_HERE}:trust", "Say whose bundles Central accepts."),
}
_TRUST = {
    "list": (f"{_HERE}:trust_list", "List the roots that Central trusts."),
    "add": (f"{_HERE}:trust_add", "Accept bundles of a channel that a root vouches for."),
    "remove": (f"{_HERE}:trust_remove", "Stop accepting a channel's bundles."),
    "allow-unsigned": (f"{_HERE}:trust_allow", "Accept StackRox's bundles, which nobody signs."),
    "disallow-unsigned": (f"{_HERE}:trust_disallow", "Accept them no more."),
}

_listing = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the answer; json is Central's own.",
)


@options.group(_COMMANDS)
def definitions() -> None:
    """See and switch the vulnerability definitions that Central and its Matchers work with.

    \b
    roxctl scanner upload-db --scanner-db-file today.zip      give Central newer ones
    roxctl definitions status                                 what is active, and how old it is
    roxctl definitions rollback                               back to what was active before
    """


@options.command(timeout="1m", retry=True)
@_listing
@click.pass_context
def status(ctx: click.Context, output: str) -> None:
    """Show which definitions are active, who signed them, how old each of their sources is, and what else is kept."""
    from redoubt.cli.roxctl import shelving

    shelving.status(ctx, output)


@options.command(timeout="1m", retry=True)
@_listing
@click.pass_context
def history(ctx: click.Context, output: str) -> None:
    """Show which definitions became active when, and who saw to it, newest first."""
    from redoubt.cli.roxctl import shelving

    shelving.history(ctx, output)


@options.command(timeout="5m")
@click.argument("digest", default="")
@click.pass_context
def rollback(ctx: click.Context, digest: str) -> None:
    """Make the definitions active that were so before, or those that DIGEST (or its start) names.

    A bundle older than the last one of its channel is refused as before: an upload has to be newer than what was rolled back.
    """
    from redoubt.cli.roxctl import shelving

    shelving.rollback(ctx, digest)


@options.command(timeout="5m")
@click.argument("old", default="")
@click.argument("new", default="")
@_listing
@click.pass_context
def diff(ctx: click.Context, old: str, new: str, output: str) -> None:
    """Show, in numbers, what appeared, changed and vanished from OLD to NEW (digests or starts of them).

    Without NEW it is what is active; without OLD, what was active before.
    """
    from redoubt.cli.roxctl import shelving

    shelving.diff(ctx, old, new, output)


@options.group(_TRUST)
def trust() -> None:
    """Say whose bundles Central accepts: roots, each for one channel.

    Needs write access to Administration, and is recorded in Central's audit log.

    \b
    roxctl definitions trust add root.json --channel main     the root.json of `redoubt definitions keygen`
    """


@options.command("list", timeout="1m", retry=True)
@_listing
@click.pass_context
def trust_list(ctx: click.Context, output: str) -> None:
    """List the roots that Central trusts."""
    from redoubt.cli.roxctl import shelving

    shelving.trusted(ctx, output)


@options.command("add", timeout="1m", retry=True)
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--channel", required=True, help="The channel whose bundles it vouches for.")
@click.pass_context
def trust_add(ctx: click.Context, root: Path, channel: str) -> None:
    """Accept the bundles of a channel that ROOT (a root.json of keygen) vouches for."""
    from redoubt.cli.roxctl import shelving

    shelving.trust(ctx, root, channel)


@options.command("remove", timeout="1m", retry=True)
@click.argument("channel")
@click.argument("root", default="")
@click.pass_context
def trust_remove(ctx: click.Context, channel: str, root: str) -> None:
    """Stop accepting the bundles of CHANNEL, or only those that ROOT (the start of its fingerprint) vouches for.

    What was uploaded stays.
    """
    from redoubt.cli.roxctl import shelving

    shelving.distrust(ctx, channel, root)


@options.command("allow-unsigned", timeout="1m", retry=True)
@click.argument("channel", metavar="stackrox")
@click.pass_context
def trust_allow(ctx: click.Context, channel: str) -> None:
    """Accept the bundles of StackRox's Scanner V4, though nobody signs them.

    Anybody who can put a file in your hands can then decide what is a flaw and what is not. The definitions are
    shown as unsigned wherever they appear.
    """
    from redoubt.cli.roxctl import shelving

    shelving.unsigned(ctx, channel, allowed=True)


@options.command("disallow-unsigned", timeout="1m", retry=True)
@click.argument("channel", metavar="stackrox")
@click.pass_context
def trust_disallow(ctx: click.Context, channel: str) -> None:
    """Accept the bundles of StackRox's Scanner V4 no more. What was uploaded stays."""
    from redoubt.cli.roxctl import shelving

    shelving.unsigned(ctx, channel, allowed=False)
