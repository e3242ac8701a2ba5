"""``roxctl scanner upload-db``: a bundle streams to Central, and what became active is told."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from redoubt.cli.console import Advance, Console
from redoubt.cli.roxctl import connection
from redoubt.cli.roxctl.answers import Became
from redoubt.errors import AccessDenied, DefinitionsRefused, UnreadableInput

_PATH = "/api/extensions/scannerdefinitions"
_CHUNK = 256 << 10
#: Seconds for the questions that are asked before; the transfer has its own rules.
_WAIT = 600.0
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def upload_db(ctx: click.Context, file: Path, *, allow_older: bool, quiet: bool) -> None:
    """Check the file, the credentials, and send. Raises ``DefinitionsRefused`` with Central's reason."""
    console = Console(quiet=quiet)
    length = _checked(file)
    with connection.central(ctx, console, timeout=_WAIT) as central:
        # Credentials that are refused should be so before hundreds of megabytes have travelled.
        central.get("/v1/auth/status", msgspec.Raw)
        with console.bars(file.name) as advance:
            chunks = _chunks(file, length, advance)
            try:
                response = central.send(
                    "POST",
                    _PATH + ("?allowOlder=true" if allow_older else ""),
                    lambda: central.in_time(chunks, "the upload"),
                    {"Content-Type": "application/zip", "Content-Length": str(length)},
                )
            except connection.Refused as error:
                if error.invalid:
                    raise DefinitionsRefused(error.said or str(error)) from None
                raise
        with response:
            body = response.read(connection.LARGEST)
    try:
        became = msgspec.json.decode(body, type=Became)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # A Central of StackRox's own answers in words.
        click.echo(body.decode("utf-8", "replace").strip()[:500] or "Uploaded")
        return
    tell(became, console)


def tell(became: Became, console: Console) -> None:
    """What is active now."""
    from redoubt.cli.console import clean
    from redoubt.formats.text import count, short_digest

    what = clean(
        f"{short_digest(became.digest)} of channel {became.channel}, version {became.version}, built {became.created}"
    )
    for part in became.passed_over:
        console.notice(f"not read: {part}")
    if became.unsigned:
        console.warn("these definitions are unsigned: nobody vouches for them")
    if became.already_active:
        click.echo(f"Already active: definitions {what}")
        return
    click.echo(f"Active now: definitions {what}")
    if became.older:
        console.warn(
            "these are older than what this channel had before; --allow-older was given and recorded"
        )
    if became.previous:
        console.done(f"Before: {short_digest(became.previous)}; `roxctl definitions rollback` goes back")
    if became.changed is not None:
        counts = became.changed.advisories
        console.done(
            f"Since then {counts.appeared:,} advisories appeared, {counts.changed:,} changed, "
            f"{counts.vanished:,} vanished, for {became.changed.packages:,} packages"
        )
    names = [source.name for source in became.sources if source.records]
    if names:
        console.done(
            f"{sum(source.records for source in became.sources):,} records from {count(len(names), 'source')}"
        )
    lacking: dict[tuple[str, str], list[str]] = {}
    for source in became.sources:
        if source.state in ("stale", "missing"):
            lacking.setdefault((source.state, source.detail), []).append(source.name)
    for (state, detail), alike in lacking.items():
        console.warn(f"{state} in this bundle: {', '.join(alike)} ({detail})")


def _checked(file: Path) -> int:
    """The file's size. Raises ``UnreadableInput`` and ``AccessDenied`` for what is no bundle."""
    try:
        if file.is_dir():
            raise UnreadableInput(f"{file} is a folder; name the bundle's zip")
        with file.open("rb") as data:
            begins = data.read(4)
            length = os.fstat(data.fileno()).st_size
            whole = begins not in _ZIP or zipfile.is_zipfile(data)
    except FileNotFoundError:
        raise UnreadableInput(f"{file}: there is no such file") from None
    except PermissionError:
        raise AccessDenied(f"{file}: permission denied") from None
    except OSError as error:
        raise UnreadableInput(f"{file}: {error.strerror}") from None
    if begins not in _ZIP:
        raise UnreadableInput(f"{file} is no zip, so it is no bundle of definitions; carry it again")
    if not whole:
        raise UnreadableInput(f"{file} is cut off: a zip has its list of contents at the end; carry it again")
    return length


def _chunks(file: Path, length: int, advance: Advance) -> Iterator[bytes]:
    sent = 0
    with file.open("rb") as data:
        while sent < length and (chunk := data.read(min(_CHUNK, length - sent))):
            yield chunk
            sent += len(chunk)
            advance("sent", sent, length)
    advance("verified by Central", 0, 0)
    if sent < length:
        raise UnreadableInput(f"{file} became shorter while it was sent; carry it again")
