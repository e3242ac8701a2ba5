"""``roxctl image scan``, ``image sbom`` and ``sbom scan``: asked of Central, again if need be, and reported."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from redoubt.cli.console import Console, colored
from redoubt.cli.roxctl import connection, options, printing, results
from redoubt.cli.roxctl.connection import Central, Refused
from redoubt.cli.roxctl.image import WHOLE
from redoubt.cli.roxctl.printing import Printer
from redoubt.cli.roxctl.results import SEVERITIES, Image, Result
from redoubt.cli.roxctl.watching import watched
from redoubt.errors import (
    EXIT_FINDINGS,
    AccessDenied,
    NetworkError,
    UnreadableInput,
    UsageError,
)

T = TypeVar("T")

_SCAN = "/v1/images/scan"
_IMAGE_SBOM = "/api/v1/images/sbom"
_SBOM_SCAN = "/api/v1/sboms/scan"
#: A Redoubt's whole report, which the original's ``storage.Image`` has no room for.
REPORT = "application/vnd.redoubt.report+json"
_IMAGE_TIME, _SBOM_TIME = 600.0, 300.0
_LARGEST_SBOM = 256 << 20
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_LEGACY_NOTE = (
    "the default is legacy-json, for scripts that expect it; -o table is for people, -o json for new scripts"
)


def scan_image(ctx: click.Context, given: Mapping[str, Any]) -> None:
    """``roxctl image scan``."""
    console = Console()
    form = _form(given)
    printer = _printer(given)
    printer.columns()
    wanted = _severities(given)
    name = given["image"]
    reference = in_full(name)
    body = request(given) | {"includeSnoozed": given["include_snoozed"]}
    whole = form in WHOLE
    # SARIF says more where it is made of the whole report, and can do without.
    accept = {"Accept": f"{REPORT}, application/json;q=0.5"} if whole or form == "sarif" else {}
    with connection.central(ctx, console, timeout=_IMAGE_TIME) as central:

        def once() -> tuple[bytes, str, str]:
            headers = {"Content-Type": "application/json"} | accept
            with (
                watched(central, reference, console),
                central.send("POST", _SCAN, msgspec.json.encode(body), headers) as response,
            ):
                return response.read(connection.LARGEST), response.header("content-type"), response.where

        answer, kind, where = again(once, given, console, f"scanning {name}")
    _remark(given, console)
    if whole or kind.startswith(REPORT):
        _write_whole(answer, kind, form, given["fail"], wanted, where, console)
        return
    image = results.decode(answer, where)
    result = results.summarise(image.scan, wanted)
    if form == "legacy-json":
        click.echo(printing.legacy_json(answer), nl=False)
    elif form == "legacy-csv":
        click.echo(printing.legacy_csv(image, wanted), nl=False)
    else:
        _write(form, image, result, wanted, printer, f"image: {name}", name)
    _finish(image, result, console, fail=given["fail"])


def image_sbom(ctx: click.Context, given: Mapping[str, Any]) -> None:
    """``roxctl image sbom``."""
    console = Console()
    name = given["image"]
    reference = in_full(name)
    with connection.central(ctx, console, timeout=_IMAGE_TIME) as central:

        def once() -> bytes:
            with (
                watched(central, reference, console),
                central.work(_IMAGE_SBOM, request(given)) as response,
            ):
                _require_json(response.header("content-type"), response.where)
                return response.read(connection.LARGEST)

        body = again(once, given, console, f"listing {name}")
    out = sys.stdout.buffer
    out.write(body if body.endswith(b"\n") else body + b"\n")
    out.flush()


def scan_sbom(ctx: click.Context, given: Mapping[str, Any]) -> None:
    """``roxctl sbom scan``."""
    console = Console()
    printer = _printer(given)
    printer.columns()
    wanted = _severities(given)
    file: Path = given["file"]
    data = _read(file)
    kind = given["content_type"] or _media_type(data, str(file))
    with connection.central(ctx, console, timeout=_SBOM_TIME) as central:
        answer, where = _sent(central, data, kind)
    image = results.decode(answer, where)
    result = results.summarise(image.scan, wanted)
    if given["output"] == "legacy-json":
        click.echo(printing.legacy_json(answer), nl=False)
    else:
        _write(given["output"], image, result, wanted, printer, f"SBOM: {file}", str(file))
    _finish(image, result, console, fail=given["fail"])


def _sent(central: Central, data: bytes, kind: str) -> tuple[bytes, str]:
    headers = {"Content-Type": kind}
    try:
        with central.send("POST", _SBOM_SCAN, data, headers) as response:
            _require_json(response.header("content-type"), response.where)
            return response.read(connection.LARGEST), response.where
    except Refused as error:
        if error.invalid or error.status == 415:
            raise UnreadableInput(error.said or str(error)) from None
        raise


def _write(
    form: str, image: Image, result: Result, wanted: set[str], printer: Printer, subject: str, name: str
) -> None:
    """One of the original's newer forms."""
    match form:
        case "table":
            color = sys.stdout.isatty() and colored() is not False
            click.echo(f"Scan results for {safe(subject)}")
            click.echo(f"{printing.counts(result)}\n")
            click.echo(printing.table(result, printer, color=color), nl=False, color=color)
        case "csv":
            click.echo(printing.comma_separated(result, printer), nl=False)
        case "json":
            click.echo(printing.json(result, printer), nl=False)
        case _:
            from redoubt import formats
            from redoubt.cli.roxctl import reports

            formats.write(reports.of(image, wanted, name), form, sys.stdout.buffer)


