from __future__ import annotations

import json
import random
from typing import Any

import pytest

from redoubt.indexer.catalogers.dotnet import DotnetCataloger
from redoubt.indexer.catalogers.interface import Catalog, Cataloger, MemoryContent
from redoubt.indexer.catalogers.nuget_locks import NugetLockCataloger
from redoubt.indexer.dispatch import Tables

TARGET = ".NETCoreApp,Version=v8.0/linux-x64"
DEPS: dict[str, Any] = {
    "runtimeTarget": {"name": TARGET, "signature": ""},
    "targets": {
        ".NETCoreApp,Version=v8.0": {},
        TARGET: {
            "Shop/0.1.0": {"dependencies": {"Anvil.Json": "13.0.1"}, "runtime": {"Shop.dll": {}}},
            "runtimepack.Base.Runtime.linux-x64/8.0.1": {"runtime": {"System.dll": {}}},
            "Anvil.Json/13.0.1": {"runtime": {"lib/net6.0/Anvil.Json.dll": {"assemblyVersion": "13.0.0.0"}}},
            "Anvil.Native/1.0.0": {"native": {"libanvil.so": {}}},
            "Anvil.Many/1.0.0": {"runtimeTargets": {"runtimes/linux/a.dll": {}}},
            "Anvil.Words/1.0.0": {"resources": {"de/a.dll": {}}},
            "Anvil.Analyzers/2.0.0": {"compile": {"a.dll": {}}},
            "Anvil.Meta/3.0.0": {},
        },
    },
    "libraries": {
        "Shop/0.1.0": {"type": "project", "serviceable": False, "sha512": ""},
        "runtimepack.Base.Runtime.linux-x64/8.0.1": {"type": "runtimepack"},
        "Anvil.Json/13.0.1": {"type": "package", "serviceable": True, "sha512": "sha512-00"},
        "Anvil.Native/1.0.0": {"type": "package"},
        "Anvil.Many/1.0.0": {"type": "package"},
        "Anvil.Words/1.0.0": {"type": "package"},
        "Anvil.Analyzers/2.0.0": {"type": "package"},
        "Anvil.Meta/3.0.0": {"type": "package"},
        "Somewhere/1.0.0": {"type": "referenceassembly"},
    },
}
FOUND = [
    ("Base.Runtime.linux-x64", "8.0.1"),
    ("Anvil.Json", "13.0.1"),
    ("Anvil.Native", "1.0.0"),
    ("Anvil.Many", "1.0.0"),
    ("Anvil.Words", "1.0.0"),
]

LOCK = {
    "version": 2,
    "dependencies": {
        "net8.0": {
            "Anvil.Json": {"type": "Direct", "requested": "[13.0.1, )", "resolved": "13.0.1"},
            "Anvil.Inner": {"type": "Transitive", "resolved": "1.0.0"},
            "shop.core": {"type": "Project", "dependencies": {"Anvil.Json": "[13.0.1, )"}},
        },
        "net8.0/linux-x64": {"Anvil.Inner": {"type": "CentralTransitive", "resolved": "1.0.0"}},
    },
}

CONFIG = """\
\ufeff<?xml version="1.0" encoding="utf-8"?>
<packages>
  <package id="Anvil.Json" version="13.0.1" targetFramework="net472" />
  <package version='1.0.0'
           id='Anvil.Inner'></package>
  <package id="Checker" version="8.0.0" developmentDependency="true" />
  <!-- <package id="Gone" version="1.0.0" /> -->
</packages>
"""

CENTRAL = """\
<Project>
  <PropertyGroup>
    <AnvilVersion>13.0.1</AnvilVersion>
  </PropertyGroup>
  <ItemGroup>
    <PackageVersion Include="Anvil.Json" Version="$(AnvilVersion)" />
    <PackageVersion Include="Anvil.Exact" Version="[1.0.0]" />
    <PackageVersion Include="Anvil.Range" Version="[1.0.0,2.0.0)" />
    <PackageVersion Include="Anvil.Else" Version="$(NotHere)" />
    <PackageVersion Update="Anvil.Json" Version="9.0.0" />
    <GlobalPackageReference Include="Anvil.All" Version="2.0.0" />
  </ItemGroup>
</Project>
"""


