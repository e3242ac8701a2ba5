"""Red Hat's VEX: a CSAF document a CVE, and the two maps from names in images to products.

In a mirror: ``redhat/csaf_vex.tar.zst`` (all documents on a day), ``redhat/updates/*.json`` (documents that
changed since), ``redhat/deletions.csv``, ``redhat/repository-to-cpe.json`` and
``redhat/container-name-repos-map.json``. ``changes.csv`` is for who fetches and is not read. Decided here:

- A document in ``updates`` replaces the archive's, unless that is newer. One whose tracking status is
  ``deleted`` or ``withdrawn``, or that ``deletions.csv`` names at a later time, is gone.
- ``fixed``: versions below are affected; the erratum of its ``vendor_fix`` is the range's ``notice``.
  ``known_affected``: every version, in the state that ``remediations`` give. ``known_not_affected``: said so,
  unless the same document calls the same package of the same product affected or fixed.
  ``under_investigation`` stays that.
- A component that only its source package names (``arch=src``, without a version) has ``arch`` ``src``: it
  speaks of all packages built from it. Sources among the fixed are left out: their packages stand beside them.
- ``repository`` is the product's CPE. The namespace is ``redhat:`` and the major release of Red Hat Enterprise
  Linux that the CPE, else the build (``.el9_4``), says; ``redhat`` where neither does; ``rhcc`` for containers.
- A package of no module is meant as such (module ``-``).
- Packages named like the kernel that are not run (headers, documents, tools) are dropped, and so is what an
  erratum lists with a version as not affected: the packages that were shipped with it, hundreds a document.
- Of a container every published build of a minor version carries the fix, so the first one ends its range,
  and each minor version that has a fix has a range of its own (``v4.16.0-…``); builds named by their
  time have one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from functools import cmp_to_key, lru_cache
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from redoubt.definitions.feeds import csaf, fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, affected, comparator, least, tidy
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory, Affected, AffectedRange, Mapped, Severity, Status, redhat

ARCHIVE, UPDATES = "redhat/csaf_vex.tar*", "redhat/updates/*.json*"
DELETIONS = "redhat/deletions.csv*"
REPOSITORIES, CONTAINERS = "redhat/repository-to-cpe.json*", "redhat/container-name-repos-map.json*"

NO_MODULE, SOURCE = "-", "src"
_PAGE = "https://access.redhat.com/security/cve/"
_GONE = frozenset({"deleted", "withdrawn"})
_NOTICE = re.compile(r"RH[SBE]A-\d{4}:\d{4,6}")
_UNFIXED = {
    "will not fix": Status.WILL_NOT_FIX,
    "out of support scope": Status.END_OF_LIFE,
    "fix deferred": Status.FIX_DEFERRED,
    "deferred": Status.FIX_DEFERRED,
}
_STATES = {
    "known_affected": Status.AFFECTED,
    "known_not_affected": Status.NOT_AFFECTED,
    "under_investigation": Status.UNDER_INVESTIGATION,
}
_MINOR = re.compile(r"(v?\d{1,6}\.\d{1,6})[.\d]*-.+")


class _Map(msgspec.Struct):
    data: dict[str, msgspec.Raw]


class _Repository(msgspec.Struct):
    cpes: list[str] = []


_decode_map = msgspec.json.Decoder(_Map).decode
_decode_repository = msgspec.json.Decoder(_Repository).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode


class _Package(NamedTuple):
    """What a purl names. ``version`` is an EVR, or a container's tag; ``arch`` ``src`` for source packages."""

    kind: str
    name: str
    version: str
    arch: str
    module: str


class _Place(NamedTuple):
    """A package of a product, whatever versions of it are meant."""

    namespace: str
    name: str
    cpe: str
    module: str


class _Build(NamedTuple):
    """A published container that carries the fix."""

    tag: str
    place: _Place
    notice: str
    severity: Severity


class RedHatFeed:
    """Reads Red Hat's VEX documents and maps."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. Updates are read twice, so that none of them has to be kept."""
        updates = files.matching(UPDATES)
        deleted = _deletions(files, notes)
        updated = {found.id: _time(found) for _, data in updates.contents() if (found := _tracking(data))}
        newer: set[str] = set()
        for where, data in files.matching(ARCHIVE).tar_members():
            notes.read += 1
            if (document := _decoded(where, data, notes)) is None:
                continue
            tracking = document.document.tracking
            if tracking.id in updated:
                if updated[tracking.id] >= _time(tracking):
                    notes.drop("replaced by an update")
                    continue
                newer.add(tracking.id)
            yield from _items(document, source, notes, deleted, facts_only=facts_only)
        for where, data in updates.contents():
            notes.read += 1
            if (document := _decoded(where, data, notes)) is None:
                continue
            if document.document.tracking.id in newer:
                notes.drop("an update older than the archive")
                continue
            yield from _items(document, source, notes, deleted, facts_only=facts_only)
        yield from _maps(files, notes)


