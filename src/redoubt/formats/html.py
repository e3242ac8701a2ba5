"""Reports as one HTML file: nothing outside it is loaded, it prints, and it works without scripts.

Every text goes through ``markup``, which escapes it; a content security policy that allows only our own
style and script, by their hashes, stands behind that. A link leads only to ``http`` and ``https``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from redoubt import __version__
from redoubt.formats import summary
from redoubt.formats.interface import Options
from redoubt.formats.markup import Child, Markup, escape, join, tag
from redoubt.formats.summary import NO_FIX, SEVERITIES, SYSTEM_TYPES, Block, Summary, needs, no_upgrade
from redoubt.formats.table import epss, system
from redoubt.formats.text import count, date, short_digest, web_link
from redoubt.model import (
    AdvisoryReference,
    Coverage,
    DefinitionsInfo,
    Distribution,
    Finding,
    Image,
    IndexReport,
    Judged,
    Layer,
    Package,
    Severity,
    Status,
    VulnerabilityReport,
)

_MORE_PLACES = 6
_JUDGED = {
    Judged.MATCHED: "judged",
    Judged.NO_DATA: "no data",
    Judged.UNSUPPORTED_DISTRIBUTION: "unsupported system",
    Judged.UNKNOWN_DISTRIBUTION: "unknown system",
    Judged.UNSUPPORTED_ECOSYSTEM: "unsupported kind",
}


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """Counts, gaps, findings grouped by what is to be upgraded, definitions, coverage, layers."""
    counts = summary.summarize(report)
    blocks = summary.blocks(report)
    return _page(
        f"{report.image.reference}: vulnerabilities",
        _head("Vulnerability report", report.image, report.distribution),
        _overview(report, counts),
        _gaps("Not everything could be judged", summary.gaps(report)),
        _notices(report.definitions, options),
        join([tag("h2", "Findings"), _filters(blocks), *map(_block, blocks)]) if blocks else None,
        _suppressed(report),
        _definitions(report.definitions, options),
        _coverage(report.coverage),
        _layers(report.layers, _found_by_layer(report)),
    )


def index(report: IndexReport, options: Options) -> bytes:
    """What an image holds: packages, problems, layers."""
    kinds: dict[str, int] = {}
    for item in report.packages:
        kinds[item.type] = kinds.get(item.type, 0) + 1
    sums = [tag("span", tag("b", f"{number:,}"), f" {kind}") for kind, number in sorted(kinds.items())]
    total = tag("p", count(len(report.packages), "package"), class_="verdict")
    rows = map(_package_row, report.packages)
    listed = join(
        [
            tag("h2", "Packages"),
            tag(
                "div",
                tag("label", tag("input", type="search", placeholder="Filter packages", aria_label="Filter")),
                tag("span", class_="shown soft"),
                class_="filters",
            ),
            tag(
                "div",
                _table(["Package", "Version", "Type", "Architecture", "Found in"], rows),
                class_="package group",
            ),
        ]
    )
    return _page(
        f"{report.image.reference}: packages",
        _head("Package inventory", report.image, report.distribution),
        tag("section", total, tag("div", *sums, class_="sums"), class_="card"),
        _gaps("Not everything could be read", summary.index_gaps(report)),
        listed if report.packages else None,
        _layers(report.layers, None),
    )


def _page(title: str, head: Markup, *sections: Child) -> bytes:
    style, script = _asset("html.css"), _asset("html.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    document = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="referrer", content="no-referrer"),
            tag("title", title),
            tag("style", style),
        ),
        tag(
            "body",
            head,
            tag("main", *sections),
            tag(
                "footer",
                f"Made by Redoubt {__version__}. The same image and definitions give the same report.",
            ),
            tag("script", script),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{document}\n".encode()


@cache
def _asset(name: str) -> Markup:
    return Markup(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _head(kind: str, image: Image, distribution: Distribution | None) -> Markup:
    facts = {
        "SBOM of": image.subject,
        "Digest": image.digest,
        "Image ID": image.config_digest,
        "Platform": str(image.platform or ""),
        "System": system(distribution),
    }
    rows = [
        tag("div", tag("dt", name), tag("dd", tag("code", value) if value.startswith("sha256:") else value))
        for name, value in facts.items()
        if value
    ]
    return tag(
        "header",
        tag("div", f"Redoubt · {kind}", class_="brand"),
        tag("h1", image.reference),
        tag("dl", *rows, class_="facts"),
        class_="top",
    )


def _overview(report: VulnerabilityReport, counts: Summary) -> Markup:
    verdict = summary.verdict(report)
    parts: list[Child] = [tag("p", verdict, class_="verdict good" if summary.clean(report) else "verdict")]
    if counts.total:
        tiles = [
            tag(
                "div",
                tag("b", f"{number:,}"),
                tag("span", severity.value.capitalize()),
                class_=_tile(severity, number),
            )
            for severity, number in counts.by_severity.items()
        ]
        parts += [tag("div", *tiles, class_="tiles"), _bar(counts)]
    sums = [(counts.fixable, "fixable by upgrading")] if counts.total else []
    sums += [(counts.known_exploited, "known to be exploited")] if counts.total else []
    sums += [(counts.investigating, "under investigation, not counted")] if counts.investigating else []
    sums += [(report.package_count, "packages indexed")]
    parts.append(
        tag(
            "div", *(tag("span", tag("b", f"{number:,}"), f" {what}") for number, what in sums), class_="sums"
        )
    )
    return tag("section", *parts, class_="card")


def _bar(counts: Summary) -> Markup:
    """Shares of the severities. Drawn, because the policy allows no style of an element's own."""
    rects, left = [], 0.0
    for severity, number in counts.by_severity.items():
        if number:
            share = 1000 * number / counts.total
            rects.append(
                tag("rect", x=f"{left:.2f}", width=f"{share:.2f}", height="10", class_=severity.value)
            )
            left += share
    return tag(
        "svg", *rects, viewBox="0 0 1000 10", preserveAspectRatio="none", class_="bar", aria_hidden="true"
    )


