"""``redoubt definitions build``: upstream's files become a signed bundle, and how each source is doing is told."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from redoubt.cli import settings
from redoubt.cli.console import Console, size
from redoubt.cli.entry import HELP, require
from redoubt.cli.redoubt import options
from redoubt.cli.redoubt.definitions import columns

if TYPE_CHECKING:
    from redoubt.definitions.build import Reading
    from redoubt.definitions.bundle import BundleSource
    from redoubt.definitions.mirror import Mirror
    from redoubt.definitions.sources import Source


@click.command(context_settings=HELP)
@click.option(
    "--mirror",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Read upstream's files from this folder (its layout: docs/sources.md).",
)
@click.option("--online", is_flag=True, help="Fetch upstream's files first, what has changed of them.")
@click.option("--sources", help="Only these, separated by commas. Default: all that are there.")
@options.signing_keys
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The bundle to write."
)
@click.option("--channel", default="main", show_default=True, help="The channel that the bundle belongs to.")
@click.option("--version", type=click.IntRange(min=1), help="Ascends within a channel. Default: the time.")
@click.option(
    "--facts-only", is_flag=True, help="Leave out titles: identifiers, ranges, scores and links only."
)
@options.quiet
def build(
    mirror: Path | None,
    online: bool,
    sources: str | None,
    key: tuple[Path, ...],
    out: Path,
    channel: str,
    version: int | None,
    facts_only: bool,
    quiet: bool,
) -> None:
    """Build a signed bundle out of upstream's feeds.

    The same input gives the same definitions (digest), on any machine and at any time. A source that cannot be
    read keeps its last good data and is named; it does not stop the others.
    """
    from redoubt.definitions import bundle
    from redoubt.definitions import mirror as mirrors
    from redoubt.definitions.build import build as build_records
    from redoubt.definitions.keys import load_key
    from redoubt.definitions.publish import publish
    from redoubt.definitions.sources import select
    from redoubt.definitions.trust import STARTER_CHANNEL, UNSIGNED_CHANNEL

    console = Console(quiet=quiet)
    require(online != (mirror is not None), "say where from: --mirror DIR or --online")
    bundle.require_channel(channel)
    require(
        channel != STARTER_CHANNEL, f"channel {STARTER_CHANNEL} belongs to the built-in root; name another"
    )
    require(
        channel != UNSIGNED_CHANNEL,
        f"channel {UNSIGNED_CHANNEL} belongs to StackRox's own bundles; name another",
    )
    signing = [load_key(each) for each in key]
    names = [name.strip() for name in sources.split(",") if name.strip()] if sources else None
    chosen = select(names)
    state = settings.cache_dir() / "sources"
    now = datetime.now(UTC)
    made = mirrors.Mirror(mirror, state=state) if mirror else fetched(chosen, state, now, console)
    with tempfile.TemporaryDirectory(prefix="redoubt-") as temporary:
        with console.bars("reading", "sources") as advance:
            built = build_records(
                made,
                names,
                facts_only=facts_only,
                progress=lambda name, at, total: advance("sources", at, total),
                temporary=Path(temporary),
            )
        with built:
            manifest, lacking = publish(built, out, signing, channel=channel, now=now, version=version)
        absent = set() if online else {source.name for source in chosen if not made.files(source)}
        _tell(console, built.sources, built.readings, absent, state / "built.json", now)
    console.done(f"{out}: {size(out.stat().st_size)}, channel {channel}, definitions {manifest.digest}")
    tell_lacking(console, out, lacking)


def tell_lacking(console: Console, out: Path, lacking: int) -> None:
    """Say that a bundle is not accepted yet, if so, and what is to be done."""
    from redoubt.formats.text import count

    if lacking:
        console.warn(
            f"{out} lacks {count(lacking, 'signature')} of those that its root asks for, and is refused until "
            f"then; on the other machine: redoubt definitions sign {out.name} --key KEY"
        )


def fetched(chosen: Sequence[Source], state: Path, now: datetime, console: Console) -> Mirror:
    """Upstream's files, brought up to date. Warns of each source that could not be had if none could."""
    from redoubt import egress
    from redoubt.definitions.fetching import online

    retry = egress.Retry(attempts=4)
    with egress.client(retry=retry) as client, console.bars("fetching", passing=True) as advance:
        made = online(state / "mirror", chosen, client, state=state, now=now, progress=advance)
    if not any(made.files(source) or made.kept(source) for source in chosen):
        for name, fetch in made.fetches.items():
            console.warn(f"{name}: {fetch.detail}")
    came = sum(fetch.size - fetch.resumed for fetch in made.fetches.values())
    files = sum(fetch.changed for fetch in made.fetches.values())
    console.done(f"fetched {files} files that changed, {size(came)}")
    return made


def _tell(
    console: Console,
    sources: Sequence[BundleSource],
    readings: Sequence[Reading],
    absent: set[str],
    state: Path,
    now: datetime,
) -> None:
    """A line for each source: how old, how many, what changed since the last build here; then what is wrong."""
    from redoubt.definitions.changed import since_last_build

    left_out = [source.name for source in sources if source.name in absent and source.state == "missing"]
    if left_out:
        console.notice(f"not in the mirror folder, and so not in the bundle: {', '.join(left_out)}")
    changes = since_last_build(state, sources)
    rows = [("SOURCE", "STATE", "RECORDS", "CHANGE", "NEWEST RECORD", "FETCHED")]
    rows += [
        (
            source.name,
            source.state,
            f"{source.records:,}",
            changes[source.name],
            _aged(source.newest, now),
            _aged(source.fetched, now),
        )
        for source in sources
        if source.state != "missing"
    ]
    for line in columns(rows, right={2, 3}):
        console.done(line)
    for source, reading in zip(sources, readings, strict=True):
        if source.state == "missing":
            if source.name not in absent:
                console.warn(f"{source.name} is not in the bundle: {source.detail}")
            continue
        if source.state == "stale":
            console.warn(f"{source.name} is stale: {source.detail}")
        if reading.spoilt:
            console.warn(
                f"{source.name}: {reading.spoilt} record{'' if reading.spoilt == 1 else 's'} could not be used ({reading.examples[0]})"
            )


def _aged(time: str, now: datetime) -> str:
    """``2026-11-24 (2 days)``; a dash where there is no time."""
    from redoubt.definitions.age import since

    return f"{time[:10]} ({span})" if (span := since(time, now)) else "-"
