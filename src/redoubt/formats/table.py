"""Reports for a terminal: readable at 80 columns, complete in a pipe.

Written by hand and not with ``rich``, whose import and tables alone take longer than a cached scan may
(``docs/decisions/0003-reports-are-written-by-our-own-code.md``). Every text passes ``printable`` on its
way into a line; colours are added after that, so nothing in a report can bring its own.
"""

from __future__ import annotations

from typing import NamedTuple

from redoubt.formats import summary
from redoubt.formats.interface import Options
from redoubt.formats.summary import NO_FIX, SYSTEM_TYPES, Block, blocks, needs, no_upgrade
from redoubt.formats.text import count, date, fold, printable, short_digest, shorten, width
from redoubt.model import (
    Distribution,
    Finding,
    Image,
    IndexReport,
    Location,
    PackageFindings,
    Severity,
    VulnerabilityReport,
)

_MIN_WIDTH = 40
#: Where titles have room beside a finding.
_TITLE_WIDTH = 110
#: Places named for each package on a terminal.
_PLACES = 3

_STYLES = {
    Severity.CRITICAL: "1;97;41",
    Severity.HIGH: "1;31",
    Severity.MEDIUM: "33",
    Severity.LOW: "36",
    Severity.NEGLIGIBLE: "2",
    Severity.UNKNOWN: "35",
}
_BOLD, _DIM, _WARNING, _GOOD = "1", "2", "1;33", "32"


class Span(NamedTuple):
    """A piece of a line: raw text, and the ANSI style it is shown in."""

    text: str
    style: str = ""


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """Findings grouped by what is to be upgraded, worst first; then what was not judged; then the sum."""
    page = _Page(options)
    _head(page, report.image, report.distribution, report.package_count, len(report.layers))
    _definitions(page, report)
    found = blocks(report)
    if found:
        columns = _Columns(report, options)
        page.line()
        page.line(*columns.heading())
        for block in found:
            _block(page, block, columns)
    if options.show_suppressed:
        _suppressed(page, report)
    _warnings(page, "NOT EVERYTHING COULD BE JUDGED", summary.gaps(report))
    _sum(page, report)
    return page.bytes()


def index(report: IndexReport, options: Options) -> bytes:
    """What an image holds: one package a line, and on a terminal the place below it."""
    page = _Page(options)
    _head(page, report.image, report.distribution, len(report.packages), len(report.layers))
    if report.packages:
        page.line()
        rows = [("PACKAGE", "VERSION", "TYPE", "ARCH")]
        rows += [(item.name, item.version or "(none)", item.type, item.arch) for item in report.packages]
        sizes = [min(max(_width(row[at]) for row in rows), 48) for at in range(4)]
        if page.width:
            sizes[0] = max(min(sizes[0], page.width - sum(sizes[1:]) - 6), 20)
        spans = [
            [Span(_pad(text, size) + "  ") for text, size in zip(row, sizes, strict=True)] for row in rows
        ]
        place = "FOUND IN" if page.width is None else ""
        page.line(*(Span(text, _DIM) for text, _ in spans[0]), Span(place, _DIM))
        for item, cells in zip(report.packages, spans[1:], strict=True):
            if page.width is None:
                page.line(*cells, Span(_places(item.locations, page)[0], _DIM))
                continue
            page.line(*cells)
            if item.type not in SYSTEM_TYPES:
                for place in _places(item.locations, page):
                    page.hang([Span("  ")], place, _DIM)
    _warnings(page, "NOT EVERYTHING COULD BE READ", summary.index_gaps(report))
    page.line()
    page.line(Span(count(len(report.packages), "package"), _BOLD))
    return page.bytes()