def _decoded(where: str, data: bytes, notes: Notes) -> csaf.Document | None:
    try:
        return csaf.decode(data)
    except UNDECODABLE as error:
        notes.spoil(where, error)
        return None


def _tracking(data: bytes) -> csaf.Tracking | None:
    try:
        return csaf.decode_header(data).document.tracking
    except UNDECODABLE:  # it is counted when it is read as a whole
        return None


def _time(tracking: csaf.Tracking) -> str:
    return fields.time(tracking.current_release_date)


def _deletions(files: Files, notes: Notes) -> dict[str, str]:
    """Document id → when it was deleted. Lines are a path (``2099/cve-2099-0001.json``) and a time."""
    found: dict[str, str] = {}
    for where, data in files.matching(DELETIONS).contents():
        lines = data.decode("utf-8", "replace").splitlines()
        try:
            for row in csv.reader(lines):
                if len(row) == 2:
                    identifier = row[0].rpartition("/")[2].removesuffix(".json").upper()
                    found[identifier] = max(found.get(identifier, ""), fields.time(row[1]))
        except csv.Error as error:
            notes.spoil(where, error)
    return found


def _items(
    document: csaf.Document, source: str, notes: Notes, deleted: dict[str, str], *, facts_only: bool
) -> Iterator[Item]:
    """What one document says: one advisory, or nothing with the reason noted."""
    tracking = document.document.tracking
    if tracking.status in _GONE or deleted.get(tracking.id, "") > _time(tracking):
        notes.drop("deleted")
        return
    try:
        advisory = _advisory(document, source, facts_only=facts_only)
        found = _Statements(document, advisory.severity, notes).affected()
    except SpoiltRecord as error:
        notes.spoil(tracking.id, error)
        return
    if not found:
        notes.drop("affects nothing that is installed from packages or is a container")
        return
    notes.dated(advisory.modified)
    yield advisory, found


def _advisory(document: csaf.Document, source: str, *, facts_only: bool) -> Advisory:
    head, said = document.document, document.vulnerabilities
    if len(said) != 1:
        raise SpoiltRecord(f"{len(said)} flaws in one document")
    identifier = fields.identifier(head.tracking.id)
    vectors = [rating.vector for score in said[0].scores for rating in score.ratings if rating.vector]
    page = _PAGE + identifier
    return Advisory(
        id=identifier,
        source=source,
        title="" if facts_only else fields.title(said[0].title or head.title),
        severity=fields.severity(head.aggregate_severity.text if head.aggregate_severity else None),
        cvss=fields.scores(source, set(vectors)),
        cwes=fields.cwes([said[0].cwe.id] if said[0].cwe else []),
        references=fields.links(link.url for link in said[0].references if link.url != page),
        url=page,
        published=fields.time(said[0].release_date or head.tracking.initial_release_date),
        modified=_time(head.tracking),
    )


