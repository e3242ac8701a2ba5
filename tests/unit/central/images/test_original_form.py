"""Our reports in the original's form of an image."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from redoubt.central.images import flaws, original
from redoubt.central.images.query import wanted
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.images import Wanted
from redoubt.model import (
    AdvisoryReference,
    Configuration,
    Coverage,
    Cvss,
    DefinitionsInfo,
    Distribution,
    Epss,
    Finding,
    HistoryLine,
    Image,
    IndexReport,
    Judged,
    KnownExploited,
    Layer,
    Location,
    Package,
    PackageFindings,
    Problem,
    ProblemKind,
    Severity,
    Status,
    VulnerabilityReport,
)

NOW = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64
V3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:N/A:H"


def finding(**more: Any) -> Finding:
    return Finding(**{"id": "CVE-2099-1", "status": Status.AFFECTED, "severity": Severity.HIGH, **more})


def told(item: Finding) -> Any:
    return msgspec.json.decode(msgspec.json.encode(flaws.vulnerability(item)))


def image(
    *packages: PackageFindings,
    layers: tuple[Layer, ...] = (),
    kind: str = "registry",
    configuration: Configuration | None = None,
    **report: Any,
) -> Any:
    looked_at = Image(reference="registry.example/team/shop:1", kind=kind, digest=DIGEST, config_digest="c")
    index = IndexReport(
        image=looked_at,
        configuration=configuration,
        layers=layers,
        packages=tuple(
            Package(type=each.type, name=each.name, version=each.version, locations=each.locations)
            for each in packages
        ),
    )
    found = VulnerabilityReport(
        image=looked_at,
        layers=layers,
        package_count=len(packages),
        definitions=DefinitionsInfo(digest=DIGEST, schema="1.0"),
        packages=tuple(each for each in packages if each.findings),
        **report,
    )
    scanned = original.Scanned(name=looked_at.reference, index=index, report=found, indexed=NOW, matched=NOW)
    return msgspec.json.decode(msgspec.json.encode(original.image(scanned, date(2099, 1, 2))))


def package(*findings: Finding, kind: str = "deb", place: Location | None = None) -> PackageFindings:
    locations = (place,) if place else ()
    return PackageFindings(type=kind, name="lib", version="1", findings=findings, locations=locations)


def test_a_flaw_has_the_original_words_for_all_that_is_known() -> None:
    flaw = told(
        finding(
            title="A flaw",
            url="https://example.org/1",
            fixed_version="2",
            fixing_advisory="EXSA-1",
            advisories=(AdvisoryReference(ref="example/EXSA-1", url="https://example.org/EXSA-1"),),
            cvss=(Cvss("nvd", "AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5), Cvss("redhat", V3, 8.2)),
            epss=Epss(0.5, 0.9, "2099-01-01"),
            kev=KnownExploited("2098-12-31", "2099-01-21", True),
            published="2098-12-01T00:00:00Z",
        )
    )
    assert flaw["severity"] == "IMPORTANT_VULNERABILITY_SEVERITY"
    assert (flaw["cve"], flaw["summary"], flaw["link"]) == ("CVE-2099-1", "A flaw", "https://example.org/1")
    assert flaw["advisory"] == {"name": "EXSA-1", "link": "https://example.org/EXSA-1"}
    assert (flaw["fixedBy"], flaw["publishedOn"]) == ("2", "2098-12-01T00:00:00Z")
    assert flaw["cvss"] == flaw["nvdCvss"] == 7.5
    assert flaw["cvssV2"] == {"vector": "AV:N/AC:L/Au:N/C:P/I:P/A:P", "score": 7.5}
    assert flaw["epss"] == {"epssProbability": 0.5, "epssPercentile": 0.9}
    assert flaw["exploit"]["knownRansomwareCampaignUse"] == "Known"
    assert flaw["cisaKev"] is True
    assert [each["source"] for each in flaw["cvssMetrics"]] == ["SOURCE_NVD", "SOURCE_RED_HAT"]
    v3 = flaw["cvssMetrics"][1]["cvssv3"]
    assert (v3["severity"], v3["userInteraction"], v3["scope"]) == ("HIGH", "UI_REQUIRED", "CHANGED")
    assert (v3["confidentiality"], v3["integrity"], v3["availability"]) == (
        "IMPACT_LOW",
        "IMPACT_NONE",
        "IMPACT_HIGH",
    )


def test_what_is_not_known_of_a_flaw_is_not_made_up() -> None:
    flaw = told(finding(severity=Severity.UNKNOWN))
    assert flaw["severity"] == "UNKNOWN_VULNERABILITY_SEVERITY"
    assert (flaw["cvss"], flaw["cvssV2"], flaw["cvssV3"], flaw["epss"]) == (0.0, None, None, None)
    assert (flaw["advisory"], flaw["publishedOn"], flaw["exploit"]) == (None, None, None)
    assert "fixedBy" not in flaw


def test_a_fix_for_subscribers_is_no_fix_for_everybody() -> None:
    assert "fixedBy" not in told(finding(fixed_version="2", fix_channel="esm"))
    counted = image(package(finding(fixed_version="2", fix_channel="esm")))
    assert (counted["cves"], counted["fixableCves"]) == (1, 0)


@pytest.mark.parametrize("vector", ["CVSS:4.0/AV:N", "CVSS:3.1/nonsense/AV", "CVSS:3.1", "CVSS:3.1/AV:Z"])
def test_vectors_that_cannot_be_taken_apart_keep_their_score(vector: str) -> None:
    flaw = told(finding(cvss=(Cvss("x", vector, 9.9),)))
    assert (flaw["cvssV3"]["vector"], flaw["cvssV3"]["score"]) == (vector, 9.9)
    assert flaw["cvssMetrics"][0]["source"] == "SOURCE_UNKNOWN"


def test_lines_of_the_history_are_taken_apart() -> None:
    lines = {
        "/bin/sh -c #(nop) ADD file:1 in / ": ("ADD", "file:1 in /"),
        '/bin/sh -c #(nop)  CMD ["sh"]': ("CMD", '["sh"]'),
        "/bin/sh -c apt-get update": ("RUN", "apt-get update"),
        "RUN /bin/sh -c make # buildkit": ("RUN", "make"),
        "COPY . /srv # buildkit": ("COPY", ". /srv"),
        "layer 0": ("", "layer 0"),
        "": ("", ""),
    }
    layers = tuple(
        Layer(diff_id=f"sha256:{n}", digest=f"d{n}", created_by=line) for n, line in enumerate(lines)
    )
    shown = image(package(place=Location("a", "sha256:2")), layers=layers)
    v1 = shown["metadata"]["v1"]
    assert [(each["instruction"], each["value"]) for each in v1["layers"]] == list(lines.values())
    assert shown["metadata"]["layerShas"] == [f"d{n}" for n in range(len(lines))]
    assert shown["scan"]["components"][0]["layerIndex"] == 2


def test_what_the_configuration_says_is_told() -> None:
    made = Configuration(
        created="2099-01-02T03:04:05+00:00",
        labels={"team": "blue"},
        history=(HistoryLine(created_by="COPY . /srv"), HistoryLine(created_by="EXPOSE 22/tcp", empty=True)),
    )
    v1 = image(configuration=made)["metadata"]["v1"]
    assert v1["created"] == "2099-01-02T03:04:05+00:00"
    assert v1["user"] == "root"
    assert v1["labels"] == {"team": "blue"}
    assert [(each["instruction"], each["value"], each["empty"]) for each in v1["layers"]] == [
        ("COPY", ". /srv", False),
        ("EXPOSE", "22/tcp", True),
    ]
    assert image(configuration=Configuration(user="1000"))["metadata"]["v1"]["user"] == "1000"
    assert image()["metadata"]["v1"]["user"] == ""


@pytest.mark.parametrize(
    ("report", "notes"),
    [
        ({}, []),
        ({"end_of_life": "2099-01-02"}, ["OS_CVES_STALE"]),
        ({"end_of_life": "2099-01-03"}, []),
        ({"problems": (Problem(kind=ProblemKind.DAMAGED, message="x"),)}, ["PARTIAL_SCAN_DATA"]),
        (
            {
                "coverage": (
                    Coverage(type="deb", namespace="", judged=Judged.UNKNOWN_DISTRIBUTION, packages=1),
                )
            },
            ["OS_UNAVAILABLE"],
        ),
        (
            {"coverage": (Coverage(type="rpm", namespace="x", judged=Judged.NO_DATA, packages=1),)},
            ["OS_CVES_UNAVAILABLE"],
        ),
        (
            {"coverage": (Coverage(type="npm", namespace="npm", judged=Judged.NO_DATA, packages=1),)},
            ["LANGUAGE_CVES_UNAVAILABLE"],
        ),
        (
            {
                "coverage": (
                    Coverage(
                        type="maven", namespace="maven", judged=Judged.MATCHED, packages=2, unidentified=1
                    ),
                )
            },
            ["PARTIAL_SCAN_DATA"],
        ),
    ],
)
def test_whatever_could_not_be_judged_has_a_note(report: dict[str, Any], notes: list[str]) -> None:
    assert image(package(), **report)["scan"]["notes"] == notes


def test_an_image_without_packages_is_not_called_looked_at() -> None:
    assert image()["scan"]["notes"] == ["PARTIAL_SCAN_DATA"]
    assert "topCvss" not in image()


def test_types_and_systems_in_the_original_words() -> None:
    kinds = ("deb", "pypi", "maven", "gem", "npm", "golang", "nuget", "cargo")
    shown = image(
        *(package(kind=kind) for kind in kinds), distribution=Distribution(id="rhel", version_id="9")
    )
    assert [each["source"] for each in shown["scan"]["components"]] == [
        *("OS", "PYTHON", "JAVA", "RUBY", "NODEJS", "GO", "DOTNETCORERUNTIME", "INFRASTRUCTURE")
    ]
    assert shown["scan"]["operatingSystem"] == "rhel:9"
    assert image(package())["scan"]["operatingSystem"] == "unknown"
    assert shown["name"]["remote"] == "team/shop"


def test_search_text_is_understood_or_refused() -> None:
    assert wanted("") == wanted("+ +") == Wanted()
    assert wanted("Image:registry.example:5000/shop:1") == Wanted(name="registry.example:5000/shop:1")
    assert wanted("image sha: sha256:1 + IMAGE OS:debian") == Wanted(id="sha256:1", system="debian")
    for text in (
        "shop",
        "Severity:x",
        "Image:",
        ":x",
        "Image:a+Image:b",
        'Image:"a"',
        "Image:\x00",
        "x" * 3000,
    ):
        with pytest.raises(InvalidArgument):
            wanted(text)