def _tile(severity: Severity, number: int) -> str:
    return f"tile {severity.value}" + ("" if number else " zero")


def _gaps(title: str, lines: list[str]) -> Markup | None:
    if not lines:
        return None
    items = [tag("li", line) for line in lines]
    return tag("section", tag("h2", title), tag("ul", *items), class_="notice", role="alert")


def _notices(info: DefinitionsInfo, options: Options) -> Markup | None:
    lines = list(options.notices)
    if options.stale and options.age:
        lines.append(options.age)
    if info.unsigned:
        lines.append("The definitions are unsigned: nobody vouches for them.")
    return _gaps("About the definitions", lines)


def _filters(blocks: list[Block]) -> Markup:
    present = {item.severity for block in blocks for item in block.findings}
    boxes = [
        tag(
            "label",
            tag("input", type="checkbox", checked=True, data_severity=severity.value),
            tag("span", severity.value, class_=f"chip {severity.value}"),
        )
        for severity in SEVERITIES
        if severity in present
    ]
    return tag(
        "div",
        tag("input", type="search", placeholder="Filter by package, flaw or path", aria_label="Filter"),
        *boxes,
        tag("label", tag("input", type="checkbox", name="fixable"), "fixable"),
        tag("label", tag("input", type="checkbox", name="exploited"), "known exploited"),
        tag("span", class_="shown soft"),
        class_="filters",
    )


def _block(block: Block) -> Markup:
    first = block.first
    installed = [item.name + (f" ({item.arch})" if item.arch else "") for item in block.packages]
    places = dict.fromkeys(summary.place(where) for item in block.packages for where in item.locations)
    lines = []
    if first.type in SYSTEM_TYPES:
        lines.append(tag("p", ", ".join(installed), class_="where"))
    else:
        lines.append(tag("p", _places(places), class_="where"))
    if first.upgrade:
        advice = tag("span", f"Upgrade to {first.upgrade}", class_="advice")
    else:
        why = no_upgrade(first)
        advice = tag("span", why[:1].upper() + why[1:], class_="advice none")
    name = tag(
        "div",
        tag("h3", first.source_name or first.name),
        tag("code", first.version),
        tag("span", first.type, class_="type"),
        tag("span", f"{first.unfixed} without a fix", class_="soft")
        if first.unfixed and first.upgrade
        else None,
        advice,
        class_="name",
    )
    scored = any(item.epss for item in block.findings)
    rated = any(item.cvss for item in block.findings)
    heads = [
        "Severity",
        "Flaw",
        "CVSS" if rated else "",
        "EPSS" if scored else "",
        "Fixed in",
        "What is known",
    ]
    return tag(
        "article",
        tag("header", name, *lines),
        tag(
            "div",
            _table(heads, map(_row, block.findings), numbers={2, 3}, class_="findings"),
            class_="scroll",
        ),
        class_="package group",
        data_text=" ".join([first.source_name, first.version, *installed, *places]),
    )


