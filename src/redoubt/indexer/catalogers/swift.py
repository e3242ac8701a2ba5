"""Packages of Apple's world: ``Package.resolved`` (Swift, versions 1 to 3) and ``Podfile.lock`` (CocoaPods).

A Swift package is named by the place that it is fetched from, as advisories name it. It must not know whether
anything is installed.
"""

from __future__ import annotations

import re

import msgspec

from redoubt.indexer.catalogers import lockfiles
from redoubt.indexer.catalogers.documents import decoded, rows, table, word
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.model.namespaces import normalize

_DECODER = msgspec.json.Decoder(dict[str, object])
_POD = re.compile(r'  - "?([^\s"(/]{1,200})(?:/[^\s"(]*)? \(([^()=~<> ]{1,100})\)"?:?').fullmatch


class SwiftCataloger:
    """``Package.resolved``, but for those inside of fetched packages."""

    name = "swift"
    version = 1
    wanted = Wanted(names=frozenset({b"Package.resolved"}), max_size=8 << 20, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path) and b".build/checkouts/" not in path

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package; one that is pinned to a branch or a commit has no version."""
        found = Findings()
        document = decoded(_DECODER, content, found)
        if document is None:
            return found.catalog()
        pins = document.get("pins", table(document.get("object")).get("pins"))
        if not isinstance(pins, list):
            found.damaged("not as Swift writes it; packages may be missing")
        for pin in rows(pins):
            values = table(pin)
            place = word(values.get("location")) or word(values.get("repositoryURL"))
            if "://" not in place and "@" not in place:
                continue  # a folder, or a name in a registry of packages, which no advisories speak of
            name = normalize("swift", place)
            if name:
                found.add("swift", name, word(table(values.get("state")).get("version")))
            if found.full:
                break
        return found.catalog()


class CocoapodsCataloger:
    """``Podfile.lock``. No advisories go by the names of pods: they are listed, not judged."""

    name = "cocoapods"
    version = 1
    wanted = Wanted(names=frozenset({b"Podfile.lock"}), max_size=8 << 20, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every pod; its parts (``Name/Part``) are it."""
        found = Findings()
        section = ""
        known = False
        for raw in content.all().decode("utf-8", "replace").split("\n"):
            line = raw.rstrip()
            if line[:1] not in ("", " "):
                section = line
                known = known or line == "PODS:"
            elif section == "PODS:" and (pod := _POD(line)):
                found.add("cocoapods", clean(pod[1]), clean(pod[2]))
            if found.full:
                break
        if not known:
            found.damaged("not as CocoaPods writes it; packages may be missing")
        return found.catalog()
