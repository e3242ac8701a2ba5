from __future__ import annotations

import pytest

from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.requirements import RequirementsCataloger


def read(text: str | bytes) -> Catalog:
    data = text.encode() if isinstance(text, str) else text
    return RequirementsCataloger().catalog("app/requirements.txt", MemoryContent(data))


def found(catalog: Catalog) -> list[tuple[str, str]]:
    return [(package.name, package.version) for package in catalog.packages]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("anvil==4.4.0", [("anvil", "4.4.0")]),
        ("  Anvil_Core == 4.4.0+local.1  # heavy", [("Anvil_Core", "4.4.0+local.1")]),
        ("anvil[fast, safe]==1!4.4", [("anvil", "1!4.4")]),
        ("anvil===4.4-odd", [("anvil", "4.4-odd")]),
        ("anvil==4.4 ; python_version < '3.13'", [("anvil", "4.4")]),
        ("anvil==4.4;python_version<'3.13'", [("anvil", "4.4")]),
        ("anvil==4.4 --hash=sha256:00", [("anvil", "4.4")]),
        (
            "anvil==4.4 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\nb==1",
            [("anvil", "4.4"), ("b", "1")],
        ),
        ("anvil==4.4 \\\r\n    --hash=sha256:00\r\nb==1\r\n", [("anvil", "4.4"), ("b", "1")]),
        ("anvil @ git+https://example.org/anvil.git@v4.4", [("anvil", "")]),
        ("anvil @ https://example.org/anvil-4.4-py3-none-any.whl", []),
        ("\ufeffanvil==4.4", [("anvil", "4.4")]),
        ("anvil>=4.4", []),
        ("anvil==4.*", []),
        ("anvil==4.4,!=4.5", []),
        ("anvil", []),
        ("-r other.txt", []),
        ("-e git+https://example.org/anvil.git#egg=anvil", []),
        ("# anvil==4.4", []),
        ("The requirements are: patience.", []),
    ],
)
def test_only_pinned_packages_are_listed(line: str, expected: list[tuple[str, str]]) -> None:
    assert found(read(line)) == expected
    assert read(line).problems == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\xff" * 1000,
        b"a" * 2_000_000,
        b"a==" + b" " * 2_000_000,
        b"a[" * 300_000,
        b"\\\n" * 500_000,
        b"a==1\n" * 50_000,
    ],
)
def test_noise_takes_no_long_time_and_names_at_most_one_package(data: bytes) -> None:
    assert len(read(data).packages) <= 1


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"requirements.txt", True),
        (b"app/requirements-prod.txt", True),
        (b"app/requirements_web.txt", True),
        (b"app/web-requirements.txt", True),
        (b"app/requirements-dev.txt", False),
        (b"app/test-requirements.txt", False),
        (b"app/requirements.in", False),
        (b"lib/python3.11/site-packages/a/requirements.txt", False),
        (b"usr/share/doc/a/requirements.txt", False),
    ],
)
def test_accepts_an_applications_own_and_not_those_for_development(path: bytes, wanted: bool) -> None:
    assert RequirementsCataloger().accepts(path) is wanted
