"""``redoubt definitions search``: what definitions know of a flaw or a package, without an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from redoubt.cli import settings
from redoubt.cli.console import clean
from redoubt.cli.entry import HELP, require
from redoubt.cli.redoubt import options

if TYPE_CHECKING:
    from redoubt.definitions.search import Found, Known
    from redoubt.model import Affected, AffectedRange

#: A range's module, for people.
_MODULES = {"": "", "*": "any module", "-": "outside modules"}


@click.command(context_settings=HELP)
@click.argument("query", metavar="CVE|PACKAGE")
@options.listing
def search(query: str, output: str) -> None:
    """Show what the active definitions know of a flaw (by any of its ids) or of a package (by its whole name).

    Of a distribution's release (debian:10), show until when it is looked after.

    \b
    redoubt definitions search CVE-2021-44228
    redoubt definitions search GHSA-jfh8-c2jp-5v3q
    redoubt definitions search org.apache.logging.log4j:log4j-core

    Distributions' packages go by the names that their advisories use: Debian's and Alpine's are source packages.
    """
    from redoubt.definitions.library import Library
    from redoubt.definitions.search import search as find

    require(bool(query.strip()), "name a CVE, another advisory's id, or a package")
    with Library(settings.data_dir()).open_active() as snapshot:
        found = find(snapshot, query.strip())
        digest = snapshot.info.digest
    if output == "json":
        from redoubt.formats.json import encode

        told = {"definitions": digest, **describe(found)}
        click.echo(encode(told), nl=False)
        return
    for line in _scores(found):
        click.echo(line)
    if not found.known and found.end_of_life:
        return
    if not found.known:
        click.echo(
            f"No advisory of these definitions is about {clean(found.query)}: neither a package (by its whole name) "
            "nor a flaw of that id",
            err=True,
        )
        return
    click.echo("\n".join(_table(found)))


def describe(found: Found) -> dict[str, object]:
    """What was found, as the JSON form has it. Keys of versions are left out: they mean something only here."""
    import msgspec

    told: dict[str, object] = {"query": found.query, "advisories": [_describe(item) for item in found.known]}
    if found.cve:
        told["cve"] = msgspec.to_builtins(found.cve)
    if found.epss:
        told["epss"] = {"probability": found.epss.probability, "percentile": found.epss.percentile}
    if found.end_of_life:
        told["end_of_life"] = found.end_of_life
    return told


def _describe(known: Known) -> dict[str, object]:
    import msgspec

    from redoubt.definitions.search import fixes
    from redoubt.matcher.enrich import rating

    affected = []
    for item in known.affected:
        severity, source = rating(known.advisory, item.ranges) if item.ranges else ("UNKNOWN", "")
        affected.append(
            {
                "namespace": item.namespace,
                "package": item.name,
                "severity": severity,
                "severity_source": source,
                "fixed": fixes(item.ranges),
                "ranges": [_range(each) for each in item.ranges],
            }
        )
    advisory = msgspec.to_builtins(known.advisory)
    return {"ref": known.advisory.ref, **advisory, "affected": affected}


def _range(item: AffectedRange) -> dict[str, str]:
    told = {"range": item.text, "fixed": item.fixed, "status": str(item.status)}
    return told | {name: value for name, value in (("arch", item.arch), ("module", item.module)) if value}


def _scores(found: Found) -> list[str]:
    from redoubt.matcher.enrich import severity_of

    lines = []
    if found.cve:
        for score in found.cve.cvss:
            lines.append(f"CVSS  {score.score} {severity_of((score,))[0]} {score.vector} ({score.source})")
        if kev := found.cve.kev:
            ransomware = ", used by ransomware" if kev.ransomware else ""
            lines.append(f"KEV   known to be exploited since {kev.added}{ransomware}")
    if found.epss:
        lines.append(f"EPSS  {found.epss.probability:.2%} ({found.epss.date or 'undated'})")
    if found.end_of_life:
        lines.append(f"END   no longer looked after from {found.end_of_life} on")
    return [clean(line) for line in lines]


def _table(found: Found) -> list[str]:
    rows = [("NAMESPACE", "PACKAGE", "ADVISORY", "SEVERITY", "FIXED", "AFFECTED")]
    lines = [(known, item) for known in found.known for item in known.affected]
    for known, item in sorted(
        lines, key=lambda pair: (pair[1].namespace, pair[1].name, pair[0].advisory.ref)
    ):
        rows.append(_row(known, item))
    for known in found.known:
        if not known.affected:
            rows.append(("-", "-", known.advisory.ref, str(known.advisory.severity), "-", "names no package"))
    cells = [tuple(clean(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]])
        for row in cells
    ]


def _row(known: Known, item: Affected) -> tuple[str, str, str, str, str, str]:
    from redoubt.definitions.search import fixes
    from redoubt.matcher.enrich import rating
    from redoubt.model import Status

    said = []
    for each in item.ranges:
        module = _MODULES.get(each.module, f"module {each.module}")
        notes = [each.arch, module, "" if each.status is Status.AFFECTED else str(each.status)]
        noted = ", ".join(note for note in notes if note)
        said.append(f"{each.text} ({noted})" if noted else each.text)
    if known.advisory.withdrawn:
        said.append(f"withdrawn {known.advisory.withdrawn[:10]}")
    return (
        item.namespace,
        item.name,
        known.advisory.ref,
        str(rating(known.advisory, item.ranges)[0]) if item.ranges else "UNKNOWN",
        ", ".join(fixes(item.ranges)) or "-",
        "; ".join(said),
    )
