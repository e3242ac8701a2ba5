"""Enrichments: what is known of a CVE or an erratum whichever package it is in. EPSS, KEV, NVD, Red Hat's CSAF.

Each is filed under ``Tags`` and is JSON of its own shape: ClairCore's for EPSS and KEV, the NVD API's 2.0 for
NVD (primary CVSS scores only), StackRox's own for Red Hat's advisories.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes, SpoiltRecord
from redoubt.definitions.stackrox.blob import Enrichment
from redoubt.model import Advisory, CveRecord, Epss, KnownExploited

_T = TypeVar("_T")


class _Score(msgspec.Struct, gc=False):
    cve: str
    epss: float
    percentile: float
    date: str = ""


class _Exploited(msgspec.Struct, gc=False):
    cve: str
    date_added: str
    due_date: str = ""
    known_ransomware_campaign_use: str = ""


class _Data(msgspec.Struct, gc=False, rename="camel"):
    vector_string: str = ""


class _Metric(msgspec.Struct, gc=False, rename="camel"):
    cvss_data: _Data | None = None


class _Metrics(msgspec.Struct, gc=False):
    v40: list[_Metric] | None = msgspec.field(name="cvssMetricV40", default=None)
    v31: list[_Metric] | None = msgspec.field(name="cvssMetricV31", default=None)
    v30: list[_Metric] | None = msgspec.field(name="cvssMetricV30", default=None)
    v2: list[_Metric] | None = msgspec.field(name="cvssMetricV2", default=None)


class _Nvd(msgspec.Struct, gc=False, rename="camel"):
    id: str
    metrics: _Metrics | None = None
    last_modified: str | None = None


class _Rating(msgspec.Struct, gc=False):
    vector: str = ""


class _Notice(msgspec.Struct, gc=False):
    name: str
    description: str = ""
    release_date: str = ""
    severity: str = ""
    cvssv3: _Rating | None = None
    cvssv2: _Rating | None = None


_decode_score = msgspec.json.Decoder(_Score)
_decode_exploited = msgspec.json.Decoder(_Exploited)
_decode_nvd = msgspec.json.Decoder(_Nvd)
_decode_notice = msgspec.json.Decoder(_Notice)


class EpssScores:
    """A record a CVE: FIRST's score."""

    def read(self, record: Enrichment, source: str, notes: Notes) -> Iterator[Item]:
        """See ``Enrichments``."""
        score = _decoded(_decode_score, record)
        if not (0 <= score.epss <= 1 and 0 <= score.percentile <= 1):
            raise SpoiltRecord(f"not a score: {score.epss} {score.percentile}")
        notes.dated(fields.time(score.date))
        yield _cve(score.cve), Epss(score.epss, score.percentile, fields.date(score.date))


class KevEntries:
    """A record a CVE of CISA's catalogue."""

    def read(self, record: Enrichment, source: str, notes: Notes) -> Iterator[Item]:
        """See ``Enrichments``."""
        entry = _decoded(_decode_exploited, record)
        added = fields.date(entry.date_added)
        if not added:
            raise SpoiltRecord("not the date it was added")
        notes.dated(fields.time(entry.date_added))
        ransomware = entry.known_ransomware_campaign_use == "Known"
        yield _cve(entry.cve), CveRecord(kev=KnownExploited(added, fields.date(entry.due_date), ransomware))


class NvdScores:
    """A record a CVE of NVD."""

    def read(self, record: Enrichment, source: str, notes: Notes) -> Iterator[Item]:
        """See ``Enrichments``."""
        found = _decoded(_decode_nvd, record)
        notes.dated(fields.time(found.last_modified))
        metrics = found.metrics or _Metrics()
        rated = (*(metrics.v40 or ()), *(metrics.v31 or ()), *(metrics.v30 or ()), *(metrics.v2 or ()))
        scores = fields.scores(source, (item.cvss_data.vector_string for item in rated if item.cvss_data))
        if scores:
            yield _cve(found.id), CveRecord(cvss=scores)
        else:
            notes.drop("has no score")


class RedHatAdvisories:
    """A record an erratum of Red Hat's: when it came, and how bad what it repairs is."""

    def read(self, record: Enrichment, source: str, notes: Notes) -> Iterator[Item]:
        """See ``Enrichments``."""
        notice = _decoded(_decode_notice, record)
        released = fields.time(notice.release_date)
        notes.dated(released)
        ratings = (rating.vector for rating in (notice.cvssv3, notice.cvssv2) if rating and rating.vector)
        said = Advisory(
            id=fields.identifier(notice.name),
            source=source,
            title=fields.title(notice.description),
            severity=fields.severity(notice.severity),
            cvss=fields.scores(source, ratings),
            url=f"https://access.redhat.com/errata/{notice.name}",
            published=released,
        )
        yield said, ()


def _decoded(decoder: msgspec.json.Decoder[_T], record: Enrichment) -> _T:
    try:
        return decoder.decode(record.enrichment)
    except UNDECODABLE as error:
        raise SpoiltRecord(str(error)) from None


def _cve(text: str) -> str:
    if not fields.CVE.fullmatch(text):
        raise SpoiltRecord(f"not a CVE: {text[:80]!r}")
    return text