def _row(item: Finding) -> Markup:
    open_ = item.status is Status.UNDER_INVESTIGATION
    score = max((cvss.score for cvss in item.cvss), default=None)
    fixed = tag("span", item.fixed_version, class_="fixed") if item.fixed_version else NO_FIX[item.status]
    notice = tag("div", item.fixing_advisory, class_="soft") if item.fixing_advisory else None
    channel = tag("div", needs(item), class_="soft") if item.fix_channel else None
    kev = tag("span", "KEV", class_="chip kev", title="Known to be exploited (CISA)") if item.kev else None
    return tag(
        "tr",
        tag("td", tag("span", item.severity.value, class_=f"chip {item.severity.value}")),
        tag("td", _link(item.url, item.id), " " if kev else None, kev, class_="id"),
        tag("td", "" if score is None else f"{score:.1f}", class_="number"),
        tag("td", epss(item), class_="number"),
        tag("td", fixed, channel, notice, class_="fix"),
        tag("td", tag("div", item.title) if item.title else None, _details(item), class_="what"),
        class_="row open" if open_ else "row",
        data_severity=item.severity.value,
        data_fixable=item.fixable,
        data_exploited=item.kev is not None,
        data_text=" ".join([item.id, *item.aliases, item.title]),
    )


def _suppressed(report: VulnerabilityReport) -> Markup | None:
    """What does not count, behind a click: flaw, package and reason."""
    rows = [
        tag(
            "tr",
            tag("td", tag("span", item.severity.value, class_=f"chip {item.severity.value}")),
            tag("td", _link(item.url, item.id), class_="id"),
            tag("td", tag("b", package.name), " ", tag("code", package.version)),
            tag(
                "td",
                reason,
                tag("div", _places(map(summary.place, package.locations)), class_="soft"),
                class_="what",
            ),
        )
        for package, item, reason in summary.suppressed_findings(report)
    ]
    if not rows:
        return None
    table = _table(["Severity", "Flaw", "Package", "Why it does not count"], rows)
    listed = tag("details", tag("summary", summary.suppressed(report)), table)
    return join([tag("h2", "Suppressed"), tag("section", listed, class_="card")])


def _details(item: Finding) -> Markup:
    facts: list[tuple[str, Markup]] = []
    if item.kev:
        due = f", due {item.kev.due}" if item.kev.due else ""
        ransomware = ", used by ransomware" if item.kev.ransomware else ""
        facts.append(("Exploited", escape(f"listed {item.kev.added}{due}{ransomware}")))
    if item.aliases:
        facts.append(("Also", escape(", ".join(item.aliases))))
    if item.severity_source:
        facts.append(("Severity from", escape(item.severity_source)))
    facts += [("CVSS", tag("code", f"{cvss.score:.1f} {cvss.vector} ({cvss.source})")) for cvss in item.cvss]
    if item.cwes:
        facts.append(("Weakness", escape(", ".join(item.cwes))))
    facts += [("Record", _record(record)) for record in item.advisories]
    if item.published:
        facts.append(("Published", escape(date(item.published))))
    links = [_link(url, url) for url in item.references]
    if links:
        facts.append(("Links", join(part for link in links for part in (link, Markup("<br>")))))
    pairs = [part for name, value in facts for part in (tag("dt", name), tag("dd", value))]
    return tag("details", tag("summary", f"{item.namespace}: why and where from"), tag("dl", *pairs))


def _record(record: AdvisoryReference) -> Markup:
    status = "" if record.status is Status.AFFECTED else f", {record.status.value.replace('_', ' ')}"
    return join([_link(record.url, record.ref), " ", tag("code", record.range), status])


