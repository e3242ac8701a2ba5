"""Reports as OpenVEX 0.2.0 (https://github.com/openvex/spec): what is known of each flaw in the image, to be handed on.

The product is always the image, and packages are its subcomponents: what was judged of a package here need not hold
for it elsewhere. Nothing is called fixed that a document did not call so.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from redoubt import __version__
from redoubt.assessments.statements import JUSTIFICATIONS, State
from redoubt.errors import UsageError
from redoubt.formats.interface import NO_INDEX, Options
from redoubt.formats.json import encode
from redoubt.formats.summary import NO_FIX, needs, suppression_line
from redoubt.formats.text import web_link
from redoubt.formats.tracking import moment, unique_id
from redoubt.model import Finding, Image, IndexReport, PackageFindings, Status, VulnerabilityReport, imagename

_CONTEXT = "https://openvex.dev/ns/v0.2.0"


class _Word(msgspec.Struct, frozen=True, order=True):
    """What is said of a flaw, the same for several packages; ``description`` and ``url`` are the flaw's."""

    flaw: str
    aliases: tuple[str, ...]
    state: str
    justification: str = ""
    impact: str = ""
    action: str = ""
    notes: str = ""
    description: str = ""
    url: str = ""


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """A document with a statement for every flaw and what is to be said of it; the same report, the same bytes."""
    said: dict[_Word, set[str]] = {}
    counting = set()
    for package in report.packages:
        for item in package.findings:
            counting.add((package.purl, item.id))
            said.setdefault(_counting(item), set()).add(package.purl)
    for package, item in _suppressed(report):
        if (package.purl, item.id) not in counting:
            said.setdefault(_silenced(item), set()).add(package.purl)
    product = _product(report.image)
    statements = [_statement(word, product, sorted(said[word])) for word in sorted(said)]
    document: dict[str, object] = {
        "@context": _CONTEXT,
        "@id": "",
        "author": "Redoubt",
        "role": "Scanner",
        "timestamp": moment(report.definitions),
        "version": 1,
        "tooling": f"redoubt {__version__}",
        "statements": statements,
    }
    document["@id"] = f"urn:uuid:{unique_id(encode(document).decode())}"
    return encode(document)


def index(report: IndexReport, options: Options) -> bytes:
    """There is no form for an index report. Raises ``UsageError``."""
    raise UsageError(NO_INDEX["openvex"])


def _counting(item: Finding) -> _Word:
    if item.status is Status.UNDER_INVESTIGATION:
        return _word(item, State.UNDER_INVESTIGATION)
    return _word(item, State.AFFECTED, action=_action(item))


def _silenced(item: Finding) -> _Word:
    """What VEX has for why a finding does not count. An ignore rule without its code only says that it is lived with."""
    why = item.suppression
    assert why is not None
    notes = suppression_line(why) if why.kind == "ignore-rule" else ""
    if why.status == State.FIXED:
        return _word(item, State.FIXED, notes=why.reason)
    justification = why.justification if why.justification in JUSTIFICATIONS else ""
    if why.kind == "ignore-rule" and not justification:
        return _word(item, State.AFFECTED, action=_action(item), notes=notes)
    impact = why.reason or ("" if justification else suppression_line(why))
    return _word(item, State.NOT_AFFECTED, justification=justification, impact=impact, notes=notes)


def _word(
    item: Finding,
    state: State,
    *,
    justification: str = "",
    impact: str = "",
    action: str = "",
    notes: str = "",
) -> _Word:
    return _Word(
        flaw=item.id,
        aliases=item.aliases,
        state=state.value,
        justification=justification,
        impact=impact,
        action=action,
        notes=notes,
        description=item.title,
        url=web_link(item.url),
    )


def _suppressed(report: VulnerabilityReport) -> Iterator[tuple[PackageFindings, Finding]]:
    """Findings that do not count, but for those that the package which owns them has itself, and which count there."""
    counting = {
        (f"{package.type}/{package.name}", name)
        for package in report.packages
        for item in package.findings
        for name in (item.id, *item.aliases)
    }
    for package in report.suppressed:
        for item in package.findings:
            why = item.suppression
            owners = why.source.split(", ") if why and why.kind == "owned" else ()
            names = (item.id, *item.aliases)
            if why and not any((owner, name) in counting for owner in owners for name in names):
                yield package, item


def _action(item: Finding) -> str:
    if not item.fixed_version:
        return f"Nothing to upgrade to: {NO_FIX[item.status]}."
    channel = f" ({needs(item)})" if item.fix_channel else ""
    return f"Upgrade to {item.fixed_version} or later{channel}."


def _statement(word: _Word, product: dict[str, object], parts: list[str]) -> dict[str, object]:
    flaw = {
        "@id": word.url,
        "name": word.flaw,
        "description": word.description,
        "aliases": list(dict.fromkeys(word.aliases)),
    }
    statement = {
        "vulnerability": {key: value for key, value in flaw.items() if value},
        "products": [product | {"subcomponents": [{"@id": part} for part in parts]}],
        "status": word.state,
        "status_notes": word.notes,
        "justification": word.justification,
        "impact_statement": word.impact,
        "action_statement": word.action,
    }
    return {key: value for key, value in statement.items() if value}


def _product(image: Image) -> dict[str, object]:
    """The image: by the digest of its manifest as a purl, else by its image ID, else by where it lay."""
    name = imagename.purl(image)
    product: dict[str, object] = {"@id": name or imagename.iri(image)}
    if name:
        product["identifiers"] = {"purl": name}
    if digests := imagename.digests(image):
        product["hashes"] = {"sha-256": digests[0].partition(":")[2]}
    return product
