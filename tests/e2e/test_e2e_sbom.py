"""Images by way of SBOMs: what is found, judged and suppressed is the same as without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ociwriter import Entry, ImageWriter
from support.cli import Cli, coverage, findings
from support.roots import apk_root, dpkg_root, rpm_root

LODASH = Entry("srv/node_modules/lodash/package.json", b'{"name":"lodash","version":"4.17.15"}')
OWNED = "usr/lib/python3/dist-packages/Django-2.2.dist-info/METADATA"
DJANGO = Entry(OWNED, b"Metadata-Version: 2.1\nName: Django\nVersion: 2.2\n\n")
LIST = Entry("var/lib/dpkg/info/python3-django.list", f"/.\n/usr\n/{OWNED}\n".encode())
FORMS = ("cyclonedx", "spdx")


def without_image(report: Any) -> Any:
    return {key: value for key, value in report.items() if key != "image"}


def roots(kind: str, folder: Path) -> list[list[Entry]]:
    match kind:
        case "deb":
            system = dpkg_root(
                [("zlib1g", "1:1.2.11.dfsg-2", "zlib"), ("python3-django", "2:2.2-1", "python-django")]
            )
            return [system, [DJANGO, LIST], [LODASH]]
        case "apk":
            return [apk_root([("libcrypto1.1", "1.1.1d-r2", "openssl")]), [LODASH]]
        case "rpm":
            return [rpm_root(folder, [("openssl-libs", "3.0.1", "41.el9_0", 1)]), [LODASH]]
    return [[LODASH, Entry("etc/os-release", b"ID=plan9\n"), Entry("srv/broken.jar", b"PK\x03\x04no")]]


@pytest.mark.parametrize("kind", ["deb", "apk", "rpm", "strange"])
def test_an_image_and_its_sboms_give_the_same(redoubt: Cli, tmp_path: Path, kind: str) -> None:
    writer = ImageWriter()
    for layer in roots(kind, tmp_path):
        writer.add(layer)
    image = writer.write_docker_archive(tmp_path / "shop.tar")
    expected = redoubt.json("scan", image)
    assert findings(expected)
    (tmp_path / "index.json").write_text(redoubt("index", image, "-o", "json").stdout)
    for form in FORMS:
        path = tmp_path / f"shop.{form}"
        path.write_text(redoubt("index", image, "-o", form).stdout)
        report = redoubt.json("scan", path)
        assert without_image(report) == without_image(expected), form
        assert report["image"]["kind"] == "sbom"
        assert report["image"]["subject"] == str(image)
        assert report["image"]["config_digest"] == expected["image"]["config_digest"]
        assert without_image(redoubt.json("match", path)) == without_image(expected)
        redoubt("scan", f"sbom:{path}", "--fail-on", "unknown", code=1)
    if kind == "deb":
        assert any(package["name"] == "Django" for package in expected["suppressed"])
    if kind == "strange":
        assert coverage(report)["npm"] == "matched"
        assert report["problems"]


def test_an_sbom_is_explained_and_read_from_standard_input(redoubt: Cli, tmp_path: Path) -> None:
    image = ImageWriter().add([LODASH]).write_docker_archive(tmp_path / "shop.tar")
    document = redoubt("index", image, "-o", "cyclonedx").stdout
    (tmp_path / "a.cdx.json").write_text(document)
    told = redoubt("explain", "CVE-2020-8203", tmp_path / "a.cdx.json").stdout
    assert "srv/node_modules/lodash/package.json" in told
    assert (
        redoubt("explain", "CVE-2020-8203", "-", stdin=document).stdout.splitlines()[1:]
        == told.splitlines()[1:]
    )
    table = redoubt("scan", "sbom:-", stdin=document).stdout
    assert f"SBOM of {image}" in table
    assert "CVE-2020-8203" in table


def test_somebody_elses_sbom_is_judged_and_what_it_leaves_open_is_said(redoubt: Cli, tmp_path: Path) -> None:
    components = [
        {
            "type": "library",
            "name": "zlib1g",
            "version": "1:1.2.11.dfsg-2",
            "purl": "pkg:deb/debian/zlib1g@1:1.2.11.dfsg-2?arch=amd64&distro=debian-11&upstream=zlib",
        },
        {"type": "library", "name": "lodash", "version": "4.17.15", "purl": "pkg:npm/lodash@4.17.15"},
        {"type": "library", "name": "by-hand"},
        {"type": "operating-system", "name": "debian", "version": "11"},
    ]
    document = {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": components}
    path = tmp_path / "other.json"
    path.write_text(json.dumps(document))
    report = redoubt.json("scan", path)
    assert {
        ("npm", "lodash", "4.17.15", "CVE-2020-8203"),
        ("deb", "zlib1g", "1:1.2.11.dfsg-2", "CVE-2018-25032"),
    } <= findings(report)
    assert "by-hand" in report["problems"][0]["message"]
    redoubt("scan", path, "--fail-on-incomplete", code=3)


def test_what_is_no_sbom_ends_the_scan_with_one_line(redoubt: Cli, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert "neither CycloneDX in JSON nor SPDX" in redoubt("scan", path, code=3).stderr
    path.write_text(
        redoubt(
            "scan", ImageWriter().add([LODASH]).write_docker_archive(tmp_path / "a.tar"), "-o", "spdx"
        ).stdout
    )
    assert "only packages with findings" in redoubt("scan", path, code=3).stderr
    assert "one platform" in redoubt("scan", path, "--platform", "linux/arm64", code=2).stderr
