"""The whole advisory data, where it is there: counts that make sense, and records checked by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from redoubt.definitions import records
from redoubt.definitions.build import Built, build
from redoubt.definitions.mirror import Mirror
from redoubt.model import Advisory, Severity, Status
from support.data import shared_data
from support.feeds import said

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    with build(Mirror(shared_data())) as whole:
        yield whole


@pytest.fixture(scope="module")
def found(built: Built) -> dict[bytes, bytes]:
    return dict(built.records())


def ranges(found: dict[bytes, bytes], namespace: str, name: str, ref: str) -> list[str]:
    return [said(item) for item in records.decode_affected(found[records.affected_key(namespace, name, ref)])]


def advisory(found: dict[bytes, bytes], ref: str) -> Advisory:
    return records.decode_advisory(ref, found[b"v" + ref.encode()])


def test_counts_per_source_are_upstreams_less_what_is_dropped(built: Built) -> None:
    counted = {
        reading.name: (reading.read, reading.spoilt, sum(reading.dropped.values()))
        for reading in built.readings
    }
    assert counted["osv-pypi"] == (2661, 0, 10)
    assert counted["osv-go"] == (4291, 0, 17)
    assert counted["osv-crates.io"] == (1206, 0, 13)
    assert counted["osv-almalinux"] == (5637, 0, 1197)
    assert counted["osv-bitnami"] == (7444, 0, 0)
    assert counted["kev"] == (1404, 0, 0)
    for info in built.infos:
        if info.name.startswith("osv-"):
            read, _, dropped = counted[info.name]
            assert info.records == read - dropped
    assert built.namespaces["debian:11"] == 1992
    assert built.namespaces["debian:8"] == 6366
    assert 140_000 < sum(built.namespaces.values()) < 170_000
    there = {source.name for source in built.sources if source.state != "missing"}
    assert there == {
        *(f"osv-{name}" for name in ("pypi", "go", "crates.io", "npm", "maven", "almalinux", "bitnami")),
        *("ruby", "debian", "alpine", "wolfi", "kev"),
    }


def test_no_record_of_the_real_data_is_spoilt(built: Built) -> None:
    assert [reading.examples for reading in built.readings if reading.spoilt] == []


def test_a_pypi_record(found: dict[bytes, bytes]) -> None:
    assert ranges(found, "pypi", "qutebrowser", "osv-pypi/PYSEC-2021-382") == [
        "[, 1.8.0) fixed",
        "[2.0.0, 2.4.0) fixed",
    ]
    assert advisory(found, "osv-pypi/PYSEC-2021-382").aliases == ("CVE-2021-41146", "GHSA-vw27-fwjf-5qxm")


def test_a_maven_record(found: dict[bytes, bytes]) -> None:
    log4j = "org.apache.logging.log4j:log4j-core"
    assert sorted(ranges(found, "maven", log4j, "osv-maven/CVE-2021-45105")) == [
        "[2.0-alpha1, 2.3.1) fixed",
        "[2.13.0, 2.17.0) fixed",
        "[2.4, 2.12.3) fixed",
    ]


def test_an_almalinux_erratum_with_many_builds(found: dict[bytes, bytes]) -> None:
    assert ranges(found, "almalinux:8", "vim-enhanced", "osv-almalinux/ALSA-2022:0894") == [
        "[, 2:8.0.1763-16.el8_5.12) fixed module=-"
    ]
    erratum = advisory(found, "osv-almalinux/ALSA-2022:0894")
    assert erratum.severity is Severity.MEDIUM
    assert len(erratum.cves) > 1


def test_a_debian_record(found: dict[bytes, bytes]) -> None:
    assert ranges(found, "debian:8", "389-ds-base", "debian/CVE-2015-1854") == ["[, 1.3.3.5-4+deb8u1) fixed"]


def test_an_alpine_record_whose_ids_are_dirty(found: dict[bytes, bytes]) -> None:
    assert ranges(found, "alpine:v3.11", "ansible", "alpine/CVE-2018-10875") == ["[, 2.6.3-r0) fixed"]
    assert "XSA-182" in advisory(found, "alpine/CVE-2016-6258").aliases


def test_wolfis_false_positives_are_explicitly_not_affected(found: dict[bytes, bytes]) -> None:
    [item] = records.decode_affected(found[records.affected_key("wolfi", "aactl", "wolfi/CVE-2023-45283")])
    assert item.status is Status.NOT_AFFECTED
    assert not item.upper


def test_every_bitnami_and_rust_vector_has_a_score(found: dict[bytes, bytes]) -> None:
    scored = [
        score.score
        for key, value in found.items()
        if key.startswith((b"vosv-bitnami/", b"vosv-crates.io/"))
        for score in records.decode_advisory(key[1:].decode(), value).cvss
    ]
    assert len(scored) > 7500
    assert all(0 <= score <= 10 for score in scored)
