"""Requirements of gems become the versions that none of them holds, and hostile YAML spoils only itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.definitions.feeds.ruby import RubyFeed
from redoubt.matcher.judge import Installed, hits, point
from redoubt.model import Advisory, AffectedRange, Severity
from support.data import shared_data
from support.feeds import said, write_zip

GOOD = b"gem: fixture\ncve: 2099-1000\ntitle: Fixture\ndate: 2099-01-02\npatched_versions:\n  - '>= 1.0'\n"


def read(folder: Path, *found: bytes) -> tuple[list[Item], Notes]:
    members = {f"db/gems/fixture/{number}.yml": data for number, data in enumerate(found)}
    notes = Notes()
    files = Files([("ruby/db.zip", write_zip(folder / "db.zip", members))])
    return list(RubyFeed().read(files, "ruby", notes, facts_only=False)), notes


def ranges(folder: Path, patched: list[str], unaffected: list[str]) -> tuple[AffectedRange, ...]:
    lines = ["gem: fixture", "cve: 2099-1000"]
    for key, texts in (("patched_versions", patched), ("unaffected_versions", unaffected)):
        if texts:
            lines += [f"{key}:", *(f'  - "{text}"' for text in texts)]
    [(_, (one,))], notes = read(folder, "\n".join(lines).encode())
    assert notes.spoilt == 0
    return one.ranges


@pytest.mark.parametrize(
    ("patched", "unaffected", "expected"),
    [
        ([], [], ["[, )"]),
        ([">= 1.2"], [], ["[, 1.2) fixed"]),
        (["~> 1.2.3", ">= 2.0"], ["< 1.0"], ["[1.0, 1.2.3) fixed", "[1.3.A, 2.0) fixed"]),
        ([], ["< 1.0", ">= 2.0"], ["[1.0, 2.0) fixed"]),
        ([], ["<= 1.0"], ["[1.0, )", "[1.0, 1.0] not_affected"]),
        (["> 1.0"], [], ["[, 1.0]"]),
        (["= 1.5"], [">= 2, < 3"], ["[, 1.5) fixed", "[1.5, 1.5] not_affected", "[1.5, 2) fixed", "[3, )"]),
    ],
)
def test_affected_is_what_no_requirement_holds(
    patched: list[str], unaffected: list[str], expected: list[str], tmp_path: Path
) -> None:
    assert [said(item) for item in ranges(tmp_path, patched, unaffected)] == expected


@pytest.mark.parametrize(
    ("version", "affected"), [("1.0", False), ("1.0.0", False), ("1.0.1", True), ("0.9", False)]
)
def test_the_last_spared_version_is_spared(version: str, affected: bool, tmp_path: Path) -> None:
    package = Installed("rubygems", "gem", "fixture", point("gem", version), "", "")
    assert bool(hits(ranges(tmp_path, [], ["<= 1.0"]), package, package.version)) is affected


def test_the_newest_kind_of_score_gives_the_severity(tmp_path: Path) -> None:
    for scores, severity in (
        ("cvss_v2: 10.0\ncvss_v3: 4.0\n", Severity.MEDIUM),
        ("cvss_v2: 10.0\n", Severity.HIGH),
        ("cvss_v3: 9.8\ncvss_v4: 1.0\n", Severity.LOW),
        ("cvss_v3: eleven\n", Severity.UNKNOWN),
        ("cvss_v3: 11\n", Severity.UNKNOWN),
        ("cvss_v3:\n", Severity.UNKNOWN),
    ):
        [(advisory, _)], _ = read(tmp_path, GOOD + scores.encode())
        assert isinstance(advisory, Advisory)
        assert advisory.severity is severity


def _laughs() -> bytes:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join([*lines, "gem: *a11"]).encode()


BROKEN = [
    b"",
    b"- a\n- b\n",
    b"gem: [fixture]\n",
    b"gem: fixture\npatched_versions: '>= 1'\n",
    b"gem: fixture\npatched_versions:\n  - '>= one'\n",
    b"gem: fixture\npatched_versions:\n  - 'latest'\n",
    b"gem: ''\n",
    b'gem: "a\\0b"\n',
    b"gem: fixture\n---\ngem: fixture\n",
    b"gem: !!python/object/apply:os.system ['true']\n",
    b"gem: &a fixture\nurl: *a\n",
    b"gem: &a [*a]\n",
    b"? [a]\n: b\n",
    b"\xff\xfe\xfd",
    b"gem: \x00\n",
    b"{" * 100_000,
    b"[" * 200_000,
    b"- " * 100_000,
    b"? " * 100_000,
    b"a: [" + b"x, " * 60_000 + b"]",
    b"x" * 300_000,
    b"gem: " + b'"' + b"\\u0041" * 40_000,
    _laughs(),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_counted_and_the_next_one_is_read(broken: bytes, tmp_path: Path) -> None:
    items, notes = read(tmp_path, broken, GOOD)
    assert [first.id for first, _ in items if isinstance(first, Advisory)] == ["CVE-2099-1000"]
    assert (notes.read, notes.spoilt) == (2, 1)


def test_all_of_the_real_database_is_understood() -> None:
    notes = Notes()
    archive = shared_data() / "ruby" / "ruby-advisory-db.zip"
    items = list(RubyFeed().read(Files([(archive.name, archive)]), "ruby", notes, facts_only=True))
    assert notes.spoilt == 0
    assert len(items) > 1000