class _Statements:
    """What one document says of packages and products."""

    def __init__(self, document: csaf.Document, severity: Severity, notes: Notes) -> None:
        self._products = csaf.Products(document.product_tree)
        self._flaw = document.vulnerabilities[0]
        self._notes = notes
        self._severities = _exceptions(self._flaw.threats, severity)
        self._unrated = _unrated(self._flaw)
        #: Place, version, notice, severity → architectures.
        self._fixed: dict[tuple[_Place, str, str, Severity], set[str]] = {}
        self._open: dict[tuple[_Place, str, Status], Severity] = {}

    def affected(self) -> tuple[Affected, ...]:
        """All of it, as ranges by namespace and name."""
        self._read_fixed()
        for word, status in _STATES.items():
            self._read_open(word, status)
        affecting = {place for place, _, _, _ in self._fixed}
        affecting |= {place for place, _, status in self._open if status is not Status.NOT_AFFECTED}
        ranges: dict[tuple[str, str], list[AffectedRange]] = {}
        for (place, arch, status), severity in self._open.items():
            if status is Status.NOT_AFFECTED and place in affecting:
                self._notes.drop("not affected and affected at once")
                continue
            ranges.setdefault((place.namespace, place.name), []).append(
                _range(place, status=status, arch=arch, severity=severity)
            )
        for place, found in self._fixes():
            ranges.setdefault((place.namespace, place.name), []).append(found)
        return tuple(Affected(namespace, name, tidy(found)) for (namespace, name), found in ranges.items())

    def _fixes(self) -> Iterator[tuple[_Place, AffectedRange]]:
        builds: dict[str, list[_Build]] = {}
        for (place, version, notice, severity), arches in self._fixed.items():
            if place.namespace == redhat.CONTAINERS:
                builds.setdefault(place.name, []).append(_Build(version, place, notice, severity))
                continue
            arch = "" if "noarch" in arches else "|".join(sorted(arches))
            yield place, _range(place, "", version, arch=arch, severity=severity, notice=notice)
        for images in builds.values():
            for lower, (tag, place, notice, severity) in _of_minors(images):
                yield place, _range(place, lower, tag, severity=severity, notice=notice)

    def _read_fixed(self) -> None:
        notices = _notices(self._flaw.remediations)
        for product_id in self._flaw.product_status.get("fixed", ()):
            if (known := self._place(product_id)) is None:
                continue
            place, package = known
            if package.arch == SOURCE:
                continue
            if not package.version:
                self._notes.drop("fixed in no version")
                continue
            severity = self._severities.get(product_id, Severity.UNKNOWN)
            key = (place, package.version, notices.get(product_id, ""), severity)
            self._fixed.setdefault(key, set()).add(package.arch or "noarch")

    def _read_open(self, word: str, status: Status) -> None:
        states = _states(self._flaw.remediations) if status is Status.AFFECTED else {}
        for product_id in self._flaw.product_status.get(word, ()):
            if product_id in self._unrated or (known := self._place(product_id)) is None:
                continue
            place, package = known
            if package.version and status is Status.NOT_AFFECTED and package.kind == "rpm":
                self._notes.drop("shipped with a fix and not affected")
                continue
            arch = SOURCE if package.arch == SOURCE else ""
            severity = self._severities.get(product_id, Severity.UNKNOWN)
            self._open[place, arch, states.get(product_id, status)] = severity

    def _place(self, product_id: str) -> tuple[_Place, _Package] | None:
        """Where a product id's statement belongs; None where nothing here could look for it."""
        component = self._products.component(product_id)
        package = _package(component.purl, component.within) if component else None
        if component is None or package is None:
            self._notes.drop("neither an rpm package nor a container")
            return None
        product = redhat.cpe(component.cpe)
        if product is None:
            self._notes.drop("of no product of Red Hat's")
            return None
        if package.kind == "oci":
            return _Place(redhat.CONTAINERS, package.name, component.cpe, ""), package
        if package.name.startswith("kernel") and not redhat.is_kernel(package.name):
            self._notes.drop("named like a kernel, and none")
            return None
        number = redhat.major(product, package.version)
        namespace = f"redhat:{number}" if number else redhat.LAYERED
        return _Place(namespace, package.name, component.cpe, package.module), package


def _range(
    place: _Place,
    lower: str = "",
    upper: str = "",
    *,
    status: Status = Status.AFFECTED,
    arch: str = "",
    severity: Severity = Severity.UNKNOWN,
    notice: str = "",
) -> AffectedRange:
    return affected(
        "rpm",
        lower,
        upper,
        FIXED,
        status=status,
        arch=arch,
        module=place.module,
        severity=severity,
        repository=place.cpe,
        notice=notice,
    )


def _exceptions(threats: Iterable[csaf.Threat], usual: Severity) -> dict[str, Severity]:
    """Product id → severity, where it is rated apart from the document."""
    found = {}
    for threat in threats:
        if threat.category == "impact" and threat.product_ids:
            severity = fields.severity(threat.details)
            if severity is not usual:
                found.update(dict.fromkeys(threat.product_ids, severity))
    return found


def _unrated(flaw: csaf.Vulnerability) -> set[str]:
    """Products whose score is 0.0 and that no impact is told of: they are listed, not affected."""
    harmless: set[str] = set()
    for score in flaw.scores:
        if score.products and score.ratings and score.ratings[0].score == 0.0:
            harmless.update(score.products)
    if harmless:
        for threat in flaw.threats:
            if threat.category == "impact":
                harmless.difference_update(threat.product_ids or ())
    return harmless


def _notices(remediations: Iterable[csaf.Remediation]) -> dict[str, str]:
    """Product id → the erratum that fixes it."""
    found: dict[str, str] = {}
    for item in remediations:
        if item.category == "vendor_fix" and item.url and (name := _NOTICE.search(item.url[:500])):
            found.update(dict.fromkeys(item.product_ids or (), name[0]))
    return found


def _states(remediations: Iterable[csaf.Remediation]) -> dict[str, Status]:
    """Product id → what will become of it, where that is more than "affected"."""
    found: dict[str, Status] = {}
    for item in remediations:
        if item.category in ("no_fix_planned", "none_available"):
            status = _UNFIXED.get(item.details.strip().lower())
            if status is None and item.category == "no_fix_planned":
                status = Status.WILL_NOT_FIX
            if status:
                found.update(dict.fromkeys(item.product_ids or (), status))
    return found


