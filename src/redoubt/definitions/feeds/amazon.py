"""Amazon Linux 1, 2, 2022 and 2023: the ``updateinfo.xml`` of their repositories.

Where a file lies says what it speaks of: ``amazon/2/core/updateinfo.xml.gz``,
``amazon/2/extras/docker/updateinfo.xml.gz``, ``amazon/2023/kernel-livepatch/updateinfo.xml.gz``. Decided here:

- Errata name what was repaired, and nothing else. Their CVEs are ``Advisory.cves``; an erratum of another kind than
  ``security`` that names none is no vulnerability.
- Of Amazon Linux 2 a topic of the extras has its own line of versions: ``php-cli`` is 5.4 in the core and 8.0 in the
  topic ``php8.0``. A fix in one says nothing of the other, so ranges hold for packages of the repository (``amzn2-core``,
  ``amzn2extra-php8.0``). Where an image does not say which one a package came from, it is taken for the core's; a
  package that the core never named, for any topic's that did.
- Severity is Amazon's own word: critical, important, medium, low.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from redoubt.definitions.feeds import fields, updateinfo
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes, SpoiltRecord
from redoubt.errors import UnreadableInput
from redoubt.model import Affected, AffectedRange

_PLACE = re.compile(
    r"amazon/(?:2/(?:core|extras/(?P<topic>[\w.+-]{1,80}))|(?P<release>(?!2/)\d{1,4})/[\w-]{1,80})"
    r"/(?:[^/]+/)?[^/]*updateinfo[^/]*"
)
_RELEASE_IN_ID = re.compile(r"ALAS(?:20\d\d|2)?(?=[-A-Z])")

CORE = "amzn2-core"
#: Also packages that may be of any repository.
_OR_UNKNOWN = "|"


class AmazonFeed:
    """Reads every repository's file; those of Amazon Linux 2 together, since one says how another is read."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        waiting: list[tuple[str, updateinfo.Update]] = []
        core: set[str] = set()
        for name, update in updateinfo.updates(files, notes):
            release, topic = _place(name)
            if release != "2":
                yield from _items(update, source, release, "", notes, facts_only)
            elif topic:
                waiting.append((topic, update))
            else:
                core.update(build.name for build in update.builds)
                yield from _items(update, source, release, CORE + _OR_UNKNOWN, notes, facts_only)
        for topic, update in waiting:
            yield from _items(update, source, "2", f"amzn2extra-{topic}", notes, facts_only, core)


def _place(name: str) -> tuple[str, str]:
    """Release and, for an extra of Amazon Linux 2, its topic."""
    found = _PLACE.fullmatch(name)
    if found is None:
        raise UnreadableInput(f"{name} is in the folder of no repository of Amazon Linux that is known")
    return found["release"] or "2", found["topic"] or ""


def _items(
    update: updateinfo.Update,
    source: str,
    release: str,
    repository: str,
    notes: Notes,
    facts_only: bool,
    core: set[str] | None = None,
) -> Iterator[Item]:
    """The advisory of an update, if it is one. ``core`` names what only stands for itself in ``repository``."""
    if update.kind != "security" and not updateinfo.cves(update):
        notes.drop("an erratum without a flaw")
        return
    try:
        advisory = updateinfo.advisory(update, source, page(update.id, release), facts_only=facts_only)
        namespace = f"amazon:{release}"
        found = [
            Affected(namespace, fields.package(namespace, name), ranges)
            for name, ranges in _ranges(update, repository, core).items()
        ]
    except SpoiltRecord as error:
        notes.spoil(update.id or "an update without an id", error)
        return
    if not found:
        notes.drop("names no package")
        return
    notes.dated(advisory.modified)
    yield advisory, tuple(found)


def _ranges(
    update: updateinfo.Update, repository: str, core: set[str] | None
) -> dict[str, tuple[AffectedRange, ...]]:
    own = updateinfo.ranges(update, repository=repository)
    if core is None:
        return own
    lenient = updateinfo.ranges(update, repository=repository + _OR_UNKNOWN)
    return {name: own[name] if name in core else lenient[name] for name in own}


def page(identifier: str, release: str) -> str:
    """Amazon's page of an erratum. Its address has no release in the name, but a folder for it."""
    name = _RELEASE_IN_ID.sub("ALAS", identifier, count=1)
    folder = "" if release == "1" else f"AL{release}/"
    return f"https://alas.aws.amazon.com/{folder}{name}.html"
