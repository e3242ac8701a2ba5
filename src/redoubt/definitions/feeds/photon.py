"""Photon OS's CVE metadata: a JSON list a release, ``cve_data_photon5.0.json``.

An entry is a CVE in a *source* package: ``res_ver`` the version that repairs it, ``aff_ver`` a sentence ("all versions
before 1.2-3.ph5 are vulnerable"), ``status`` "Fixed" or "Not Affected", and a CVSS base score without a vector,
which is the only thing said of how bad it is. ``NA`` stands for no version: an entry with no version at all and
no "Not Affected" says nothing. Numbers of unknown flaws (``UNK-1``, ``Re``) are left out; those of others than
CVE (``BDSA-…``) are flaws of their own. The release stands in the file's name; there are no dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, LIMIT, affected, tidy
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory, Affected, AffectedRange, Cvss, Severity, Status

_FILE = re.compile(r"(?:.*/)?cve_data_photon(\d+\.\d+)\.json(?:\.gz)?")
_BEFORE = re.compile(r"all versions before (\S+) are vulnerable")
_ALL = re.compile(r"all versions (?:are|is) vulnerable")
_NOT_A_FLAW = re.compile(r"UNK-|Re$")


class _Entry(msgspec.Struct):
    cve_id: str
    pkg: str
    cve_score: float | None = None
    aff_ver: str | None = None
    res_ver: str | None = None
    status: str | None = None


_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode


class PhotonFeed:
    """Reads Photon's CVE metadata."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. The files carry neither titles nor dates."""
        flaws: dict[str, dict[tuple[str, str], set[AffectedRange]]] = {}
        scores: dict[str, float] = {}
        for where, data in files.contents():
            named = _FILE.fullmatch(where)
            try:
                entries = _decode_list(data)
            except UNDECODABLE as error:
                raise UnreadableInput(f"{where} is not Photon's CVE metadata: {error}") from None
            if named is None:
                raise UnreadableInput(f"{where} does not say its release as upstream's names do; keep them")
            namespace = f"photon:{named[1]}"
            for raw in entries:
                notes.read += 1
                try:
                    entry = _decode_entry(raw)
                    if not entry.cve_id or _NOT_A_FLAW.match(entry.cve_id):
                        notes.drop("not the number of a flaw")
                        continue
                    identifier = fields.identifier(entry.cve_id)
                    package = (namespace, fields.package(namespace, entry.pkg))
                    found = _range(entry)
                except (*UNDECODABLE, SpoiltRecord) as error:
                    notes.spoil(f"{where} {bytes(raw)[:60]!r}", error)
                    continue
                if found is None:
                    notes.drop("names no version")
                    continue
                flaws.setdefault(identifier, {}).setdefault(package, set()).add(found)
                scores[identifier] = max(scores.get(identifier, 0.0), entry.cve_score or 0.0)
        for identifier, packages in flaws.items():
            yield (
                _advisory(identifier, source, scores[identifier]),
                tuple(
                    Affected(namespace, name, tidy(_settled(ranges)))
                    for (namespace, name), ranges in sorted(packages.items())
                ),
            )


def _advisory(identifier: str, source: str, score: float) -> Advisory:
    # The scale of CVSS 3, which upstream says its scores are of; 0 is what it writes where it has none.
    severity = Cvss("", "CVSS:3", score).severity if 0 < score <= 10 else Severity.UNKNOWN
    cve = fields.CVE.fullmatch(identifier)
    page = f"https://nvd.nist.gov/vuln/detail/{identifier}" if cve else ""
    return Advisory(id=identifier, source=source, severity=severity, url=page)


def _range(entry: _Entry) -> AffectedRange | None:
    if (entry.status or "").lower() == "not affected":
        return affected("rpm", status=Status.NOT_AFFECTED)
    fixed, sentence = _version(entry.res_ver), (entry.aff_ver or "").strip()
    if fixed:
        return affected("rpm", "", fixed, FIXED)
    if before := _BEFORE.fullmatch(sentence):
        return affected("rpm", "", before[1], LIMIT)
    return affected("rpm") if _ALL.fullmatch(sentence) else None


def _version(text: str | None) -> str:
    version = (text or "").strip()
    return "" if version.upper() == "NA" else version


def _settled(ranges: set[AffectedRange]) -> list[AffectedRange]:
    """Without "not affected" where another entry names what is."""
    bad = [item for item in ranges if item.status is not Status.NOT_AFFECTED]
    return bad or list(ranges)
