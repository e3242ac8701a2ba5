"""``updateinfo.xml``: what a yum or dnf repository says of its updates. The shape alone; each distribution that
publishes one has its own feed.

``<updates>`` holds an ``<update>`` an erratum: ``id``, ``title``, ``severity``, the dates of ``issued`` and ``updated``,
``references`` and a ``pkglist`` of collections, each with the packages as built and, where they are a module's, the
``module`` they belong to. Written by createrepo_c, bodhi, and by scripts that imitate them. Descriptions and file
names are passed over. An update that lacks an id, or that is malformed, is left to the caller: its texts are given
as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from redoubt.definitions.feeds import fields, xmlstream
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, affected, least, tidy
from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.model import Advisory, AffectedRange

#: Packages, of all architectures, in one update. The largest real ones have about two thousand.
MAX_BUILDS = 100_000
_MAX_REFERENCES = 10_000
#: What is kept of one file, roughly, in bytes. Amazon Linux 2 takes a tenth.
MAX_KEPT = 1 << 30
_COST = 200  # of one package or reference beyond its texts

_TEXTS = frozenset({"id", "title", "severity"})
_ANY_ARCH = frozenset({"", "noarch"})
#: What rebuilds of Red Hat's modules have in their release: ``.module+el8.5.0+738+032c9c02``.
_MODULAR = re.compile(r"\.module[+_]el")
ANY_MODULE, NO_MODULE = "*", "-"


class Reference(NamedTuple):
    """A link to the flaw (``kind`` ``cve``), to a bug, or to the erratum's own page (``self``)."""

    kind: str
    id: str
    url: str


class Build(NamedTuple):
    """A package as it was built: ``version`` is ``epoch:version-release`` (no epoch where it is 0), ``module`` ``name:stream``."""

    name: str
    version: str
    arch: str
    module: str


class Update(msgspec.Struct, gc=False):
    """One erratum; every text as written, empty where it is absent."""

    kind: str = ""
    status: str = ""
    id: str = ""
    title: str = ""
    severity: str = ""
    issued: str = ""
    updated: str = ""
    references: list[Reference] = []
    builds: list[Build] = []


def updates(files: Files, notes: Notes) -> Iterator[tuple[str, Update]]:
    """``(file, erratum)`` of everything in ``files``; ``notes.read`` counts them.

    Raises ``UnreadableInput`` for a file that is no ``updateinfo.xml``, ``LimitExceeded`` for one built to hurt.
    """
    for name, pieces in files.pieces():
        for update in _of_document(name, pieces):
            notes.read += 1
            yield name, update


def _of_document(name: str, pieces: Iterable[bytes]) -> list[Update]:
    reader = _Reader(name)
    xmlstream.parse(name, pieces, reader)
    return reader.updates


class _Reader:
    """Gathers the updates of one document, whatever their order of elements."""

    def __init__(self, name: str) -> None:
        self.updates: list[Update] = []
        self._name = name
        self._update: Update | None = None
        self._module = ""
        self._kept = 0

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> bool:
        """See ``xmlstream.Handler``."""
        if depth == 1 and tag != "updates":
            raise UnreadableInput(f"{self._name} is no updateinfo: its root is {tag[:40]!r}")
        if depth == 2:
            self._update = None
            if tag == "update":
                self._update = Update(attributes.get("type", ""), attributes.get("status", ""))
                self.updates.append(self._update)
                self._keep()
            return False
        update = self._update
        if update is None:
            return False
        match tag:
            case "package":
                self._package(update, attributes)
            case "reference":
                self._reference(update, attributes)
            case "collection":
                self._module = ""
            case "module":
                parts = (attributes.get("name", ""), attributes.get("stream", ""))
                self._module = ":".join(parts) if all(parts) else "*"
            case "issued" if depth == 3:
                update.issued = attributes.get("date", "")
            case "updated" if depth == 3:
                update.updated = attributes.get("date", "")
        return depth == 3 and tag in _TEXTS

    def end(self, tag: str, text: str, depth: int) -> None:
        """See ``xmlstream.Handler``."""
        if text and self._update is not None and depth == 3 and tag in _TEXTS:
            setattr(self._update, tag, text.strip())
            self._keep(text)

    def _package(self, update: Update, attributes: dict[str, str]) -> None:
        if len(update.builds) >= MAX_BUILDS:
            raise LimitExceeded(f"{self._name} has an update of over {MAX_BUILDS} packages; it is not read")
        version = evr(
            attributes.get("epoch", ""), attributes.get("version", ""), attributes.get("release", "")
        )
        build = Build(attributes.get("name", ""), version, attributes.get("arch", ""), self._module)
        update.builds.append(build)
        self._keep(*build)

    def _reference(self, update: Update, attributes: dict[str, str]) -> None:
        if len(update.references) >= _MAX_REFERENCES:
            raise LimitExceeded(
                f"{self._name} has an update of over {_MAX_REFERENCES} references; it is not read"
            )
        reference = Reference(
            attributes.get("type", ""), attributes.get("id", ""), attributes.get("href", "")
        )
        update.references.append(reference)
        self._keep(*reference)

    def _keep(self, *texts: str) -> None:
        self._kept += _COST + sum(map(len, texts))
        if self._kept > MAX_KEPT:
            raise LimitExceeded(
                f"{self._name} says more than {MAX_KEPT} bytes of its updates; it is not read"
            )


