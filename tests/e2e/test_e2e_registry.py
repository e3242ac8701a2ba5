"""Images in a real registry, pushed by skopeo: real packages with known flaws, over the wire and off it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import demo_image
from ociwriter import ImageWriter
from support.cli import Cli, coverage, findings
from support.registry import PASSWORD, USERNAME, make_authority, needs_registry, start_registry

#: One flaw of each real package, and what it is found in.
KNOWN = {
    ("pypi", "Django", "2.2", "CVE-2019-14234"),
    ("pypi", "Jinja2", "2.11.2", "CVE-2020-28493"),
    ("npm", "lodash", "4.17.15", "CVE-2021-23337"),
    ("maven", "com.fasterxml.jackson.core:jackson-databind", "2.9.6", "CVE-2020-36518"),
    ("maven", "org.yaml:snakeyaml", "1.18", "CVE-2022-1471"),
    ("golang", "stdlib", "1.17.2", "CVE-2022-23806"),
}

pytestmark = needs_registry


@pytest.fixture(scope="session")
def real_image(tmp_path_factory: pytest.TempPathFactory) -> ImageWriter:
    """The demo's image. Skips where its packages cannot be fetched."""
    left_out: list[str] = []
    try:
        image = demo_image.build(tmp_path_factory.mktemp("packages"), left_out.append)
    except demo_image.LeftOut as reason:
        pytest.skip(str(reason))
    if missing := [line.strip() for line in left_out if "left out" in line]:
        pytest.skip("; ".join(missing))
    return image


def test_real_packages_are_found_in_a_registry_and_again_without_its_layers(
    redoubt: Cli, real_image: ImageWriter, tmp_path: Path
) -> None:
    archive = real_image.write_docker_archive(tmp_path / "image.tar")
    with start_registry(tmp_path / "registry") as registry:
        name = registry.push(f"docker-archive:{archive}", "shop/web:1.4")
        report = redoubt.json("scan", name)
        assert report["image"]["kind"] == "registry"
        assert coverage(report)["debian:11"] == "matched"
        found = findings(report)
        assert found >= KNOWN
        assert findings(redoubt.json("scan", archive)) == found
        for layer in registry.storage.rglob("data"):
            if layer.stat().st_size > 100_000:
                layer.unlink()
        assert redoubt.json("scan", name) == report, "nothing but the manifest is asked for again"
        redoubt("scan", name, "--no-cache", code=3)


def test_a_registry_with_a_password_and_its_own_authority(redoubt: Cli, tmp_path: Path) -> None:
    lodash = b'{"name":"lodash","version":"4.17.15"}'
    from ociwriter import Entry

    image = ImageWriter().add([Entry("app/node_modules/lodash/package.json", lodash)])
    layout = image.write_oci_dir(tmp_path / "image", name="latest")
    authority = make_authority(tmp_path / "tls")
    with start_registry(tmp_path / "registry", password=True, tls=authority) as registry:
        name = registry.push(f"oci:{layout}:latest", "shop/web:1")
        assert registry.ca_file is not None
        trusted = ("--ca-file", registry.ca_file)
        denied = redoubt("scan", name, *trusted, code=5)
        assert "login" in denied.stderr or "--username" in denied.stderr or "credentials" in denied.stderr
        assert "certificate" in redoubt("scan", name, code=6).stderr
        wrong = redoubt(
            "scan", name, *trusted, "--username", USERNAME, "--password-stdin", stdin="sesame", code=5
        )
        assert "sesame" not in wrong.stderr
        done = redoubt(
            "scan",
            name,
            *trusted,
            "--username",
            USERNAME,
            "--password-stdin",
            "-o",
            "json",
            stdin=f"{PASSWORD}\n",
        )
        assert "CVE-2021-23337" in done.stdout
        assert PASSWORD not in done.stdout + done.stderr


def test_real_packages_are_found_with_the_network_off(
    redoubt: Cli, real_image: ImageWriter, tmp_path: Path
) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("taking the network away needs root and unshare (package util-linux)")
    unplugged = Cli(redoubt.home, redoubt.environment, prefix=("unshare", "--net", "--"))
    layout = real_image.write_oci_dir(tmp_path / "layout")
    archive = real_image.write_oci_archive(tmp_path / "archive.tar", compression="zstd")
    assert findings(unplugged.json("scan", layout)) >= KNOWN
    assert findings(unplugged.json("scan", archive)) >= KNOWN
