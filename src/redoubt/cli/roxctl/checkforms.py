"""The forms of a policy check: table, CSV, JSON, JUnit and SARIF, as the original's ``roxctl`` has them. Pure.

Texts come from policies and images, so whoever made those: none of it reaches a terminal, a spreadsheet or a page as it is.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from redoubt.cli.entry import require
from redoubt.cli.roxctl import options
from redoubt.cli.roxctl.checks import Answer, DeployAnswer, Outcome, Violated, as_json, open_questions
from redoubt.errors import UsageError

#: Stands for the name of what was checked, among the fields of a violated policy.
_ENTITY = "deployment"
#: Header → the field of a violated policy.
HEADERS = {
    "POLICY": "name",
    "SEVERITY": "severity",
    "BREAKS BUILD": "failingCheck",
    "DESCRIPTION": "description",
    "VIOLATION": "violation",
    "REMEDIATION": "remediation",
}
#: The same of workloads, whose name is a column too.
DEPLOY_HEADERS = {
    "POLICY": "name",
    "SEVERITY": "severity",
    "BREAKS DEPLOY": "failingCheck",
    "DEPLOYMENT": _ENTITY,
    "DESCRIPTION": "description",
    "VIOLATION": "violation",
    "REMEDIATION": "remediation",
}
_FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(Violated)}
#: The one kind of path that there is any use for here, and what the original's default puts after two of them.
_PATH = re.compile(r"results\.#\.violatedPolicies\.#\.([A-Za-z]+)(?:\.@[A-Za-z]+(?::.*)?)?", re.DOTALL)
_EMPTY = "-"
#: A dash, and lists of violations, which begin with one: no spreadsheet takes these for a formula.
_HARMLESS = re.compile(r"-|- [A-Za-z][^|=@+]*", re.DOTALL)
#: Columns of a table's text, where the terminal does not say; and of it at least.
_WIDE, _NARROW = 44, 14
_LEVELS = {"LOW": "note", "MEDIUM": "warning", "HIGH": "error", "CRITICAL": "error"}
_SCORES = {"LOW": "2.0", "MEDIUM": "5.5", "HIGH": "8.0", "CRITICAL": "9.5"}
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True)
class Form:
    """How a check is printed, as the flags of these names say."""

    headers: tuple[str, ...]
    required_headers: tuple[str, ...]
    row_jsonpath_expressions: str | None
    no_header: bool
    headers_as_comments: bool
    compact_output: bool
    junit_suite_name: str

    @property
    def known(self) -> dict[str, str]:
        """Headers that there are."""
        return HEADERS

    def columns(self) -> list[tuple[str, str]]:
        """Headings and the fields below them. Raises ``UsageError`` for what cannot be shown."""
        require(
            not (self.no_header and self.headers_as_comments),
            "--no-header and --headers-as-comments exclude each other",
        )
        named = options.split(self.headers) or list(self.known)
        if self.row_jsonpath_expressions is None:
            self._require(named)
            return [(name, self.known[name]) for name in named]
        inner = self.row_jsonpath_expressions.strip().removeprefix("{").removesuffix("}")
        paths = re.split(r",(?=\s*results\.)", inner)
        fields = [match[1] if (match := _PATH.fullmatch(path.strip())) else "" for path in paths]
        if not all(field in _FIELDS for field in fields):
            raise UsageError(
                "--row-jsonpath-expressions: only {results.#.violatedPolicies.#.FIELD,…} is known, FIELD being one of "
                + ", ".join(_FIELDS)
            )
        require(
            len(fields) == len(named),
            f"{len(fields)} expressions and {len(named)} headers; there must be as many of both",
        )
        return list(zip(named, fields, strict=True))

    def rows(self, outcome: Outcome) -> list[list[str]]:
        """The cells, without rows that lack what ``--required-headers`` asks for."""
        needed = options.split(self.required_headers)
        self._require(needed)
        wanted = [self.known[name] for name in needed]
        shown = [field for _, field in self.columns()]
        return [
            [_cell(each, field, name) for field in shown]
            for result in outcome.results
            for name in (result.metadata.additional_info.get("name", ""),)
            for each in result.violated_policies
            if all(_cell(each, field, name) != _EMPTY for field in wanted)
        ]

    def _require(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self.known]
        require(not unknown, f"no column {', '.join(unknown)}; choose of {', '.join(self.known)}")


@dataclass(frozen=True)
class DeployForm(Form):
    """The same for a check of workloads."""

    @property
    def known(self) -> dict[str, str]:
        """Headers that there are."""
        return DEPLOY_HEADERS


def _cell(policy: Violated, field: str, entity: str) -> str:
    if field == _ENTITY:
        return entity or _EMPTY
    value = getattr(policy, _FIELDS[field])
    if isinstance(value, bool):
        return "X" if value else _EMPTY
    if isinstance(value, tuple):
        return "\n".join(f"- {line}" for line in value) or _EMPTY
    return str(value) or _EMPTY


def table(outcome: Outcome, form: Form, columns: int) -> str:
    """A policy a row, its texts wrapped. ``columns`` are the terminal's, 0 where there is none."""
    from redoubt.formats.text import width

    names = [name for name, _ in form.columns()]
    rows = [[_lines(cell, 10_000) for cell in row] for row in form.rows(outcome)]
    natural = [
        max([width(name), *(width(line) for row in rows for line in row[at])])
        for at, name in enumerate(names)
    ]
    sizes = _sizes(natural, columns)
    wrapped = [[_lines("\n".join(cell), sizes[at]) for at, cell in enumerate(row)] for row in rows]
    out = [] if form.no_header else [_line([[name] for name in names], sizes, 0)]
    for row in wrapped:
        out += [_line(row, sizes, number) for number in range(max(map(len, row)))]
    return "".join(f"{line}\n" for line in out)


