"""What ``roxctl definitions`` asks of Central's ``/v1/definitions``, and how the answers are shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import click
import msgspec

from redoubt.cli.console import Console, clean
from redoubt.cli.redoubt.definitions import print_columns, short
from redoubt.cli.roxctl import connection, uploading
from redoubt.cli.roxctl.answers import Became, Differs, Happened, History, Root, Roots, Status
from redoubt.errors import AccessDenied, DefinitionsError, UnreadableInput, UsageError

T = TypeVar("T")

_PATH = "/v1/definitions"
_LARGEST_ROOT = 1 << 20
_MINUTE = 60.0


def status(ctx: click.Context, output: str) -> None:
    """``roxctl definitions status``."""
    if _raw(ctx, _PATH, output):
        return
    found = _get(ctx, _PATH, Status)
    if found.active is None:
        click.echo("No definitions are active yet; run `roxctl scanner upload-db --scanner-db-file BUNDLE`")
    else:
        _tell(found.active)
    if found.uploading:
        click.echo("An upload is under way")
    if found.problem:
        click.echo(f"The Central that answered does not have them yet: {clean(found.problem)}")
    if found.shelf:
        click.echo("")
        rows = [("ACTIVE", "DIGEST", "CHANNEL", "VERSION", "BUILT", "IMPORTED", "SIGNED")]
        rows += [
            (
                "*" if kept.active else "",
                short(kept.digest),
                kept.channel,
                str(kept.version),
                kept.created[:16],
                kept.imported[:16],
                "no" if kept.unsigned else "yes",
            )
            for kept in found.shelf
        ]
        print_columns(rows)


def _tell(active: Became) -> None:
    age = _age(active)
    click.echo(f"Digest    {clean(active.digest)}")
    click.echo(f"Channel   {clean(active.channel)}, version {active.version}, built {clean(active.created)}")
    click.echo(f"Signed    {'no: nobody vouches for these definitions' if active.unsigned else 'yes'}")
    click.echo(f"Age       {clean(age)}")
    click.echo(f"Records   {sum(source.records for source in active.sources):,}")
    if active.sources:
        click.echo("")
        rows = [("SOURCE", "NEWEST", "RECORDS", "STATE")]
        rows += [
            (source.name, source.newest[:10], f"{source.records:,}", source.state)
            for source in active.sources
        ]
        print_columns(rows, right={2})


def _age(active: Became) -> str:
    """How old they are, as the scanner's own command line says it."""
    from redoubt.definitions import age
    from redoubt.model import DefinitionsInfo, SourceInfo

    sources = tuple(
        SourceInfo(name=one.name, newest=one.newest, records=one.records, scores_only=one.scores_only)
        for one in active.sources
    )
    info = DefinitionsInfo(digest=active.digest, schema="", created=active.created, sources=sources)
    return age.judge(info, datetime.now(UTC)).message


def history(ctx: click.Context, output: str) -> None:
    """``roxctl definitions history``."""
    if _raw(ctx, f"{_PATH}/history", output):
        return
    events = _get(ctx, f"{_PATH}/history", History).events
    if not events:
        click.echo("No upload has changed the definitions yet")
        return
    rows = [("TIME", "WHAT", "DIGEST", "CHANNEL", "VERSION", "SIGNED", "BY")]
    rows += [
        (
            event.time[:19],
            event.action,
            short(event.digest),
            event.channel,
            str(event.version),
            "no" if event.unsigned else "yes",
            event.by,
        )
        for event in events
    ]
    print_columns(rows)


def rollback(ctx: click.Context, digest: str) -> None:
    """``roxctl definitions rollback``."""
    console = Console()
    with connection.central(ctx, console, timeout=5 * _MINUTE) as central, _refused():
        # Once: the second of two would go back further.
        became = central.read(central.work(f"{_PATH}/rollback", {"digest": digest}), Became)
    uploading.tell(became, console)


