"""Which operating system's package installed a language package, whatever the image is divided by."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indexing import Memory

from ociwriter import Entry, directory, layer_tar, symlink, whiteout
from redoubt.indexer import ownership
from redoubt.indexer.cache import LayerCache
from redoubt.indexer.catalogers import ALL
from redoubt.indexer.catalogers.apk import ApkCataloger
from redoubt.indexer.catalogers.dpkg_files import DpkgFilesCataloger
from redoubt.indexer.catalogers.interface import Cataloger, MemoryContent
from redoubt.indexer.index import index_directory, index_image
from redoubt.indexer.ownership import Claim, candidates
from redoubt.model import IndexReport

REQUESTS = "usr/lib/python3/dist-packages/requests-2.25.1.egg-info/PKG-INFO"
LODASH = "usr/share/nodejs/lodash/package.json"


def python(version: str = "2.25.1", path: str = REQUESTS) -> Entry:
    return Entry(path, f"Name: requests\nVersion: {version}\n".encode())


def npm(version: str, path: str = LODASH) -> Entry:
    return Entry(path, f'{{"name": "lodash", "version": "{version}"}}'.encode())


def listed(name: str, *paths: str) -> Entry:
    lines = "".join(f"/{path}\n" for path in (".", *paths))
    return Entry(f"var/lib/dpkg/info/{name}.list", lines.encode())


def index(*layers: list[Entry]) -> IndexReport:
    tars = [layer_tar(entries) for entries in layers]
    source = Memory(tars, tars)
    return index_image(source, source.resolve(None))


def owners(report: IndexReport) -> dict[str, str]:
    """``NAME VERSION`` of each language package → who owns it."""
    assert report.problems == ()
    return {
        f"{package.name} {package.version}": " ".join(place.owner for place in package.locations)
        for package in report.packages
        if package.type not in ("deb", "apk", "rpm", "alpm")
    }


def test_dpkgs_list_makes_its_package_the_owner() -> None:
    report = index([python(), npm("4.17.21"), listed("python3-requests", REQUESTS)])
    assert owners(report) == {"requests 2.25.1": "deb/python3-requests", "lodash 4.17.21": ""}


def test_a_list_named_after_an_architecture_is_of_the_package() -> None:
    assert owners(index([python(), listed("python3-requests:amd64", REQUESTS)])) == {
        "requests 2.25.1": "deb/python3-requests"
    }


def test_checksums_of_a_divided_database_own_without_the_first_slash() -> None:
    line = f"{'0' * 32}  {REQUESTS}\n"
    sums = Entry("var/lib/dpkg/status.d/python3-requests.md5sums", line.encode())
    assert owners(index([python(), sums])) == {"requests 2.25.1": "deb/python3-requests"}


def test_a_folder_is_indexed_with_owners_too(tmp_path: Path) -> None:
    for entry in (python(), listed("python3-requests", REQUESTS)):
        place = tmp_path / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(entry.data)
    assert owners(index_directory(tmp_path, "dir:root")) == {"requests 2.25.1": "deb/python3-requests"}


def test_a_file_that_an_upper_layer_replaced_is_no_longer_owned() -> None:
    base = [npm("4.17.21"), listed("node-lodash", LODASH)]
    assert owners(index(base, [npm("4.17.22")])) == {"lodash 4.17.22": ""}


def test_a_file_written_anew_with_the_same_content_is_still_owned() -> None:
    base = [npm("4.17.21"), listed("node-lodash", LODASH)]
    assert owners(index(base, [npm("4.17.21"), Entry("x")])) == {"lodash 4.17.21": "deb/node-lodash"}


def test_an_upgrade_by_the_system_owns_what_it_brings() -> None:
    base = [npm("4.17.21"), listed("node-lodash", LODASH)]
    assert owners(index(base, [npm("4.17.22"), listed("node-lodash", LODASH)])) == {
        "lodash 4.17.22": "deb/node-lodash"
    }


def test_an_upgrade_after_a_replacement_owns_again() -> None:
    base = [npm("4.17.21"), listed("node-lodash", LODASH)]
    again = [npm("4.17.23"), listed("node-lodash", LODASH)]
    assert owners(index(base, [npm("4.17.22")], again)) == {"lodash 4.17.23": "deb/node-lodash"}


def test_a_removed_and_then_restored_path_is_not_the_owners() -> None:
    base = [npm("4.17.21"), listed("node-lodash", LODASH)]
    assert owners(index(base, [whiteout(LODASH)], [npm("4.17.21"), Entry("y")])) == {"lodash 4.17.21": ""}


@pytest.mark.parametrize("database_first", [True, False])
def test_layers_divided_by_something_other_than_time_keep_owners(database_first: bool) -> None:
    layers = [[listed("python3-requests", REQUESTS)], [python()]]
    report = index(*(layers if database_first else layers[::-1]))
    assert owners(report) == {"requests 2.25.1": "deb/python3-requests"}


def test_a_removed_package_owns_nothing() -> None:
    base = [python(), listed("python3-requests", REQUESTS)]
    report = index(base, [whiteout("var/lib/dpkg/info/python3-requests.list")])
    assert owners(report) == {"requests 2.25.1": ""}


def test_a_list_that_no_longer_names_a_file_does_not_own_it() -> None:
    base = [python(), listed("python3-requests", REQUESTS)]
    assert owners(index(base, [listed("python3-requests", "usr/share/doc/x")])) == {"requests 2.25.1": ""}


def test_paths_in_a_list_from_before_the_merge_of_usr_are_found_behind_the_link() -> None:
    program = "lib/nodejs/node_modules/lodash/package.json"
    layer = [
        directory("usr/lib"),
        symlink("lib", "usr/lib"),
        npm("4.17.21", "usr/" + program),
        listed("node-lodash", program),
    ]
    assert owners(index(layer)) == {"lodash 4.17.21": "deb/node-lodash"}


def test_a_diverted_file_is_of_the_package_that_diverted_it() -> None:
    diverted = LODASH + ".distrib"
    record = f"/{LODASH}\n/{diverted}\nnode-other\n"
    layer = [
        npm("4.17.21"),
        listed("node-lodash", LODASH),
        listed("node-other", LODASH),
        Entry("var/lib/dpkg/diversions", record.encode()),
    ]
    assert owners(index(layer)) == {"lodash 4.17.21": "deb/node-other"}
    alone = [npm("4.17.21"), listed("node-lodash", LODASH), layer[-1]]
    assert owners(index(alone)) == {"lodash 4.17.21": ""}


def test_two_packages_that_claim_one_file_are_told_apart_by_name_in_any_order() -> None:
    lists = [listed("b", REQUESTS), listed("a", REQUESTS)]
    assert owners(index([python(), *lists])) == owners(index([python(), *lists[::-1]]))


def test_a_tree_below_the_root_owns_its_own_files() -> None:
    inner = listed("python3-requests", REQUESTS)
    layer = [python(path="chroot/" + REQUESTS), Entry("chroot/" + inner.path, inner.data)]
    assert owners(index(layer)) == {"requests 2.25.1": "deb/python3-requests"}
    assert owners(index([python(), layer[1]])) == {"requests 2.25.1": ""}


def test_pacmans_list_makes_its_package_the_owner() -> None:
    lines = f"%FILES%\nusr/\nusr/lib/\n{REQUESTS}\n\n%BACKUP%\nusr/bin/x\t0\n\n"
    files = Entry("var/lib/pacman/local/python-requests-2.25.1-1/files", lines.encode())
    assert owners(index([python(), files])) == {"requests 2.25.1": "alpm/python-requests"}


def installed(version: str, *records: tuple[str, str]) -> Entry:
    """apk's database: (package, path) of each, all in one version."""
    text = ""
    for name, path in records:
        folder, _, base = path.rpartition("/")
        text += f"P:{name}\nV:{version}\nA:x86_64\nF:usr\nF:{folder}\nR:{base}\na:0:0:755\nZ:Q1=\n\n"
    return Entry("lib/apk/db/installed", text.encode())


