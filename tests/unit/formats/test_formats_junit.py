"""JUnit: the bytes, counts that add up, cases for what could not be judged, and XML that stays XML.

The elements and attributes that are checked are those that Jenkins's and GitLab's readers document; there
is no schema of a standard body to validate against.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from formats_samples import IMAGE, INDEX, REPORT
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt import formats
from redoubt.errors import UsageError
from redoubt.model import Finding, Location, PackageFindings, Severity, Status, VulnerabilityReport

HERE = Path(__file__).parent
ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"classname", "name"},
    "failure": {"message", "type"},
    "skipped": {"message"},
}


def document(report: VulnerabilityReport) -> ElementTree.Element:
    """The report as XML, with its attributes and counts checked."""
    root = ElementTree.fromstring(formats.render(report, "junit"))
    for element in root.iter():
        assert set(element.attrib) == ATTRIBUTES[element.tag], element.tag
    for part in (root, *root.iter("testsuite")):
        for attribute, path in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")):
            assert int(part.attrib[attribute]) == len(list(part.iter(path)))
    return root


def test_junit_is_what_it_was() -> None:
    document(REPORT)
    assert formats.render(REPORT, "junit") == (HERE / "golden" / "report.junit.xml").read_bytes()


def test_a_flaw_in_a_package_is_a_case_that_fails() -> None:
    failed = {
        (case.attrib["classname"], case.attrib["name"])
        for case in document(REPORT).iter("testcase")
        if case.find("failure") is not None
    }
    assert failed == {
        ("org.apache.logging.log4j:log4j-core 2.14.1 (maven)", "CVE-2021-44228"),
        ("org.apache.logging.log4j:log4j-core 2.14.1 (maven)", "GHSA-aaaa-bbbb-cccc"),
        ("libssl1.1 1.1.1n-0+deb11u3 (deb, amd64)", "CVE-2023-0286"),
        ("openssl 1.1.1n-0+deb11u3 (deb, amd64)", "CVE-2023-0286"),
    }


def test_what_is_under_investigation_or_could_not_be_judged_is_skipped_with_the_reason() -> None:
    skipped = {
        case.attrib["name"]: reason.attrib["message"]
        for case in document(REPORT).iter("testcase")
        if (reason := case.find("skipped")) is not None
    }
    assert skipped == {
        "CVE-2024-1234": "UNKNOWN, under investigation: CVE-2024-1234",
        "maven packages were judged with the definitions of maven": REPORT.coverage[1].detail,
        "npm packages were judged with the definitions of npm": REPORT.coverage[2].detail,
        "srv/shop/broken.jar was read": (
            "damaged: srv/shop/broken.jar: not a zip file; what it holds is unknown"
        ),
    }


def test_an_image_without_packages_does_not_pass() -> None:
    empty = VulnerabilityReport(image=IMAGE, definitions=REPORT.definitions)
    (case,) = document(empty).iter("testcase")
    assert case.find("skipped") is not None
    (case,) = document(msgspec.structs.replace(empty, package_count=1)).iter("testcase")
    assert len(case) == 0


def test_no_time_is_claimed() -> None:
    data = formats.render(REPORT, "junit")
    assert b"timestamp" not in data
    assert b" time=" not in data


def test_an_index_is_refused() -> None:
    with pytest.raises(UsageError, match="an index has none"):
        formats.render(INDEX, "junit")


TEXTS = st.text(st.characters() | st.sampled_from("<>&\"']]>\x00\x1b\ud800\ufffe\n"), max_size=20)


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_no_text_breaks_the_xml(name: str, title: str, path: str) -> None:
    finding = Finding(
        id=name, status=Status.AFFECTED, severity=Severity.LOW, title=title, url=title, fixed_version=path
    )
    package = PackageFindings(
        type="npm", name=name, version=title, purl=path, locations=(Location(path),), findings=(finding,)
    )
    report = VulnerabilityReport(
        image=IMAGE, definitions=REPORT.definitions, packages=(package,), package_count=1
    )
    root = document(report)
    assert [suite.attrib["tests"] for suite in root.iter("testsuite")] == ["1", "1"]
