from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers import rpm, rpm_header, sqlite
from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.rpm import RpmCataloger
from redoubt.model import Package, ProblemKind
from support import rpmwriter

PATH = "var/lib/rpm/rpmdb.sqlite"
BASH = {
    "name": "bash",
    "version": "5.1.8",
    "release": "6.el9",
    "arch": "x86_64",
    "vendor": "AlmaLinux",
    "source_rpm": "bash-5.1.8-6.el9.src.rpm",
}
NPM = {
    "name": "npm",
    "epoch": 1,
    "version": "8.19.4",
    "release": "1.18.20.8.1",
    "arch": "x86_64",
    "source_rpm": "nodejs-18.20.8-1.module_el9.src.rpm",
    "modularity_label": "nodejs:18:9050020250401:rhel9",
}
BOTH = rpmwriter.database([rpmwriter.header(**BASH), rpmwriter.header(**NPM)])


def read(data: bytes, path: str = PATH) -> Catalog:
    return RpmCataloger().catalog(path, MemoryContent(data))


def names(catalog: Catalog) -> list[str]:
    return [package.name for package in catalog.packages]


def kinds(catalog: Catalog) -> list[ProblemKind]:
    return [problem.kind for problem in catalog.problems]


def test_headers_become_packages_with_source_module_and_epoch() -> None:
    assert read(BOTH) == Catalog(
        (
            Package(type="rpm", name="bash", version="5.1.8-6.el9", arch="x86_64", vendor="AlmaLinux"),
            Package(
                type="rpm",
                name="npm",
                version="1:8.19.4-1.18.20.8.1",
                arch="x86_64",
                source_name="nodejs",
                source_version="18.20.8-1.module_el9",
                module="nodejs:18",
            ),
        )
    )


def test_epoch_zero_is_left_out() -> None:
    (package,) = read(rpmwriter.database([rpmwriter.header(**BASH, epoch=0)])).packages
    assert package.version == "5.1.8-6.el9"


def test_keys_are_no_packages() -> None:
    key = rpmwriter.header(name="gpg-pubkey", version="b86b3716", release="61e69f29")
    assert read(rpmwriter.database([key])) == Catalog()


def test_damaged_header_is_a_problem_and_the_next_is_read() -> None:
    bad = [b"", b"short", b"\xff" * 64, 5, "text", rpmwriter.header(name="x"), rpmwriter.header(**NPM)]
    catalog = read(rpmwriter.database(bad))
    assert names(catalog) == ["npm"]
    assert kinds(catalog) == [ProblemKind.DAMAGED] * 6


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (bytes(12) + b"\x61\x15\x06\0" + bytes(500), ProblemKind.UNSUPPORTED),
        (bytes(12) + b"\0\x06\x15\x61" + bytes(500), ProblemKind.UNSUPPORTED),
        (b"RpmP" + bytes(500), ProblemKind.DAMAGED),
        (b"\x37\x7f\x06\x82" + bytes(500), ProblemKind.UNSUPPORTED),
        (b"", ProblemKind.DAMAGED),
        (b"any other file", ProblemKind.DAMAGED),
        (b"SQLite format 3\0", ProblemKind.DAMAGED),
        (b"SQLite format 3\0" + bytes(10_000), ProblemKind.DAMAGED),
    ],
)
def test_what_cannot_be_read_is_said(data: bytes, kind: ProblemKind) -> None:
    catalog = read(data)
    assert catalog.packages == ()
    assert kinds(catalog) == [kind]


def test_empty_write_ahead_log_is_nothing() -> None:
    assert read(b"", "var/lib/rpm/rpmdb.sqlite-wal") == Catalog()


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE Packages"],
        ["DROP TABLE Packages", "CREATE VIEW Packages AS SELECT zeroblob(1000000) AS blob"],
        ["DROP TABLE Packages", "CREATE VIRTUAL TABLE Packages USING fts5(blob)"],
        ["DROP TABLE Packages", "CREATE TABLE Packages (other)"],
    ],
)
def test_packages_that_are_not_a_plain_table_are_refused(statements: list[str]) -> None:
    catalog = read(rpmwriter.database([], rpmwriter.PACKAGES, *statements))
    assert catalog.packages == ()
    assert kinds(catalog) == [ProblemKind.DAMAGED]


