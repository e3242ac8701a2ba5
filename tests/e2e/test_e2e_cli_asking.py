"""Questions to the definitions: what is known of a flaw or a package, and why something is or is not found."""

from __future__ import annotations

from support.cli import Cli


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


def test_without_definitions_a_search_says_how_to_get_some(empty: Cli) -> None:
    assert "definitions import" in empty("definitions", "search", "openssl", code=4).stderr
