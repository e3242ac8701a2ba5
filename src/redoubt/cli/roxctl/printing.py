"""Reports of scans as the original prints them: table, CSV and JSON, and its older JSON and CSV. Pure, but for a terminal's colours.

Every text in them may be hostile: none of it reaches a terminal or a spreadsheet as it is.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import msgspec

from redoubt.cli.entry import require
from redoubt.cli.roxctl import options
from redoubt.cli.roxctl.results import SEVERITIES, Image, Result, Row
from redoubt.errors import UsageError

F = TypeVar("F", bound=Callable[..., object])

#: Header → the field of a row.
HEADERS = {
    "COMPONENT": "componentName",
    "VERSION": "componentVersion",
    "CVE": "cveId",
    "SEVERITY": "cveSeverity",
    "CVSS": "cveCVSS",
    "LINK": "cveInfo",
    "FIXED_VERSION": "componentFixedVersion",
    "ADVISORY": "advisoryId",
    "ADVISORY_LINK": "advisoryInfo",
}
_FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(Row)}
#: The one kind of path that there is any use for here.
_PATH = re.compile(r"result\.vulnerabilities\.#\.([A-Za-z]+)")
_EMPTY = "-"
_STYLES: dict[str, dict[str, Any]] = {
    "CRITICAL": {"fg": "red", "bold": True},
    "IMPORTANT": {"fg": "red"},
    "MODERATE": {"fg": "yellow"},
    "LOW": {"fg": "cyan"},
    "UNKNOWN": {"fg": "magenta"},
}


@dataclass(frozen=True)
class Printer:
    """How a table, CSV or JSON is printed, as the flags of these names say."""

    headers: tuple[str, ...]
    required_headers: tuple[str, ...]
    row_jsonpath_expressions: str | None
    merge_output: bool
    no_header: bool
    headers_as_comments: bool
    compact_output: bool

    def columns(self) -> list[tuple[str, str]]:
        """Headings and the fields below them. Raises ``UsageError`` for what cannot be shown."""
        require(
            not (self.no_header and self.headers_as_comments),
            "--no-header and --headers-as-comments exclude each other",
        )
        named = options.split(self.headers) or list(HEADERS)
        if self.row_jsonpath_expressions is None:
            unknown = [name for name in named if name not in HEADERS]
            require(not unknown, f"no column {', '.join(unknown)}; choose of {', '.join(HEADERS)}")
            return [(name, HEADERS[name]) for name in named]
        paths = self.row_jsonpath_expressions.strip().removeprefix("{").removesuffix("}").split(",")
        fields = [match[1] if (match := _PATH.fullmatch(path.strip())) else "" for path in paths]
        if not all(field in _FIELDS for field in fields):
            raise UsageError(
                "--row-jsonpath-expressions: only {result.vulnerabilities.#.FIELD,…} is known, FIELD being one of "
                + ", ".join(_FIELDS)
            )
        require(
            len(fields) == len(named),
            f"{len(fields)} expressions and {len(named)} headers; there must be as many of both",
        )
        return list(zip(named, fields, strict=True))

    def rows(self, result: Result) -> list[list[str]]:
        """The cells, without rows that lack what ``--required-headers`` asks for."""
        fields = [_FIELDS[field] for _, field in self.columns()]
        needed = options.split(self.required_headers)
        unknown = [name for name in needed if name not in HEADERS]
        require(not unknown, f"no column {', '.join(unknown)}; choose of {', '.join(HEADERS)}")
        wanted = [_FIELDS[HEADERS[name]] for name in needed]
        return [
            [_cell(getattr(row, field)) for field in fields]
            for row in result.vulnerabilities
            if all(_cell(getattr(row, field)) != _EMPTY for field in wanted)
        ]


def printer_options(command: F) -> F:
    """The flags that a ``Printer`` is made of."""
    known = options.Words(tuple(HEADERS))
    for option in reversed(
        (
            click.option(
                "--headers",
                multiple=True,
                metavar="A,B",
                help=f"Columns of table and csv. Default: all: {', '.join(HEADERS)}.",
            ),
            click.option(
                "--required-headers",
                multiple=True,
                type=known,
                metavar="A,B",
                help="Leave out rows in which one of these is empty.",
            ),
            click.option(
                "--row-jsonpath-expressions",
                hidden=True,
                help="Columns as gJSON paths of `result.vulnerabilities`.",
            ),
            click.option(
                "--merge-output/--no-merge-output",
                default=True,
                help="In a table, say what rows share only once. Default: merged.",
            ),
            click.option("--no-header", is_flag=True, help="No line with the columns' names."),
            click.option("--headers-as-comments", is_flag=True, help="The csv's columns' names after a ';'."),
            click.option("--compact-output", is_flag=True, help="JSON on one line."),
        )
    ):
        command = option(command)
    return command


def table(result: Result, printer: Printer, *, color: bool) -> str:
    """Columns, one row a line."""
    from redoubt.formats.text import printable, width

    columns = printer.columns()
    rows = [[printable(cell) for cell in row] for row in printer.rows(result)]
    shown = [] if printer.no_header else [[name for name, _ in columns]]
    sizes = [max([width(row[at]) for row in [*shown, *rows]] or [0]) for at in range(len(columns))]
    lines = [_line(row, sizes) for row in shown]
    above: list[str] = []
    for row in rows:
        same = _shared(above, row) if printer.merge_output else 0
        cells = ["" if at < same else cell for at, cell in enumerate(row)]
        line = _line(cells, sizes)
        if color:
            line = _colored(line, columns, row, sizes, same)
        lines.append(line)
        above = row
    return "".join(f"{line}\n" for line in lines)


def comma_separated(result: Result, printer: Printer) -> str:
    """CSV with a heading, as the flags have it."""
    from redoubt.formats.csv import guarded

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    names = [name for name, _ in printer.columns()]
    if printer.headers_as_comments:
        out.write("; ")
    if not printer.no_header:
        writer.writerow([guarded(name) for name in names])
    writer.writerows(
        [cell if cell == _EMPTY else guarded(cell) for cell in row] for row in printer.rows(result)
    )
    return out.getvalue()


def json(result: Result, printer: Printer) -> str:
    """``{"result": {"summary": …, "vulnerabilities": […]}}``."""
    encoded = msgspec.json.encode({"result": result})
    from redoubt.formats.json import harmless

    return harmless(
        (encoded if printer.compact_output else msgspec.json.format(encoded, indent=2)).decode() + "\n"
    )


def legacy_json(body: bytes) -> str:
    """Central's answer as it came, on many lines."""
    from redoubt.formats.json import harmless

    return harmless(msgspec.json.format(body, indent=2).decode("utf-8", "replace") + "\n")


