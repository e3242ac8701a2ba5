"""``redoubt definitions``: build, carry, check and switch vulnerability definitions."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from redoubt.cli import settings
from redoubt.cli.console import Console, clean
from redoubt.cli.entry import HELP, LazyGroup, require
from redoubt.cli.redoubt import options
from redoubt.errors import DefinitionsError, UsageError

if TYPE_CHECKING:
    from redoubt.definitions.library import Library, Shelved

_HERE = "redoubt.cli.redoubt.definitions"

_COMMANDS = {
    "import": (f"{_HERE}:import_", "Verify a bundle and make its definitions the active ones."),
    "list": (f"{_HERE}:list_", "List the definitions on this machine."),
    "info": (f"{_HERE}:info", "Show what definitions hold, and how old each source is."),
    "search": ("redoubt.cli.redoubt.searching:search", "Show what is known of a flaw or a package."),
    "verify": (f"{_HERE}:verify", "Read definitions whole and prove that they are undamaged."),
    "rollback": (f"{_HERE}:rollback", "Make the definitions active that were so before."),
    "prune": (f"{_HERE}:prune", "Remove old definitions."),
    "build": (
        "redoubt.cli.redoubt.building:build",
        "Build a bundle from upstream's feeds (where there is internet).",
    ),
    "publish": (
        "redoubt.cli.redoubt.publishing:publish",
        "Build bundles at intervals into a folder for a web server.",
    ),
    "delta": ("redoubt.cli.redoubt.changes:delta", "Write what makes newer definitions of older ones."),
    "diff": ("redoubt.cli.redoubt.changes:diff", "Show what lies between two definitions."),
    "keygen": ("redoubt.cli.redoubt.signing:keygen", "Make the keys that sign bundles."),
    "root": ("redoubt.cli.redoubt.signing:root", "Make, change and sign roots that several people hold."),
    "sign": ("redoubt.cli.redoubt.signing:sign", "Add a signature to a bundle that somebody else built."),
    "trust": ("redoubt.cli.redoubt.trusting:trust", "Say whose bundles are accepted."),
}


@click.group(cls=LazyGroup, commands_at=_COMMANDS, context_settings=HELP)
def definitions() -> None:
    """Build, carry, check and switch vulnerability definitions.

    \b
    Where there is internet:
      redoubt definitions keygen --out keys                          once
      redoubt definitions build --online --key keys --out today.zip  daily
    Behind the gap:
      redoubt definitions trust add root.json --channel main         once, the root.json of keygen
      redoubt definitions import today.zip                           daily
    """


def _library(keep: int | None = None) -> Library:
    from redoubt.definitions import library

    return library.Library(settings.data_dir(), keep=keep or library.KEEP)


@click.command("import", context_settings=HELP)
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option(
    "--starter", is_flag=True, help="Import the dated starter definitions that came along with Redoubt."
)
@click.option(
    "--allow-older", is_flag=True, help="Accept a bundle older than the last one of its channel; recorded."
)
@click.option(
    "--keep", type=click.IntRange(min=1), help="How many definitions to keep, these included. Default: 3."
)
@options.quiet
def import_(bundle: Path | None, starter: bool, allow_older: bool, keep: int | None, quiet: bool) -> None:
    """Verify BUNDLE and make its definitions the active ones, in one step.

    A bundle that is not signed by a trusted root, is damaged, or is older than the last one of its channel is
    refused (exit code 4), and what was active stays active. Scans that are running keep the definitions
    with which they began.
    """
    console = Console(quiet=quiet)
    require((bundle is None) == starter, "name the bundle to import, or --starter")
    if starter:
        bundle = _starter()
    assert bundle is not None
    from redoubt.formats.text import count

    done = _library(keep).import_bundle(bundle, allow_older=allow_older)
    manifest = done.entry.manifest
    what = f"{short(done.entry.digest)} of channel {manifest.channel}, built {manifest.created}"
    for part in done.passed_over:
        console.notice(f"not read: {part}")
    if done.entry.unsigned:
        console.warn("these definitions are unsigned: nobody vouches for them")
    if done.already_active:
        console.done(f"Already active: definitions {what}")
        return
    console.done(f"Active now: definitions {what}")
    if done.older:
        console.warn(
            "these are older than what this channel had before; --allow-older was given and recorded"
        )
    records = sum(source.records for source in manifest.sources)
    names = [source.name for source in manifest.sources if source.records]
    console.done(f"{records:,} records from {count(len(names), 'source')}")
    if starter:
        console.notice(
            "the starter is dated and meant for trying Redoubt out; see docs/definitions.md for your own"
        )
    lacking: dict[tuple[str, str], list[str]] = {}
    for source in manifest.sources:
        if source.state == "fresh" and source.detail:
            console.notice(f"{source.name}: {source.detail}")
        if source.state in ("stale", "missing"):
            lacking.setdefault((source.state, source.detail), []).append(source.name)
    for (state, detail), alike in lacking.items():
        console.warn(f"{state} in this bundle: {', '.join(alike)} ({detail})")


@click.command("list", context_settings=HELP)
@options.listing
def list_(output: str) -> None:
    """List the definitions on this machine, newest import first."""
    shelved = _library().list()
    if output == "json":
        print_json([_describe(item) for item in shelved])
        return
    if not shelved:
        click.echo("No definitions are here yet; run `redoubt definitions import BUNDLE.zip`", err=True)
        return
    rows = [("ACTIVE", "DIGEST", "CHANNEL", "VERSION", "BUILT", "IMPORTED", "SIGNED")]
    for item in shelved:
        manifest = item.entry.manifest
        rows.append(
            (
                "*" if item.active else "",
                short(item.entry.digest),
                manifest.channel,
                str(manifest.version),
                manifest.created[:16],
                item.entry.imported[:16],
                "no" if item.entry.unsigned else "yes",
            )
        )
    print_columns(rows)


@click.command(context_settings=HELP)
@click.argument("digest", default="")
@options.listing
def info(digest: str, output: str) -> None:
    """Show what the active definitions (or those of DIGEST) hold, and how old each source is."""
    from redoubt.definitions import age as ages

    library = _library()
    shelved = library.info(digest)
    if output == "json":
        print_json(_describe(shelved))
        return
    manifest = shelved.entry.manifest
    with library.open(digest) if digest else library.open_active() as snapshot:
        age = ages.judge(snapshot.info, datetime.now(UTC))
        namespaces = snapshot.info.namespaces
    click.echo(f"Digest    {shelved.entry.digest}{'  (active)' if shelved.active else ''}")
    click.echo(f"Channel   {manifest.channel}, version {manifest.version}, built {manifest.created}")
    click.echo(f"Signed    {'no' if shelved.entry.unsigned else 'yes'}; imported {shelved.entry.imported}")
    click.echo(f"Age       {clean(age.message)}")
    click.echo("")
    ageing = {source.name: source.age for source in age.sources}
    rows = [("SOURCE", "STATE", "RECORDS", "NEWEST RECORD", "AGE", "LICENCE")]
    for source in manifest.sources:
        days = f"{span.days} d" if (span := ageing.get(source.name)) is not None else "no dates"
        rows.append(
            (
                source.name,
                source.state,
                f"{source.records:,}",
                source.newest[:10] or "-",
                days if source.records else "-",
                source.licence,
            )
        )
    print_columns(rows, right={2})
    click.echo("")
    click.echo("Namespaces (package and advisory pairs):")
    listed = ", ".join(
        f"{name} {count:,}".replace(" ", "\N{NO-BREAK SPACE}") for name, count in sorted(namespaces.items())
    )
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**6
    click.echo(
        textwrap.fill(
            listed, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
        ).replace("\N{NO-BREAK SPACE}", " ")
    )


@click.command(context_settings=HELP)
@click.argument("digest", default="")
def verify(digest: str) -> None:
    """Read the active definitions (or those of DIGEST) whole and prove that they are undamaged."""
    shelved = _library().verify(digest)
    click.echo(f"Undamaged: {shelved.entry.digest}")


@click.command(context_settings=HELP)
@click.option("--to", metavar="DIGEST", default="", help="Which definitions. Default: those active before.")
def rollback(to: str) -> None:
    """Make the definitions active that were so before. Nothing is downloaded; running scans keep theirs."""
    entry = _library().rollback(to)
    click.echo(
        f"Active now: {short(entry.digest)} of channel {entry.manifest.channel}, built {entry.manifest.created}"
    )


@click.command(context_settings=HELP)
@click.option(
    "--keep", type=click.IntRange(min=1), help="How many to keep, the active ones included. Default: 3."
)
def prune(keep: int | None) -> None:
    """Remove all but the newest definitions. The active ones always stay."""
    gone = _library().prune(keep)
    for entry in gone:
        click.echo(f"Removed {short(entry.digest)} of channel {entry.manifest.channel}")
    if not gone:
        click.echo("Nothing to remove")


def _starter() -> Path:
    from redoubt.definitions.trust import STARTER_ROOT

    path = STARTER_ROOT.with_name("starter.zip")
    if not path.is_file():
        raise DefinitionsError("this installation has no starter definitions; name a bundle")
    return path


def _describe(item: Shelved) -> dict[str, object]:
    import msgspec

    described: dict[str, object] = {
        "active": item.active,
        "imported": item.entry.imported,
        "signed": not item.entry.unsigned,
    }
    manifest = msgspec.to_builtins(item.entry.manifest)
    if not isinstance(manifest, dict):
        raise UsageError("unreachable: a manifest is an object")
    return described | manifest


def print_json(value: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def columns(rows: Sequence[Sequence[str]], right: frozenset[int] | set[int] = frozenset()) -> Iterator[str]:
    """Rows as aligned columns, a line each; the first is the heading. Those of ``right`` are set to the right."""
    widths = [max(len(clean(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            clean(cell).rjust(width) if i in right else clean(cell).ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def print_columns(rows: Sequence[Sequence[str]], right: frozenset[int] | set[int] = frozenset()) -> None:
    """The same, on standard output."""
    for line in columns(rows, right):
        click.echo(line)


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