def test_schema_that_is_not_text_is_damaged() -> None:
    data = rpmwriter.database([], rpmwriter.PACKAGES).replace(b"CREATE TABLE", b"CREATE T\xff\xff\xff\xff")
    damaged = data.replace(b"'Packages'", b"'\xff\xff\xff\xffages'")
    for content in (data, damaged):
        assert kinds(read(content)) == [ProblemKind.DAMAGED]


def test_column_that_would_be_computed_is_refused() -> None:
    data = rpmwriter.database(
        [], rpmwriter.PACKAGES, "DROP TABLE Packages", "CREATE TABLE Packages (a, blob AS (zeroblob(a)))",
        "INSERT INTO Packages (a) VALUES (1000000)",
    )  # fmt: skip
    catalog = read(data)
    assert catalog.packages == ()
    assert kinds(catalog) == [ProblemKind.DAMAGED]


def test_header_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpm, "_MAX_HEADER", 4096)
    catalog = read(rpmwriter.database([rpmwriter.header(**BASH), bytes(50_000), rpmwriter.header(**NPM)]))
    assert names(catalog) == ["bash", "npm"]
    assert kinds(catalog) == [ProblemKind.DAMAGED]


def test_endless_work_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MAX_STEPS", 0)
    catalog = read(
        rpmwriter.database([], rpmwriter.PACKAGES, *(f"CREATE TABLE t{n} (a)" for n in range(2000)))
    )
    assert kinds(catalog) == [ProblemKind.LIMIT]


def test_pages_shared_by_several_rows_are_not_followed_for_ever() -> None:
    big = rpmwriter.header(**BASH | {"vendor": "v" * 3000})
    data = bytearray(rpmwriter.database([big] * 40))
    page = struct.unpack_from(">H", data, 16)[0]
    # Every interior page's cells are made to point at its first child.
    for start in range(0, len(data), page):
        if data[start] == 5:
            count = struct.unpack_from(">H", data, start + 3)[0]
            cells = struct.unpack_from(f">{count}H", data, start + 12)
            for cell in cells:
                data[start + cell : start + cell + 4] = data[start + cells[0] : start + cells[0] + 4]
    catalog = read(bytes(data))
    assert len(catalog.packages) <= 1


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        bytes(8),
        struct.pack(">2I", 0xFFFFFFFF, 0xFFFFFFFF),
        struct.pack(">2I", 1, 0xFFFFFFFF) + bytes(16),
        rpmwriter.raw_header([(1000, 6, 0, 1)], b"no end"),
        rpmwriter.raw_header([(1000, 6, 0xFFFFFFF0, 1)], b"x\0"),
        rpmwriter.raw_header([(1000, 6, 2, 1)], b"x\0"),
        rpmwriter.raw_header([(1000, 6, 0, 0)], b"x\0"),
        rpmwriter.raw_header([(1000, 7, 0, 1)], b"x\0"),
        rpmwriter.raw_header([(1003, 4, 1, 1)], b"abcd"),
        rpmwriter.raw_header([(1003, 6, 0, 1)], b"1\0"),
        rpmwriter.raw_header([(1000, 6, 0, 1)], b"x\0") + b"more",
    ],
)
def test_header_that_lies_is_refused(blob: bytes) -> None:
    with pytest.raises(UnreadableInput):
        rpm_header.read(blob)


def test_first_of_two_entries_counts() -> None:
    blob = rpmwriter.raw_header([(1000, 6, 0, 1), (1000, 6, 2, 1)], b"a\0b\0")
    assert rpm_header.read(blob).name == b"a"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"var/lib/rpm/rpmdb.sqlite", True),
        (b"usr/lib/sysimage/rpm/rpmdb.sqlite", True),
        (b"usr/share/rpm/Packages.db", True),
        (b"sysroot/var/lib/rpm/Packages", True),
        (b"opt/rpm/rpmdb.sqlite", False),
        (b"srv/xvar/lib/rpm/Packages", False),
        (b"var/www/Packages", False),
    ],
)
def test_accepts_only_rpms_folders(path: bytes, wanted: bool) -> None:
    assert RpmCataloger().accepts(path) is wanted


