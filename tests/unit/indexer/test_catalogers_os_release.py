from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.indexer.catalogers.interface import Catalog, MemoryContent
from redoubt.indexer.catalogers.os_release import OsReleaseCataloger
from redoubt.model import Distribution


def read(data: bytes) -> Catalog:
    return OsReleaseCataloger().catalog("etc/os-release", MemoryContent(data))


def test_debian() -> None:
    catalog = read(
        b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n'
        b"VERSION_CODENAME=bookworm\nID=debian\n"
    )
    assert catalog.distribution == Distribution(
        id="debian", version_id="12", codename="bookworm", name="Debian GNU/Linux 12 (bookworm)"
    )
    assert catalog.problems == ()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"ID=debian", "debian"),
        (b"  ID=debian  ", "debian"),
        (b"ID='debian' # so", "debian"),
        (b'ID="deb\\"ian"', 'deb"ian'),
        (b'ID="a\\\\b"', "a\\b"),
        (b"ID=Debian\r", "debian"),
        (b"ID=deb\\ ian", "deb ian"),
        (b'ID="unclosed', "unclosed"),
        (b"#ID=comment\nID=real", "real"),
        (b"ID=first\nID=last", "last"),
        (b"junk\n\xff\xfe\nID=ok", "ok"),
        (b"ID=de\x00\x1bb", "deb"),
    ],
)
def test_values_are_read_as_a_shell_would(line: bytes, value: str) -> None:
    distribution = read(b"VERSION_ID=1\n" + line + b"\nNAME=n").distribution
    assert distribution == Distribution(id=value, version_id="1", name="n")


def test_like_is_a_list() -> None:
    distribution = read(b'ID="almalinux"\nID_LIKE="rhel centos fedora"\n').distribution
    assert distribution is not None
    assert distribution.id_like == ("rhel", "centos", "fedora")


@pytest.mark.parametrize("data", [b"", b"NAME=x\n", b"ID=\n", b'ID=""', b"\0" * 50, b"id=debian"])
def test_without_an_id_the_distribution_is_unknown_and_said_to_be(data: bytes) -> None:
    catalog = read(data)
    assert catalog.distribution is None
    assert len(catalog.problems) == 1


@pytest.mark.parametrize(
    ("path", "wanted"),
    [(b"etc/os-release", True), (b"usr/lib/os-release", True), (b"chroot/etc/os-release", False)],
)
def test_accepts_only_the_roots_own(path: bytes, wanted: bool) -> None:
    assert OsReleaseCataloger().accepts(path) is wanted


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_noise_never_raises(data: bytes) -> None:
    distribution = read(b"ID=" + data).distribution
    assert distribution is None or distribution.id.isprintable()