def diff(ctx: click.Context, old: str, new: str, output: str) -> None:
    """``roxctl definitions diff``."""
    old = old or _before(ctx)
    path = f"{_PATH}/diff?" + urlencode({"old": old} | ({"new": new} if new else {}))
    if _raw(ctx, path, output):
        return
    found = _get(ctx, path, Differs)
    click.echo(f"From  {clean(found.old)}")
    click.echo(f"To    {clean(found.new)}")
    click.echo("")
    rows = [("SOURCE", "SEVERITY", "APPEARED", "CHANGED", "VANISHED")]
    rows += [
        (one.source, one.severity, f"{one.appeared:,}", f"{one.changed:,}", f"{one.vanished:,}")
        for one in found.groups
    ]
    for name, counts in (
        ("All advisories", found.advisories),
        ("CVEs' facts", found.cves),
        ("EPSS scores", found.scores),
    ):
        rows.append((name, "", f"{counts.appeared:,}", f"{counts.changed:,}", f"{counts.vanished:,}"))
    print_columns(rows, right={2, 3, 4})
    click.echo(f"\n{found.packages:,} packages have other entries")


def _before(ctx: click.Context) -> str:
    """The digest that was active before the last change."""
    events: tuple[Happened, ...] = _get(ctx, f"{_PATH}/history", History).events
    if not events or not events[0].previous:
        raise UsageError("nothing was active before; name the digests that are to be compared")
    return events[0].previous


def trusted(ctx: click.Context, output: str) -> None:
    """``roxctl definitions trust list``."""
    if _raw(ctx, f"{_PATH}/trust", output):
        return
    rows = [("CHANNEL", "ROOT", "VERSION", "UNTIL", "ORIGIN")]
    for root in _get(ctx, f"{_PATH}/trust", Roots).roots:
        if root.unsigned:
            rows.append((root.channel, "none", "", "", "unsigned bundles are accepted"))
            continue
        origin = "came with Redoubt" if root.builtin else "added"
        rows.append((root.channel, root.fingerprint[:12], str(root.version), root.expires[:10], origin))
    print_columns(rows)


def trust(ctx: click.Context, file: Path, channel: str) -> None:
    """``roxctl definitions trust add``."""
    text = _root(file)
    with connection.central(ctx, Console(), timeout=_MINUTE) as central:
        added = central.ask("POST", f"{_PATH}/trust", {"root": text, "channel": channel}, Root)
    click.echo(
        clean(
            f"Trusted for channel {added.channel}: root {added.fingerprint[:12]}, until {added.expires[:10]}"
        )
    )


def distrust(ctx: click.Context, channel: str, fingerprint: str) -> None:
    """``roxctl definitions trust remove``."""
    path = f"{_PATH}/trust/{quote(channel, safe='')}"
    if fingerprint:
        path += "?" + urlencode({"fingerprint": fingerprint})
    with connection.central(ctx, Console(), timeout=_MINUTE) as central:
        removed = central.read(central.send("DELETE", path), Roots)
    for root in removed.roots:
        click.echo(clean(f"No longer trusted for channel {root.channel}: root {root.fingerprint[:12]}"))


def unsigned(ctx: click.Context, channel: str, *, allowed: bool) -> None:
    """``roxctl definitions trust allow-unsigned`` and ``disallow-unsigned``."""
    with connection.central(ctx, Console(), timeout=_MINUTE) as central:
        central.ask("POST", f"{_PATH}/unsigned", {"channel": channel, "allowed": allowed}, msgspec.Raw)
    now = "Accepted from now on" if allowed else "No longer accepted"
    click.echo(clean(f"{now}: bundles of channel {channel} that nobody signed"))


@contextmanager
def _refused() -> Iterator[None]:
    """Give Central's refusal the exit code of definitions."""
    try:
        yield
    except connection.Refused as error:
        if error.invalid or error.status == 404:
            raise DefinitionsError(error.said or str(error)) from None
        raise


def _get(ctx: click.Context, path: str, kind: type[T]) -> T:
    with connection.central(ctx, Console(), timeout=_MINUTE) as central, _refused():
        return central.get(path, kind)


def _raw(ctx: click.Context, path: str, output: str) -> bool:
    """Print Central's own answer where that is wished."""
    if output != "json":
        return False
    click.echo(msgspec.json.format(bytes(_get(ctx, path, msgspec.Raw)), indent=2).decode())
    return True


def _root(file: Path) -> str:
    try:
        with file.open("rb") as data:
            text = data.read(_LARGEST_ROOT + 1).decode()
    except PermissionError:
        raise AccessDenied(f"{file}: permission denied") from None
    except OSError as error:
        raise UnreadableInput(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableInput(f"{file} is no root.json; name the one that keygen made") from None
    if len(text) > _LARGEST_ROOT:
        raise UnreadableInput(f"{file} is too large for a root.json")
    return text