def legacy_csv(image: Image, severities: set[str]) -> str:
    """The older CSV: layer by layer, the worst first in each."""
    from redoubt.formats.csv import guarded

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(
        [
            "CVE",
            "CVSS Score",
            "Severity Rating",
            "Summary",
            "Component",
            "Version",
            "Fixed By",
            "Layer Instruction",
        ]
    )
    flaws = [
        (component.layer_index or 0, -SEVERITIES.index(flaw.rated), component, flaw)
        for component in (image.scan.components if image.scan else ())
        for flaw in component.vulns
        if flaw.rated in severities
    ]
    for _, _, component, flaw in sorted(flaws, key=lambda each: each[:2]):
        cells = (
            *(flaw.cve, _number(flaw.cvss), flaw.rated.capitalize(), flaw.summary),
            *(component.name, component.version, flaw.fixed_by, image.instruction(component)),
        )
        writer.writerow([guarded(cell) for cell in cells])
    return out.getvalue()


def counts(result: Result) -> str:
    """The sum, in one line, in the original's form."""
    return "(" + ", ".join(f"{name}: {number}" for name, number in result.summary.items()) + ")"


def _cell(value: str | float) -> str:
    # No score is not the score 0.
    text = (_number(value) if value else "") if isinstance(value, float) else value
    return text or _EMPTY


def _number(value: float) -> str:
    return f"{value:g}"


def _shared(above: Sequence[str], row: Sequence[str]) -> int:
    """How many cells from the left are those of the row above; never all."""
    same = 0
    while same < min(len(above), len(row) - 1) and above[same] == row[same]:
        same += 1
    return same


def _line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    from redoubt.formats.text import width

    return "  ".join(
        cell + " " * (size - width(cell)) for cell, size in zip(cells, sizes, strict=True)
    ).rstrip()


def _colored(
    line: str, columns: Sequence[tuple[str, str]], row: Sequence[str], sizes: Sequence[int], same: int
) -> str:
    """The line with its severity in colour."""
    for at, (_, field) in enumerate(columns):
        if field == "cveSeverity" and at >= same and (style := _STYLES.get(row[at])):
            start = sum(sizes[:at]) + 2 * at
            if line[start:].startswith(row[at]):
                word = click.style(row[at], **style)
                return line[:start] + word + line[start + len(row[at]) :]
    return line
