"""``definitions publish``: a folder that a web server can serve, and that the other side takes bundles and deltas out of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from support.cli import Cli
from support.feeds import FIXTURES


def test_folder_holds_the_newest_bundle_and_what_makes_it_of_the_one_before(
    empty: Cli, tmp_path: Path
) -> None:
    mirror, served = tmp_path / "mirror", tmp_path / "served"
    shutil.copytree(FIXTURES / "kev", mirror / "kev")
    empty("definitions", "keygen", "--out", tmp_path / "keys")
    publish = (
        "definitions",
        "publish",
        "--once",
        "--mirror",
        mirror,
        "--key",
        tmp_path / "keys",
        "--out",
        served,
    )
    assert "published" in empty(*publish).stderr
    first = json.loads((served / "index.json").read_text())
    assert {path.name for path in served.iterdir()} == {"bundle.zip", "index.json", f"{first['version']}.zip"}
    shutil.copyfile(served / "bundle.zip", tmp_path / "first.zip")

    assert "unchanged" in empty(*publish).stderr
    shutil.copytree(FIXTURES / "alpine", mirror / "alpine")
    assert "published" in empty(*publish).stderr
    second = json.loads((served / "index.json").read_text())
    assert second["version"] > first["version"]
    assert not [path.name for path in served.iterdir() if path.name.startswith((".", "redoubt-"))]

    empty("definitions", "trust", "add", tmp_path / "keys" / "root.json", "--channel", "main")
    empty("definitions", "import", tmp_path / "first.zip")
    empty("definitions", "import", served / "delta.zip")
    active = next(item for item in empty.json("definitions", "list") if item["active"])
    assert active["digest"] == second["digest"]
    empty("definitions", "import", served / "bundle.zip")


def test_time_that_is_none_is_refused(empty: Cli, tmp_path: Path) -> None:
    empty("definitions", "keygen", "--out", tmp_path / "keys")
    refused = empty(
        "definitions",
        "publish",
        "--key",
        tmp_path / "keys",
        "--out",
        tmp_path / "served",
        "--every",
        "often",
        code=2,
    )
    assert "3h" in refused.stderr
