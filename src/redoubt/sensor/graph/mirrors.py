"""Where images are read that OpenShift's mirror sets have mirrors for. Pure.

Rules: OpenShift's ``ImageContentSourcePolicy`` (by digest), ``ImageDigestMirrorSet`` and ``ImageTagMirrorSet``, and
``containers-registries.conf(5)``, which they become on nodes: of several sources the longest that the name begins with counts.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from redoubt.errors import UsageError
from redoubt.indexer.sources.reference import ImageReference, parse_reference

#: Places in which an image is looked for, at most.
MOST = 10


class Mirrored(msgspec.Struct, frozen=True):
    """A source (``registry.example/team``, or ``*.example``), and its mirrors, the first to be tried first."""

    source: str
    mirrors: tuple[str, ...]
    #: For images that are named by digest, else for those that are named by tag.
    digests: bool = True
    #: The source itself is not to be contacted.
    never_source: bool = False


class SeenMirrors(msgspec.Struct, frozen=True):
    """What an object of one of the three kinds says."""

    rules: tuple[Mirrored, ...]


class Mirrors:
    """All such objects, by UID."""

    def __init__(self) -> None:
        self.sets: dict[str, SeenMirrors] = {}

    @property
    def rules(self) -> list[Mirrored]:
        """What they say, in a lasting order."""
        return [rule for _, each in sorted(self.sets.items()) for rule in each.rules]


def places(reference: ImageReference, rules: Iterable[Mirrored]) -> list[ImageReference]:
    """Where the image may be read, the first to be tried first; the image's own place last, unless that is forbidden."""
    name = f"{reference.host}/{reference.repository}"
    fitting = [(begun, each) for each in rules if (begun := _begun(name, reference.host, each.source))]
    longest = max((len(begun) for begun, _ in fitting), default=0)
    chosen = [(begun, each) for begun, each in fitting if len(begun) == longest]
    found: dict[str, ImageReference] = {}
    for begun, rule in chosen:
        if rule.digests != bool(reference.digest):
            continue
        for mirror in rule.mirrors:
            which = f"@{reference.digest}" if reference.digest else f":{reference.tag}"
            try:
                place = parse_reference(f"{mirror}{name[len(begun) :]}{which}")
            except UsageError:
                continue
            found.setdefault(str(place), place)
    several = list(found.values())[: MOST - 1]
    if not any(rule.never_source for _, rule in chosen):
        several.append(reference)
    return several


def _begun(name: str, host: str, source: str) -> str:
    """The part of a name that a source stands for; empty where it is another's."""
    if source.startswith("*."):
        bare = host.partition(":")[0]
        return host if bare.endswith(source[1:]) else ""
    return source if name == source or name.startswith(source + "/") else ""
