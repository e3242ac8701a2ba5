"""``redoubt definitions trust``: whose bundles are accepted, and for which channel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from redoubt.cli import settings
from redoubt.cli.entry import HELP, LazyGroup
from redoubt.cli.redoubt import options
from redoubt.cli.redoubt.definitions import print_columns, print_json

if TYPE_CHECKING:
    from redoubt.definitions.trust import TrustStore

_HERE = "redoubt.cli.redoubt.trusting"

_TRUST = {
    "add": (f"{_HERE}:trust_add", "Accept bundles of a channel that a root vouches for."),
    "list": (f"{_HERE}:trust_list", "List the trusted roots."),
    "remove": (f"{_HERE}:trust_remove", "Stop accepting a channel's bundles."),
    "allow-unsigned": (f"{_HERE}:trust_allow", "Accept StackRox's bundles, which nobody signs."),
    "disallow-unsigned": (f"{_HERE}:trust_disallow", "Accept them no more."),
}


@click.group(cls=LazyGroup, commands_at=_TRUST, context_settings=HELP)
def trust() -> None:
    """Say whose bundles are accepted: roots, each for one channel."""


@click.command("add", context_settings=HELP)
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--channel", required=True, help="The channel whose bundles it vouches for.")
def trust_add(root: Path, channel: str) -> None:
    """Accept the bundles of a channel that ROOT (a root.json of keygen) vouches for."""
    added = _store().add(root, channel)
    click.echo(
        f"Trusted for channel {added.channel}: root {added.fingerprint[:12]}, until {added.expires[:10]}"
    )


@click.command("list", context_settings=HELP)
@options.listing
def trust_list(output: str) -> None:
    """List the trusted roots."""
    roots = _store().list()
    if output == "json":
        import msgspec

        print_json([msgspec.to_builtins(root) for root in roots])
        return
    rows = [("CHANNEL", "ROOT", "VERSION", "UNTIL", "ORIGIN")]
    for root in roots:
        if root.unsigned:
            rows.append((root.channel, "none", "", "", "unsigned bundles are accepted"))
            continue
        origin = "came with Redoubt" if root.builtin else "added"
        rows.append((root.channel, root.fingerprint[:12], str(root.version), root.expires[:10], origin))
    print_columns(rows)


@click.command("remove", context_settings=HELP)
@click.argument("channel")
@click.argument("root", default="")
def trust_remove(channel: str, root: str) -> None:
    """Stop accepting the bundles of CHANNEL, or only those that ROOT (the start of its fingerprint) vouches for.

    What was imported stays.
    """
    for removed in _store().remove(channel, root):
        click.echo(f"No longer trusted for channel {removed.channel}: root {removed.fingerprint[:12]}")


@click.command("allow-unsigned", context_settings=HELP)
@click.argument("channel", metavar="stackrox")
def trust_allow(channel: str) -> None:
    """Accept the bundles of StackRox's Scanner V4, though nobody signs them.

    Anybody who can put a file in your hands can then decide what is a flaw and what is not. The definitions are
    shown as unsigned wherever they appear.
    """
    if _store().allow_unsigned(channel):
        click.echo(f"Accepted from now on: bundles of channel {channel} that nobody signed")
    else:
        click.echo(f"Unsigned bundles of channel {channel} are accepted already")


@click.command("disallow-unsigned", context_settings=HELP)
@click.argument("channel", metavar="stackrox")
def trust_disallow(channel: str) -> None:
    """Accept the bundles of StackRox's Scanner V4 no more. What was imported stays."""
    _store().disallow_unsigned(channel)
    click.echo(f"No longer accepted: bundles of channel {channel} that nobody signed")


def _store() -> TrustStore:
    from redoubt.definitions.library import Library

    return Library(settings.data_dir()).trust
