"""The original's offline bundle, as a user brings it in."""

from __future__ import annotations

from pathlib import Path

import pytest

from ociwriter import ImageWriter
from support import stackrox
from support.cli import Cli, findings
from support.roots import DEBIAN_RELEASE, dpkg_root

CREATED = "2026-01-02T03:04:05+00:00"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of a day that has been."""
    return stackrox.write(tmp_path, created=CREATED)


def test_unsigned_bundle_is_allowed_imported_scanned_with_and_marked(
    empty: Cli, bundle: Path, tmp_path: Path
) -> None:
    refused = empty("definitions", "import", bundle, code=4).stderr
    assert refused.strip().count("\n") == 0
    command = refused.split("`")[1].split()
    assert command == ["redoubt", "definitions", "trust", "allow-unsigned", "stackrox"]
    empty(*command[1:])
    assert "unsigned bundles are accepted" in empty("definitions", "trust", "list").stdout

    said = empty("definitions", "import", bundle).stderr
    assert "channel stackrox, built 2026-01-02T03:04:05Z" in said
    assert "nobody vouches" in said
    assert "scanner-defs.zip (definitions of Scanner V2)" in said
    assert "osv: 1 left out: an ecosystem that the original does not match" in said

    (listed,) = empty.json("definitions", "list")
    assert (listed["signed"], listed["channel"]) == (False, "stackrox")
    assert empty("definitions", "list").stdout.split("\n")[1].endswith("  no")
    assert "Signed    no" in empty("definitions", "info").stdout

    release = DEBIAN_RELEASE.replace("11", "12").replace("bullseye", "bookworm")
    image = ImageWriter().add(dpkg_root([("painter", "1:2.4-3", "")], release))
    root = image.write_oci_dir(tmp_path / "image")
    report = empty.json("scan", root)
    assert report["definitions"]["unsigned"] is True
    assert findings(report) == {
        ("deb", "painter", "1:2.4-3", "CVE-2099-0001"),
        ("deb", "painter", "1:2.4-3", "CVE-2099-0002"),
    }
    first = report["packages"][0]["findings"][0]
    assert first["kev"]["ransomware"]
    assert first["epss"][0] == 0.97321
    assert "nobody vouches" in empty("scan", root).stdout
    for form in ("html", "cyclonedx", "sarif", "spdx", "csv", "junit", "gitlab"):
        assert "unsigned" in empty("scan", root, "-o", form).stdout

    empty("definitions", "trust", "disallow-unsigned", "stackrox")
    empty("definitions", "import", bundle, code=4)
    assert empty.json("scan", root)["definitions"]["unsigned"] is True


def test_nothing_else_can_be_allowed(empty: Cli) -> None:
    assert "are signed" in empty("definitions", "trust", "allow-unsigned", "main", code=2).stderr
    assert "not accepted" in empty("definitions", "trust", "disallow-unsigned", "stackrox", code=2).stderr
