"""``redoubt explain``: why a flaw is, or is not, a finding in a target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import click

from redoubt.cli.console import Console
from redoubt.cli.entry import HELP, require
from redoubt.cli.redoubt import options
from redoubt.cli.redoubt.scan import Judging, index_of, taken

if TYPE_CHECKING:
    from redoubt.definitions.search import Found
    from redoubt.matcher.explain import Case, Explanation, RangeWord, RecordWord
    from redoubt.model import Finding, Layer, Location

_VERDICTS = {
    "finding": "a finding",
    "not_affected": "no finding: a record says that it is not affected",
    "withdrawn": "no finding: what speaks of its version was withdrawn",
    "outside": "no finding: its version is in none of the ranges",
    "unordered": "no finding: its version has no place in the order of its kind, and no range names it",
    "no_version": "not judged: it does not say which version it is",
    "suppressed": "no finding that counts",
    "third_party": "not judged: it is not the distribution's, whose data this is",
}


_JUDGING = ("definitions", "detection", "notice_after", "warn_after", "fail_on_stale", "ignore_file", "vex")


@click.command(context_settings=HELP)
@click.argument("flaw", metavar="FINDING|CVE")
@click.argument("target")
@options.listing
@options.definitions
@options.detection
@options.assessments
@options.age
@options.image
@options.quiet
def explain(flaw: str, target: str, output: str, quiet: bool, **given: object) -> None:
    """Tell why FINDING (a CVE or any other id of the flaw) is, or is not, a finding in TARGET.

    TARGET is what `redoubt scan` takes, or the file that `redoubt index -o json` wrote (`-`: that, or an SBOM, on standard input).

    \b
    redoubt explain CVE-2021-44228 shop.tar
    redoubt explain ALSA-2023:1405 shop.json -o json
    """
    console = Console(quiet=quiet)
    require(bool(flaw.strip()), "name a CVE or another id of the flaw")
    judging = Judging(
        fail_on=None,
        fail_on_incomplete=False,
        fail_on_end_of_life=False,
        only_fixed=False,
        show_suppressed=False,
        **taken(given, _JUDGING),  # type: ignore[arg-type]  # click's types
    )
    assessments = judging.assessments(console)
    with ExitStack() as stack:
        snapshot, age = judging.open(stack, console)
        report = index_of(target, given, console)
        from redoubt.definitions.search import canonical, of_flaw
        from redoubt.matcher import explain as explain_flaw
        from redoubt.model import Detection

        voices = assessments.voices(report.image, report.distribution)
        explanation = explain_flaw(
            report,
            snapshot,
            canonical(flaw.strip()),
            detection=Detection(judging.detection),
            rules=(voices.vex.rule, voices.ignoring.rule),
        )
        # All definitions are read through for it, so only where it is told.
        known = None if explanation.cases and output != "json" else of_flaw(snapshot, explanation.flaw)
    assessments.warn(console)
    if age.stale:
        console.warn(age.message)
    if output == "json":
        import msgspec

        from redoubt.formats.json import encode

        told = msgspec.to_builtins(explanation) | {"known": _known(known)}
        click.echo(encode(told), nl=False)
        return
    from redoubt.formats.text import printable

    with suppress(BrokenPipeError):
        for line in _lines(explanation, known):
            click.echo(printable(line))


def _known(found: Found | None) -> list[dict[str, str]]:
    """Where definitions know the flaw, whether the image has any of it or not."""
    if found is None:
        return []
    return [
        {"ref": known.advisory.ref, "namespace": item.namespace, "package": item.name}
        for known in found.known
        for item in known.affected
    ]


def _lines(told: Explanation, known: Found | None) -> Iterator[str]:
    yield f"{told.flaw} in {told.image.reference}, by definitions {told.definitions}"
    for case in told.cases:
        yield ""
        yield from _case(case, told.layers)
    if known is not None and not told.cases:
        yield ""
        yield from _absent(known)
    if told.unjudged:
        yield ""
        yield "Not judged, or not for certain, so it may be here unseen:"
        for row in told.unjudged:
            yield f"  {row.detail}"


def _absent(found: Found) -> Iterator[str]:
    places: dict[str, set[str]] = {}
    for item in _known(found):
        places.setdefault(item["namespace"], set()).add(item["package"])
    if places:
        yield "No package here is one that a record of it is about. These definitions know it in:"
        for namespace, packages in sorted(places.items()):
            yield f"  {namespace}: {', '.join(sorted(packages))}"
    elif found.known or found.cve or found.epss:
        yield "These definitions know it, but no record names a package that has it."
    else:
        yield "These definitions know nothing of it."


def _case(case: Case, layers: tuple[Layer, ...]) -> Iterator[str]:
    package = case.package
    words = (
        package.type,
        package.name,
        package.version,
        package.arch,
        package.module and f"({package.module})",
    )
    yield f"{' '.join(word for word in words if word)}: {_VERDICTS[case.verdict]}"
    for location in package.locations:
        yield f"  found in   {_place(location, layers)}"
    yield f"  looked up  {case.name} {case.version} in {case.namespace}, key {case.key or 'none'}"
    for finding in case.findings:
        yield from _finding(finding)
    for record in case.records:
        yield from _record(record, case.version)


def _place(location: Location, layers: tuple[Layer, ...]) -> str:
    path = location.path + (f" of {location.owner}" if location.owner else "")
    for number, layer in enumerate(layers, 1):
        if location.layer and layer.diff_id == location.layer:
            made = f": {layer.created_by}" if layer.created_by else ""
            return f"{path}, layer {number} of {len(layers)} ({layer.diff_id[:19]}){made}"
    return path + (f", layer {location.layer}" if location.layer else "")


def _finding(finding: Finding) -> Iterator[str]:
    whose = f" by {finding.severity_source}" if finding.severity_source else ", nobody rated it"
    channel = f" (needs {finding.fix_channel})" if finding.fix_channel else ""
    fixed = f"fixed in {finding.fixed_version}{channel}" if finding.fixed_version else "no fix is known"
    notice = f" ({finding.fixing_advisory})" if finding.fixing_advisory else ""
    yield f"  finding    {finding.id}, {finding.status}, {finding.severity}{whose}, {fixed}{notice}"
    if finding.suppression:
        from redoubt.formats import summary

        yield f"  suppressed {summary.suppression_line(finding.suppression)}"


def _record(record: RecordWord, version: str) -> Iterator[str]:
    said = [record.ref]
    if record.withdrawn:
        said.append(f"withdrawn {record.withdrawn[:10]}, so it does not count")
    if record.severity_source:
        said.append(f"{record.severity} by {record.severity_source}")
    if names := (*record.aliases, *record.cves):
        said.append(f"{'repairs' if record.cves else 'also'} {' '.join(names)}")
    yield f"  record     {', '.join(said)}"
    if record.url:
        yield f"    {record.url}"
    for item in record.ranges:
        yield f"    {item.range}: {_bearing(item, version)}"
        if item.lower_key or item.upper_key:
            yield f"      keys {item.lower_key or '-'} to {item.upper_key or '-'}"


def _bearing(item: RangeWord, version: str) -> str:
    match item.bearing:
        case None:
            return "no version to compare"
        case "holds":
            return f"holds {version}, {item.status}"
        case "not_affected":
            return f"holds {version}, to say that it is not affected"
        case "below":
            return f"not {version}, which is below {item.lower}"
        case "fixed":
            return f"not {version}, which is at or above the fixed {item.fixed}"
        case "above":
            return f"not {version}, which is above its end"
        case "other_arch":
            return f"only for architecture {item.arch}"
        case "other_module":
            wanted = {"*": "packages of a module", "-": "packages outside modules"}
            return f"only for {wanted.get(item.module, f'module {item.module}')}"
        case "other_repository":
            if item.repository.startswith("cpe:"):
                return f"only for {item.repository}, or another range is nearer to the package's product"
            return f"only for packages of {' or '.join(name for name in item.repository.split('|') if name)}"
    return f"not {version}: the one or the other has no place in the order of its kind"
