"""What Red Hat's images say of themselves: content sets, dnf's history, and which container they are."""

from __future__ import annotations

import json
import random

import pytest

from redoubt.indexer.catalogers import sqlite
from redoubt.indexer.catalogers.content_sets import ContentSetsCataloger
from redoubt.indexer.catalogers.dnf import DnfCataloger
from redoubt.indexer.catalogers.interface import Catalog, Cataloger, MemoryContent
from redoubt.indexer.catalogers.redhat_container import RedHatContainerCataloger
from redoubt.model import ProblemKind
from support import dnfwriter

DNF4, DNF5 = "var/lib/dnf/history.sqlite", "usr/lib/sysimage/libdnf5/transaction_history.sqlite"
LABELS = "root/buildinfo/labels.json"
DOCKERFILE = "root/buildinfo/Dockerfile-ship-bridge-rhel9-v4.16.0-209901010000.p0"
ROWS: list[dnfwriter.Row] = [
    ("bash", "5.1", "1.el9", "x86_64", "old-rpms", "Install"),
    ("bash", "5.1", "1.el9", "x86_64", "baseos-rpms", "Reinstall"),
    ("bash", "5.1", "1.el9", "x86_64", "other-rpms", "Remove"),
    ("zlib", "1.2", "3.el9", "x86_64", "baseos-rpms", "Install"),
    ("zlib", "1.2", "3.el9", "i686", "appstream-rpms", "Upgrade"),
]


def read(cataloger: Cataloger, path: str, data: bytes) -> Catalog:
    assert cataloger.accepts(path.encode())
    return cataloger.catalog(path, MemoryContent(data))


def sets(data: object) -> tuple[tuple[str, ...], bool] | None:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    said = read(ContentSetsCataloger(), "root/buildinfo/content_manifests/ubi9.json", text).listed
    return (said.repositories, said.inexact) if said else None


def origins(path: str, data: bytes) -> dict[str, str]:
    catalog = read(DnfCataloger(), path, data)
    assert catalog.problems == ()
    return {f"{one.name} {one.version} {one.arch}": one.repository for one in catalog.origins}


def container(path: str, data: object) -> list[tuple[str, str, str, tuple[str, ...]]]:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    catalog = read(RedHatContainerCataloger(), path, text)
    assert catalog.problems == ()
    return [(one.name, one.version, one.arch, one.repositories) for one in catalog.packages]


def test_content_sets() -> None:
    assert sets({"content_sets": ["b-rpms", "a-rpms", "a-rpms", ""]}) == (("a-rpms", "b-rpms"), False)
    assert sets({"content_sets": ["a-rpms"], "from_dnf_hint": True, "metadata": {}}) == (("a-rpms",), True)
    assert sets({"content_sets": []}) is None
    assert sets({"image_contents": []}) is None


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("root/buildinfo/content_manifests/a.json", True),
        ("usr/share/buildinfo/content_manifests/a.json", True),
        ("usr/share/buildinfo/content-sets.json", True),
        ("usr/share/buildinfo/labels.json", False),
        ("root/buildinfo/a.json", False),
        ("opt/root/buildinfo/content_manifests/a.json", False),
        ("root/buildinfo/content_manifests/a.txt", False),
    ],
)
def test_where_content_manifests_lie(path: str, wanted: bool) -> None:
    assert ContentSetsCataloger().accepts(path.encode()) is wanted


@pytest.mark.parametrize(
    "data", [b"", b"[", b"[]", b'{"content_sets": "a"}', b'{"content_sets": [1]}', b"[" * 100_000]
)
def test_a_manifest_that_is_none_is_a_problem(data: bytes) -> None:
    catalog = read(ContentSetsCataloger(), "root/buildinfo/content_manifests/a.json", data)
    assert [problem.kind for problem in catalog.problems] == [ProblemKind.DAMAGED]
    assert catalog.listed is None


@pytest.mark.parametrize("data", [b"", b"[", b"[]", b'{"name": 1}', b'{"cpe": null}', b"[" * 100_000])
def test_labels_that_are_none_are_a_problem(data: bytes) -> None:
    catalog = read(RedHatContainerCataloger(), LABELS, data)
    assert [problem.kind for problem in catalog.problems] == [ProblemKind.DAMAGED]
    assert catalog.packages == ()


def test_absurdly_many_content_sets_are_cut_and_said() -> None:
    data = json.dumps({"content_sets": [f"{n}-rpms" for n in range(10_001)]}).encode()
    catalog = read(ContentSetsCataloger(), "usr/share/buildinfo/a.json", data)
    assert [problem.kind for problem in catalog.problems] == [ProblemKind.LIMIT]
    assert catalog.listed
    assert len(catalog.listed.repositories) == 10_000


@pytest.mark.parametrize(("path", "write"), [(DNF4, dnfwriter.dnf4), (DNF5, dnfwriter.dnf5)])
def test_the_last_time_a_package_was_installed_counts(path: str, write: object) -> None:
    assert callable(write)
    assert origins(path, write(ROWS)) == {
        "bash 5.1-1.el9 x86_64": "baseos-rpms",
        "zlib 1.2-3.el9 x86_64": "baseos-rpms",
        "zlib 1.2-3.el9 i686": "appstream-rpms",
    }


