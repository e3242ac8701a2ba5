"""RubyGems' requirements: ``~> 1.2, >= 1.2.3``.

Rules: ``Gem::Requirement`` (3.3), comma-separated as Gemfiles and ruby-advisory-db write lists. ``~> 1.2.3``
is from 1.2.3 up to 1.3 without its pre-releases; no version of a gem is the lowest pre-release of 1.3, so
the end is written ``1.3.A``, which only words of capital As get below. ``>= 0`` is open below, as in OSV.
"""

from __future__ import annotations

import re

from redoubt.versions.expressions.spans import Comparator, Range, conjunction, successor
from redoubt.versions.gem import numbers
from redoubt.versions.invalid import InvalidRange

_ITEM = re.compile(r"\s*+(!=|~>|[<>]=?|=)?+\s*+([0-9][0-9A-Za-z.-]*+)\s*+", re.ASCII).fullmatch


def parse(text: str) -> list[Range]:
    """The ranges of a comma-separated requirement. Raises ``InvalidRange`` or ``InvalidVersion``."""
    comparators: list[Comparator] = []
    for each in text.split(","):
        item = _ITEM(each)
        if not item:
            raise InvalidRange("gem", text)
        operator, version = item.groups()
        if operator == "~>":
            comparators += [Comparator(">=", version), Comparator("<", f"{_bumped(version)}.A")]
        else:
            comparators.append(Comparator(operator or "=", version))
    return conjunction("gem", comparators)


def _bumped(version: str) -> str:
    """The release without its last number, where there are more, and the one before it one higher."""
    release = numbers(version)
    kept = release[:-1] or release
    return ".".join((*kept[:-1], successor(kept[-1])))
