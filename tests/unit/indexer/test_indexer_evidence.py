"""What is installed wins over what was asked for; a file may say where its neighbours came from."""

from __future__ import annotations

import pytest
from indexing import Memory

from ociwriter import Entry, layer_tar, whiteout
from redoubt.indexer.index import index_image

SITE = "usr/lib/python3.11/site-packages"


def installed(name: str, version: str) -> Entry:
    return Entry(
        f"{SITE}/{name}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n".encode()
    )


def locked(*pins: str, path: str = "app/requirements.txt") -> Entry:
    return Entry(path, "\n".join(pins).encode())


def found(*layers: list[Entry]) -> dict[str, list[str]]:
    tars = [layer_tar(entries) for entries in layers]
    source = Memory(tars, tars)
    report = index_image(source, source.resolve(None))
    assert report.problems == ()
    return {
        f"{p.name}@{p.version}{''.join(p.repositories)}": [place.path for place in p.locations]
        for p in report.packages
    }


def test_lock_file_whose_packages_are_installed_adds_nothing() -> None:
    lock = locked("Flask_Login==1.0", "b==1.0", "only-for-tests==1.0", "windows-only==1.0")
    assert set(found([lock, installed("flask-login", "1.1"), installed("b", "1.0")])) == {
        "flask-login@1.1",
        "b@1.0",
    }


def test_lock_file_of_something_that_is_not_installed_is_believed() -> None:
    lock = locked("a==1.0", "b==1.0", "pip==20.0")
    assert set(found([lock], [installed("pip", "24.0")])) == {"a@1.0", "b@1.0", "pip@20.0", "pip@24.0"}


@pytest.mark.parametrize(("folder", "believed"), [("app", False), ("", False), ("web", True)])
def test_lock_file_beside_a_tree_of_installed_packages_adds_nothing(folder: str, believed: bool) -> None:
    """Yarn's doesn't say which of its packages are tools for development: most are, and are not installed."""
    entries = "".join(f'{name}@^1:\n  version "1.0.0"\n\n' for name in ("a", "b", "c", "d"))
    lock = Entry(f"{folder}/yarn.lock".lstrip("/"), f"# yarn lockfile v1\n\n{entries}".encode())
    where = "app" if folder else ""
    manifest = Entry(f"{where}/node_modules/a/package.json".lstrip("/"), b'{"name":"a","version":"1.1.0"}')
    assert ("b@1.0.0" in found([lock, manifest])) is believed


def test_what_a_later_layer_removed_is_no_evidence() -> None:
    lock = locked("a==1.0")
    gone = whiteout(f"{SITE}/a-2.0.dist-info")
    assert set(found([installed("a", "2.0")], [lock])) == {"a@2.0"}
    assert set(found([installed("a", "2.0")], [lock, gone])) == {"a@1.0"}


def test_two_lock_files_do_not_vouch_for_each_other() -> None:
    assert found([locked("a==1.0"), locked("a==1.0", path="b/requirements.txt")]) == {
        "a@1.0": ["app/requirements.txt", "b/requirements.txt"]
    }


@pytest.mark.parametrize("in_one_layer", [True, False])
def test_distribution_of_a_repository_has_no_version(in_one_layer: bool) -> None:
    url = Entry(
        f"{SITE}/a-1.0.dist-info/direct_url.json", b'{"url":"https://example.org/a","vcs_info":{"vcs":"git"}}'
    )
    layers = [[installed("a", "1.0"), installed("b", "1.0"), url]]
    if not in_one_layer:
        layers = [[installed("a", "1.0"), installed("b", "1.0")], [url]]
    assert set(found(*layers)) == {"a@https://example.org/a", "b@1.0"}
    back = Entry(f"{SITE}/a-1.0.dist-info/direct_url.json", b'{"url":"file:///a.whl","archive_info":{}}')
    assert set(found(*layers, [back])) == {"a@1.0", "b@1.0"}