def test_what_came_from_no_repository_is_left_out() -> None:
    rows: list[dnfwriter.Row] = [
        ("a", "1", "1", "noarch", name, "Install") for name in ("b-rpms", "@commandline")
    ]
    assert origins(DNF4, dnfwriter.dnf4(rows[1:])) == {}
    assert origins(DNF4, dnfwriter.dnf4(rows)) == {"a 1-1 noarch": "b-rpms"}


def test_a_history_of_nothing_says_nothing() -> None:
    assert origins(DNF4, b"") == {}
    assert origins(DNF4, dnfwriter.dnf4([])) == {}


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE repo",
        "CREATE VIEW x AS SELECT 1",
        "UPDATE repo SET repoid = 7",
        "UPDATE trans_item SET repo_id = 'many'",
        "UPDATE trans_item SET item_id = NULL",
        "UPDATE rpm SET name = x'00ff'",
        "ALTER TABLE rpm RENAME COLUMN version TO v",
    ],
)
@pytest.mark.parametrize(("path", "write"), [(DNF4, dnfwriter.dnf4)])
def test_a_history_that_lies_is_a_problem_or_says_less(path: str, write: object, statement: str) -> None:
    assert callable(write)
    catalog = read(DnfCataloger(), path, write(ROWS, statement))
    assert catalog.packages == ()
    assert all(one.name and one.version and one.repository for one in catalog.origins)


def test_views_are_not_read_as_tables() -> None:
    data = dnfwriter.dnf4(ROWS, "DROP TABLE repo", "CREATE VIEW repo AS SELECT 1 AS id, 'x' AS repoid")
    catalog = read(DnfCataloger(), DNF4, data)
    assert [problem.message for problem in catalog.problems] == [
        "dnf's history is damaged: repo is not a plain table"
    ]


def test_endless_work_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MAX_STEPS", 0)
    rows: list[dnfwriter.Row] = [(f"p{n}", "1", "1", "noarch", "a", "Install") for n in range(3000)]
    catalog = read(DnfCataloger(), DNF5, dnfwriter.dnf5(rows))
    assert [problem.kind for problem in catalog.problems] == [ProblemKind.LIMIT]


def test_damaged_histories_never_raise() -> None:
    chance = random.Random(3)
    for path, whole in ((DNF4, dnfwriter.dnf4(ROWS)), (DNF5, dnfwriter.dnf5(ROWS))):
        for _ in range(150):
            data = bytearray(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
            for _ in range(chance.randrange(1, 8)):
                if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            assert read(DnfCataloger(), path, bytes(data)).packages == ()


def test_labels_name_a_container() -> None:
    labels = {
        "name": "ship4/bridge-rhel9",
        "architecture": "amd64",
        "cpe": "cpe:/a:redhat:openshift:4.16::el9",
        "org.opencontainers.image.created": "2099-01-02T03:04:05Z",
        "release": "1",
    }
    expected = ("ship4/bridge-rhel9", "4071006245", "amd64", ("cpe:/a:redhat:openshift:4.16::el9",))
    assert container(LABELS, labels) == [expected]
    quoted = {name: f'"{value}"' if "created" not in name else value for name, value in labels.items()}
    assert container("usr/share/buildinfo/labels.json", quoted) == [expected]
    assert container(LABELS, labels | {"cpe": ""}) == [(*expected[:3], ())]
    for name in ("name", "architecture", "org.opencontainers.image.created"):
        assert container(LABELS, {key: value for key, value in labels.items() if key != name}) == []
        assert container(LABELS, labels | {name: "\0"}) == []


def test_older_builds_leave_their_dockerfile() -> None:
    text = rb"""
# LABEL name="not/this"
FROM sha256:0123
ENV NAME=bridge VERSION v4
arg ARCH=x86_64
LABEL com.redhat.component="ship-bridge-container" \
      # a comment between
      name="ship/${NAME}-rhel9" \
      architecture=$ARCH summary='say "it" \' version="v\"4\""
LABEL io.k8s.description words without quotes
"""
    assert container(DOCKERFILE, text) == [("ship/bridge-rhel9", "v4.16.0-209901010000.p0", "x86_64", ())]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"FROM scratch",
        b"LABEL",
        b"LABEL name=a architecture=b",
        b'LABEL com.redhat.component="x',
        b"LABEL \\\n" * 1000,
        b"\xff\xfe",
    ],
)
def test_a_dockerfile_without_the_labels_names_none(text: bytes) -> None:
    assert container(DOCKERFILE, text) == []


@pytest.mark.parametrize("name", ["Dockerfile-a", "Dockerfile-a-1", "Dockerfile", "x/Dockerfile-a-1-2"])
def test_which_dockerfiles_are_looked_at(name: str) -> None:
    assert not RedHatContainerCataloger().accepts(f"root/buildinfo/{name}".encode())


def test_a_hostile_dockerfile_ends_soon() -> None:
    for text in (b"LABEL " + b'"' * 500_000, b"ENV a=" + b"$a" * 250_000, b"LABEL " + b"\\'" * 250_000):
        assert container(DOCKERFILE, b"ARG a=" + b"x" * 4000 + b"\n" + text) == []