def read(name: str, document: object) -> Catalog:
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    cataloger: Cataloger = DotnetCataloger() if name.endswith(".deps.json") else NugetLockCataloger()
    return cataloger.catalog(f"app/{name}", MemoryContent(text.encode() if isinstance(text, str) else text))


def found(catalog: Catalog) -> list[tuple[str, str]]:
    assert {package.type for package in catalog.packages} <= {"nuget"}
    return [(package.name, package.version) for package in catalog.packages]


def test_packages_with_files_that_run_are_listed() -> None:
    catalog = read("Shop.deps.json", DEPS)
    assert found(catalog) == FOUND
    assert catalog.problems == ()


@pytest.mark.parametrize("target", [{"name": "unknown"}, {}, "unknown", ""])
def test_without_a_known_target_every_package_is_listed(target: object) -> None:
    names = [name for name, _ in found(read("Shop.deps.json", DEPS | {"runtimeTarget": target}))]
    assert names == [name for name, _ in FOUND] + ["Anvil.Analyzers", "Anvil.Meta"]


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        ("packages.lock.json", LOCK, [("Anvil.Json", "13.0.1"), ("Anvil.Inner", "1.0.0")]),
        ("packages.config", CONFIG, [("Anvil.Json", "13.0.1"), ("Anvil.Inner", "1.0.0")]),
        (
            "Directory.Packages.props",
            CENTRAL,
            [
                ("Anvil.Json", "13.0.1"),
                ("Anvil.Exact", "1.0.0"),
                ("Anvil.Range", ""),
                ("Anvil.Else", ""),
                ("Anvil.All", "2.0.0"),
            ],
        ),
    ],
)
def test_lists_of_packages_are_read(name: str, document: object, expected: list[tuple[str, str]]) -> None:
    catalog = read(name, document)
    assert found(catalog) == expected
    assert catalog.problems == ()


@pytest.mark.parametrize("name", ["a.deps.json", "packages.lock.json", "packages.config"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe<\0",
        b"[" * 100_000,
        b'{"libraries":7,"dependencies":7}',
        b"<!--" * 200_000,
    ],
)
def test_what_is_none_of_them_is_damaged(name: str, data: bytes) -> None:
    catalog = read(name, data)
    assert catalog.packages == ()
    assert len(catalog.problems) == 1


@pytest.mark.parametrize(
    "text",
    [
        "<packages><package " * 200_000,
        "<packages><package " + "a " * 500_000 + ">",
        "<packages><package " + "a" * 1_000_000,
        "<packages><package a" + " " * 1_000_000 + ">",
        "<packages><package a='" + 'a="' * 300_000 + ">",
        "<packages>" + "<!-- <!-- " * 200_000,
        "<packages>" + "<a>" * 300_000,
        '<!DOCTYPE p [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><packages><package id="&b;" version="1"/>',
    ],
)
def test_time_grows_with_the_length_alone_and_nothing_is_expanded(text: str) -> None:
    for name in ("packages.config", "Directory.Packages.props"):
        assert {package.name for package in read(name, text).packages} <= {"&b;"}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (b"app/Shop.deps.json", {"dotnet"}),
        (b"app/deps.json", set()),
        (b"app/Directory.Packages.props", {"nuget-lock"}),
        (b"app/packages.lock.json", {"nuget-lock"}),
        (b"app/node_modules/a/packages.config", set()),
        (b"app/other.json", set()),
    ],
)
def test_files_are_told_by_the_ends_of_their_names(path: bytes, names: set[str]) -> None:
    tables = Tables((DotnetCataloger(), NugetLockCataloger()))
    assert {cataloger.name for cataloger in tables.by_name(path)} == names


def test_mutated_files_never_raise_and_stay_clean() -> None:
    chance = random.Random(1)
    seeds = [("a.deps.json", json.dumps(DEPS)), ("packages.config", CONFIG), ("D.Packages.props", CENTRAL)]
    for name, seed in seeds * 150:
        data = bytearray(seed.encode())
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        for package in read(name, bytes(data)).packages:
            assert package.name
            assert (package.name + package.version).isprintable()
