"""Rocky Linux's errata: the ``updateinfo.xml`` of the repositories of every minor release.

Where a file lies says which release it speaks of: ``rocky/9.4/AppStream/x86_64/updateinfo.xml.gz``. Decided here:

- Errata name what was repaired, and nothing else. ``RLBA`` and ``RLEA`` (bug fixes, enhancements) that name no CVE are
  no vulnerabilities: dropped. ``RLSA`` (security) is kept even without one.
- An erratum is listed in each repository that has packages of it, with the packages of that repository and
  architecture only, and in several minor releases. All of it is one erratum of the major release.
- A collection names the module that its packages belong to; a build with ``.module+el`` in its release whose
  collection does not holds for any modular package. Other builds say nothing about modular packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from redoubt.definitions.feeds import fields, updateinfo
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes, SpoiltRecord
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory, Affected

_PLACE = re.compile(r"rocky/(\d{1,3})(?:\.\d{1,3})?/(?:[^/]+/){0,3}[^/]*updateinfo[^/]*")
_PAGE = "https://errata.rockylinux.org/"


class RockyFeed:
    """Reads the repositories' files, and puts together what each says of the same erratum."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        errata: dict[str, list[tuple[str, updateinfo.Update]]] = {}
        for name, update in updateinfo.updates(files, notes):
            place = _PLACE.fullmatch(name)
            if place is None:
                raise UnreadableInput(f"{name} is in the folder of no release of Rocky Linux that is known")
            if not update.id.startswith("RLSA-") and not updateinfo.cves(update):
                notes.drop("an erratum without a flaw")
                continue
            errata.setdefault(update.id, []).append((f"rocky:{place[1]}", update))
        for identifier, parts in errata.items():
            try:
                item = _item(parts, source, facts_only)
            except SpoiltRecord as error:
                notes.spoil(identifier or "an erratum without an id", error)
                continue
            if not item[1]:
                notes.drop("names no package")
                continue
            notes.dated(item[0].modified)
            yield item


def _item(
    parts: list[tuple[str, updateinfo.Update]], source: str, facts_only: bool
) -> tuple[Advisory, tuple[Affected, ...]]:
    newest = max(parts, key=lambda part: updateinfo.moment(part[1].updated))[1]
    advisory = updateinfo.advisory(newest, source, _PAGE + newest.id, facts_only=facts_only)
    found = []
    for namespace in dict.fromkeys(namespace for namespace, _ in parts):
        builds = [build for release, update in parts if release == namespace for build in update.builds]
        for name, ranges in updateinfo.ranges(updateinfo.Update(builds=builds), modular=True).items():
            found.append(Affected(namespace, fields.package(namespace, name), ranges))
    return advisory, tuple(found)