def _of_minors(builds: list[_Build]) -> Iterator[tuple[str, _Build]]:
    """The first repaired build of each product's each minor version, and where its range begins."""
    compare = cmp_to_key(comparator("rpm", [build.tag for build in builds]))
    first: dict[tuple[str, _Place], _Build] = {}
    for build in sorted(builds):
        found = _MINOR.fullmatch(build.tag)
        key = found[1] if found else "", build.place
        if key not in first or compare(build.tag) < compare(first[key].tag):
            first[key] = build
    minors = {minor for minor, _ in first}
    lowest = least("rpm", minors)
    for (minor, _), build in first.items():
        yield "" if minor == lowest else minor, build


@lru_cache(maxsize=1 << 16)
def _package(purl: str, within: str) -> _Package | None:
    """``pkg:rpm/redhat/NAME@V-R?arch=…&epoch=…&rpmmod=…`` or ``pkg:oci/NAME@…?repository_url=…&tag=…``."""
    if len(purl) > fields.MAX_NAME or not purl.startswith(("pkg:rpm/redhat/", "pkg:oci/", "pkg:rpmmod/")):
        return None
    path, _, rest = purl[4:].partition("?")
    qualifiers = dict(pair.partition("=")[::2] for pair in rest.partition("#")[0].split("&"))
    qualifiers = {key: unquote(value) for key, value in qualifiers.items()}
    kind, _, path = path.partition("/")
    path, _, version = path.partition("@")
    names = [unquote(name) for name in path.split("/")]
    if kind == "oci":
        return _container(names, qualifiers)
    module = _module(qualifiers.get("rpmmod", "")) or _within(within)
    if kind == "rpmmod":
        # ``pkg:rpmmod/redhat/ruby:2.6/ruby``: a package, written below its module.
        if len(names) != 3:
            return None
        module = _module(names[1])
    name, arch = names[-1], qualifiers.get("arch", "")
    version, epoch = unquote(version), qualifiers.get("epoch", "0")
    if not name or not epoch.isdigit():
        return None
    if version and epoch.strip("0"):
        version = f"{epoch}:{version}"
    if kind == "rpmmod" and not version:
        arch = SOURCE
    return _Package("rpm", name, version, SOURCE if arch == "nosrc" else arch, module or NO_MODULE)


def _container(names: list[str], qualifiers: dict[str, str]) -> _Package | None:
    name = "/".join(names)
    if len(names) == 1:
        name = qualifiers.get("repository_url", "").partition("/")[2] or name
    return _Package("oci", name, qualifiers.get("tag", ""), "", "") if name else None


def _module(text: str) -> str:
    """``nodejs:18`` of ``nodejs:18:8060…``; empty for what is no name and stream."""
    name, _, rest = text.partition(":")
    stream = rest.partition(":")[0]
    return f"{name}:{stream}" if name and stream else ""


def _within(purl: str) -> str:
    """The module that a relationship leads through: ``pkg:rpmmod/redhat/ruby@3.0:8060…``."""
    if not purl.startswith("pkg:rpmmod/redhat/"):
        return ""
    name, _, version = purl[len("pkg:rpmmod/redhat/") :].partition("?")[0].partition("@")
    return _module(unquote(f"{name}:{version}" if version else name.partition("/")[0]))


def _maps(files: Files, notes: Notes) -> Iterator[Item]:
    """What repositories and containers' names stand for."""
    for pattern, kind in ((REPOSITORIES, "product"), (CONTAINERS, "container")):
        for where, data in files.matching(pattern).contents():
            yield from mapped(where, data, kind, notes)


def mapped(where: str, data: bytes, kind: str, notes: Notes) -> Iterator[tuple[str, Mapped]]:
    """What the names in one of Red Hat's maps stand for; ``kind`` is that of ``Mapped``.

    Raises ``UnreadableInput`` where ``data`` is no such map.
    """
    try:
        entries = _decode_map(data).data
    except UNDECODABLE as error:
        raise UnreadableInput(f"{where} is not a map of Red Hat's: {error}") from None
    for name, raw in entries.items():
        notes.read += 1
        try:
            values = _decode_texts(raw) if kind == "container" else _decode_repository(raw).cpes
            if kind == "product":
                values = [value for value in values if redhat.cpe(value)]
            fields.package(redhat.LAYERED, name)
        except (*UNDECODABLE, SpoiltRecord) as error:
            notes.spoil(f"{where} {name}", error)
            continue
        if values:
            yield name, Mapped(kind, tuple(sorted(set(values))))
        else:
            notes.drop("a name that stands for nothing")
