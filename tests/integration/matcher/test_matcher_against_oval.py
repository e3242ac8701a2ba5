"""What OVAL's criteria say of one installed package, taken word by word, against definitions and matcher.

The criteria are evaluated as OVAL's language says (AND, OR, tests on name, version, architecture, release); versions are
compared by librpm. Where nothing in ``docs/sources.md`` decides otherwise, whatever a definition calls vulnerable must
be a finding, and every finding must be what some definition calls so. Shares nothing with the code under test.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import matcher_orders as tools
import pytest
from matcher_probes import probes

from redoubt.definitions.build import build
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.snapshot import Snapshot, create
from redoubt.matcher import match
from redoubt.model import Detection, Distribution, Image, IndexReport, Location, Package
from support.feeds import fixture_mirror

#: Words in the names of products whose fixes not everybody gets.
_SUBSCRIBERS = re.compile(r"-(?:LTSS|ESPOS|BCL)|for SAP", re.IGNORECASE)
_FIPS = re.compile(r"_fips(?![a-z])")


class Probe(NamedTuple):
    """An installed package, on a system."""

    system: Distribution
    name: str
    version: str
    arch: str = "x86_64"
    module: str = ""


class Definition(NamedTuple):
    """One definition of a file: its flaws, its criteria, and what its tests test."""

    flaws: frozenset[str]
    criteria: ET.Element
    tests: dict[str, tuple[str, dict[str, tuple[str, str]]]]
    kept: bool


def local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def definitions(file: Path) -> Iterator[Definition]:
    root = ET.parse(file).getroot()
    parts = {local(part): part for part in root}
    names = {item.get("id"): item.findtext("{*}name") or "" for item in parts["objects"]}
    states = {
        item.get("id"): {local(one): (one.get("operation", "equals"), one.text or "") for one in item}
        for item in parts["states"]
    }
    tests = {}
    for test in parts["tests"]:
        name = next(names[one.get("object_ref")] for one in test if one.get("object_ref"))
        state = next((states[one.get("state_ref")] for one in test if one.get("state_ref")), {})
        tests[test.get("id", "")] = (name, state)
    for item in parts["definitions"]:
        criteria = item.find("{*}criteria")
        text = " ".join(
            one.get("ref_id", "") + (one.text or "")
            for one in item.iter()
            if local(one) in ("reference", "cve")
        )
        patchable = item.findtext(".//{*}patchable") or ""
        assert criteria is not None
        flaws = frozenset(re.findall(r"CVE-\d{4}-\d{4,}", text) or re.findall(r"ELSA-\d{4}-\d+", text))
        yield Definition(flaws, criteria, tests, patchable != "Not Applicable")


def holds(node: ET.Element, one: Definition, probe: Probe, order: tools.Order, *, everybody: bool) -> bool:
    """Whether criteria are true of a package; with ``everybody`` products for subscribers are not installed."""
    if local(node) == "criteria":
        answers = [holds(part, one, probe, order, everybody=everybody) for part in node]
        return any(answers) if node.get("operator") == "OR" else all(answers)
    comment = node.get("comment", "")
    if found := re.fullmatch(r"Oracle Linux (\d+) is installed", comment):
        return found[1] == probe.system.version_id
    if found := re.fullmatch(r"Oracle Linux arch is (\w+)", comment):
        return probe.arch in (found[1], "noarch")
    if found := re.fullmatch(r"Module (\S+) is enabled", comment):
        return probe.module == found[1]
    if "is signed with" in comment:
        return True
    if comment.startswith("no "):  # of a kernel that runs: nothing of an image
        return False
    name, state = one.tests[node.get("test_ref", "")]
    if probe.system.id == "ol" and "evr" in state and not _alike(one, probe, state["evr"][1]):
        return False
    if name.lower().endswith("-release") or name == "openSUSE-release":
        return not (everybody and _SUBSCRIBERS.search(comment)) and _installed(comment, probe.system)
    return name == probe.name and all(_is(kind, *wanted, probe, order) for kind, wanted in state.items())


def _alike(one: Definition, probe: Probe, fixed: str) -> bool:
    """Whether a package of Oracle's is of the fix's kind (FIPS, Ksplice, neither), and modular if that is."""
    comments = [item.get("comment", "") for item in one.criteria.iter()]
    ksplice = any("is ksplice-based" in comment for comment in comments)
    modular = any(comment.startswith("Module ") for comment in comments)
    plain = not probe.module or probe.system.version_id == "7"
    of_fips = bool(_FIPS.search(fixed)) == bool(_FIPS.search(probe.version))
    return of_fips and ksplice == ("ksplice" in probe.version) and (modular or plain)


def _installed(comment: str, system: Distribution) -> bool:
    if system.id == "opensuse-tumbleweed":
        return "Tumbleweed" in comment
    if system.id == "opensuse-leap":
        return f"openSUSE Leap {system.version_id} " in comment
    if system.id == "sle-micro":
        return (
            re.match(rf"SUSE (Linux Enterprise|Linux) Micro {re.escape(system.version_id)}\b", comment)
            is not None
        )
    major, _, pack = system.version_id.partition(".")
    if "Micro" in comment or "Manager" in comment:
        return False
    return re.search(rf" {major} SP{pack}(-\w+)? is installed", comment) is not None


def _is(kind: str, operation: str, text: str, probe: Probe, order: tools.Order) -> bool:
    if kind == "arch":
        return probe.arch == "noarch" or re.fullmatch(text, probe.arch) is not None
    if kind == "release":
        return re.search(text, probe.version.rpartition("-")[2]) is not None
    if kind == "version":
        return probe.version.partition("-")[0] == text
    compared = order(probe.version, text)
    assert compared is not None
    signs = {"less than": (-1,), "less than or equal": (-1, 0), "greater than": (1,), "equals": (0,)}
    return compared in (signs | {"greater than or equal": (0, 1)})[operation]


SYSTEMS = {
    "oracle": [Distribution(id="ol", version_id=release) for release in ("7", "8", "9")],
    "azurelinux": [
        Distribution(id="azurelinux", version_id="3.0"),
        Distribution(id="mariner", version_id="2.0"),
    ],
    "opensuse": [
        Distribution(id="opensuse-leap", version_id="15.5"),
        Distribution(id="opensuse-tumbleweed", version_id="20990101"),
    ],
    "suse": [
        *(Distribution(id="sles", version_id=release) for release in ("15.5", "15.4", "15.1", "12.5")),
        Distribution(id="sle-micro", version_id="5.5"),
    ],
}


def read(source: str, mirror: Path, system: Distribution) -> list[Definition]:
    """The definitions that speak of a system. Azure's say it by their file alone; SUSE's fullest file counts."""
    files = sorted((mirror / source).glob("*.xml"))
    if source == "azurelinux":
        files = [file for file in files if system.id in file.name]
    files = [file for file in files if file.stem + "-affected.xml" not in {other.name for other in files}]
    return [one for file in files for one in definitions(file)]


def asked(
    source: str, mirror: Path, system: Distribution
) -> Iterator[tuple[Probe, list[Definition], tools.Order]]:
    said = read(source, mirror, system)
    bounds: dict[str, set[str]] = {}
    for one in said:
        for name, state in one.tests.values():
            if "release" not in name.lower():
                bounds.setdefault(name, set()).update([state["evr"][1]] if "evr" in state else [])
    names = sorted(bounds)
    groups = [probes("rpm", name, bounds[name], (), 60) for name in names]
    orders = tools.orders(
        "rpm", [sorted({*group, *bounds[name]}) for name, group in zip(names, groups, strict=True)]
    )
    # "Later than 0" is what they write for every version.
    groups = [[text for text in group if not re.fullmatch(r"(0:)?0[0.]*(-0\S*)?", text)] for group in groups]
    modules = ("", "fixturejs:18", "fixturejs:20") if source == "oracle" else ("",)
    for name, group, order in zip(names, groups, orders, strict=True):
        for version, arch, module in product(group, ("x86_64", "aarch64", "i686", "noarch"), modules):
            if source != "azurelinux" or ":" not in version:  # compared without an epoch
                yield Probe(system, name, version, arch, module), said, order


def expected(
    source: str, probe: Probe, said: list[Definition], order: tools.Order
) -> tuple[set[str], set[str]]:
    """The flaws that must be found, and those that may be."""
    must: set[str] = set()
    may: set[str] = set()
    for one in said:
        if not one.kept:
            continue
        if holds(one.criteria, one, probe, order, everybody=True):
            must |= one.flaws
        anywhere = [probe, *(probe._replace(arch=arch) for arch in ("x86_64", "aarch64"))]
        if any(holds(one.criteria, one, each, order, everybody=False) for each in anywhere):
            may |= one.flaws
    return must, must | may


@pytest.mark.parametrize("source", sorted(SYSTEMS))
def test_what_criteria_call_vulnerable_is_found_and_nothing_else(source: str, tmp_path: Path) -> None:
    if package := tools.missing("rpm"):
        pytest.skip(f"needs the Debian package {package}")
    mirror = fixture_mirror(tmp_path / "mirror", [source])
    with build(Mirror(mirror)) as built:
        create(tmp_path / "snapshot", built.records())
    wrong: list[str] = []
    compared = affected = 0
    with Snapshot.open(tmp_path / "snapshot") as snapshot:
        for system in SYSTEMS[source]:
            questions = list(asked(source, mirror, system))
            packages = tuple(
                Package(
                    type="rpm",
                    name=probe.name,
                    version=probe.version,
                    arch=probe.arch,
                    module=probe.module,
                    locations=(Location(str(place)),),
                )
                for place, (probe, _, _) in enumerate(questions)
            )
            index = IndexReport(
                image=Image(reference="x", kind="dir"), distribution=system, packages=packages
            )
            report = match(index, snapshot, detection=Detection.COMPREHENSIVE)
            found = {
                int(item.locations[0].path): {finding.id for finding in item.findings}
                for item in report.packages
            }
            for place, (probe, said, order) in enumerate(questions):
                must, may = expected(source, probe, said, order)
                got = found.get(place, set())
                compared += 1
                affected += bool(got)
                if lacking := must - got:
                    wrong.append(f"{probe[0].id}:{probe[0].version_id} {probe[1:]} lacks {sorted(lacking)}")
                if more := got - may:
                    wrong.append(f"{probe[0].id}:{probe[0].version_id} {probe[1:]} has {sorted(more)}")
    assert 0 < affected < compared
    if wrong:
        pytest.fail(f"{len(wrong)} differences in {compared} packages:\n" + "\n".join(wrong[:60]))