def test_apks_record_makes_its_package_the_owner() -> None:
    report = index([python(), installed("1-r0", ("py3-requests", REQUESTS))])
    assert owners(report) == {"requests 2.25.1": "apk/py3-requests"}
    assert [
        place.owner for package in report.packages if package.type == "apk" for place in package.locations
    ] == [""]


def test_apks_database_written_anew_keeps_the_layer_of_each_claim() -> None:
    base = [npm("4.17.21"), installed("1-r0", ("lodash", LODASH))]
    more = installed("1-r0", ("lodash", LODASH), ("other", "usr/bin/other"))
    assert owners(index(base, [npm("4.17.22"), more])) == {"lodash 4.17.22": ""}
    newer = installed("2-r0", ("lodash", LODASH))
    assert owners(index(base, [npm("4.17.22"), newer])) == {"lodash 4.17.22": "apk/lodash"}


def test_a_usr_merged_apk_database_names_paths_from_the_root() -> None:
    database = installed("1-r0", ("py3-requests", REQUESTS))
    merged = Entry("usr/" + database.path, database.data)
    assert owners(index([python(), merged])) == {"requests 2.25.1": "apk/py3-requests"}


def test_claims_are_kept_with_the_layer(tmp_path: Path) -> None:
    tars = [layer_tar([python(), listed("python3-requests", REQUESTS)])]
    source = Memory(tars, tars, immutable=True)
    cache = LayerCache(tmp_path)
    first = index_image(source, source.resolve(None), cache=cache)
    opened = len(source.opened)
    assert index_image(source, source.resolve(None), cache=cache) == first
    assert len(source.opened) == opened
    assert owners(first) == {"requests 2.25.1": "deb/python3-requests"}


