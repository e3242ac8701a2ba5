"""A StackRox bundle as one that the shelf takes in: unsigned, in a channel of its own.

Its version is when it was made, so that a later one ascends. Whether unsigned bundles are accepted at all is
not decided here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import redoubt
from redoubt.definitions import bundle, durable, records, stream
from redoubt.definitions.bundle import Facts, Manifest, Verified
from redoubt.definitions.carrier import Carrier
from redoubt.definitions.stackrox.archive import Contents, open_contents
from redoubt.definitions.stackrox.convert import convert
from redoubt.definitions.trust import UNSIGNED_CHANNEL
from redoubt.errors import DefinitionsRefused

#: Clocks may differ by this much. A bundle from further ahead would keep out every one that comes after it.
_SKEW = timedelta(days=1)


def read_unsigned(carrier: Carrier, work: Path, now: datetime) -> Verified:
    """Read the bundle in ``carrier`` whole and leave its stream in the folder ``work``.

    Nothing vouches for the outcome (``Verified.unsigned``). Raises ``DefinitionsRefused`` where it is damaged
    or not one that is known, ``AccessDenied`` where ``work`` cannot be written.
    """
    with open_contents(carrier, work) as contents:
        return _converted(contents, work, now)


def _converted(contents: Contents, work: Path, now: datetime) -> Verified:
    converted = convert(contents, work)
    try:
        created = converted.created.astimezone(UTC)
        if created > now.astimezone(UTC) + _SKEW:
            raise DefinitionsRefused(
                f"the StackRox bundle says it was made on {created:%Y-%m-%d}, which is still to come; "
                "set this machine's clock, or carry another bundle"
            )
        packed = work / bundle.TARGET
        with durable.writing(packed), packed.open("xb") as sink:
            facts = stream.write(converted.records(), sink, fleeting=True)
        manifest = Manifest(
            channel=UNSIGNED_CHANNEL,
            version=bundle.default_version(created),
            created=created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            digest=facts.digest,
            schema=records.SCHEMA,
            size=facts.size,
            tool=f"redoubt {redoubt.__version__}, from a StackRox bundle of schema {contents.schema or 'unknown'}",
            counts=facts.counts,
            namespaces=converted.namespaces,
            sources=converted.sources,
        )
    finally:
        converted.close()
    return Verified(
        facts=Facts(
            channel=UNSIGNED_CHANNEL,
            digest=facts.digest,
            schema=records.SCHEMA,
            created=manifest.created,
            size=facts.size,
            manifest="",
        ),
        version=manifest.version,
        manifest=manifest,
        stream=packed,
        stream_size=packed.stat().st_size,
        anchor=b"",
        root=b"",
        unsigned=True,
        passed_over=contents.passed_over,
    )
