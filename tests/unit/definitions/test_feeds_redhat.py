"""Red Hat's documents: what the fixture does not show, and what nobody should send."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Notes
from redoubt.definitions.feeds.redhat import RedHatFeed
from redoubt.definitions.sources.interface import Get
from redoubt.definitions.sources.redhat import discover
from redoubt.errors import NetworkError, UnreadableInput
from redoubt.model import Advisory, Status
from support.csaf import LINUX, archive, vex
from support.feeds import said, write_tar

FIXED = "pkg:rpm/redhat/libfix@1.2-3.el9_4?arch=x86_64"


def read(*paths: Path) -> tuple[dict[str, dict[str, list[str]]], Notes]:
    """CVE → package → ranges."""
    notes = Notes()
    names = [
        f"redhat/{path.name}" if path.suffix != ".json" else f"redhat/updates/{path.name}" for path in paths
    ]
    items = RedHatFeed().read(Files(zip(names, paths, strict=True)), "redhat", notes, facts_only=False)
    found = {}
    for advisory, affected in items:
        assert isinstance(advisory, Advisory)
        assert isinstance(affected, tuple)
        found[advisory.id] = {
            f"{one.namespace} {one.name}": [said(item) for item in one.ranges] for one in affected
        }
    return found, notes


def one(folder: Path, document: dict[str, object]) -> tuple[dict[str, list[str]], Notes]:
    found, notes = read(archive(folder / "csaf_vex.tar.zst", [document]))
    return found.get("CVE-2099-0001", {}), notes


@pytest.mark.parametrize(
    ("cpe", "purl", "namespace"),
    [
        ("cpe:/a:redhat:enterprise_linux:9::appstream", FIXED, "redhat:9"),
        ("cpe:/o:redhat:enterprise_linux:10.1", "pkg:rpm/redhat/libfix@1-1.el10_1?arch=noarch", "redhat:10"),
        ("cpe:/o:redhat:rhel_eus:9.4::baseos", FIXED, "redhat:9"),
        ("cpe:/a:redhat:rhel_eus_long_life:8.6::appstream", FIXED, "redhat:8"),
        ("cpe:/o:redhat:enterprise_linux_eus:10.2", FIXED, "redhat:10"),
        ("cpe:/a:redhat:rhel_satellite_client:6::el8", FIXED, "redhat:8"),
        ("cpe:/a:redhat:openshift:4.16", FIXED, "redhat:9"),
        ("cpe:/a:redhat:openshift:4.16", "pkg:rpm/redhat/libfix@1.2-3.el7eap?arch=noarch", "redhat:7"),
        ("cpe:/a:redhat:openshift:4.16", "pkg:rpm/redhat/libfix@1.2-3?arch=x86_64", "redhat"),
        ("cpe:2.3:a:redhat:enterprise_linux:9:*:appstream:*:*:*:*:*", FIXED, "redhat:9"),
    ],
)
def test_namespace_is_that_of_the_major_release(tmp_path: Path, cpe: str, purl: str, namespace: str) -> None:
    document = vex("CVE-2099-0001", {"c": purl}, products={"p": cpe}, fixed=[("p", "c")])
    [where] = one(tmp_path, document)[0]
    assert where == f"{namespace} libfix"


@pytest.mark.parametrize(
    "purl",
    [
        "pkg:rpm/fedora/libfix@1-1?arch=x86_64",
        "pkg:rpm/redhat/?arch=x86_64",
        "pkg:rpm/redhat/libfix@1-1?arch=x86_64&epoch=one",
        "pkg:rpmmod/redhat/nodejs@18:8060:aa",
        "pkg:oci/",
        "pkg:maven/org.example/fix@1",
        "pkg:rpm/redhat/" + "x" * 5000,
        "",
    ],
)
def test_what_no_package_is_named_by_is_dropped_and_counted(tmp_path: Path, purl: str) -> None:
    found, notes = one(tmp_path, vex("CVE-2099-0001", {"c": purl}, fixed=[("rhel_9", "c")]))
    assert found == {}
    assert notes.dropped["neither an rpm package nor a container"] == 1
    assert notes.spoilt == 0


def test_states_of_what_has_no_fix(tmp_path: Path) -> None:
    words = {
        ("no_fix_planned", "Will not fix"): Status.WILL_NOT_FIX,
        ("no_fix_planned", "Out of support scope"): Status.END_OF_LIFE,
        ("none_available", "Fix deferred"): Status.FIX_DEFERRED,
        ("none_available", "Affected"): Status.AFFECTED,
        ("no_fix_planned", "For a reason that is new"): Status.WILL_NOT_FIX,
    }
    names = {f"c{number}": f"pkg:rpm/redhat/c{number}" for number in range(len(words))}
    pairs = [("rhel_9", name) for name in names]
    document = vex(
        "CVE-2099-0001",
        names,
        known_affected=pairs,
        states={word: [pair] for word, pair in zip(words, pairs, strict=True)},
    )
    found, _ = one(tmp_path, document)
    for pair, status in zip(pairs, words.values(), strict=True):
        [line] = found[f"redhat:9 {pair[1]}"]
        assert (status.value in line) == (status is not Status.AFFECTED)


def test_a_relationship_in_a_circle_ends(tmp_path: Path) -> None:
    document = vex(
        "CVE-2099-0001",
        {"c": FIXED},
        within={"a": ("b", "c"), "b": ("a", "c")},
        fixed=[("a", "c")],
    )
    found, notes = one(tmp_path, document)
    assert found == {}
    assert notes.dropped["neither an rpm package nor a container"] == 1


def test_versions_that_are_none_spoil_the_document(tmp_path: Path) -> None:
    purl = "pkg:rpm/redhat/libfix@1%00-1?arch=x86_64"
    found, notes = one(tmp_path, vex("CVE-2099-0001", {"c": purl}, fixed=[("rhel_9", "c")]))
    assert (found, notes.spoilt) == ({}, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"document": 1}',
        b'{"document": {"tracking": {"id": "CVE-2099-0001"}}, "vulnerabilities": [{"product_status": {"fixed": 1}}]}',
        b'{"document": {"tracking": {"id": "a b"}}, "vulnerabilities": [{}]}',
        b'{"document": {"tracking": {"id": "\xff"}}}',
        b'{"product_tree": ' + b'{"branches": [' * 100_000,
        b"[" * 100_000,
    ],
)
def test_spoilt_documents_are_counted_and_the_others_read(tmp_path: Path, data: bytes) -> None:
    good = json.dumps(vex("CVE-2099-0002", {"c": FIXED}, fixed=[("rhel_9", "c")])).encode()
    found, notes = read(write_tar(tmp_path / "csaf_vex.tar.zst", {"a.json": data, "b.json": good}, "zst"))
    assert list(found) == ["CVE-2099-0002"]
    assert (notes.read, notes.spoilt) == (2, 1)


def test_an_update_that_cannot_be_read_leaves_the_archives_document(tmp_path: Path) -> None:
    document = vex("CVE-2099-0001", {"c": FIXED}, fixed=[("rhel_9", "c")])
    (tmp_path / "cve-2099-0001.json").write_bytes(b"{")
    found, notes = read(archive(tmp_path / "csaf_vex.tar.zst", [document]), tmp_path / "cve-2099-0001.json")
    assert (list(found), notes.spoilt) == (["CVE-2099-0001"], 1)


def test_the_order_of_the_archive_does_not_matter(tmp_path: Path) -> None:
    documents = [
        vex(f"CVE-2099-000{n}", {"c": f"pkg:rpm/redhat/c{n}"}, known_affected=[("rhel_9", "c")])
        for n in range(1, 5)
    ]
    first, _ = read(archive(tmp_path / "csaf_vex.tar.zst", documents))
    second, _ = read(archive(tmp_path / "csaf_vex.tar.zst", documents[::-1]))
    assert first == second
    assert len(first) == 4


@pytest.mark.parametrize("name", ["repository-to-cpe.json", "container-name-repos-map.json"])
@pytest.mark.parametrize("data", [b"{", b"[]", b'{"data": []}'])
def test_a_map_that_is_none_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableInput, match="not a map"):
        list(
            RedHatFeed().read(
                Files([(f"redhat/{name}", tmp_path / name)]), "redhat", Notes(), facts_only=False
            )
        )


def test_products_used_by_the_tests_are_products() -> None:
    from redoubt.model import redhat

    assert all(redhat.cpe(cpe) for cpe in LINUX.values())


def answering(**pages: str) -> Get:
    def get(url: str) -> bytes:
        name = url.rpartition("/")[2]
        if name not in pages:
            raise NetworkError(f"{url}: not there")
        return pages[name].encode()

    return get


CHANGES = """"2099/cve-2099-0003.json","2099-03-03T10:00:00+00:00"
"2099/cve-2099-0002.json","2099-03-02T00:00:00+00:00"
"2099/cve-2099-0001.json","2099-03-01T23:59:59+00:00"
"../../etc/passwd","2099-04-01T00:00:00+00:00"
"2099/cve-2099-0004.json"
"""


def test_the_newest_archive_and_what_changed_since_are_fetched() -> None:
    pages = {"archive_latest.txt": "csaf_vex_2099-03-02.tar.zst\n", "changes.csv": CHANGES}
    found = discover(answering(**pages))
    assert found.troubles == ()
    base = "https://security.access.redhat.com/data/csaf/v2/vex"
    assert found.downloads == (
        ("redhat/csaf_vex.tar.zst", f"{base}/csaf_vex_2099-03-02.tar.zst"),
        ("redhat/updates/cve-2099-0003.json", f"{base}/2099/cve-2099-0003.json"),
        ("redhat/updates/cve-2099-0002.json", f"{base}/2099/cve-2099-0002.json"),
    )


@pytest.mark.parametrize("latest", ["", "<html>", "https://example.org/csaf_vex_2099-03-02.tar.zst", "a\nb"])
def test_what_names_no_archive_is_said(latest: str) -> None:
    found = discover(answering(**{"archive_latest.txt": latest}))
    assert found.downloads == ()
    assert "names no archive" in found.troubles[0]


def test_without_a_list_of_changes_the_archive_is_fetched_all_the_same() -> None:
    found = discover(answering(**{"archive_latest.txt": "csaf_vex_2099-03-02.tar.zst"}))
    assert len(found.downloads) == len(found.troubles) == 1
    assert len(discover(answering()).troubles) == 1