def evr(epoch: str, version: str, release: str) -> str:
    """``epoch:version-release`` without an epoch that is 0; empty where there is no version or no release."""
    if not (version and release):
        return ""
    plain = f"{version}-{release}"
    return f"{epoch}:{plain}" if epoch.strip("0") else plain


def cves(update: Update) -> tuple[str, ...]:
    """The CVEs that an update repairs, sorted."""
    return fields.cve_ids(reference.id.strip() for reference in update.references)


def advisory(update: Update, source: str, url: str, *, facts_only: bool) -> Advisory:
    """The advisory that an update is, without what it affects. ``url`` is its page. Raises ``SpoiltRecord``."""
    links = [reference.url for reference in update.references]
    return Advisory(
        id=fields.identifier(update.id),
        source=source,
        title="" if facts_only else fields.title(update.title),
        severity=fields.severity(update.severity),
        cves=cves(update),
        references=fields.links(link for link in links if link != url),
        url=url,
        published=moment(update.issued),
        modified=moment(update.updated) or moment(update.issued),
    )


def moment(text: str) -> str:
    """RFC 3339 in UTC of a date as updateinfo has them (``2099-01-02 03:04``, with or without seconds), or empty."""
    text = text.strip()
    return fields.time(text) or fields.time(f"{text}:00")


def ranges(
    update: Update, *, repository: str = "", modular: bool = False
) -> dict[str, tuple[AffectedRange, ...]]:
    """What an update says of each package (by its name as written): what is below the repaired build is affected.

    A range holds for the architectures that the build is listed for and, where the distribution is ``modular``,
    for packages of the build's module or for those outside modules; ``repository`` goes into each. Where one
    architecture has several builds, each of them is repaired, so the lowest ends the range. Raises
    ``SpoiltRecord`` where a package has no version.
    """
    builds: dict[tuple[str, str, str], list[str]] = {}
    for build in update.builds:
        if build.arch == "src":
            continue
        if not build.version:
            raise SpoiltRecord(f"package {build.name[:80]!r} without version or release")
        module = _module(build) if modular else ""
        builds.setdefault((build.name, module, build.arch), []).append(build.version)
    arches: dict[tuple[str, str, str], set[str]] = {}
    for (name, module, arch), versions in builds.items():
        arches.setdefault((name, module, least("rpm", versions)), set()).add(arch)
    found: dict[str, list[AffectedRange]] = {}
    for (name, module, version), named in arches.items():
        arch = "" if named & _ANY_ARCH else "|".join(sorted(named))
        found.setdefault(name, []).append(
            affected("rpm", "", version, FIXED, arch=arch, module=module, repository=repository)
        )
    return {name: tidy(items) for name, items in found.items()}


def _module(build: Build) -> str:
    if build.module:
        return build.module
    return ANY_MODULE if _MODULAR.search(build.version) else NO_MODULE
