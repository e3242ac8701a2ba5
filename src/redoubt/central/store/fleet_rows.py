"""Rows of the fleet's lists, and how things lie in its tables. Knows no statement."""

from __future__ import annotations

from datetime import datetime

import msgspec
import zstandard

from redoubt.matcher.apart import Verdict
from redoubt.matcher.outcomes import Judgement
from redoubt.model import DefinitionsInfo, Finding, IndexReport, Severity, Status

#: What a kept report may be, decompressed.
_LARGEST_PLAIN = 1 << 30

#: By rank.
SEVERITIES = tuple(Severity)


class ImageRow(msgspec.Struct, frozen=True, kw_only=True):
    """An image in a list. Counts are of findings that count."""

    image: int
    digest: str
    name: str
    added: datetime
    packages: int
    critical: int
    high: int
    medium: int
    low: int
    negligible: int
    unknown: int
    fixable: int


class FlawRow(msgspec.Struct, frozen=True, kw_only=True):
    """A flaw in a list. ``severity`` is a rank (5 critical), the worst that any package's finding has."""

    flaw: int
    name: str
    severity: int
    exploited: bool
    probability: float
    percentile: float
    fixable: bool
    packages: int
    images: int
    first_seen: datetime


class Brief(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """As much of a ``Finding`` as a list shows, in its words. The whole of it is in the image's report."""

    id: str
    status: Status
    severity: Severity
    title: str = ""
    fixed_version: str = ""
    fix_channel: str = ""
    published: str = ""
    url: str = ""


class FindingRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A finding of an image in a list, and the package that has it. The score is the one of the finding's own name."""

    type: str
    name: str
    version: str
    first_seen: datetime
    exploited: bool
    probability: float
    finding: Brief


class ChangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found otherwise than before in one package: ``new``, ``gone``, ``worse`` or ``better``."""

    run: int
    type: str
    name: str
    version: str
    flaw: str
    change: str
    was: int
    is_now: int


class ImageChanges(msgspec.Struct, frozen=True, kw_only=True):
    """How many findings of an image a run found new, gone, worse and better."""

    image: int
    digest: str
    name: str
    appeared: int
    gone: int
    worse: int
    better: int


encode = msgspec.msgpack.Encoder().encode
verdict_decoder = msgspec.msgpack.Decoder(Verdict)
finding_decoder = msgspec.msgpack.Decoder(Finding)
brief_decoder = msgspec.msgpack.Decoder(Brief)
info_decoder = msgspec.msgpack.Decoder(DefinitionsInfo)
_report_decoder = msgspec.msgpack.Decoder(IndexReport)


def packed(report: IndexReport) -> bytes:
    """An index report as an image's row has it."""
    return zstandard.ZstdCompressor(level=3).compress(encode(report))


def unpacked(data: bytes) -> IndexReport:
    """A kept index report."""
    plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=_LARGEST_PLAIN)
    return _report_decoder.decode(plain)


def without_findings(verdict: Verdict) -> bytes:
    """A verdict as a package's row has it."""
    said = verdict.judgement
    return encode(msgspec.structs.replace(verdict, judgement=Judgement((), said.upgrade, said.unfixed)))