def _package_row(item: Package) -> Markup:
    return tag(
        "tr",
        tag("td", tag("b", item.name)),
        tag("td", tag("code", item.version) if item.version else tag("span", "none", class_="soft")),
        tag("td", tag("span", item.type, class_="type")),
        tag("td", item.arch),
        tag("td", _places(map(summary.place, item.locations)), class_="what soft"),
        class_="row",
        data_text=" ".join([item.name, item.version, item.type, *(where.path for where in item.locations)]),
    )


def _definitions(info: DefinitionsInfo, options: Options) -> Markup:
    facts = {
        "Digest": tag("code", info.digest),
        "Channel": escape(f"{info.channel} {info.version}" if info.channel else ""),
        "Built": escape(date(info.created)),
        "Age": escape(options.age),
    }
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items() if value]
    sources = [
        tag(
            "tr",
            tag("td", _link(source.url, source.title or source.name)),
            tag("td", date(source.newest) or tag("span", "undated", class_="soft")),
            tag("td", f"{source.records:,}", class_="number"),
        )
        for source in info.sources
    ]
    table = _table(["Source", "Newest record", "Records"], sources, numbers={2}) if sources else None
    return join(
        [
            tag("h2", "Definitions"),
            tag("section", tag("dl", *rows, class_="facts"), table, class_="card"),
        ]
    )


def _coverage(rows: Iterable[Coverage]) -> Markup | None:
    lines = [
        tag(
            "tr",
            tag("td", tag("span", row.type, class_="type")),
            tag("td", row.namespace or "–"),
            _state(row),
            tag("td", f"{row.packages:,}", class_="number"),
            tag("td", row.detail, class_="what"),
        )
        for row in rows
    ]
    if not lines:
        return None
    table = _table(["Type", "Namespace", "State", "Packages", ""], lines, numbers={3})
    return join([tag("h2", "What was judged"), tag("section", table, class_="card flush")])


def _state(row: Coverage) -> Markup:
    if row.judged is Judged.MATCHED and not summary.incomplete(row):
        return tag("td", _JUDGED[row.judged], class_="state matched")
    partly = " in part" if row.judged is Judged.MATCHED else ""
    return tag("td", _JUDGED[row.judged] + partly, class_="state gap")


def _found_by_layer(report: VulnerabilityReport) -> dict[str, int]:
    """Findings of the packages that each layer brought, by diff-id."""
    found: dict[str, int] = {}
    for package in report.packages:
        for layer in {where.layer for where in package.locations}:
            found[layer] = found.get(layer, 0) + len(package.findings)
    return found


def _layers(layers: tuple[Layer, ...], found: dict[str, int] | None) -> Markup | None:
    if not layers:
        return None
    heads = ["", "Layer", "Size", *(["Findings"] if found is not None else []), "Made by"]
    rows = [
        tag(
            "tr",
            tag("td", str(number), class_="number soft"),
            tag(
                "td",
                tag("code", short_digest(layer.digest or layer.diff_id), title=layer.digest or layer.diff_id),
            ),
            tag("td", _size(layer.size), class_="number"),
            tag("td", f"{found.get(layer.diff_id, 0):,}", class_="number") if found is not None else None,
            tag("td", tag("code", layer.created_by), class_="what"),
        )
        for number, layer in enumerate(layers, 1)
    ]
    table = _table(heads, rows, numbers={0, 2, 3} if found is not None else {0, 2})
    return join([tag("h2", "Layers"), tag("section", table, class_="card flush")])


def _table(
    heads: list[str], rows: Iterable[Markup], numbers: Iterable[int] = (), class_: str | None = None
) -> Markup:
    right = frozenset(numbers)
    cells = [
        tag("th", head, scope="col", class_="number" if at in right else None)
        for at, head in enumerate(heads)
    ]
    return tag("table", tag("thead", tag("tr", *cells)), tag("tbody", *rows), class_=class_)


def _places(paths: Iterable[str]) -> Markup:
    every = list(paths)
    shown = [part for path in every[:_MORE_PLACES] for part in (tag("code", path), Markup("<br>"))][:-1]
    rest = every[_MORE_PLACES:]
    more = (
        tag("details", tag("summary", f"and {count(len(rest), 'more place')}"), ", ".join(rest))
        if rest
        else None
    )
    return join([*shown, more])


def _link(url: str, text: str) -> Markup:
    target = web_link(url)
    return tag("a", text, href=target, rel="noopener noreferrer") if target else escape(text)


def _size(size: int) -> str:
    value = float(max(size, 0))
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
