"""AlmaLinux errata, in OSV's form (``osv/AlmaLinux/all.zip``).

An erratum is a notice of repaired packages, not a flaw: its CVEs stand in ``related`` or ``upstream`` and
go to ``Advisory.cves``. What is special:

- ``ALBA`` and ``ALEA`` (bug fixes, enhancements) that name no CVE are no vulnerabilities: dropped.
  ``ALSA`` (security) is kept even without one.
- Severity leads the summary: ``Important: kernel security update``, or ends it:
  ``ALSA-2022:5468: php:8.0 security update (Important)``.
- A build of a module has ``.module_el8.5.0+…`` in its version. The modules and streams lead the summary
  (``php:7.4 security update``, ``virt:rhel and virt-devel:rhel security update``), and a build may be of any
  of them; where none is named, the range holds for any modular package (``*``).
  Other builds say nothing about modular packages (``-``).
- An erratum may list several builds of one package (rebuilds for each minor release, ``.alma``,
  ``.plus``), each with "introduced 0". Every one of them carries the fix, so the smallest ends the range;
  the union of OSV's ranges would call the other repaired builds vulnerable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds import fields, osv
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, affected, least, tidy
from redoubt.model import Advisory, Affected, AffectedRange, Severity

_WORD = r"(Critical|Important|Moderate|Low|None)"
_SEVERITY = re.compile(rf"{_WORD}: |.*\({_WORD}\)$")
_STREAM = r"[\w.+-]+:[\w.+-]+"
_STREAMS = re.compile(
    rf"(?:AL[SBE]A-\d+:\d+: |{_WORD}: )?({_STREAM}(?:(?:, | and |, and ){_STREAM})*)(?![\w:])"
)
_ECOSYSTEM = re.compile(r"AlmaLinux:(\d{1,3})")
_MODULAR = ".module_el"

ANY_MODULE, NO_MODULE = "*", "-"


class AlmaLinuxFeed:
    """Reads AlmaLinux's part of OSV."""

    def read(self, files: Files, source: str, notes: Notes, *, facts_only: bool) -> Iterator[Item]:
        """See ``Feed``."""
        for record in osv.records(files, notes):
            if record.withdrawn:
                notes.drop("withdrawn")
                continue
            cves = fields.cve_ids([*(record.related or ()), *(record.upstream or ())])
            if not cves and not record.id.startswith("ALSA-"):
                notes.drop("an erratum without a flaw")
                continue
            try:
                found = _affected(record)
                advisory = _advisory(record, source, cves, found, facts_only=facts_only)
            except SpoiltRecord as error:
                notes.spoil(record.id, error)
                continue
            if not found:
                notes.drop("affects nothing that has versions here")
                continue
            notes.dated(advisory.modified)
            yield advisory, found


def _advisory(
    record: osv.Record, source: str, cves: tuple[str, ...], found: tuple[Affected, ...], *, facts_only: bool
) -> Advisory:
    release = found[0].namespace.partition(":")[2] if found else ""
    advisory = osv.describe(
        record, source, lambda identifier: _page(identifier, release), [], facts_only=facts_only
    )
    word = _SEVERITY.match(record.summary or "")
    severity = fields.severity(word[1] or word[2]) if word else Severity.UNKNOWN
    return msgspec.structs.replace(advisory, cves=cves, severity=severity)


def _page(identifier: str, release: str) -> str:
    return f"https://errata.almalinux.org/{release}/{identifier.replace(':', '-')}.html"


def _affected(record: osv.Record) -> tuple[Affected, ...]:
    leading = _STREAMS.match(record.summary or "")
    streams = re.findall(_STREAM, leading[2]) if leading else [ANY_MODULE]
    builds: dict[tuple[str, str, str], list[str]] = {}
    for entry in record.affected or ():
        release = _ECOSYSTEM.fullmatch(entry.package.ecosystem) if entry.package else None
        if entry.package is None or release is None:
            continue
        namespace = f"almalinux:{release[1]}"
        name = fields.package(namespace, entry.package.name)
        for item in entry.ranges or ():
            if item.type != "ECOSYSTEM":
                continue
            for event in item.events or ():
                if event.fixed:
                    for module in streams if _MODULAR in event.fixed else [NO_MODULE]:
                        builds.setdefault((namespace, name, module), []).append(event.fixed)
    found: dict[tuple[str, str], list[AffectedRange]] = {}
    for (namespace, name, module), fixes in sorted(builds.items()):
        found.setdefault((namespace, name), []).append(
            affected("rpm", "", least("rpm", fixes), FIXED, module=module)
        )
    return tuple(Affected(namespace, name, tidy(ranges)) for (namespace, name), ranges in found.items())
