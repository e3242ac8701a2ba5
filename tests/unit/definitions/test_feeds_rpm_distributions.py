"""SUSE, Oracle, Azure Linux and Photon: what their fixtures do not show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Item, Notes
from redoubt.definitions.feeds.suse import _best, _platform
from redoubt.errors import UnreadableInput
from redoubt.model import Advisory
from support.feeds import said, source_named


def read(folder: Path, source: str, name: str, data: bytes) -> tuple[list[Item], Notes]:
    (folder / "file").write_bytes(data)
    notes = Notes()
    files = Files([(name, folder / "file")])
    return list(source_named(source).feed.read(files, source, notes, facts_only=False)), notes


def ranges(folder: Path, source: str, name: str, data: bytes) -> dict[str, list[str]]:
    items, _ = read(folder, source, name, data)
    found = {}
    for advisory, some in items:
        assert isinstance(advisory, Advisory)
        for one in some:  # type: ignore[union-attr]
            found[f"{one.namespace} {one.name}"] = [said(item) for item in one.ranges]  # type: ignore[union-attr]
    return found


def document(metadata: str, criteria: str, *packages: tuple[str, str], kind: str = "vulnerability") -> bytes:
    """A document of one definition. Each of ``packages`` is ``(name, fixed)``, and its test ``name<fixed``."""
    tests = "".join(
        f"<rpminfo_test id='{name}&lt;{evr}' check='at least one'><object object_ref='{name}'/>"
        f"<state state_ref='{evr}'/></rpminfo_test>"
        for name, evr in packages
    )
    objects = "".join(
        f"<rpminfo_object id='{name}'><name>{name}</name></rpminfo_object>" for name, _ in packages
    )
    states = "".join(
        f"<rpminfo_state id='{evr}'><evr operation='less than'>{evr}</evr></rpminfo_state>"
        for _, evr in packages
    )
    return (
        f"<oval_definitions><definitions><definition id='d' class='{kind}'><metadata>{metadata}</metadata>"
        f"{criteria}</definition></definitions><tests>{tests}</tests><objects>{objects}</objects>"
        f"<states>{states}</states></oval_definitions>"
    ).encode()


def both(*items: str) -> str:
    return f"<criteria operator='AND'>{''.join(items)}</criteria>"


def any_of(*items: str) -> str:
    return f"<criteria operator='OR'>{''.join(items)}</criteria>"


def on(comment: str) -> str:
    return f"<criterion test_ref='none' comment='{comment}'/>"


def package(name: str, evr: str) -> str:
    return f"<criterion test_ref='{name}&lt;{evr}' comment='{name} is earlier'/>"


@pytest.mark.parametrize(
    ("product", "platform"),
    [
        ("SUSE Linux Enterprise Server 15", "sles:15|"),
        ("SUSE Linux Enterprise Server 15 SP5", "sles:15.5|"),
        ("SUSE Linux Enterprise Server 12 SP5", "sles:12.5|"),
        ("SUSE Linux Enterprise Server 16.0", "sles:16.0|"),
        ("SUSE Linux Enterprise Desktop 15 SP5", "sles:15.5|"),
        ("SUSE Linux Enterprise Module for Basesystem 15 SP5", "sles:15.5|"),
        ("SUSE Linux Enterprise Module for Python 3 15 SP5", "sles:15.5|"),
        ("SUSE Package Hub 15 SP5", "sles:15.5|"),
        ("SUSE Linux Enterprise Server 15-LTSS", "sles:15|ltss"),
        ("SUSE Linux Enterprise Server 15 SP1-LTSS", "sles:15.1|ltss"),
        ("SUSE Linux Enterprise Server LTSS Extended Security 12 SP5", "sles:12.5|ltss"),
        ("SUSE Linux Enterprise High Performance Computing 15 SP2-ESPOS", "sles:15.2|espos"),
        ("SUSE Linux Enterprise Server 15 SP1-BCL", "sles:15.1|bcl"),
        ("SUSE Linux Enterprise Server for SAP Applications 15 SP1", "sles:15.1|sap"),
        ("SUSE Linux Enterprise Server 12 SP3-TERADATA", "sles:12.3|teradata"),
        ("SUSE Linux Enterprise Module for Certifications 15 SP4", "sles:15.4|certifications"),
        ("SUSE Linux Enterprise Micro 5.5", "sle-micro:5.5|"),
        ("SUSE Linux Enterprise Micro for Rancher 5.4", "sle-micro:5.4|"),
        ("SUSE Linux Micro 6.0", "sle-micro:6.0|"),
        ("openSUSE Leap 15.5", "opensuse-leap:15.5|"),
        ("openSUSE Tumbleweed", "opensuse-tumbleweed|"),
        ("openSUSE Leap Micro 5.5", ""),
        ("SUSE Manager Server 4.3", ""),
        ("SUSE Liberty Linux 8", ""),
        ("SUSE Enterprise Storage 7", ""),
        ("SUSE Linux Enterprise Server", ""),
        ("SUSE Linux Enterprise Server SP5", ""),
        ("SUSE ", ""),
    ],
)
def test_suses_products_by_their_names(product: str, platform: str) -> None:
    assert _platform(product) == platform


def test_of_suses_three_files_the_one_that_says_most_is_read() -> None:
    names = [
        "x/a.15.xml.gz",
        "x/a.15-affected.xml.bz2",
        "x/a.15-patch.xml",
        "x/b.12.xml",
        "x/b.12-patch.xml",
        "x/c-patch.xml",
    ]
    assert _best(names) == ["x/a.15-affected.xml.bz2", "x/b.12.xml", "x/c-patch.xml"]


def test_of_several_fixes_in_a_service_pack_the_last_one_counts(tmp_path: Path) -> None:
    data = document(
        "<title>CVE-2099-0001</title>",
        any_of(
            both(
                on("SUSE Linux Enterprise Module for Basesystem 15 SP5 is installed"), package("a", "0:2-1")
            ),
            both(on("SUSE Linux Enterprise Server 15 SP5 is installed"), package("a", "0:10-1")),
            both(on("SUSE Linux Enterprise Server 15 SP5-LTSS is installed"), package("a", "0:11-1")),
        ),
        ("a", "0:2-1"),
        ("a", "0:10-1"),
        ("a", "0:11-1"),
    )
    assert ranges(tmp_path, "suse", "suse/x.xml", data) == {"sles:15.5 a": ["[, 10-1) fixed"]}


def test_a_patch_of_suse_without_a_number_is_spoilt(tmp_path: Path) -> None:
    data = document(
        "<title>words</title>",
        both(on("SUSE Linux Enterprise Server 15 is installed"), package("a", "1")),
        ("a", "1"),
        kind="patch",
    )
    items, notes = read(tmp_path, "suse", "suse/x-patch.xml", data)
    assert (items, notes.read, notes.spoilt) == ([], 1, 1)


def test_an_erratum_of_oracle_without_a_number_is_spoilt(tmp_path: Path) -> None:
    data = document(
        "<title>words</title>", both(on("Oracle Linux 8 is installed"), package("a", "1")), ("a", "1")
    )
    items, notes = read(tmp_path, "oracle", "oracle/x.xml", data)
    assert (items, notes.read, notes.spoilt) == ([], 1, 1)


ELSA = "<title>ELSA-2099-0001: words</title>"


def test_three_architectures_two_with_the_same_fix(tmp_path: Path) -> None:
    data = document(
        ELSA,
        both(
            on("Oracle Linux 8 is installed"),
            any_of(
                both(
                    on("Oracle Linux arch is aarch64"), any_of(package("a", "0:2-1"), package("b", "0:2-1"))
                ),
                both(on("Oracle Linux arch is x86_64"), any_of(package("a", "0:3-1"), package("b", "0:2-1"))),
                both(on("Oracle Linux arch is ia64"), any_of(package("a", "0:2-1"))),
            ),
        ),
        ("a", "0:2-1"),
        ("a", "0:3-1"),
        ("b", "0:2-1"),
    )
    assert ranges(tmp_path, "oracle", "oracle/x.xml", data) == {
        "oracle:8 a": [
            "[, 2-1) fixed arch=aarch64|ia64 module=-",
            "[, 3-1) fixed arch=i386|i586|i686|x86_64 module=-",
        ],
        "oracle:8 b": ["[, 2-1) fixed module=-"],
    }


def test_a_build_of_a_module_without_a_stream_counts_for_any_stream(tmp_path: Path) -> None:
    evr = "1:2-1.module+el8.1.0+1+abc"
    data = document(ELSA, both(on("Oracle Linux 8 is installed"), package("a", evr)), ("a", evr))
    assert ranges(tmp_path, "oracle", "oracle/x.xml", data) == {"oracle:8 a": [f"[, {evr}) fixed module=*"]}


@pytest.mark.parametrize(
    ("cpes", "name"),
    [
        (["cpe:/a:oracle:linux:8::userspace_ksplice"], "a:ksplice"),
        (["cpe:/a:oracle:linux:8::userspace_ksplice", "cpe:/a:oracle:linux:8::baseos_latest"], "a"),
        ([], "a"),
    ],
)
def test_an_erratum_of_ksplice_alone_is_of_that_flavour(tmp_path: Path, cpes: list[str], name: str) -> None:
    told = "".join(f"<cpe>{cpe}</cpe>" for cpe in cpes)
    data = document(
        f"{ELSA}<advisory><affected_cpe_list>{told}</affected_cpe_list></advisory>",
        both(on("Oracle Linux 7 is installed"), package("a", "0:2-1.el7")),
        ("a", "0:2-1.el7"),
    )
    assert ranges(tmp_path, "oracle", "oracle/x.xml", data) == {f"oracle:7 {name}": ["[, 2-1.el7) fixed"]}


@pytest.mark.parametrize(
    "name", ["azurelinux/oval.xml", "azurelinux/azurelinux-oval.xml", "azurelinux/x-3.0-oval.xml"]
)
def test_a_file_of_azure_linux_must_say_its_release(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableInput, match="does not say its release"):
        read(tmp_path, "azurelinux", name, document("", any_of(package("a", "1")), ("a", "1")))


@pytest.mark.parametrize(
    ("reference", "title", "identifier"),
    [
        ("CVE-2099-0001", "", "CVE-2099-0001"),
        ("CVE-2099-0001-2", "", "CVE-2099-0001"),
        ("31872-1", "CVE-2099-0001 affecting package a", "CVE-2099-0001"),
        ("31872-1", "words", "31872-1"),
    ],
)
def test_dirty_ids_of_azure_linux_are_cleaned(
    tmp_path: Path, reference: str, title: str, identifier: str
) -> None:
    data = document(
        f"<title>{title}</title><reference ref_id='{reference}' source='CVE'/>",
        any_of(package("a", "1")),
        ("a", "1"),
    )
    [(advisory, _)], _ = read(tmp_path, "azurelinux", "azurelinux/azurelinux-3.0-oval.xml", data)
    assert isinstance(advisory, Advisory)
    assert advisory.id == identifier


def test_a_definition_of_azure_linux_without_any_id_is_spoilt(tmp_path: Path) -> None:
    data = document("<title>words</title>", any_of(package("a", "1")), ("a", "1"))
    items, notes = read(tmp_path, "azurelinux", "azurelinux/azurelinux-3.0-oval.xml", data)
    assert (items, notes.spoilt) == ([], 1)


def test_a_bound_that_upstream_calls_unfixed_is_no_fix(tmp_path: Path) -> None:
    data = document(
        "<reference ref_id='CVE-2099-0001'/><patchable>false</patchable>",
        any_of(package("a", "2")),
        ("a", "2"),
    )
    found = ranges(tmp_path, "azurelinux", "azurelinux/cbl-mariner-1.0-oval.xml", data)
    assert found == {"mariner:1.0 a": ["[, 2)"]}


@pytest.mark.parametrize("data", [b"", b"{}", b"[", b"[1", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_not_photons_list_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UnreadableInput):
        read(tmp_path, "photon", "photon/cve_data_photon5.0.json", data)


def test_a_file_of_photon_must_say_its_release(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="does not say its release"):
        read(tmp_path, "photon", "photon/cve_data.json", b"[]")


@pytest.mark.parametrize(
    "entry",
    [
        1,
        None,
        {},
        {"cve_id": 1, "pkg": "a"},
        {"cve_id": "CVE-2099-0001", "pkg": None, "res_ver": "1"},
        {"cve_id": "CVE-2099-0001", "pkg": "a", "res_ver": "1" * 5000},
        {"cve_id": "CVE 2099", "pkg": "a", "res_ver": "1"},
        {"cve_id": "CVE-2099-0001", "pkg": "a", "res_ver": "1", "cve_score": "high"},
    ],
)
def test_an_entry_of_photon_that_cannot_be_used_is_counted(tmp_path: Path, entry: object) -> None:
    good = {"cve_id": "CVE-2099-0002", "pkg": "a", "res_ver": "1-1", "cve_score": 1e300}
    items, notes = read(
        tmp_path, "photon", "photon/cve_data_photon5.0.json", json.dumps([entry, good]).encode()
    )
    assert (len(items), notes.read, notes.spoilt) == (1, 2, 1)
