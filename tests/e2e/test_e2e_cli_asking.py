"""Questions to the definitions: what is known of a flaw or a package, and why something is or is not found."""

from __future__ import annotations

from pathlib import Path

import pytest

from ociwriter import Entry, ImageWriter
from support.cli import Cli, findings
from support.roots import dpkg_root

LODASH = Entry("srv/node_modules/lodash/package.json", b'{"name":"lodash","version":"4.17.15"}')


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A Debian with zlib, and lodash in the layer above."""
    writer = ImageWriter().add(dpkg_root([("zlib1g", "1:1.2.11.dfsg-2", "zlib")])).add([LODASH])
    return writer.write_docker_archive(tmp_path / "shop.tar")


def test_a_flaw_is_told_of_in_every_namespace_by_any_of_its_names(redoubt: Cli) -> None:
    found = redoubt.json("definitions", "search", "cve-2021-44228")
    assert found["query"] == "CVE-2021-44228"
    assert found["cve"]["kev"]["added"] == "2021-12-10"
    places = {
        (item["namespace"], item["package"]): item
        for advisory in found["advisories"]
        for item in advisory["affected"]
    }
    assert places["maven", "org.apache.logging.log4j:log4j-core"]["severity"] == "CRITICAL"
    assert places["debian:11", "apache-log4j2"]["fixed"] == ["2.15.0-1~deb11u1"]


def test_a_package_is_told_of_with_its_ranges(redoubt: Cli) -> None:
    table = redoubt("definitions", "search", "Requests").stdout.splitlines()
    assert table[0].split() == ["NAMESPACE", "PACKAGE", "ADVISORY", "SEVERITY", "FIXED", "AFFECTED"]
    assert any("osv-pypi/PYSEC-2023-74" in line and line.endswith(">= 2.3.0, < 2.31.0") for line in table)


def test_a_word_nobody_wrote_about_is_answered_so(redoubt: Cli) -> None:
    done = redoubt("definitions", "search", "no-such-package\x1b[2J")
    assert done.stdout == ""
    assert "No advisory" in done.stderr
    assert "\x1b" not in done.stderr
    assert redoubt.json("definitions", "search", "no-such-package")["advisories"] == []
    assert redoubt.json("definitions", "search", "\udcff")["advisories"] == []


def test_without_definitions_a_search_says_how_to_get_some(empty: Cli) -> None:
    assert "definitions import" in empty("definitions", "search", "openssl", code=4).stderr


def test_every_finding_of_a_scan_is_explained_as_one(redoubt: Cli, image: Path) -> None:
    found = findings(redoubt.json("scan", image))
    assert found
    for kind, name, version, flaw in found:
        cases = redoubt.json("explain", flaw, image)["cases"]
        explained = {
            (case["package"]["type"], case["package"]["name"], case["package"]["version"]) for case in cases
        }
        assert (kind, name, version) in explained
        assert {case["verdict"] for case in cases} == {"finding"}


def test_an_explanation_names_layer_file_source_and_range(redoubt: Cli, image: Path) -> None:
    told = redoubt("explain", "cve-2020-8203", image).stdout
    assert "npm lodash 4.17.15: a finding" in told
    assert "srv/node_modules/lodash/package.json, layer 2 of 2 (sha256:" in told
    assert "osv-npm/" in told
    assert "holds 4.17.15" in told
    assert "keys " in told


def test_an_index_file_is_explained_like_its_image(redoubt: Cli, image: Path, tmp_path: Path) -> None:
    indexed = tmp_path / "shop.json"
    redoubt("index", image, "--output-file", indexed)
    of_image = redoubt.json("explain", "CVE-2018-25032", image)
    assert redoubt.json("explain", "CVE-2018-25032", indexed) == of_image
    piped = redoubt("explain", "CVE-2018-25032", "-", stdin=indexed.read_text())
    assert piped.stdout == redoubt("explain", "CVE-2018-25032", indexed).stdout


def test_a_flaw_of_other_packages_is_told_with_where_it_is_known(redoubt: Cli, image: Path) -> None:
    told = redoubt("explain", "CVE-2021-44228", image).stdout
    assert "maven: org.apache.logging.log4j:log4j-core" in told
    assert "know nothing of it" in redoubt("explain", "CVE-1999-99999", image).stdout


def test_an_explanation_says_what_could_not_be_judged(redoubt: Cli, tmp_path: Path) -> None:
    release = "ID=slackware\nVERSION_ID=15\n"
    image = ImageWriter().add(dpkg_root([("zlib1g", "1:1.2.11.dfsg-2", "zlib")], release))
    target = image.write_docker_archive(tmp_path / "other.tar")
    told = redoubt.json("explain", "CVE-2018-25032", target)
    assert told["cases"] == []
    assert [row["judged"] for row in told["unjudged"]] == ["unsupported_distribution"]
    assert "was not judged" in redoubt("explain", "CVE-2018-25032", target).stdout


def test_names_that_steer_a_terminal_are_shown_as_escapes(redoubt: Cli, tmp_path: Path) -> None:
    evil = Entry("srv/\u202e\x1b[2J/node_modules/lodash/package.json", LODASH.data)
    target = ImageWriter().add([evil]).write_docker_archive(tmp_path / "evil.tar")
    for form in ("table", "json"):
        told = redoubt("explain", "CVE-2020-8203\x9b", target, "-o", form).stdout
        told += redoubt("explain", "CVE-2020-8203", target, "-o", form).stdout
        assert "lodash/package.json" in told
        assert not {"\x1b", "\u202e", "\x9b"} & set(told)


def test_an_explanation_needs_definitions_and_a_target(empty: Cli, redoubt: Cli, image: Path) -> None:
    assert "definitions import" in empty("explain", "CVE-2018-25032", image, code=4).stderr
    broken = image.with_name("broken.json")
    broken.write_text("{")
    redoubt("explain", "CVE-2018-25032", broken, code=3)
