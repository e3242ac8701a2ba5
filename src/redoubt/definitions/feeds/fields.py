"""Small things that every upstream writes and nobody can be trusted to write well: names, times, links.

Each function takes text of an upstream and gives our form of it. Where a wrong value makes the record
useless it raises ``SpoiltRecord``; where the record is as good without it, it gives nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from redoubt.definitions import cvss
from redoubt.definitions.feeds.interface import SpoiltRecord
from redoubt.model import Cvss, Severity
from redoubt.model.namespaces import normalize

MAX_NAME = 2048
MAX_TITLE = 300
MAX_LINK = 2000
MAX_LINKS = 20
MAX_NAMES = 200

_ID = re.compile(r"[!-~]{1,200}")
_TIME = re.compile(
    r"(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))"
    r"(?:[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d|(?:[01]\d|2[0-3]):[0-5]\d:60)(?:\.\d{1,12})?"
    r"(?:[Zz]|[+-]00:?00)?)?"
)
_LINK = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_CWE = re.compile(r"CWE-\d{1,6}")
CVE = re.compile(r"CVE-\d{4}-\d{4,19}")

_WORDS = {
    "CRITICAL": Severity.CRITICAL,
    "HIGH": Severity.HIGH,
    "IMPORTANT": Severity.HIGH,
    "MEDIUM": Severity.MEDIUM,
    "MODERATE": Severity.MEDIUM,
    "LOW": Severity.LOW,
    "NEGLIGIBLE": Severity.NEGLIGIBLE,
    "UNIMPORTANT": Severity.NEGLIGIBLE,
}


def identifier(text: str) -> str:
    """An advisory's id: printable ASCII without spaces, at most 200 characters."""
    if not _ID.fullmatch(text):
        raise SpoiltRecord(f"not an identifier: {text[:80]!r}")
    return text


def identifiers(texts: Iterable[str] | None, *, but: str = "") -> tuple[str, ...]:
    """Those texts that are ids, sorted, each once, without ``but``."""
    if not texts:
        return ()
    return tuple(sorted({text for text in texts if _ID.fullmatch(text)} - {but}))[:MAX_NAMES]


def cve_ids(texts: Iterable[str]) -> tuple[str, ...]:
    """Those texts that are CVE ids, sorted, each once."""
    return tuple(sorted({text for text in texts if CVE.fullmatch(text)}))


@lru_cache(maxsize=1 << 15)
def package(namespace: str, name: str) -> str:
    """A package's name as it is stored and looked up (``namespaces.normalize``)."""
    if not name or not name.isprintable() or len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise SpoiltRecord(f"not a package name: {name[:80]!r}")
    return normalize(namespace, name)


def time(text: str | None) -> str:
    """RFC 3339 in UTC to the second, or empty: for no time, a time of year 1, or what is not a time.

    Upstreams write UTC; a time with another offset is left out.
    """
    if not text:
        return ""
    found = _TIME.fullmatch(text)
    if found is None or found[1].startswith("000"):
        return ""
    return f"{found[1]}T{found[2] or '00:00:00'}Z"


def date(text: str | None) -> str:
    """``YYYY-MM-DD``, or empty."""
    return time(text)[:10]


def title(text: str | None) -> str:
    """One printable line of at most 300 characters."""
    if not text:
        return ""
    line = " ".join(text[: 4 * MAX_TITLE].split())
    line = line if line.isprintable() else "".join(character for character in line if character.isprintable())
    return line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1].rstrip() + "…"


def links(texts: Iterable[str | None]) -> tuple[str, ...]:
    """The http and https links, in the order given, each once, at most 20."""
    found: dict[str, None] = {}
    for text in texts:
        if text and len(text) <= MAX_LINK and _LINK.fullmatch(text):
            found[text] = None
            if len(found) == MAX_LINKS:
                break
    return tuple(found)


def severity(word: object) -> Severity:
    """A source's word for how bad: any case, with or without Debian's stars. ``UNKNOWN`` if not a word."""
    if not isinstance(word, str):
        return Severity.UNKNOWN
    return _WORDS.get(word.strip().rstrip("*").upper(), Severity.UNKNOWN)


def scores(source: str, vectors: Iterable[str]) -> tuple[Cvss, ...]:
    """The valid ones among CVSS vectors, with their base scores, sorted, each once."""
    found = set()
    for vector in vectors:
        try:
            found.add(Cvss(source, vector, cvss.base_score(vector)))
        except cvss.InvalidVector:
            continue
    return tuple(sorted(found))


def cwes(texts: object) -> tuple[str, ...]:
    """The CWE ids in a list, sorted, each once; nothing for what is not a list of them."""
    if not isinstance(texts, list):
        return ()
    return tuple(sorted({text for text in texts if isinstance(text, str) and _CWE.fullmatch(text)}))
