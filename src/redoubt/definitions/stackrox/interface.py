"""What reading one kind of updater is: a record of ClairCore's in, our facts out. And what all kinds share.

Each kind is a module beside this one, which holds everything that is special about it: whose words these
are, what an empty or a zero version means, and which names and namespaces it speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeAlias

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.definitions.stackrox.blob import Enrichment, Vulnerability
from redoubt.model import Advisory, AffectedRange, Cvss, Severity

#: An advisory and one package that it speaks of: namespace, name as it is looked up, range.
Said: TypeAlias = tuple[Advisory, str, str, AffectedRange]

#: A CVE's number wherever it stands in a text.
CVE = re.compile(r"CVE-\d{4}-\d{4,19}(?!\d)", re.ASCII)

#: Longest text that is searched for names.
_SEARCHED = 32_768


class Vulnerabilities(Protocol):
    """Reads one kind of updater's vulnerabilities."""

    def read(self, record: Vulnerability, source: str, notes: Notes) -> Iterator[Said]:
        """What ``record`` says. One that is understood and left out is counted with ``notes.drop``.

        Raises ``SpoiltRecord`` where it cannot be used.
        """
        ...


class Enrichments(Protocol):
    """Reads one kind of updater's enrichments."""

    def read(self, record: Enrichment, source: str, notes: Notes) -> Iterator[Item]:
        """What ``record`` says. Raises ``SpoiltRecord``."""
        ...


class Kind(NamedTuple):
    """Updaters that speak alike. ``source`` is who they are in ``Advisory.source``: the name that the same
    data has among our own sources. ``updaters`` matches their names whole.
    """

    source: str
    title: str
    home: str
    licence: str
    updaters: re.Pattern[str]
    vulnerabilities: Vulnerabilities | None = None
    enrichments: Enrichments | None = None


def severity(record: Vulnerability) -> Severity:
    """How bad, as ClairCore's own scale has it (``normalized_severity``)."""
    return fields.severity(record.normalized_severity)


def vectors(record: Vulnerability, source: str) -> tuple[Cvss, ...]:
    """The CVSS vector that stands in place of a word in ``severity``, if one does."""
    text = record.severity
    return fields.scores(source, (text,)) if "/" in text and len(text) < 400 else ()


def links(record: Vulnerability) -> list[str]:
    """``links``, which are separated by spaces."""
    return record.links[:_SEARCHED].split()


def cves_in(*texts: str) -> tuple[str, ...]:
    """The CVEs that are named in some texts, sorted, each once."""
    return tuple(sorted({found for text in texts for found in CVE.findall(text[:_SEARCHED])}))


#: Records of one flaw follow each other, and repeat these.
_title = lru_cache(maxsize=1 << 11)(fields.title)
_time = lru_cache(maxsize=1 << 11)(fields.time)


@lru_cache(maxsize=1 << 11)
def _links(text: str) -> tuple[str, ...]:
    return fields.links(text[:_SEARCHED].split())


def advisory(
    record: Vulnerability,
    source: str,
    identifier: str,
    *,
    severity: Severity = Severity.UNKNOWN,
    cvss: tuple[Cvss, ...] = (),
    aliases: tuple[str, ...] = (),
    cves: tuple[str, ...] = (),
    url: str = "",
    but: str = "",
) -> Advisory:
    """The advisory that a record is about, without links that begin with ``but``.

    Raises ``SpoiltRecord`` where its name is none.
    """
    references = _links(record.links) if record.links else ()
    url = url or (references[0] if references else "")
    return Advisory(
        id=fields.identifier(identifier),
        source=source,
        title=_title(record.description) if record.description else "",
        severity=severity,
        cvss=cvss,
        aliases=aliases,
        cves=cves,
        references=tuple(link for link in references if link != url and not (but and link.startswith(but))),
        url=url,
        published=_time(record.issued),
    )
