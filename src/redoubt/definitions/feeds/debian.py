"""The Debian security tracker's ``data/json``: source package → CVE → what each release says.

Shape and words: https://security-tracker.debian.org/tracker/data/json. Names are those of *source*
packages. Decided here:

- ``resolved`` with a version: everything below it is affected. ``fixed_version`` ``0``: the release never
  had the flaw, stored as an explicit "not affected".
- ``open``: affected, no fix. ``nodsa_reason`` ``ignored`` means that none will come, ``postponed`` that it
  waits; urgency ``end-of-life`` that the package is no longer looked after in that release.
- ``undetermined``: nobody knows yet; stored as "under investigation", which is never "affected".
- ``urgency`` is the severity, per release; ``unimportant`` is ``NEGLIGIBLE``, "not yet assigned" unknown.
- Releases are numbers here; sid and what has no number yet are dropped. Descriptions aren't stored.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import UNDECODABLE, Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, affected, tidy
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory, Affected, AffectedRange, Status
from redoubt.model.namespaces import DEBIAN_RELEASES

_PAGE = "https://security-tracker.debian.org/tracker/"
_UNFIXED = {"ignored": Status.WILL_NOT_FIX, "postponed": Status.FIX_DEFERRED}


class _Release(msgspec.Struct):
    status: str
    fixed_version: str | None = None
    urgency: str | None = None
    nodsa: str | None = None
    nodsa_reason: str | None = None


class _Entry(msgspec.Struct):
    releases: dict[str, _Release] | None = None


_decode_tracker = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]]).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode


class DebianFeed:
    """Reads the tracker's JSON."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``. The tracker carries no dates."""
        found: dict[str, list[Affected]] = {}
        for where, data in files.contents():
            try:
                tracker = _decode_tracker(data)
            except UNDECODABLE as error:
                raise UnreadableInput(f"{where} is not the security tracker's JSON: {error}") from None
            for package, entries in tracker.items():
                for identifier, raw in entries.items():
                    notes.read += 1
                    try:
                        said = _affected(package, _decode_entry(raw))
                        fields.identifier(identifier)
                    except (*UNDECODABLE, SpoiltRecord) as error:
                        notes.spoil(f"{package} {identifier}", error)
                        continue
                    if said:
                        found.setdefault(identifier, []).extend(said)
                    else:
                        notes.drop("says nothing of a numbered release")
        for identifier, items in found.items():
            yield Advisory(id=identifier, source=source, url=_PAGE + identifier), tuple(items)


def _affected(package: str, entry: _Entry) -> list[Affected]:
    found = []
    for codename, release in (entry.releases or {}).items():
        number = DEBIAN_RELEASES.get(codename)
        if number is not None:
            namespace = f"debian:{number}"
            name = fields.package(namespace, package)
            found.append(Affected(namespace, name, tidy([_range(release)])))
    return found


def _range(release: _Release) -> AffectedRange:
    severity = fields.severity(release.urgency)
    match release.status:
        case "resolved" if release.fixed_version == "0":
            return affected("deb", status=Status.NOT_AFFECTED, severity=severity)
        case "resolved" if release.fixed_version:
            return affected("deb", "", release.fixed_version, FIXED, severity=severity)
        case "open":
            return affected("deb", status=_unfixed(release), severity=severity)
        case "undetermined":
            return affected("deb", status=Status.UNDER_INVESTIGATION, severity=severity)
    raise SpoiltRecord(f"a status that the tracker did not have: {release.status[:40]!r}")


def _unfixed(release: _Release) -> Status:
    if (release.urgency or "").rstrip("*") == "end-of-life":
        return Status.END_OF_LIFE
    return _UNFIXED.get(release.nodsa_reason or "", Status.AFFECTED)
