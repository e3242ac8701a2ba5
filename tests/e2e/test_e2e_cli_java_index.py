"""Jars that don't say what they are, named by a Java index."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from ociwriter import Entry, ImageWriter
from support.cli import Cli


def test_a_list_becomes_an_index_and_a_scan_names_the_jar_by_it(redoubt: Cli, tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/B.class", b"\xca\xfe")
    sha1 = hashlib.sha1(out.getvalue(), usedforsecurity=False).hexdigest()
    image = (
        ImageWriter().add([Entry("opt/lib.jar", out.getvalue())]).write_docker_archive(tmp_path / "shop.tar")
    )
    listing = tmp_path / "list.csv"
    listing.write_text(f"sha1,group,artifact,version\n{sha1},org.apache.logging.log4j,log4j-core,2.14.1\n")
    index = tmp_path / "central.idx"

    built = redoubt("java-index", "build", str(index), str(listing))
    assert "1 archive" in built.stderr
    assert "1 passed over" in built.stderr
    assert "1 archive, " in redoubt("java-index", "info", str(index)).stdout

    assert redoubt.json("index", str(image)).get("packages", []) == []
    named = redoubt.json("index", str(image), "--java-index", str(index))
    assert [(item["name"], item["version"]) for item in named["packages"]] == [
        ("org.apache.logging.log4j:log4j-core", "2.14.1")
    ]
    assert named["lookups"]["java"].startswith("sha256:")


def test_what_is_no_list_and_no_index_is_refused(redoubt: Cli, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.csv"
    nothing.write_text("this is\nno list\n")
    done = redoubt("java-index", "build", str(tmp_path / "central.idx"), str(nothing), code=3)
    assert "nothing in it is an archive" in done.stderr
    assert not (tmp_path / "central.idx").exists()
    assert "was not made by" in redoubt("java-index", "info", str(nothing), code=3).stderr
    refused = redoubt("index", f"dir:{tmp_path}", "--java-index", str(nothing), code=3)
    assert "was not made by" in refused.stderr
