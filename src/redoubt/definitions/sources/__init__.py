"""The one registry of sources: what each is called, who gives it, where it lies, and which feed reads it.

A source that is not in ``SOURCES`` does not exist: building, fetching, documents and tests all walk it.
One module a kind of upstream. Knows nothing of how files are fetched, kept or turned into records.
"""

from __future__ import annotations

from collections.abc import Iterable

from redoubt.definitions.sources import apk, arch, cves, deb, fedora, osv, redhat, rpm, updateinfo
from redoubt.definitions.sources.interface import Download, Source
from redoubt.errors import UsageError

__all__ = ["SOURCES", "Download", "Source", "select"]

SOURCES: tuple[Source, ...] = (
    *osv.SOURCES,
    *deb.SOURCES,
    *apk.SOURCES,
    *arch.SOURCES,
    *redhat.SOURCES,
    *updateinfo.SOURCES,
    *fedora.SOURCES,
    *rpm.SOURCES,
    *cves.SOURCES,
)


def select(names: Iterable[str] | None) -> tuple[Source, ...]:
    """The sources of those names, in the registry's order; all where ``names`` is None.

    Raises ``UsageError`` for a name that is none.
    """
    if names is None:
        return SOURCES
    wanted = set(names)
    unknown = wanted - {source.name for source in SOURCES}
    if unknown:
        known = " ".join(source.name for source in SOURCES)
        raise UsageError(f"no such source: {', '.join(sorted(unknown))}; there are {known}")
    if not wanted:
        raise UsageError("no source was named")
    return tuple(source for source in SOURCES if source.name in wanted)
