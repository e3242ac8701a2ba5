"""updateinfo.xml and the distributions that publish it: what their fixtures do not show, and scans with these."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions.feeds import updateinfo
from redoubt.definitions.feeds.amazon import page
from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.errors import LimitExceeded, RedoubtError, UnreadableInput
from redoubt.model import Advisory, Affected, Distribution, Judged, Package
from support.feeds import said, source_named
from support.snapshots import scanned

UPDATE = (
    '<update type="security"><id>ALAS2023-2099-1</id><severity>low</severity>'
    '<references><reference id="CVE-2099-0001" type="cve"/></references>'
    "<pkglist><collection>{}</collection></pkglist></update>"
)
PACKAGE = '<package name="fixture" version="1" release="2" arch="x86_64"/>'
CORE = "amazon/2023/core/updateinfo.xml"


def read(folder: Path, name: str, files: dict[str, str | bytes]) -> tuple[list[Item], Notes]:
    paths = []
    for number, (place, text) in enumerate(files.items()):
        path = folder / str(number)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append((place, path))
    notes = Notes()
    return list(source_named(name).feed.read(Files(paths), name, notes, facts_only=False)), notes


def ranges(items: list[Item]) -> dict[str, list[str]]:
    found = {}
    for _, affected in items:
        assert isinstance(affected, tuple)
        for one in affected:
            assert isinstance(one, Affected)
            found[one.name] = [said(item) for item in one.ranges]
    return found


def amazon(folder: Path, packages: str) -> dict[str, list[str]]:
    items, _ = read(folder, "amazon", {CORE: f"<updates>{UPDATE.format(packages)}</updates>"})
    return ranges(items)


def test_architectures_of_one_build_share_a_range_and_noarch_is_any(tmp_path: Path) -> None:
    builds = "".join(
        f'<package name="{name}" version="{version}" release="1" arch="{arch}"/>'
        for name, version, arch in [
            ("a", "2", "x86_64"),
            ("a", "2", "aarch64"),
            ("a", "3", "i686"),
            ("b", "2", "noarch"),
            ("b", "2", "x86_64"),
            ("c", "9", "x86_64"),
            ("c", "10", "x86_64"),
            ("d", "1", "src"),
        ]
    )
    assert amazon(tmp_path, builds) == {
        "a": ["[, 2-1) fixed arch=aarch64|x86_64", "[, 3-1) fixed arch=i686"],
        "b": ["[, 2-1) fixed"],
        "c": ["[, 9-1) fixed arch=x86_64"],
    }


@pytest.mark.parametrize(
    ("epoch", "version"),
    [('epoch="0"', "1-2"), ('epoch="1"', "1:1-2"), ('epoch=""', "1-2"), ("", "1-2"), ('epoch="00"', "1-2")],
)
def test_a_missing_epoch_is_zero(tmp_path: Path, epoch: str, version: str) -> None:
    package = f'<package name="a" version="1" release="2" {epoch} arch="noarch"/>'
    assert amazon(tmp_path, package) == {"a": [f"[, {version}) fixed"]}


@pytest.mark.parametrize(
    "package",
    [
        '<package name="" version="1" release="2"/>',
        '<package version="1" release="2"/>',
        '<package name="a" release="2"/>',
        '<package name="a" version="1"/>',
        '<package name="a\u0001" version="1" release="2"/>'.replace("\u0001", "&#x9;"),
        f'<package name="a" version="{"1" * 2000}" release="2"/>',
        f'<package name="{"a" * 3000}" version="1" release="2"/>',
    ],
)
def test_a_package_that_says_nothing_usable_spoils_its_update_only(tmp_path: Path, package: str) -> None:
    document = (
        f"<updates>{UPDATE.format(package)}{UPDATE.format(PACKAGE).replace('2099-1', '2099-2')}</updates>"
    )
    items, notes = read(tmp_path, "amazon", {CORE: document})
    assert [first.id for first, _ in items if isinstance(first, Advisory)] == ["ALAS2023-2099-2"]
    assert (notes.read, notes.spoilt) == (2, 1)


@pytest.mark.parametrize("identifier", ["", "<id/>", "<id>two words</id>", "<id>é</id>"])
def test_an_update_without_an_id_is_spoilt(tmp_path: Path, identifier: str) -> None:
    update = UPDATE.format(PACKAGE).replace("<id>ALAS2023-2099-1</id>", identifier)
    items, notes = read(tmp_path, "amazon", {CORE: f"<updates>{update}</updates>"})
    assert (items, notes.spoilt) == ([], 1)


def test_an_update_that_names_no_package_is_dropped(tmp_path: Path) -> None:
    items, notes = read(tmp_path, "amazon", {CORE: f"<updates>{UPDATE.format('')}</updates>"})
    assert (items, dict(notes.dropped)) == ([], {"names no package": 1})


def test_packed_and_prefixed_and_in_any_order_it_says_the_same(tmp_path: Path) -> None:
    plain = f"<updates>{UPDATE.format(PACKAGE)}</updates>"
    reordered = (
        '<?xml version="1.0"?><!-- a remark --><u:updates xmlns:u="urn:x" xmlns="urn:y"><other><id>no</id></other>'
        '<u:update type="security"><u:pkglist><collection><package arch="x86_64" release="2" version="1" '
        'name="fixture"/></collection></u:pkglist><references><reference type="cve" id=" CVE-2099-0001 "/>'
        "</references><severity> low </severity><id>\n ALAS2023-2099-1 </id></u:update></u:updates>"
    )
    expected = read(tmp_path, "amazon", {CORE: plain})[0]
    assert len(expected) == 1
    assert read(tmp_path, "amazon", {CORE: gzip.compress(plain.encode())})[0] == expected
    assert read(tmp_path, "amazon", {CORE: reordered})[0] == expected


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<updates>",
        "<rss/>",
        "<html><updates/></html>",
        "<updates></updates><updates/>",
        '{"updates": []}',
        '<!DOCTYPE updates [<!ENTITY a "b">]><updates/>',
        '<!DOCTYPE updates SYSTEM "file:///etc/passwd"><updates/>',
        "<updates><update><id>&nobody;</id></update></updates>",
        "<updates><update><id>\u0001</id></update></updates>",
        b"<updates>\xff</updates>",
        gzip.compress(b"<updates/>", mtime=0)[:-9],
        "<updates>" + "<a>" * 100_000,
        '<updates><update a="1" a="2"/></updates>',
        "<updates><update " + 'x="' + "a" * (6 << 20) + '"/></updates>',
    ],
)
def test_a_document_that_is_not_updateinfo_or_is_built_to_hurt_is_refused(
    tmp_path: Path, document: str | bytes
) -> None:
    for name, place in (("amazon", CORE), ("rocky", "rocky/9.4/BaseOS/x86_64/updateinfo.xml"), ("bottlerocket", "bottlerocket/updateinfo.xml")):  # fmt: skip
        with pytest.raises((UnreadableInput, LimitExceeded)):
            read(tmp_path, name, {place: document})


def test_what_one_update_and_one_file_may_say_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updateinfo, "MAX_BUILDS", 10)
    with pytest.raises(LimitExceeded, match="over 10 packages"):
        amazon(tmp_path, PACKAGE * 11)
    monkeypatch.setattr(updateinfo, "MAX_KEPT", 10_000)
    with pytest.raises(LimitExceeded, match="10000 bytes"):
        read(tmp_path, "amazon", {CORE: f"<updates>{UPDATE.format(PACKAGE) * 30}</updates>"})


def test_long_texts_are_passed_over_in_one_pass(tmp_path: Path) -> None:
    long = "<description>" + "a &amp; b " * 1_000_000 + "</description>"
    document = f"<updates>{UPDATE.format(PACKAGE).replace('<severity>', long + '<severity>')}</updates>"
    items, _ = read(tmp_path, "amazon", {CORE: document})
    assert len(items) == 1


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 400), st.binary(max_size=6))
def test_mutated_documents_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, noise: bytes
) -> None:
    whole = f"<updates>{UPDATE.format(PACKAGE)}</updates>".encode()
    folder = tmp_path_factory.mktemp("mutated")
    try:
        items, _ = read(folder, "amazon", {CORE: whole[:place] + noise + whole[place + len(noise) :]})
    except RedoubtError:
        return
    for first, _ in items:
        assert isinstance(first, Advisory)
        assert first.id.isprintable()


@pytest.mark.parametrize(
    "place",
    [
        "amazon/updateinfo.xml",
        "amazon/2/updateinfo.xml",
        "amazon/2/extras/updateinfo.xml",
        "amazon/2/other/updateinfo.xml",
        "amazon/latest/core/updateinfo.xml",
        "elsewhere/2/core/updateinfo.xml",
    ],
)
def test_a_file_of_amazons_in_no_known_place_is_an_error(tmp_path: Path, place: str) -> None:
    with pytest.raises(UnreadableInput, match="no repository of Amazon Linux"):
        read(tmp_path, "amazon", {place: f"<updates>{UPDATE.format(PACKAGE)}</updates>"})


@pytest.mark.parametrize(
    ("place", "namespace"),
    [
        ("amazon/2/core/x86_64/abc-updateinfo.xml.gz", "amazon:2"),
        ("amazon/2/extras/kernel-5.10/updateinfo.xml.gz", "amazon:2"),
        ("amazon/2/extras/kernel-5.10/aarch64/updateinfo.xml.xz", "amazon:2"),
        ("amazon/2027/core/updateinfo.xml", "amazon:2027"),
        ("amazon/1/main/updateinfo.xml", "amazon:1"),
    ],
)
def test_where_a_file_lies_says_which_release_it_speaks_of(
    tmp_path: Path, place: str, namespace: str
) -> None:
    [(_, (one,))], _ = read(tmp_path, "amazon", {place: f"<updates>{UPDATE.format(PACKAGE)}</updates>"})
    assert one.namespace == namespace


@pytest.mark.parametrize(
    ("identifier", "release", "address"),
    [
        ("ALAS-2018-1093", "1", "ALAS-2018-1093"),
        ("ALAS2-2018-939", "2", "AL2/ALAS-2018-939"),
        ("ALAS2KERNEL-5.10-2024-049", "2", "AL2/ALASKERNEL-5.10-2024-049"),
        ("ALASDOCKER-2022-021", "2", "AL2/ALASDOCKER-2022-021"),
        ("ALAS2022-2021-003", "2022", "AL2022/ALAS-2021-003"),
        ("ALAS2023-2023-126", "2023", "AL2023/ALAS-2023-126"),
        ("ALAS2023LIVEPATCH-2023-126", "2023", "AL2023/ALASLIVEPATCH-2023-126"),
    ],
)
def test_amazons_pages(identifier: str, release: str, address: str) -> None:
    assert page(identifier, release) == f"https://alas.aws.amazon.com/{address}.html"


def rpm(name: str, version: str, arch: str = "x86_64", module: str = "", *repositories: str) -> Package:
    return Package(
        type="rpm", name=name, version=version, arch=arch, module=module, repositories=tuple(repositories)
    )


def amzn(release: str) -> Distribution:
    return Distribution(id="amzn", version_id=release)


ROCKY = Distribution(id="rocky", version_id="8.9")
OLD, NEW = "2.5.9-110.module+el8.9.0+1500+dddddddd", "2.5.9-111.module+el8.9.0+1536+aaaaaaaa"


@pytest.mark.parametrize(
    ("system", "package", "found"),
    [
        (amzn("2018.03"), rpm("fixture", "1.0-3.3.amzn1"), {"CVE-2099-3101"}),
        (amzn("2018.03"), rpm("fixture", "1.0-3.4.amzn1"), set()),
        (amzn("2018.03"), rpm("fixture", "1:1.0-3.3.amzn1"), set()),
        (amzn("2"), rpm("fixture-php", "5.4.16-45.amzn2"), {"CVE-2099-3102", "CVE-2099-3103"}),
        (amzn("2"), rpm("fixture-php", "5.4.16-46.amzn2.0.4"), set()),
        (amzn("2"), rpm("fixture-php", "5.4.16-45.amzn2", "i686"), set()),
        (amzn("2"), rpm("fixture-php-doc", "2:5.4.16-45.amzn2", "noarch"), {"CVE-2099-3102", "CVE-2099-3103"}),
        (amzn("2"), rpm("fixture-php-doc", "9-1", "noarch"), {"CVE-2099-3102", "CVE-2099-3103"}),  # epoch 0 < 2
        # Extras and the core have lines of their own.
        (amzn("2"), rpm("fixture-php", "8.0.29-1.amzn2"), set()),
        (amzn("2"), rpm("fixture-php", "8.0.29-1.amzn2", "x86_64", "", "amzn2extra-fixture8.0"), {"CVE-2099-3104"}),
        (amzn("2"), rpm("fixture-php", "8.0.30-1.amzn2", "x86_64", "", "amzn2extra-fixture8.0"), set()),
        (amzn("2"), rpm("fixture-php", "5.4.16-45.amzn2", "x86_64", "", "amzn2-core"), {"CVE-2099-3102", "CVE-2099-3103"}),
        (amzn("2"), rpm("fixture-php", "5.4.16-45.amzn2", "x86_64", "", "epel"), set()),
        (amzn("2"), rpm("fixture-php-sodium", "8.0.29-1.amzn2"), {"CVE-2099-3104"}),
        (amzn("2"), rpm("fixture-php-sodium", "8.0.29-1.amzn2", "x86_64", "", "remi"), set()),
        (amzn("2023"), rpm("fixture-log", "8.2204.0-3.amzn2023.0.1", "aarch64"), {"CVE-2099-3105"}),
        (amzn("2023"), rpm("fixture-log-sse", "8.2204.0-3.amzn2023.0.1", "aarch64"), set()),
        (amzn("2023"), rpm("kernel-livepatch-6.1.99", "1.0-1.amzn2023"), {"CVE-2099-3106"}),
    ],
)  # fmt: skip
def test_amazon_linux_is_judged_by_release_repository_and_architecture(
    tmp_path: Path, system: Distribution, package: Package, found: set[str]
) -> None:
    findings, judged = scanned(tmp_path, "amazon", package, system)
    assert judged is Judged.MATCHED
    assert set(findings) == found


@pytest.mark.parametrize(
    ("package", "found"),
    [
        (rpm("fixture", OLD, "x86_64", "fixture:2.5"), True),
        (rpm("fixture", OLD, "i686", "fixture:2.5"), True),
        (rpm("fixture", NEW, "x86_64", "fixture:2.5"), False),
        (rpm("fixture", NEW, "aarch64", "fixture:2.5"), True),
        (rpm("fixture", OLD, "x86_64", "fixture:2.7"), False),
        (rpm("fixture", OLD), False),
        (rpm("fixture", OLD, "s390x", "fixture:2.5"), False),
        (rpm("fixture-doc", OLD, "noarch", "fixture:2.5"), True),
        (rpm("fixture-plain", "3:1.0-2.el8"), True),
        (rpm("fixture-plain", "1.0-9.el8"), True),
        (rpm("fixture-plain", "3:1.0-3.el8_9"), False),
        (rpm("fixture-plain", "3:1.0-2.module+el8", "x86_64", "fixture:2.5"), False),
        (rpm("fixture-stray", "0.9-1.module+el8", "x86_64", "anything:1"), True),
    ],
)
def test_rocky_linux_is_judged_by_module_and_architecture(
    tmp_path: Path, package: Package, found: bool
) -> None:
    findings, judged = scanned(tmp_path, "rocky", package, ROCKY)
    assert judged is Judged.MATCHED
    assert set(findings) == ({"CVE-2099-3201"} if found else set())
    for finding in findings.values():
        assert finding.fixing_advisory == "RLSA-2099:4001"


@pytest.mark.parametrize(
    ("package", "found"),
    [
        (rpm("fixture-kernel", "1:6.1.139-1.4079663821.aaaaaaaa.br1"), {"CVE-2099-3301"}),
        (rpm("bottlerocket-fixture-kernel", "6.1.150-1", "aarch64"), {"CVE-2099-3301"}),  # epoch 0 < 1
        (rpm("fixture-kernel", "1:6.1.140-1.4079663821.aaaaaaaa.br1"), set()),
        (rpm("fixture-agent", "2.0-1.4079663821.aaaaaaaa.br1"), {"BRSA-fixture00002"}),
        (rpm("fixture-agent", "2.0-1.4079663821.aaaaaaaa.br1", "aarch64"), set()),
    ],
)
def test_bottlerocket_is_judged_by_its_advisories(tmp_path: Path, package: Package, found: set[str]) -> None:
    system = Distribution(id="bottlerocket", version_id="1.99.0")
    findings, judged = scanned(tmp_path, "bottlerocket", package, system)
    assert judged is Judged.MATCHED
    assert set(findings) == found


@pytest.mark.parametrize(
    ("source", "system"),
    [
        ("amazon", amzn("2022")),
        ("amazon", amzn("")),
        ("rocky", Distribution(id="rocky", version_id="10.1")),
        ("bottlerocket", amzn("2023")),
    ],
)
def test_a_release_that_nothing_is_known_of_says_so(
    tmp_path: Path, source: str, system: Distribution
) -> None:
    findings, judged = scanned(tmp_path, source, rpm("fixture", "0-0"), system)
    assert (findings, judged) == ({}, Judged.NO_DATA)
