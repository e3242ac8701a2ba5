"""NVD's record of every CVE, read for its CVSS scores only: API 2.0 pages, and the yearly files of that shape.

``{"format": "NVD_CVE", "vulnerabilities": [{"cve": {"id": …, "metrics": {…}}}, …]}``,
https://nvd.nist.gov/developers/vulnerabilities. A year is hundreds of megabytes, so a file is never held
whole: it is cut where one entry ends and the next begins, and each is decoded for itself.

Decided here:

- ``Rejected`` entries say that there is no such flaw, and are dropped; so are those that nobody rated.
- Every valid vector is kept (2.0, 3.x, 4.0), under ``nvd`` where NIST gave it, else under the name that NVD
  writes for who did (an address or a UUID).
- The severity of a CVE is NIST's own: by the newest CVSS version in which NIST, or whoever NVD calls
  *Primary*, rated it. A *Secondary* rating alone gives scores and no severity.
- Which products a CVE affects (``configurations``) is never read: see ``docs/sources.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes
from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.model import CveRecord, Cvss, Severity

_NIST = "nvd@nist.gov"
_NAME = re.compile(r"[!-~]{1,100}")
#: The longest entry in bytes; NVD's longest have some megabytes of products.
_LONGEST = 64 << 20


class _Vector(msgspec.Struct, rename="camel"):
    vector_string: str = ""


class _Metric(msgspec.Struct, rename="camel"):
    source: str = ""
    type: str = ""
    cvss_data: _Vector | None = None


class _Metrics(msgspec.Struct):
    cvssMetricV40: list[_Metric] | None = None  # noqa: N815 - upstream's names, the newest version first
    cvssMetricV31: list[_Metric] | None = None  # noqa: N815
    cvssMetricV30: list[_Metric] | None = None  # noqa: N815
    cvssMetricV2: list[_Metric] | None = None  # noqa: N815


class _Cve(msgspec.Struct, rename="camel"):
    id: str
    vuln_status: str = ""
    last_modified: str | None = None
    metrics: _Metrics | None = None


class _Entry(msgspec.Struct):
    cve: _Cve


class _Page(msgspec.Struct):
    vulnerabilities: list[msgspec.Raw]


_decode_entry = msgspec.json.Decoder(_Entry).decode
_decode_page = msgspec.json.Decoder(_Page).decode


class NvdFeed:
    """Reads pages of the API, and the yearly files."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        for where, pieces in files.pieces():
            for raw in _entries(where, pieces):
                notes.read += 1
                try:
                    cve = _decode_entry(raw).cve
                except UNDECODABLE as error:
                    notes.spoil(f"{where} {raw[:60]!r}", error)
                    continue
                if not fields.CVE.fullmatch(cve.id):
                    notes.spoil(f"{where} {cve.id}", "not a CVE id")
                    continue
                notes.dated(fields.time(cve.last_modified))
                if cve.vuln_status == "Rejected":
                    notes.drop("rejected")
                    continue
                record = _rated(source, cve.metrics)
                if record is None:
                    notes.drop("not rated")
                    continue
                yield cve.id, record


def _rated(source: str, metrics: _Metrics | None) -> CveRecord | None:
    if metrics is None:
        return None
    given: set[Cvss] = set()
    severity = Severity.UNKNOWN
    for ratings in (
        metrics.cvssMetricV40,
        metrics.cvssMetricV31,
        metrics.cvssMetricV30,
        metrics.cvssMetricV2,
    ):
        own: list[tuple[bool, float, Cvss]] = []
        for rating in ratings or ():
            nist = rating.source == _NIST
            name = source if nist or not _NAME.fullmatch(rating.source) else rating.source
            for score in fields.scores(name, (rating.cvss_data.vector_string,) if rating.cvss_data else ()):
                given.add(score)
                if nist or rating.type == "Primary":
                    own.append((nist, score.score, score))
        if own and severity is Severity.UNKNOWN:
            severity = max(own)[2].severity
    return CveRecord(cvss=tuple(sorted(given)), severity=severity) if given else None


def _entries(where: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The entries of one file, as JSON each. Raises ``UnreadableInput`` where it is not such a file.

    An entry begins with a brace and the key ``"cve"``. No text inside an entry can look like that: its
    quotes would have backslashes before them.
    """
    buffer = bytearray()
    began = False
    searched = 0
    for piece in pieces:
        buffer += piece
        start = 0
        for found in _BEGINNING.finditer(buffer, searched):
            if began:
                yield bytes(buffer[start : found.start()]).rstrip(b", \t\r\n")
            else:
                _require_head(where, bytes(buffer[: found.start()]))
                began = True
            start = found.start()
        del buffer[:start]
        if len(buffer) > _LONGEST:
            raise LimitExceeded(f"{where} has an entry of more than {_LONGEST} bytes; it is not read")
        # The entry's own beginning is not to be found again; one may be cut by the end of the piece.
        searched = max(1 if began else 0, len(buffer) - _CUT)
    rest = bytes(buffer)
    try:
        yield from map(bytes, _decode_page(b'{"vulnerabilities":[' + rest if began else rest).vulnerabilities)
    except UNDECODABLE as error:
        raise UnreadableInput(f"{where} is not NVD's JSON, or is truncated: {error}") from None


_BEGINNING = re.compile(rb'\{[ \t\r\n]{0,64}"cve"[ \t\r\n]{0,64}:')
_CUT = 140


def _require_head(where: str, head: bytes) -> None:
    try:
        _decode_page(head + b"]}")
    except UNDECODABLE as error:
        raise UnreadableInput(f"{where} is not NVD's JSON: {error}") from None