def test_truncation_keeps_what_came_before_and_never_raises() -> None:
    for length in range(0, len(BOTH), 61):
        catalog = read(BOTH[:length])
        assert catalog.problems or length == len(BOTH)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_mutated_header_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(rpmwriter.header(**NPM))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + 4] = data.draw(st.binary(max_size=4))
    with suppress(UnreadableInput):
        assert rpm_header.read(bytes(whole)).epoch >= 0


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_mutated_database_never_raises(data: st.DataObject) -> None:
    whole = bytearray(BOTH)
    for _ in range(data.draw(st.integers(1, 10))):
        place = data.draw(st.one_of(st.integers(0, 200), st.integers(0, len(whole) - 1)))
        noise = data.draw(st.one_of(st.binary(max_size=6), st.sampled_from([b"\xff" * 4, b"\0" * 4])))
        whole[place : place + len(noise)] = noise
    for package in read(bytes(whole)).packages:
        assert package.name.isprintable()


FILES = ("/usr/bin/tool", "/usr/lib/tool/worker", "/usr/share/java/tool.jar", "/usr/share/doc/tool/README")


def claimed(blob: bytes, path: str = PATH) -> tuple[Catalog, list[str]]:
    """What a database of one header says, and the files that are claimed."""
    catalog = read(rpmwriter.database([blob]), path)
    return catalog, [line for claim in catalog.claims for line in claim.paths.decode().split("\n")]


def test_a_header_claims_its_files_as_far_as_they_may_hold_a_language_package() -> None:
    catalog, files = claimed(rpmwriter.header_with_files(FILES))
    assert files == ["usr/bin/tool", "usr/lib/tool/worker", "usr/share/java/tool.jar"]
    assert [(claim.owner, claim.version) for claim in catalog.claims] == [("rpm/tool", "0:1-2")]


def test_files_that_rpm_did_not_write_are_not_claimed() -> None:
    ghost, replaced = 0x40, 1
    _, files = claimed(rpmwriter.header_with_files(FILES, flags=(ghost, 0, 0, 0), states=(0, replaced, 0, 0)))
    assert files == ["usr/share/java/tool.jar"]
    _, files = claimed(rpmwriter.header_with_files(FILES, states=(0, 0, replaced, 0)))
    assert files == ["usr/bin/tool", "usr/lib/tool/worker"]


def test_a_database_below_the_root_claims_files_below_it() -> None:
    _, files = claimed(rpmwriter.header_with_files(FILES[:1]), "tree/usr/lib/sysimage/rpm/rpmdb.sqlite")
    assert files == ["tree/usr/bin/tool"]


@pytest.mark.parametrize(
    "lists",
    [
        {"basenames": (4, 4, b"\0" * 16)},
        {"basenames": (8, 1 << 30, b"a\0")},
        {"basenames": (8, 4, b"a\0b\0")},
        {"folders": (8, 0, b"")},
        {"folders": (8, 1, b"/usr/\0")},
        {"numbers": (4, 4, struct.pack(">4I", 0, 1, 2, 99))},
        {"numbers": (4, 3, b"\0" * 12)},
        {"numbers": (4, 4, b"\0")},
        {"flags": (4, 1 << 31, b"")},
        {"states": (1, 3, b"\0\0\0")},
    ],
)
def test_a_damaged_list_of_files_costs_the_claim_and_not_the_package(
    lists: dict[str, tuple[int, int, bytes]],
) -> None:
    catalog, files = claimed(rpmwriter.header_with_files(FILES, states=(0, 0, 0, 0), lists=lists))
    assert names(catalog) == ["tool"]
    assert files == []
    assert kinds(catalog) == [ProblemKind.DAMAGED]