def _write_whole(
    body: bytes, kind: str, form: str, fail: bool, wanted: set[str], where: str, console: Console
) -> None:
    """One of the forms that are made of Redoubt's own report."""
    from redoubt import formats
    from redoubt.cli.roxctl.reports import findings
    from redoubt.definitions import age as ages
    from redoubt.formats import summary
    from redoubt.model import VulnerabilityReport

    if not kind.startswith(REPORT):
        raise UsageError(
            f"this Central gives no whole report, which -o {form} needs; choose table, csv, json or sarif"
        )
    try:
        report = msgspec.json.decode(body, type=VulnerabilityReport)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NetworkError(
            f"{where}: the report cannot be read ({error}); are both of one version?"
        ) from None
    report = findings(report, wanted)
    age = ages.judge(report.definitions, datetime.now(UTC))
    name = {"report": "table", "report-json": "json"}.get(form, form)
    formats.write(report, name, sys.stdout.buffer, age=age.message, stale=age.stale)
    if form != "report":
        console.warn_all(summary.gaps(report))
        if age.stale:
            console.warn(age.message)
    if fail and report.packages:
        _leave()


def _finish(image: Image, result: Result, console: Console, *, fail: bool) -> None:
    for line in results.gaps(image):
        console.warn(line)
    if result.total:
        from redoubt.formats.text import count

        found = "vulnerability" if result.total == 1 else "vulnerabilities"
        console.warn(f"{result.total} {found} in {count(result.components, 'component')}")
    if fail and result.total:
        _leave()


def _leave() -> None:
    sys.stdout.flush()
    raise click.exceptions.Exit(EXIT_FINDINGS)


def again(work: Callable[[], T], given: Mapping[str, Any], console: Console, doing: str) -> T:
    """What ``work`` gives; again after a while where it fails in a way that may pass."""
    left = int(given["retries"])
    while True:
        try:
            return work()
        except (NetworkError, Refused) as error:
            if isinstance(error, Refused) and error.invalid:
                raise UnreadableInput(error.said or str(error)) from None
            if not left or (isinstance(error, Refused) and error.status not in _PASSING):
                raise
            console.warn(f"{doing}: {error}; trying again in {given['retry_delay']} s, {left} left")
        left -= 1
        time.sleep(given["retry_delay"])


def _form(given: Mapping[str, Any]) -> str:
    return str(given["output"] or f"legacy-{given['format'] or 'json'}")


def _remark(given: Mapping[str, Any], console: Console) -> None:
    """What is to be said of the form that was chosen: once there is something to show, since a failure is one line."""
    form = given["output"]
    if form is None and given["format"]:
        console.warn("--format is deprecated; say --output, whose json and csv have another structure")
    elif form is None:
        console.notice(_LEGACY_NOTE)
    elif form.startswith("legacy-"):
        console.warn(f"{form} is deprecated; -o {form.removeprefix('legacy-')} is the form that stays")


def _printer(given: Mapping[str, Any]) -> Printer:
    return Printer(**{name: given[name] for name in Printer.__dataclass_fields__})


def _severities(given: Mapping[str, Any]) -> set[str]:
    return set(options.split(given["severity"]) or SEVERITIES)


def request(given: Mapping[str, Any]) -> dict[str, object]:
    asked = {
        "imageName": given["image"],
        "force": given["force"],
        "cluster": given["cluster"],
        "namespace": given["namespace"],
    }
    # Only a Redoubt knows this one.
    return asked | ({"platform": given["platform"]} if given["platform"] else {})


def in_full(name: str) -> str:
    """The name in full, which an image in a registry can have. Raises ``UsageError``."""
    from redoubt.indexer.sources.reference import parse_reference

    return str(parse_reference(name))


def _read(file: Path) -> bytes:
    return read_file(file, _LARGEST_SBOM, "an SBOM")


def read_file(file: Path, largest: int, what: str) -> bytes:
    """A file's bytes; ``-`` is standard input. Raises ``UnreadableInput`` and ``AccessDenied``."""
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(largest + 1)
        else:
            with file.open("rb") as source:
                data = source.read(largest + 1)
    except FileNotFoundError:
        raise UnreadableInput(f"{file}: there is no such file") from None
    except PermissionError:
        raise AccessDenied(f"{file}: permission denied") from None
    except OSError as error:
        raise UnreadableInput(f"{file}: {error.strerror}") from None
    if len(data) > largest:
        raise UnreadableInput(f"{file}: larger than {largest >> 20} MiB; this is not {what}")
    return data


class _Sbom(msgspec.Struct):
    spdx_version: str = msgspec.field(default="", name="spdxVersion")
    bom_format: str = msgspec.field(default="", name="bomFormat")


def _media_type(data: bytes, name: str) -> str:
    """Told from the members that say so, wherever in the document they are."""
    try:
        said = msgspec.json.decode(data, type=_Sbom)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = _Sbom()
    if said.spdx_version == "SPDX-2.3":
        return "text/spdx+json"
    if said.spdx_version:
        raise UnreadableInput(f"{name} is {safe(said.spdx_version)[:40]}; Central reads SPDX-2.3")
    if said.bom_format == "CycloneDX":
        return "application/vnd.cyclonedx+json"
    raise UnreadableInput(
        f"{name} is neither SPDX nor CycloneDX in JSON; if it is, say which with --content-type"
    )


def _require_json(kind: str, where: str) -> None:
    """The original answers paths of /api that it does not know with its web page and 200."""
    if "html" in kind.lower():
        raise NetworkError(f"{where}: this Central does not know SBOMs; it is too old, or no Central")


def safe(text: str) -> str:
    """A text for a line on a terminal."""
    from redoubt.formats.text import printable

    return printable(text)
