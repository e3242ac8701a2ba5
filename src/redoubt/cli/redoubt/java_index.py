"""``redoubt java-index``: which Maven artifact an archive is that doesn't say so, from lists made elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from redoubt.cli.console import Console, size
from redoubt.cli.entry import HELP, LazyGroup, require
from redoubt.cli.redoubt import options
from redoubt.errors import AccessDenied, UnreadableInput

_HERE = "redoubt.cli.redoubt.java_index"

_COMMANDS = {
    "build": (f"{_HERE}:build", "Build a Java index from lists and Maven repositories."),
    "info": (f"{_HERE}:info", "Show what a Java index holds, and prove that it is undamaged."),
}


@click.group("java-index", cls=LazyGroup, commands_at=_COMMANDS, context_settings=HELP)
def java_index() -> None:
    """Name jars that don't say what they are, by their SHA-1.

    \b
    redoubt java-index build central.idx list.csv ~/.m2/repository
    redoubt scan shop.tar --java-index central.idx
    """


@click.command(context_settings=HELP)
@click.argument("index", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("sources", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@options.quiet
def build(index: Path, sources: tuple[Path, ...], quiet: bool) -> None:
    """Build INDEX out of SOURCES. Of two artifacts with one SHA-1 the one that is named first stays.

    \b
    A source is
      a text file   a line an archive: SHA-1, group, artifact, version, between commas, colons, tabs or spaces
      a folder      a Maven repository (~/.m2/repository, a mirror); its archives are hashed
    """
    from redoubt.formats.text import count
    from redoubt.indexer.java_index import Listing

    console = Console(quiet=quiet)
    require(
        index.parent.is_dir(), f"there is no folder {index.parent} to write {index.name} into; make it first"
    )
    listing = Listing()
    for source in sources:
        before = len(listing)
        refused, listing.refused = listing.refused, 0
        if source.is_dir():
            listing.read_repository(source)
        else:
            try:
                with source.open(encoding="utf-8", errors="replace") as lines:
                    listing.read_lines(lines)
            except OSError as error:
                raise UnreadableInput(f"{source}: {error.strerror or error}") from None
        if len(listing) == before and listing.refused:
            raise UnreadableInput(
                f"{source}: nothing in it is an archive with its SHA-1, group, artifact and version"
            )
        if listing.refused:
            console.warn(f"{source}: {listing.refused:,} passed over that give no coordinates")
        listing.refused += refused
    try:
        digest = listing.write(index)
    except OSError as error:
        raise AccessDenied(f"cannot write to {index}: {error.strerror or error}") from None
    console.done(f"{index}: {count(len(listing), 'archive')}, {size(index.stat().st_size)}, {digest}")


@click.command(context_settings=HELP)
@click.argument("index", type=click.Path(path_type=Path, dir_okay=False))
def info(index: Path) -> None:
    """Show how many archives INDEX names, and its digest; read it whole, and prove that it is undamaged."""
    from redoubt.formats.text import count
    from redoubt.indexer.java_index import JavaIndex

    opened = JavaIndex(index)
    try:
        opened.verify()
    finally:
        opened.close()
    click.echo(f"{index}: {count(opened.count, 'archive')}, {opened.digest}, undamaged")
