"""What was built becomes a bundle: stream, manifest, signature. The last step of ``definitions build``
and ``delta``.

Knows nothing of feeds, nor of who accepts the bundle.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import redoubt
from redoubt.definitions import bundle, delta, records, stream
from redoubt.definitions.build import Built
from redoubt.definitions.keys import SigningKey
from redoubt.definitions.snapshot import Snapshot
from redoubt.errors import UsageError


def publish(
    built: Built,
    out: Path,
    keys: Sequence[SigningKey],
    *,
    channel: str,
    now: datetime,
    version: int | None = None,
) -> tuple[bundle.Manifest, int]:
    """Write ``built`` as the bundle ``out``; say what is in it, and how many signatures it still lacks.

    ``now`` (with a time zone) is the bundle's time, and gives its version where none is given. Raises what
    ``bundle.write_bundle`` raises.
    """
    with tempfile.TemporaryDirectory(prefix="redoubt-") as temporary:
        packed = Path(temporary) / "snapshot.kv.zst"
        with packed.open("wb") as sink:
            facts = stream.write(built.records(), sink)
        manifest = bundle.Manifest(
            channel=channel,
            version=version or bundle.default_version(now),
            created=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            digest=facts.digest,
            schema=records.SCHEMA,
            size=facts.size,
            tool=f"redoubt {redoubt.__version__}",
            counts=facts.counts,
            namespaces=built.namespaces,
            sources=built.sources,
        )
        lacking = bundle.write_bundle(out, packed, manifest, keys, partial=True)
    return manifest, lacking


def publish_delta(
    old: Snapshot, new: Snapshot, described: bundle.Manifest, out: Path, keys: Sequence[SigningKey]
) -> tuple[bundle.Manifest, int]:
    """Write what makes ``new`` of ``old`` as the bundle ``out``; what is in it, and what it lacks, as ``publish``.

    ``described`` is the manifest of ``new``; channel, version and time are those that ``new`` has. Raises
    what ``bundle.write_bundle`` raises, ``UnreadableInput`` where a record is too large for a delta, and
    ``UsageError`` where nobody signed the definitions: a signature of theirs would look as if somebody had.
    """
    if new.info.unsigned:
        raise UsageError(
            "these definitions are unsigned, and a delta of them would be signed; carry them whole"
        )
    with tempfile.TemporaryDirectory(prefix="redoubt-") as temporary:
        packed = Path(temporary) / "delta.kv.zst"
        with packed.open("wb") as sink:
            facts = delta.write(old.records(), new.records(), sink)
        manifest = msgspec.structs.replace(
            described,
            format=bundle.DELTA_FORMAT,
            channel=new.info.channel,
            version=new.info.version,
            created=new.info.created,
            tool=f"redoubt {redoubt.__version__}",
            base=old.info.digest,
            delta_size=facts.size,
        )
        lacking = bundle.write_bundle(out, packed, manifest, keys, partial=True)
    return manifest, lacking
