"""Maven's version ranges: ``[1.0,2.0)``, ``(,1.5]``, ``[1.2]``, and unions of them.

Rules: ``VersionRange.createFromVersionSpec`` of Maven 3.8: no set begins below the end of the one before, and a
single version stands in square brackets. Ends are compared as Maven compares them, rings included.

Narrower than Maven: a version without brackets is refused (to Maven it is a mere wish, which any version meets;
an upstream that writes it means something else), and so is an empty version or one with brackets and commas.
Wider: blanks may stand in front, ``[1,1]`` is ``[1]``, and ``[0,`` is open below, as in OSV.
"""

from __future__ import annotations

import re

from redoubt.versions import compare
from redoubt.versions.expressions.spans import Range, between
from redoubt.versions.invalid import InvalidRange

_SET = re.compile(
    r"\s*+([\[(])\s*+([^\[\](),]*+)(?:(,)([^\[\](),]*+))?+([\])])\s*+(?:,(?=\s*+[\[(]))?+", re.ASCII
)


def parse(text: str) -> list[Range]:
    """The ranges of a Maven version range. Raises ``InvalidRange`` or ``InvalidVersion``."""
    ranges: list[Range] = []
    at = 0
    before = ""  # where the set before ends; empty where it is open
    while at < len(text) or not ranges:
        found = _SET.match(text, at)
        if not found:
            raise InvalidRange("maven", text)
        at = found.end()
        opening, lower, comma, upper, closing = found.groups()
        lower, upper = lower.strip(), (upper or "").strip()
        if not comma:
            if not lower or opening + closing != "[]":
                raise InvalidRange("maven", text, "a single version stands in square brackets")
            upper = lower
        _check(text, lower, upper, opening + closing if comma else "")
        if before and (not lower or compare("maven", lower, before) < 0):
            raise InvalidRange("maven", text, "sets that overlap or descend")
        before = upper
        ranges.append(between(lower, opening == "(", upper, closing == ")"))
    return ranges


def _check(text: str, lower: str, upper: str, brackets: str) -> None:
    """Raises where an end is no version or the two make no set; ``brackets`` are empty for a single version."""
    for end in filter(None, (lower, upper)):
        compare("maven", end, end)
    if brackets and lower and upper:
        found = compare("maven", lower, upper)
        if found > 0 or (found == 0 and brackets != "[]"):
            raise InvalidRange("maven", text, "ends that descend, or one excluded that the other names")
