"""``redoubt definitions delta`` and ``diff``: what lies between two days' definitions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from redoubt.cli import settings
from redoubt.cli.console import Console, clean, size
from redoubt.cli.entry import HELP
from redoubt.cli.redoubt import options
from redoubt.cli.redoubt.building import tell_lacking
from redoubt.cli.redoubt.definitions import print_columns, print_json, short

if TYPE_CHECKING:
    from redoubt.definitions.diff import Changed, Counts, Difference


@click.command(context_settings=HELP)
@click.argument("old")
@click.argument("new")
@options.signing_keys
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The delta to write."
)
@options.quiet
def delta(old: str, new: str, key: tuple[Path, ...], out: Path, quiet: bool) -> None:
    """Write what makes the definitions NEW of OLD: a bundle that is smaller, for machines that have OLD.

    OLD and NEW are bundles, or digests on this machine. The delta has the channel and the version of NEW, and
    is imported like it; where OLD is absent it is refused.
    """
    from redoubt.definitions.keys import load_key
    from redoubt.definitions.library import Library
    from redoubt.definitions.publish import publish_delta

    signing = [load_key(each) for each in key]
    library = Library(settings.data_dir())
    with library.open(old, allow_older=True) as base, library.open(new, allow_older=True) as target:
        described = library.info(target.info.digest).entry.manifest
        manifest, lacking = publish_delta(base, target, described, out, signing)
    console = Console(quiet=quiet)
    console.done(
        f"{out}: {size(out.stat().st_size)}, channel {manifest.channel}, "
        f"from {short(base.info.digest)} to definitions {manifest.digest}"
    )
    tell_lacking(console, out, lacking)


@click.command(context_settings=HELP)
@click.argument("old")
@click.argument("new")
@click.option("-v", "--verbose", is_flag=True, help="List the advisories and CVEs too. JSON always does.")
@options.listing
def diff(old: str, new: str, verbose: bool, output: str) -> None:
    """Show what appeared, changed and vanished from the definitions OLD to NEW, by source and severity.

    OLD and NEW are bundles, or digests on this machine.
    """
    from redoubt.definitions.diff import compare
    from redoubt.definitions.library import Library

    library = Library(settings.data_dir())
    with library.open(old, allow_older=True) as before, library.open(new, allow_older=True) as after:
        found = compare(before, after)
    if output == "json":
        print_json(_described(found))
        return
    click.echo(f"From  {found.old}")
    click.echo(f"To    {found.new}")
    click.echo("")
    rows = [("SOURCE", "SEVERITY", "APPEARED", "CHANGED", "VANISHED")]
    rows += [_row(group.source, group.severity, group.counts) for group in found.advisories]
    rows.append(_row("All advisories", "", found.counts))
    rows.append(_row("CVEs' facts", "", found.cves.counts))
    rows.append(_row("EPSS scores", "", found.scores))
    print_columns(rows, right={2, 3, 4})
    if not verbose:
        return
    for group in found.advisories:
        _list(f"{group.source}, {group.severity}", group)
    _list("CVEs' facts", found.cves)


def _row(source: str, severity: str, counts: Counts) -> tuple[str, str, str, str, str]:
    return source, severity, f"{counts.appeared:,}", f"{counts.changed:,}", f"{counts.vanished:,}"


def _list(title: str, changed: Changed) -> None:
    for verb, ids in (
        ("appeared", changed.appeared),
        ("changed", changed.changed),
        ("vanished", changed.vanished),
    ):
        if ids:
            click.echo(f"\n{clean(title)}, {verb}:")
            for identifier in ids:
                click.echo(f"  {clean(identifier)}")


def _described(found: Difference) -> dict[str, object]:
    import msgspec

    described: dict[str, object] = {
        "old": found.old,
        "new": found.new,
        "counts": {"advisories": found.counts, "cves": found.cves.counts, "scores": found.scores},
        "advisories": found.advisories,
        "cves": found.cves,
    }
    return {name: msgspec.to_builtins(value) for name, value in described.items()}