class _Page:
    """Lines of output. The one place where texts become bytes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.width = max(options.width, _MIN_WIDTH) if options.width else None
        self._lines: list[str] = []

    def line(self, *spans: Span) -> None:
        """One line, as long as it is."""
        self._lines.append("".join(map(self._paint, spans)).rstrip())

    def hang(self, spans: list[Span], text: str, style: str = "") -> None:
        """``spans``, then ``text`` folded into what is left of the width; below, where that is too little."""
        if self.width is None:
            self.line(*spans, Span(text, style))
            return
        indent = sum(_width(span.text) for span in spans)
        if self.width - indent < 24:
            self.line(*spans)
            spans, indent = [Span("    ")], 4
        for part in fold(printable(text), self.width - indent):
            self.line(*spans, Span(part, style))
            spans = [Span(" " * indent)]

    def bytes(self) -> bytes:
        """Everything, as UTF-8."""
        return ("\n".join(self._lines) + "\n").encode()

    def _paint(self, span: Span) -> str:
        text = printable(span.text)
        if not span.style or not self.options.color or not text.strip():
            return text
        body = text.rstrip()  # a background colour ends with its word
        return f"\x1b[{span.style}m{body}\x1b[0m{text[len(body) :]}"


class _Columns:
    """How the rows of one report line up."""

    def __init__(self, report: VulnerabilityReport, options: Options) -> None:
        findings = [item for package in report.packages for item in package.findings]
        self.id = min(max(_width(item.id) for item in findings), 28)
        self.kev = any(item.kev for item in findings)
        self.epss = any(item.epss for item in findings)
        self.fix = min(max(max(_width(_fix(item)) for item in findings), 8), 48)
        roomy = options.width is None or options.width >= _TITLE_WIDTH
        self.title = roomy and any(item.title for item in findings)

    def heading(self) -> list[Span]:
        """The names of the columns."""
        parts = [_pad("  SEVERITY", 14), _pad("FLAW", self.id + 2)]
        parts += ["KEV  "] if self.kev else []
        parts += ["  EPSS  "] if self.epss else []
        parts += [_pad("FIXED IN", self.fix + 2), "TITLE"] if self.title else ["FIXED IN"]
        return [Span("".join(parts), _DIM)]

    def row(self, page: _Page, item: Finding) -> None:
        """One finding."""
        spans = [
            Span("  "),
            Span(_pad(item.severity.value, 10), _STYLES[item.severity]),
            Span("  "),
            Span(_pad(item.id, self.id) + "  "),
        ]
        if self.kev:
            spans.append(Span("KEV  " if item.kev else "     ", _STYLES[Severity.CRITICAL]))
        if self.epss:
            spans.append(Span(f"{epss(item):>6}  "))
        fix, style = _fix(item), _GOOD if item.fixable else _DIM
        if self.title:
            page.hang([*spans, Span(_pad(fix, self.fix), style), Span("  ")], item.title)
        else:
            page.hang(spans, fix, style)


def epss(item: Finding) -> str:
    """The probability in per cent: ``94.4%``, ``<0.1%``, or nothing."""
    if item.epss is None:
        return ""
    percent = item.epss.probability * 100
    return f"{percent:.1f}%" if percent >= 0.05 else "<0.1%"


def _fix(item: Finding) -> str:
    if not item.fixed_version:
        return NO_FIX[item.status]
    more = ", ".join(word for word in (needs(item), item.fixing_advisory) if word)
    return f"{item.fixed_version} ({more})" if more else item.fixed_version


def _head(
    page: _Page, image: Image, distribution: Distribution | None, package_count: int, layer_count: int
) -> None:
    page.hang([_label("Image")], " ".join([image.reference, f"({image.platform})" if image.platform else ""]))
    if image.subject:
        page.hang([_label("")], f"SBOM of {image.subject}")
    digest = image.digest or image.config_digest
    if digest:
        roomy = page.width is None or page.width >= 13 + len(digest)
        page.hang([_label("")], digest if roomy else short_digest(digest), _DIM)
    page.hang([_label("System")], system(distribution))
    page.line(_label("Packages"), Span(f"{count(package_count, 'package')} in {count(layer_count, 'layer')}"))


def system(distribution: Distribution | None) -> str:
    """A distribution as people call it."""
    if distribution is None:
        return "unknown (no os-release)"
    version = distribution.version_id or distribution.codename
    return distribution.name or " ".join(part for part in (distribution.id, version) if part)


def _definitions(page: _Page, report: VulnerabilityReport) -> None:
    info, options = report.definitions, page.options
    parts = [short_digest(info.digest)]
    if info.channel:
        parts.append(f"channel {info.channel} {info.version}")
    if info.created:
        parts.append(f"built {date(info.created)}")
    page.hang([_label("Definitions")], ", ".join(parts))
    if options.age:
        page.hang([_label("")], options.age, _WARNING if options.stale else "")
    if info.unsigned:
        page.hang([_label("")], "unsigned: nobody vouches for these definitions", _WARNING)
    if info.sources:
        page.hang([_label("Newest data")], _newest(report), _DIM)
    for notice in options.notices:
        page.hang([_label("")], notice, _WARNING)


def _newest(report: VulnerabilityReport) -> str:
    """How new each source is that spoke of this image or could have, by its name; how many there are besides.

    Which sources speak of a namespace is not written in definitions, but most are called like it.
    """
    names = {
        said.ref.partition("/")[0]
        for package in (*report.packages, *report.suppressed)
        for item in package.findings
        for said in item.advisories
    }
    for row in report.coverage:
        ecosystem = row.namespace.partition(":")[0]
        names.update((ecosystem, f"osv-{ecosystem}"))
    sources = report.definitions.sources
    concerned = [source for source in sources if source.name in names]
    told = [f"{source.name} {date(source.newest) or '(undated)'}" for source in concerned]
    if left := len(sources) - len(concerned):
        told.append(count(left, "other source" if told else "source"))
    return ", ".join(told)


def _block(page: _Page, block: Block, columns: _Columns) -> None:
    first = block.first
    page.line()
    name = Span((first.source_name or first.name) + " ", _BOLD)
    kind = f"  {first.type}  "
    advice, style = _advice(first)
    title = _width(name.text + first.version + kind)
    if page.width is None or title + _width(advice) <= page.width:
        page.line(name, Span(first.version), Span(kind, _DIM), Span(advice, style))
    else:
        if title <= page.width:
            page.line(name, Span(first.version), Span(kind, _DIM))
        else:
            page.hang([], name.text, _BOLD)
            page.hang([Span("  ")], f"{first.version}{kind}")
        page.hang([Span("  ")], advice, style)
    installed = [item.name + (f" ({item.arch})" if item.arch else "") for item in block.packages]
    if first.type in SYSTEM_TYPES:
        if len(installed) > 1 or first.source_name:
            page.hang([Span("  ")], ", ".join(installed), _DIM)
    else:
        for place in _places([where for item in block.packages for where in item.locations], page):
            page.hang([Span("  ")], place, _DIM)
    for item in block.findings:
        columns.row(page, item)


def _advice(package: PackageFindings) -> tuple[str, str]:
    if not package.upgrade:
        return no_upgrade(package), _DIM
    rest = f", {package.unfixed} without a fix" if package.unfixed else ""
    return f"upgrade to {package.upgrade}{rest}", _GOOD


def _places(locations: tuple[Location, ...] | list[Location], page: _Page) -> list[str]:
    paths = [printable(path) for path in dict.fromkeys(map(summary.place, locations))]
    if page.width is None:
        return [", ".join(paths)]
    shown = [shorten(path, page.width - 4) for path in paths[:_PLACES]]
    if len(paths) > _PLACES:
        shown.append(f"and {count(len(paths) - _PLACES, 'more place')}")
    return shown or [""]


def _suppressed(page: _Page, report: VulnerabilityReport) -> None:
    """What does not count: each package, and its flaws under the reason that they share."""
    if not report.suppressed:
        return
    page.line()
    page.line(Span("SUPPRESSED", _BOLD))
    for package in report.suppressed:
        page.hang([Span("  ")], f"{package.name} {package.version}  {package.type}")
        for place in _places(package.locations, page):
            page.hang([Span("    ")], place, _DIM)
        reasons: dict[str, list[Finding]] = {}
        for item in package.findings:
            reasons.setdefault(summary.suppression_line(item.suppression), []).append(item)
        for reason, items in reasons.items():
            page.hang([Span("    ")], reason, _DIM)
            page.hang([Span("    ")], ", ".join(f"{item.id} ({item.severity.value})" for item in items))


def _warnings(page: _Page, title: str, lines: list[str]) -> None:
    if not lines:
        return
    page.line()
    page.line(Span(title, _WARNING))
    for line in lines:
        page.hang([Span("  ! ", _WARNING)], line)


def _sum(page: _Page, report: VulnerabilityReport) -> None:
    counts = summary.summarize(report)
    page.line()
    page.hang([], summary.verdict(report), _GOOD if summary.clean(report) else _BOLD)
    if counts.total:
        spans = []
        for severity, number in counts.by_severity.items():
            if number:
                spans += [Span(f"{severity.value} {number}", _STYLES[severity]), Span("  ")]
        page.line(*spans)
        facts = [f"{counts.fixable} fixable by upgrading"]
        if counts.known_exploited:
            facts.append(f"{counts.known_exploited} known to be exploited (KEV)")
        page.hang([], ", ".join(facts))
    if report.suppressed and not page.options.show_suppressed:
        page.hang([], "--show-suppressed lists what is suppressed", _DIM)
    if counts.investigating:
        page.hang([], f"{count(counts.investigating, 'finding')} under investigation, not counted")


def _label(text: str) -> Span:
    return Span(f"{text:13}", _DIM)


def _pad(text: str, size: int) -> str:
    text = printable(text)
    return text + " " * (size - width(text))


def _width(text: str) -> int:
    return width(printable(text))
