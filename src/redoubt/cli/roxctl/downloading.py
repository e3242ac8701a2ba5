"""``roxctl scanner download-db``: which release, which of its files, from where, and who vouches for it."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import click
import msgspec

from redoubt import egress
from redoubt.cli import settings as places
from redoubt.cli.console import Console, size
from redoubt.cli.roxctl import connection, releases, settings
from redoubt.errors import (
    AccessDenied,
    DefinitionsRefused,
    NetworkError,
    UnreadableInput,
    UsageError,
)

#: The largest bundle that is fetched: several times StackRox's own.
LARGEST = 8 << 30
_STILL = 60.0
#: Seconds that asking Central may take: what it says is a default.
_ASKING = 10.0
_CHUNK = 1 << 20

Progress = Callable[[int, int], None]


class _Metadata(msgspec.Struct, rename="camel"):
    """As much of ``/v1/metadata`` as matters. ``upstream_release`` is what a Redoubt says of itself."""

    version: str = ""
    upstream_release: str = ""


def download_db(
    ctx: click.Context,
    *,
    version: str | None,
    file: Path | None,
    force: bool,
    skip_central: bool,
    skip_variants: bool,
) -> None:
    """Fetch the first of the candidates that is there. Raises our errors, each a line that says what to do."""
    console = Console()
    base, one = _base()
    if one:
        what, names = one, [one]
    else:
        release = _release(ctx, version, skip_central, console)
        what, names = f"release {release}", releases.files(release, only_first=skip_variants)
    if file is not None and file.exists() and not force:
        raise UsageError(f"{file} is here already; --force replaces it")
    targets = {name: file or Path(name) for name in names}
    there = {name for name, to in targets.items() if to.exists() and not force}
    for name in sorted(there, key=names.index):
        console.notice(f"{targets[name]} is here already and stays; --force replaces it")
    if len(there) == len(targets):
        raise UsageError(f"every file of {what} is here already; --force fetches anew")
    source = _source(ctx, base, console)
    for name in names:
        if name in there:
            continue
        try:
            vouched = _fetch(source, name, targets[name], console)
        except (egress.Missing, _Forbidden) as error:
            console.notice(str(error))
            continue
        except egress.Unreachable as error:
            raise NetworkError(
                f"{error}; run this where there is internet, or name another place with ROX_SCAN_DB_DL_BASE_URL"
            ) from None
        to = targets[name]
        console.notice(f"SHA-256 {_sha256(to)}")
        click.echo(f"Downloaded {to} ({size(to.stat().st_size)}), {vouched}")
        return
    raise egress.Missing(
        f"no bundle for {what} at {source.where}; name another with --version, or another place with "
        "ROX_SCAN_DB_DL_BASE_URL"
    )


def _release(ctx: click.Context, version: str | None, skip_central: bool, console: Console) -> str:
    if version:
        releases.files(version)  # raises for what is none
        return version
    if not skip_central and (told := _central_release(ctx, console)):
        console.notice(f"release {told}, which Central follows")
        return told
    console.notice(
        f"release {releases.NEWEST_RELEASE}, the newest that roxctl knows; --version names another"
    )
    return releases.NEWEST_RELEASE


def _central_release(ctx: click.Context, console: Console) -> str:
    """The release that Central follows; empty, with a warning, where that cannot be found out."""
    try:
        try:
            told = _metadata(ctx, console, anonymous=False)
        except (AccessDenied, connection.Refused):
            told = _metadata(ctx, console, anonymous=True)
    except (NetworkError, connection.Refused) as error:
        if settings.load(ctx).endpoint.explicit:
            console.warn(f"Central was not asked which release it follows: {error}")
        return ""
    release = told.upstream_release
    # A Central of StackRox's own says its version only; ours begin with 0.
    if not release and not told.version.startswith("0."):
        release = told.version
    try:
        releases.variants(release)
    except UsageError:
        return ""
    return release


def _metadata(ctx: click.Context, console: Console, *, anonymous: bool) -> _Metadata:
    with connection.central(ctx, console, timeout=_ASKING, anonymous=anonymous) as central:
        return central.get("/v1/metadata", _Metadata)


class _Forbidden(AccessDenied):
    """Some stores answer 403 for what is not there."""


class _Web:
    """An address that files lie below."""

    def __init__(self, base: str, retries: int, limit: float | None, named: bool) -> None:
        self.where = egress.scrub(base)
        self._base = base.rstrip("/")
        self._end = time.monotonic() + limit if limit else None
        policy = egress.Policy.from_environment()
        if named:
            policy = policy.allowing(urlsplit(base).hostname or "")
        self._client = egress.client(policy=policy, timeout=_STILL, retry=egress.Retry(attempts=retries + 1))

    def fetch(self, name: str, to: Path, progress: Progress) -> None:
        """Fetch the whole, or the rest of it. Raises ``Missing``, ``_Forbidden`` and other errors of ours."""

        def advance(done: int, total: int) -> None:
            progress(done, total)
            if self._end is not None and time.monotonic() > self._end:
                raise NetworkError(
                    f"{self.where}: not done within --timeout; give the command again and it goes on from there"
                )

        try:
            done = egress.download(
                self._client, f"{self._base}/{quote(name)}", to, limit=LARGEST, progress=advance
            )
        except AccessDenied as error:
            if "(403)" in str(error):
                raise _Forbidden(str(error)) from None
            raise
        assert done.changed


class _Folder:
    """A folder that files lie below, in folders named like the release or directly."""

    def __init__(self, folder: Path) -> None:
        self.where = str(folder)
        self._folder = folder

    def fetch(self, name: str, to: Path, progress: Progress) -> None:
        """Copy, by way of a file beside ``to``."""
        found = next(
            (place for place in (self._folder / name, self._folder / Path(name).name) if place.is_file()),
            None,
        )
        if found is None:
            raise egress.Missing(f"{self._folder / name}: there is no such file")
        total, done = found.stat().st_size, 0
        beside = to.with_name(f".{to.name}.part")
        try:
            with found.open("rb") as source, beside.open("wb") as sink:
                while chunk := source.read(_CHUNK):
                    sink.write(chunk)
                    done += len(chunk)
                    progress(done, total)
            beside.replace(to)
        finally:
            beside.unlink(missing_ok=True)


def _base() -> tuple[str, str]:
    """Where files lie, and the one that is meant where a zip is named and not a place for many."""
    base = settings.download_base()
    if base.lower().endswith(".zip"):
        place, _, name = base.rpartition("/")
        return place or ".", unquote(name) if "://" in base else name
    return base, ""


def _source(ctx: click.Context, base: str, console: Console) -> _Web | _Folder:
    named = bool(base)
    base = base or releases.UPSTREAM
    scheme, divided, _ = base.partition("://")
    if divided and scheme.lower() in ("http", "https"):
        if scheme.lower() == "http":
            console.warn(
                f"{egress.scrub(base)} is asked without TLS: anybody on the way can exchange the file"
            )
        limit = settings.Told(ctx).seconds("timeout")
        return _Web(base, settings.retries(), limit, named)
    if divided and scheme.lower() != "file":
        raise UsageError(f"ROX_SCAN_DB_DL_BASE_URL: {scheme!r} is none of https, http and file")
    folder = Path(unquote(urlsplit(base).path)) if divided else Path(base)
    if not folder.is_dir():
        raise UnreadableInput(f"{folder} is no folder; check ROX_SCAN_DB_DL_BASE_URL")
    return _Folder(folder)


def _fetch(source: _Web | _Folder, name: str, to: Path, console: Console) -> str:
    """Fetch a file, find out who vouches for it, and only then put it in its place."""
    from redoubt.definitions import durable

    made = not to.parent.exists()
    fresh = to.with_name(f".{to.name}.fetched")
    try:
        with durable.writing(to):
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with console.bars("fetching") as advance:
                source.fetch(name, fresh, lambda done, total: advance(Path(name).name, done, total))
            vouched = vouch(fresh, to, console)
            fresh.replace(to)
        return vouched
    finally:
        fresh.unlink(missing_ok=True)
        if made:
            with suppress(OSError):
                to.parent.rmdir()


def vouch(file: Path, name: Path, console: Console) -> str:
    """Who vouches for the bundle in ``file``, in words. Raises ``DefinitionsRefused`` for what is none, or is not what
    was signed; messages call it ``name``.
    """
    from redoubt.definitions.bundle import read_manifest, verify_bundle
    from redoubt.definitions.carrier import open_carrier
    from redoubt.definitions.library import Library
    from redoubt.definitions.stackrox.archive import is_stackrox

    try:
        with open_carrier(file) as carrier:
            if is_stackrox(carrier.names()):
                console.warn(
                    "UNSIGNED: StackRox signs nothing, so nobody vouches for this file. Compare its SHA-256 by another "
                    "way; Central takes it once an administrator ran `roxctl definitions trust allow-unsigned stackrox`"
                )
                return "UNSIGNED"
            manifest, _ = read_manifest(carrier)
            roots = Library(places.data_dir()).trust.roots
            if not roots(manifest.channel):
                console.warn(
                    f"signed for channel {manifest.channel}, whose root is not trusted on this machine: nobody checked "
                    "the signature. Central will; here `redoubt definitions trust add` makes it possible"
                )
                return f"signature of channel {manifest.channel} NOT CHECKED"
            with tempfile.TemporaryDirectory(prefix="redoubt-") as work:
                verify_bundle(carrier, roots, Path(work))
            return f"signed for channel {manifest.channel}, version {manifest.version}"
    except DefinitionsRefused as error:
        reason = str(error).replace(str(file), str(name))
        raise DefinitionsRefused(f"what was fetched is not kept: {reason}") from None


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
