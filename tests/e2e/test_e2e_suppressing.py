"""Findings that somebody has judged, from the file to the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ociwriter import Entry, ImageWriter
from support.cli import Cli, findings
from support.roots import dpkg_root
from support.vex import csaf, openvex, product, relation, statement

FLAW = "CVE-2020-8203"
LODASH = Entry("srv/node_modules/lodash/package.json", b'{"name":"lodash","version":"4.17.15"}')


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A Debian with zlib, and lodash in the layer above."""
    writer = ImageWriter().add(dpkg_root([("zlib1g", "1:1.2.11.dfsg-2", "zlib")])).add([LODASH])
    return writer.write_docker_archive(tmp_path / "shop.tar")


def suppressed(report: Any) -> set[tuple[str, str, str, str]]:
    return findings({"packages": report.get("suppressed", [])})


def rules(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    return file


def test_an_ignore_rule_silences_what_it_says_and_stays_visible(
    redoubt: Cli, image: Path, tmp_path: Path
) -> None:
    file = rules(
        tmp_path,
        f'[[ignore]]\nid = "{FLAW}"\nreason = "never called"\nexpires = 2999-01-01\n'
        '[[ignore]]\nid = "CVE-1999-99999"\nreason = "gone"\n'
        '[[ignore]]\npackage = "zlib1g"\nreason = "waited long enough"\nexpires = 2001-01-01\n',
    )
    before = redoubt.json("scan", image)
    done = redoubt("scan", image, "--ignore-file", file, "-o", "json")
    after = json.loads(done.stdout)
    assert suppressed(after) == {("npm", "lodash", "4.17.15", FLAW)}
    assert findings(after) == findings(before) - suppressed(after)
    assert f"{file}: 1 rule silenced nothing here: rule 2 (CVE-1999-99999)" in done.stderr
    assert f"{file}: 1 rule expired and not applied: rule 3 (zlib1g) on 2001-01-01" in done.stderr
    table = redoubt("scan", image, "--ignore-file", file, "--show-suppressed").stdout
    assert "never called, until 2999-01-01" in " ".join(table.split())
    told = redoubt("explain", FLAW, image, "--ignore-file", file).stdout
    assert "npm lodash 4.17.15: no finding that counts" in told
    assert f"suppressed ignore-rule {file}, rule 1: never called, until 2999-01-01" in told


def test_only_what_is_not_suppressed_stops_a_pipeline(redoubt: Cli, image: Path, tmp_path: Path) -> None:
    redoubt("scan", image, "--fail-on", "unknown", code=1)
    file = rules(
        tmp_path,
        '[[ignore]]\npackage = "lodash"\nreason = "x"\n[[ignore]]\npackage = "zlib1g"\nreason = "y"\n',
    )
    redoubt("scan", image, "--fail-on", "unknown", "--ignore-file", file)


def test_a_rule_that_is_wrong_is_found_before_the_work(redoubt: Cli, tmp_path: Path) -> None:
    file = rules(tmp_path, '[[ignore]]\nid = "CVE-2099-0001"\n')
    told = redoubt("scan", tmp_path / "no-such.tar", "--ignore-file", file, code=2).stderr
    assert f"{file}: rule 1: no reason" in told


def test_the_usual_file_is_never_read_unasked(
    redoubt: Cli, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "redoubt-ignore.toml").write_text('[[ignore]]\npackage = "lodash"\nreason = "x"\n')
    done = redoubt("scan", image, "-o", "json")
    assert suppressed(json.loads(done.stdout)) == set()
    assert "redoubt-ignore.toml lies here and is not read" in done.stderr


@pytest.mark.parametrize("form", ['"{0}"', '["{0}"]'])
def test_ignore_files_are_named_in_the_configuration_and_the_environment(
    starter_home: Path, image: Path, tmp_path: Path, form: str
) -> None:
    file = rules(tmp_path, '[[ignore]]\npackage = "lodash"\nreason = "x"\n')
    config = tmp_path / "config.toml"
    config.write_text(f"[scan]\nignore-file = {form.format(file)}\n")
    for environment in ({"REDOUBT_CONFIG": str(config)}, {"REDOUBT_SCAN_IGNORE_FILE": str(file)}):
        cli = Cli(starter_home, {"REDOUBT_CACHE_DIR": str(tmp_path / "cache"), **environment})
        assert {name for _, name, _, _ in suppressed(cli.json("scan", image))} == {"lodash"}
    config.write_text("[scan]\nignore-file = [1, true]\n")
    Cli(starter_home, {"REDOUBT_CONFIG": str(config)})("scan", image, code=2)


def test_a_vex_document_silences_what_it_says(redoubt: Cli, image: Path, tmp_path: Path) -> None:
    before = redoubt.json("scan", image)
    file = tmp_path / "shop.vex.json"
    file.write_bytes(
        openvex(
            statement(FLAW, "pkg:npm/lodash@4.17.15", justification="vulnerable_code_not_in_execute_path"),
            statement("CVE-2018-25032", "pkg:deb/debian/zlib?arch=source", status="affected"),
        )
    )
    after = redoubt.json("scan", image, "--vex", file)
    assert suppressed(after) == {("npm", "lodash", "4.17.15", FLAW)}
    assert findings(after) == findings(before) - suppressed(after)
    told = redoubt("explain", FLAW, image, "--vex", file).stdout
    assert f"suppressed vex {file} (https://vex.example/shop-1): vulnerable_code_not_in_execute_path" in told
    file.write_bytes(openvex(statement("CVE-1999-99999", "pkg:npm/lodash")))
    assert (
        f"{file}: none of its statements (1) is about a finding here"
        in redoubt("scan", image, "--vex", file).stderr
    )


def test_a_csaf_document_silences_what_it_says(redoubt: Cli, image: Path, tmp_path: Path) -> None:
    file = tmp_path / "shop.csaf.json"
    digest = redoubt.json("index", image)["image"]["config_digest"]
    tree = {
        "full_product_names": [
            product("shop", f"pkg:oci/shop@{digest}"),
            product("lodash", "pkg:npm/lodash"),
        ],
        "relationships": [relation("shop:lodash", "lodash", "shop")],
    }
    said = {"cve": FLAW, "product_status": {"known_not_affected": ["shop:lodash"]}}
    file.write_bytes(csaf([said | {"threats": [{"category": "impact", "details": "Never called."}]}], tree))
    report = redoubt.json("match", indexed(redoubt, image, tmp_path), "--vex", file)
    assert suppressed(report) == {("npm", "lodash", "4.17.15", FLAW)}
    [found] = [item for package in report["suppressed"] for item in package["findings"]]
    assert found["suppression"]["reason"] == "Never called."


def indexed(redoubt: Cli, image: Path, tmp_path: Path) -> Path:
    file = tmp_path / "index.json"
    redoubt("index", image, "--output-file", file)
    return file


def test_what_goes_out_as_openvex_silences_the_same_when_it_comes_back(
    redoubt: Cli, image: Path, tmp_path: Path
) -> None:
    file = rules(
        tmp_path,
        '[[ignore]]\npackage = "lodash"\nreason = "never called"\n'
        'justification = "vulnerable_code_not_in_execute_path"\n',
    )
    first = redoubt.json("scan", image, "--ignore-file", file)
    out = tmp_path / "shop.openvex.json"
    redoubt("scan", image, "--ignore-file", file, "--output-file", out)
    again = redoubt.json("scan", image, "--vex", out)
    assert suppressed(again) == suppressed(first) != set()
    assert findings(again) == findings(first)
    redoubt("scan", image, "--vex", out, "--output-file", tmp_path / "again.openvex.json")
    ours, theirs = (
        sorted(
            (item["vulnerability"]["name"], item["status"])
            for item in json.loads(path.read_text())["statements"]
        )
        for path in (out, tmp_path / "again.openvex.json")
    )
    assert ours == theirs
    redoubt("index", image, "-o", "openvex", code=2)


def test_a_document_that_is_none_is_found_before_the_work(redoubt: Cli, tmp_path: Path) -> None:
    file = tmp_path / "bom.json"
    file.write_text('{"bomFormat": "CycloneDX"}')
    told = redoubt("scan", tmp_path / "no-such.tar", "--vex", file, code=3).stderr
    assert f"{file}: a CycloneDX document; its VEX is not read" in told
