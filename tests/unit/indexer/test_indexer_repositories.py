"""Which repositories packages came from, layer by layer."""

from __future__ import annotations

import json

from indexing import Memory

from ociwriter import Entry, layer_tar
from redoubt.indexer.index import index_image
from redoubt.model import IndexReport
from support import dnfwriter, rpmwriter

SETS = "root/buildinfo/content_manifests/{}.json"
COMMON = "usr/share/buildinfo/content-sets.json"


def rpms(*names: str) -> Entry:
    headers = [
        rpmwriter.header(name=name, version="1", release="1.el9", epoch=1, arch="x86_64") for name in names
    ]
    return Entry("var/lib/rpm/rpmdb.sqlite", rpmwriter.database(headers))


def listed(path: str, *names: str, hint: bool = False) -> Entry:
    return Entry(path, json.dumps({"content_sets": names, "from_dnf_hint": hint}).encode())


def history(**repositories: str) -> Entry:
    rows: list[dnfwriter.Row] = [
        (name, "1", "1.el9", "x86_64", repository, "Install") for name, repository in repositories.items()
    ]
    return Entry("var/lib/dnf/history.sqlite", dnfwriter.dnf4(rows))


def index(*layers: list[Entry]) -> IndexReport:
    tars = [layer_tar(entries) for entries in layers]
    source = Memory(tars, tars)
    report = index_image(source, source.resolve(None))
    assert report.problems == ()
    return report


def found(*layers: list[Entry]) -> dict[str, str]:
    return {package.name: " ".join(package.repositories) for package in index(*layers).packages}


def test_a_layers_list_is_of_its_packages() -> None:
    assert found(
        [rpms("a"), listed(SETS.format("base"), "base-rpms")],
        [rpms("a", "b"), listed(SETS.format("app"), "app-rpms", "more-rpms")],
    ) == {"a": "base-rpms", "b": "app-rpms more-rpms"}


def test_a_list_that_a_higher_layer_replaces_stays_its_layers() -> None:
    assert found([rpms("a"), listed(COMMON, "base-rpms")], [rpms("a", "b"), listed(COMMON, "app-rpms")]) == {
        "a": "base-rpms",
        "b": "app-rpms",
    }


def test_layers_without_a_list_share_their_neighbours() -> None:
    assert found(
        [rpms("a")],
        [rpms("a", "b"), listed(COMMON, "base-rpms")],
        [rpms("a", "b", "c")],
        [rpms("a", "b", "c", "d"), listed(COMMON, "app-rpms")],
        [rpms("a", "b", "c", "d", "e")],
    ) == {"a": "base-rpms", "b": "base-rpms", "c": "base-rpms", "d": "app-rpms", "e": "app-rpms"}


def test_dnf_tells_of_each_package_where_no_list_does() -> None:
    assert found([rpms("a", "b", "c"), history(a="baseos", b="appstream")]) == {
        "a": "baseos",
        "b": "appstream",
        "c": "",
    }


def test_a_list_goes_before_dnf_unless_it_says_that_dnf_knows_better() -> None:
    exact = [rpms("a", "b"), history(a="builder-1"), listed(COMMON, "base-rpms")]
    assert found(exact) == {"a": "base-rpms", "b": "base-rpms"}
    inexact = [rpms("a", "b"), history(a="baseos"), listed(COMMON, "base-rpms", "all-rpms", hint=True)]
    assert found(inexact) == {"a": "baseos", "b": "all-rpms base-rpms"}


def test_images_that_say_nothing_have_no_repositories() -> None:
    assert found([rpms("a")]) == {"a": ""}


def test_only_the_highest_container_is_the_image() -> None:
    def dockerfile(name: str) -> Entry:
        text = f"LABEL name=ship/{name} architecture=x86_64 com.redhat.component={name}"
        return Entry(f"root/buildinfo/Dockerfile-{name}-1-2", text.encode())

    assert [p.name for p in index([dockerfile("base")], [dockerfile("app")], [rpms()]).packages] == [
        "ship/app"
    ]
    assert [p.name for p in index([dockerfile("base")], [rpms()]).packages] == ["ship/base"]
