"""A system that is no longer looked after is said, and can fail a pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ociwriter import ImageWriter
from support.cli import Cli
from support.feeds import FIXTURES
from support.roots import dpkg_root


def target(folder: Path, release: str) -> Path:
    name = f"Debian GNU/Linux {release}"
    image = ImageWriter().add(
        dpkg_root(
            [("zlib1g", "1:1.2.11.dfsg-2", "zlib")],
            f'ID=debian\nVERSION_ID="{release}"\nPRETTY_NAME="{name}"\n',
        )
    )
    return image.write_docker_archive(folder / f"{release}.tar")


def test_an_ended_system_is_named_and_fails_where_asked_to(empty: Cli, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(FIXTURES / "debian", mirror / "debian")
    releases = [
        {"name": "10", "eolFrom": "2022-09-10", "eoesFrom": "2024-06-30"},
        {"name": "90", "eolFrom": "2999-01-01"},
    ]
    (mirror / "endoflife").mkdir()
    products = {"result": [{"name": "debian", "releases": releases}]}
    (mirror / "endoflife" / "products.json").write_text(json.dumps(products))
    keys, bundle = tmp_path / "keys", tmp_path / "bundle.zip"
    empty("definitions", "keygen", "--out", keys)
    empty("definitions", "build", "--mirror", mirror, "--key", keys, "--out", bundle)
    empty("definitions", "trust", "add", keys / "root.json", "--channel", "main")
    empty("definitions", "import", bundle)

    ended, young = target(tmp_path, "10"), target(tmp_path, "90")
    said = "Debian GNU/Linux 10 is no longer looked after since 2024-06-30"
    assert said in empty("scan", ended).stdout
    assert said in empty("scan", ended, "-o", "html").stdout
    assert said in empty("scan", ended, "--fail-on-end-of-life", code=3).stdout
    assert empty.json("scan", ended)["end_of_life"] == "2024-06-30"
    assert "no longer" not in empty("scan", young, "--fail-on-end-of-life").stdout
    assert empty.json("scan", young)["end_of_life"] == "2999-01-01"
    assert "2024-06-30" in empty("definitions", "search", "debian:10").stdout
    assert empty.json("definitions", "search", "debian:10")["end_of_life"] == "2024-06-30"