def _sizes(natural: Sequence[int], columns: int) -> list[int]:
    """Short columns get what they need, long ones share what is left."""
    if columns <= 0:
        return [min(size, _WIDE) for size in natural]
    left, sizes = columns - 2 * (len(natural) - 1), list(natural)
    while sum(sizes) > left and max(sizes) > _NARROW:
        longest = max(sizes)
        sizes[sizes.index(longest)] = max(_NARROW, longest - max(1, (sum(sizes) - left) // len(sizes)))
    return sizes


def _lines(cell: str, size: int) -> list[str]:
    """A cell's lines, none longer than ``size`` columns, broken between words where that can be."""
    from redoubt.formats.text import fold, printable

    return [line for given in cell.split("\n") for line in (fold(printable(given), size) or [""])]


def _line(row: Sequence[Sequence[str]], sizes: Sequence[int], number: int) -> str:
    from redoubt.formats.text import width

    cells = [cell[number] if number < len(cell) else "" for cell in row]
    return "  ".join(
        cell + " " * (size - width(cell)) for cell, size in zip(cells, sizes, strict=True)
    ).rstrip()


def comma_separated(outcome: Outcome, form: Form) -> str:
    """CSV with a heading, as the flags have it."""
    from redoubt.formats.csv import guarded

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    if form.headers_as_comments:
        out.write("; ")
    if not form.no_header:
        writer.writerow([guarded(name) for name, _ in form.columns()])
    for row in form.rows(outcome):
        writer.writerow([cell if _HARMLESS.fullmatch(cell) else guarded(cell) for cell in row])
    return out.getvalue()


def junit(outcome: Outcome, form: Form) -> str:
    """A case a violated policy: those that break the build failed, the others were skipped."""
    from redoubt.formats.markup import Markup, tag

    cases = []
    for each in outcome.violated:
        lines = [child for line in each.violation for child in (Markup("\n"), f"- {line}")][1:]
        inner = tag("failure", *lines) if each.failing_check else tag("skipped")
        cases.append(tag("testcase", inner, name=each.name, classname=""))
    failures = len(outcome.breaking)
    suite = tag(
        "testsuite",
        *(Markup(f"\n{case}") for case in cases),
        name=form.junit_suite_name,
        tests=str(len(cases)),
        failures=str(failures),
        skipped=str(len(cases) - failures),
        errors="0",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{suite}\n'


def sarif(outcome: Outcome, answer: Answer | DeployAnswer, image: str, version: str) -> str:
    """SARIF 2.1.0: a rule and a result for each violated policy; what could not be asked is a notification."""
    from redoubt.formats.text import cut, markdown, printable

    def text(given: str) -> dict[str, str]:
        return {"text": cut(printable(given), 1000) or "-"}

    rules, results = [], []
    for at, each in enumerate(outcome.violated):
        told = "\n".join(f"- {printable(line)}" for line in each.violation)
        rules.append(
            {
                "id": printable(each.name),
                "shortDescription": text(each.name),
                "fullDescription": text(each.description),
                "help": text(f"{each.description} {each.remediation}")
                | {"markdown": cut(markdown(printable(each.remediation)), 1000) or "-"},
                "defaultConfiguration": {"level": _LEVELS[each.severity]},
                "properties": {
                    "security-severity": _SCORES[each.severity],
                    "tags": ["policy", each.severity.lower()],
                },
            }
        )
        results.append(
            {
                "ruleId": printable(each.name),
                "ruleIndex": at,
                "kind": "fail",
                "level": _LEVELS[each.severity],
                "message": {"text": cut(told, 1000) or "-"},
                "locations": [
                    {
                        "physicalLocation": {
                            "artifactLocation": {"uri": _uri(image)},
                            "region": {"startLine": 1},
                        }
                    }
                ],
                "properties": {
                    "failingCheck": each.failing_check,
                    "remediation": printable(each.remediation),
                },
            }
        )
    run = {
        "tool": {"driver": {"name": "roxctl", "version": version, "rules": rules}},
        "automationDetails": {"id": f"image-check/{_uri(image)}/"},
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "warning", "message": text(line)} for line in open_questions(answer)
                ],
            }
        ],
        "results": results,
    }
    document = {"$schema": _SARIF, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _uri(image: str) -> str:
    from urllib.parse import quote

    return quote(image, safe="/:@")


def legacy_json(body: bytes) -> str:
    """Central's alerts as they came, on many lines."""
    from redoubt.formats.json import harmless

    return harmless(msgspec.json.format(body, indent=2).decode("utf-8", "replace") + "\n")


def written(
    outcome: Outcome, answer: Answer | DeployAnswer, name: str, form: Form, image: str, columns: int
) -> str:
    """One of the forms."""
    import redoubt

    match name:
        case "table":
            return table(outcome, form, columns)
        case "csv":
            return comma_separated(outcome, form)
        case "json":
            from redoubt.formats.json import harmless

            return harmless(as_json(outcome, compact=form.compact_output))
        case "junit":
            return junit(outcome, form)
        case _:
            return sarif(outcome, answer, image, redoubt.__version__)
