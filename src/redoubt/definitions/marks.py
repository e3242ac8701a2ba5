"""Digests of what a snapshot says of a package, so that one can be asked later whether it says anything else.

A mark covers all that a judgement of the package may read: its records, their advisories, other databases' records
of the same ids, and what is known of their CVEs. EPSS scores are left out: nearly every one changes every day, and they
decide nothing. Compared are the bytes as they are stored, and nothing more is decoded than it takes to find them.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from redoubt.definitions import records
from redoubt.definitions.snapshot import Snapshot

#: Bytes of a mark.
SIZE = 16
#: How ids begin under which several databases keep one flaw (``matcher.aliases``).
_SHARED = "GHSA-"
_MISSING = b"\0"

_refs_of = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]]).decode


class Marks:
    """One run over one snapshot. What many packages share is read once; memory grows with what is asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._sources = [source.name for source in snapshot.info.sources if not source.scores_only]
        self._records: dict[str, bytes] = {}
        self._cves: dict[str, bytes] = {}

    def of(self, namespace: str, name: str) -> bytes:
        """The mark of everything that is said of a package; ``name`` normalised."""
        value = self._snapshot.stored(f"a{namespace}\0{name}".encode(errors="replace"))
        if value is None:
            return _MISSING
        digest = blake2b(value, digest_size=SIZE)
        known = self._records
        for ref, _ in _refs_of(value):
            digest.update(known.get(ref) or self._of_record(ref))
        return digest.digest()

    def mapped(self, kind: str, name: str) -> bytes:
        """The mark of what a name in images stands for."""
        return _mark(self._snapshot.stored(f"r{kind}\0{name}".encode(errors="replace")))

    def _of_record(self, ref: str) -> bytes:
        value = self._snapshot.stored(b"v" + ref.encode(errors="replace"))
        identifier = ref.partition("/")[2]
        digest = blake2b(_mark(value), digest_size=SIZE)
        if identifier.startswith("CVE-"):
            digest.update(self._of_cve(identifier))
        names: tuple[str, ...] = ()
        if value is not None:
            advisory = records.decode_advisory(ref, value)
            names = (*advisory.aliases, *advisory.cves)
        for name in names:
            if name.startswith("CVE-"):
                digest.update(self._of_cve(name))
        for name in (identifier, *names):
            if name.startswith(_SHARED):
                digest.update(self._of_shared(name))
        known = self._records[ref] = digest.digest()
        return known

    def _of_shared(self, name: str) -> bytes:
        digest = blake2b(digest_size=SIZE)
        for source in self._sources:
            ref = f"{source}/{name}"
            value = self._snapshot.stored(b"v" + ref.encode(errors="replace"))
            if value is not None:
                digest.update(_mark(value))
                for alias in records.decode_advisory(ref, value).aliases:
                    if alias.startswith("CVE-"):
                        digest.update(self._of_cve(alias))
        return digest.digest()

    def _of_cve(self, name: str) -> bytes:
        if (known := self._cves.get(name)) is None:
            value = self._snapshot.stored(b"c" + name.encode(errors="replace"))
            known = self._cves[name] = _mark(value)
        return known


def _mark(value: bytes | None) -> bytes:
    return _MISSING if value is None else blake2b(value, digest_size=SIZE).digest()
