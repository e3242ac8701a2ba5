"""The names of flaws that several databases keep them under, and what definitions call the list of these.

Rolling distributions list a flaw by its CVE and by GitHub's id, and do not say that the two are one. Records of others
do, in passing: builds gather what they say (``Mapped`` of kind ``ALIAS``), and matching asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable

#: How ids begin under which several databases keep one flaw.
SHARED = "GHSA-"

#: ``Mapped.kind``: a flaw's shared name → the CVEs that records which name both call it.
ALIAS = "alias"


def shared(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each shared name among those of one flaw → all CVEs among them, sorted; nothing where either lacks."""
    names = set(names)
    others = sorted(name for name in names if name.startswith(SHARED))
    cves = tuple(sorted(name for name in names if name.startswith("CVE-"))) if others else ()
    return dict.fromkeys(others, cves) if cves else {}
