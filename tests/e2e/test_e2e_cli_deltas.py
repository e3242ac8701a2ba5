"""Deltas through the gap, as both sides type it."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from support.cli import Cli
from support.feeds import FIXTURES


@pytest.fixture
def days(empty: Cli, tmp_path: Path) -> Path:
    """Two days' bundles, ``1.zip`` and ``2.zip``, and the keys that signed them."""
    mirror = tmp_path / "mirror"
    empty("definitions", "keygen", "--out", tmp_path / "keys")
    build = ("definitions", "build", "--mirror", mirror, "--key", tmp_path / "keys")
    shutil.copytree(FIXTURES / "alpine", mirror / "alpine")
    empty(*build, "--version", "1", "--out", tmp_path / "1.zip")
    shutil.copytree(FIXTURES / "kev", mirror / "kev")
    empty(*build, "--version", "2", "--out", tmp_path / "2.zip")
    empty("definitions", "trust", "add", tmp_path / "keys" / "root.json", "--channel", "main")
    return tmp_path


def active(cli: Cli) -> str:
    """The digest of the active definitions."""
    return next(str(item["digest"]) for item in cli.json("definitions", "list") if item["active"])


def test_delta_brings_a_machine_from_one_day_to_the_next(empty: Cli, days: Path) -> None:
    builder = Cli(days / "builder")
    builder("definitions", "trust", "add", days / "keys" / "root.json", "--channel", "main")
    said = builder(
        "definitions",
        "delta",
        days / "1.zip",
        days / "2.zip",
        "--key",
        days / "keys",
        "--out",
        days / "d.zip",
    ).stderr
    assert "channel main" in said

    first = json.loads(_manifest(days / "1.zip"))["digest"]
    refused = empty("definitions", "import", days / "d.zip", code=4)
    assert f"{first}, which are not on the shelf" in refused.stderr
    empty("definitions", "import", days / "1.zip")
    empty("definitions", "import", days / "d.zip")
    assert active(empty) == said.split()[-1] == json.loads(_manifest(days / "2.zip"))["digest"]
    assert active(empty) in empty("definitions", "verify").stdout
    empty("definitions", "rollback")
    assert active(empty) == first
    empty("definitions", "rollback", "--to", said.split()[-1])
    assert "--allow-older" in empty("definitions", "import", days / "1.zip", code=4).stderr


def test_delta_is_made_from_digests_on_the_shelf(empty: Cli, days: Path) -> None:
    empty("definitions", "import", days / "1.zip")
    one = active(empty)
    empty("definitions", "import", days / "2.zip")
    two = active(empty)
    make = ("definitions", "delta", one[7:19], two, "--key", days / "keys", "--out")
    empty(*make, days / "d.zip")
    empty(*make, days / "again.zip")
    assert (days / "d.zip").read_bytes() == (days / "again.zip").read_bytes()
    empty(*make[:2], "0" * 12, two, *make[4:], days / "none.zip", code=4)
    assert not (days / "none.zip").exists()


def test_diff_says_what_lies_between(empty: Cli, days: Path) -> None:
    table = empty("definitions", "diff", days / "1.zip", days / "2.zip").stdout
    found = empty.json("definitions", "diff", days / "1.zip", days / "2.zip")
    appeared = found["cves"]["appeared"]
    assert found["counts"]["cves"] == {"appeared": len(appeared), "changed": 0, "vanished": 0}
    assert found["counts"]["advisories"] == {"appeared": 0, "changed": 0, "vanished": 0}
    assert appeared
    assert next(line for line in table.splitlines() if line.startswith("CVEs")).split()[-3:] == [
        str(len(appeared)),
        "0",
        "0",
    ]
    assert appeared[0] not in table
    listed = empty("definitions", "diff", days / "1.zip", days / "2.zip", "--verbose").stdout
    assert all(f"  {identifier}\n" in listed for identifier in appeared)
    back = empty.json("definitions", "diff", days / "2.zip", days / "1.zip")
    assert back["cves"]["vanished"] == appeared


def _manifest(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read("manifest.json")