def test_every_name_that_a_cataloger_looks_for_is_a_candidate() -> None:
    paths = [
        b"usr/lib/python3/dist-packages/a-1.dist-info/METADATA",
        b"usr/lib/python3/dist-packages/a-1.egg-info/PKG-INFO",
        b"usr/lib/python3/dist-packages/a-1.egg-info",
        b"usr/share/nodejs/a/package.json",
        b"usr/share/java/a.jar",
        b"usr/share/x/Cargo.lock",
        b"usr/lib/ruby/specifications/a-1.gemspec",
        b"usr/bin/skopeo",
        b"usr/bin/python3.11",
        b"usr/libexec/docker/cli-plugins/docker-compose",
        b"usr/lib/go-1.19/pkg/tool/linux_amd64/compile",
    ]
    assert candidates(paths) == paths


@pytest.mark.parametrize("cataloger", ALL, ids=lambda cataloger: cataloger.name)
def test_every_kind_of_name_in_a_catalogers_wishes_makes_a_candidate(cataloger: Cataloger) -> None:
    wanted = cataloger.wanted
    bases = {*wanted.names, *(b"a" + extension for extension in wanted.extensions)}
    bases |= {start + b"a" + end for start, end in wanted.affixes}
    folders = (b"app", b"app/a-1.dist-info", b"app/node_modules/a", b"app/specifications")
    paths = [folder + b"/" + base for folder in folders for base in bases]
    accepted = [path for path in paths if cataloger.accepts(path)]
    assert candidates(accepted) == accepted
    programs = [b"usr/lib/app/a" + ending for ending in sorted(wanted.programs)]
    assert candidates(programs) == programs


def test_what_cannot_be_a_language_package_is_no_candidate() -> None:
    paths = [
        b"usr/share/doc/a/copyright",
        b"usr/lib/x86_64-linux-gnu/libc.so.6",
        b"usr/lib/python3/dist-packages/a/METADATA",
        b"usr/lib",
        b"usr/lib/a",
        b"usr/lib/a/b.py",
        b"",
    ]
    assert candidates(paths) == []


def test_a_million_paths_are_looked_at_and_no_more() -> None:
    data = b"/.\n" + b"/a\n" * (ownership.MAX_PATHS + 1)
    catalog = DpkgFilesCataloger().catalog("var/lib/dpkg/info/a.list", MemoryContent(data))
    assert catalog.claims == ()
    assert [problem.kind for problem in catalog.problems] == ["limit"]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ["info/a.list", "info/:.list", "status.d/a.md5sums", "diversions"],
    ),
    st.lists(st.sampled_from([b"/", b"\n", b"\0", b"usr/bin/", b"a", b".jar", b"\xff", b"0" * 32 + b"  "])),
)
def test_no_list_of_files_makes_a_cataloger_fail(name: str, pieces: list[bytes]) -> None:
    catalog = DpkgFilesCataloger().catalog("var/lib/dpkg/" + name, MemoryContent(b"".join(pieces)))
    assert all(isinstance(claim, Claim) and claim.paths for claim in catalog.claims)
    ApkCataloger().catalog("lib/apk/db/installed", MemoryContent(b"P:a\nV:1\nF:" + b"".join(pieces)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["../x", "usr/bin/a", "lib/b", "", "lib/../bin/c", "bin/" * 300 + "d"])))
def test_hostile_paths_in_lists_and_circles_of_links_end(paths: list[str]) -> None:
    layer = [symlink("lib", "bin"), symlink("bin", "lib"), python(), listed("a", REQUESTS, *paths)]
    assert index(layer).packages[0].locations[0].owner == "deb/a"
