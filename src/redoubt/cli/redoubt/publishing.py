"""``redoubt definitions publish``: bundles built at intervals into a folder that any web server can serve.

The folder holds ``bundle.zip`` (the newest), ``delta.zip`` (what makes it of the one before, where there is one), each
also under its version, and ``index.json`` for people and programs. Files appear whole; ``bundle.zip`` is replaced last.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from redoubt.cli import settings
from redoubt.cli.console import Console, size
from redoubt.cli.entry import HELP, require
from redoubt.cli.redoubt import options
from redoubt.errors import RedoubtError, UsageError

if TYPE_CHECKING:
    from redoubt.definitions.bundle import Manifest
    from redoubt.definitions.keys import SigningKey

#: Versions that stay in the folder.
_KEEP = 8
_UNITS = {"m": 60, "h": 3600, "d": 86400}


@click.command(context_settings=HELP)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder to serve.",
)
@click.option(
    "--mirror",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Read upstream's files from this folder. Default: fetch them.",
)
@options.signing_keys
@click.option("--channel", default="main", show_default=True, help="The channel that the bundles belong to.")
@click.option("--every", default="3h", show_default=True, help="How often, as 30m, 3h or 1d.")
@click.option("--once", is_flag=True, help="Build once and end, for a timer of your own.")
@options.quiet
def publish(
    out: Path,
    mirror: Path | None,
    key: tuple[Path, ...],
    channel: str,
    every: str,
    once: bool,
    quiet: bool,
) -> None:
    """Build a bundle every three hours into a folder that a web server serves.

    Central in online mode fetches it: REDOUBT_CENTRAL_DEFINITIONS_URL=https://your.host/bundle.zip. A build that fails
    is told and changes nothing; the next one comes all the same.

    \b
    redoubt definitions publish --key keys --out /srv/definitions
    """
    from redoubt.definitions.keys import load_key

    console = Console(quiet=quiet)
    seconds = _seconds(every)
    signing = [load_key(each) for each in key]
    out.mkdir(parents=True, exist_ok=True)
    while True:
        began = time.monotonic()
        try:
            _publish(out, mirror, signing, channel, console)
        except RedoubtError as error:
            if once:
                raise
            console.warn(f"nothing was published: {error}")
        if once:
            return
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))


def _publish(
    folder: Path, mirror: Path | None, signing: list[SigningKey], channel: str, console: Console
) -> None:
    import shutil
    import tempfile

    import msgspec

    from redoubt.cli.redoubt.building import fetched
    from redoubt.definitions import bundle, durable
    from redoubt.definitions import mirror as mirrors
    from redoubt.definitions.build import build as build_records
    from redoubt.definitions.library import Library
    from redoubt.definitions.publish import publish as write
    from redoubt.definitions.publish import publish_delta
    from redoubt.definitions.sources import select
    from redoubt.definitions.trust import TrustStore

    now = datetime.now(UTC)
    state = settings.cache_dir() / "sources"
    last = _read(folder / "index.json")
    # A bundle of its own has a version of its own, also where the clock went back or the last one is a moment old.
    version = max(bundle.default_version(now), last.version + 1 if last is not None else 0)
    made = mirrors.Mirror(mirror, state=state) if mirror else fetched(select(None), state, now, console)
    with tempfile.TemporaryDirectory(prefix="redoubt-", dir=folder) as work:
        draft = Path(work) / "bundle.zip"
        with build_records(made, None, temporary=Path(work)) as built:
            manifest, lacking = write(built, draft, signing, channel=channel, now=now, version=version)
        if lacking:
            raise UsageError(
                f"root.json asks for {lacking} keys more than were given; publish wants all of them"
            )
        if last is not None and last.digest == manifest.digest:
            console.done(f"unchanged: definitions {manifest.digest}")
            return
        names = [f"{manifest.version}.zip"]
        delta: Path | None = None
        if last is not None and (before := folder / f"{last.version}.zip").is_file():
            trust = TrustStore(Path(work) / "shelf" / "trust")
            root = Path(work) / "root.json"
            root.write_bytes(signing[0].root)
            trust.add(root, channel)
            library = Library(Path(work) / "shelf", trust=trust)
            with library.open(str(before)) as old, library.open(str(draft)) as new:
                delta = Path(work) / "delta.zip"
                publish_delta(old, new, manifest, delta, signing)
            names.append(f"{last.version}-{manifest.version}.delta.zip")
        for source, name in zip([draft, delta] if delta else [draft], names, strict=True):
            shutil.copyfile(source, folder / f".{name}")
            (folder / f".{name}").replace(folder / name)
        if delta is not None:
            delta.replace(folder / "delta.zip")
        durable.replace(folder / "index.json", msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        draft.replace(folder / "bundle.zip")
        durable.sync_directory(folder)
    _prune(folder)
    what = size((folder / "bundle.zip").stat().st_size)
    console.done(f"published: {what}, channel {channel}, definitions {manifest.digest}")


def _read(path: Path) -> Manifest | None:
    import msgspec

    from redoubt.definitions.bundle import Manifest

    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None


def _prune(folder: Path) -> None:
    for pattern in ("[0-9]*[0-9].zip", "[0-9]*.delta.zip"):
        found = sorted(
            (
                path
                for path in folder.glob(pattern)
                if pattern.endswith("delta.zip") == path.name.endswith("delta.zip")
            ),
            key=lambda path: path.stat().st_mtime,
        )
        for path in found[:-_KEEP]:
            path.unlink(missing_ok=True)


def _seconds(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    require(
        number.isascii() and number.isdigit() and int(number) > 0 and unit in _UNITS,
        f"{text!r} is not a time; write 30m, 3h or 1d",
    )
    return float(int(number) * _UNITS[unit])
