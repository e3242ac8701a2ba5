from __future__ import annotations

import random

import pytest

from redoubt.indexer.catalogers.applications import ApplicationCataloger
from redoubt.indexer.catalogers.interface import MemoryContent

FILL = b"\x7fELF" + bytes(range(256)) * 40
TEXTS = [
    ("usr/local/bin/node", b"node.js/v99.1.12\0", ("node", "99.1.12")),
    ("usr/lib/libnode.so.108", b"node.js/v99.1.12 ", ("node", "99.1.12")),
    ("usr/local/bin/python3.99", b"\x003.99.11\0", ("python", "3.99.11")),
    ("usr/local/lib/libpython3.99.so.1.0", b"\x003.99.0rc2+\0", ("python", "3.99.0rc2")),
    ("opt/bin/python3.99t", b"\x003.99.1\0", ("python", "3.99.1")),
    ("usr/local/lib/libruby.so.9.3.2", b"ruby 9.3.2 (2099-03-30 revision e51014f9c0)", ("ruby", "9.3.2")),
    ("usr/lib/x/libruby-9.1.so.9.1.2", b"ruby 9.1.2p20 (2099-04-12", ("ruby", "9.1.2")),
    ("usr/local/bin/php", b"X-Powered-By: PHP/9.2.36\0", ("php", "9.2.36")),
    ("usr/local/sbin/php-fpm", b"X-Powered-By: PHP/9.2.36\0", ("php", "9.2.36")),
    ("usr/sbin/nginx", b"nginx version: nginx/1.99.1\0", ("nginx", "1.99.1")),
    ("usr/lib/postgresql/99/bin/postgres", b"postgres (PostgreSQL) 99.20 (Debian)", ("postgresql", "99.20")),
    ("usr/local/apache2/bin/httpd", b"Apache/2.4.99 (Unix)", ("apache", "2.4.99")),
    ("usr/local/bin/memcached", b"memcached 1.99.18\n", ("memcached", "1.99.18")),
]


def told(path: str, data: bytes, piece: int = 1 << 20) -> list[tuple[str, str, str]]:
    assert ApplicationCataloger().accepts(path.encode())
    reader = ApplicationCataloger().reader(path, len(data))
    for at in range(0, len(data), piece):
        if not reader.feed(memoryview(data)[at : at + piece]):
            break
    streamed = reader.finish()
    assert streamed == ApplicationCataloger().catalog(path, MemoryContent(data))
    assert streamed is not None
    return [(package.type, package.name, package.version) for package in streamed.packages]


@pytest.mark.parametrize(("path", "text", "expected"), TEXTS)
@pytest.mark.parametrize("piece", [1, 97, 1 << 20])
def test_a_program_is_known_by_its_own_text(
    path: str, text: bytes, expected: tuple[str, str], piece: int
) -> None:
    for data in (FILL + text + FILL, FILL + text, FILL + text + FILL + text):
        assert told(path, data, piece) == [("generic", *expected)]


def test_a_text_between_two_pieces_is_read_whole() -> None:
    data = FILL + b"node.js/v99.1.12\0" + FILL
    for piece in range(len(FILL) - 2, len(FILL) + 20):
        assert told("bin/node", data, piece) == [("generic", "node", "99.1.12")]


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("bin/node", FILL),
        ("bin/node", FILL + b"node.js/v99.1\0"),
        ("bin/node", FILL + b"node.js/v99.1.2-nightly2099"),
        ("bin/python3.99", FILL + b"\x003.99.1\0\x003.99.2\0"),
        ("bin/python3.99", FILL + b"\x003.98.1\0"),
        ("bin/python3.99", FILL + b"3.99.1\0\x003.99.1x\0"),
        ("bin/ruby", FILL + b"ruby 9.1.2 is old"),
        ("bin/postgres", FILL + b"PostgreSQL 99.1"),
        ("bin/ruby", FILL + b"ruby " * 20_000 + b"ruby 9.3.2 (2099-03-30 "),
    ],
)
def test_what_tells_no_version_or_two_is_left_out(path: str, data: bytes) -> None:
    assert told(path, data) == []


@pytest.mark.parametrize(
    "path",
    [
        "bin/node-gyp",
        "bin/python3",
        "bin/nginx.bak",
        "bin/redis-server",
        "bin/sh",
        "x/node/y",
        "opt/bitnami/node/bin/node",
    ],
)
def test_other_names_are_not_looked_at(path: str) -> None:
    assert not ApplicationCataloger().accepts(path.encode())


def test_mutated_programs_never_raise() -> None:
    chance = random.Random(1)
    for path, text, _ in TEXTS:
        for _ in range(50):
            data = bytearray(FILL[:500] + text + FILL[:300])
            for _ in range(3):
                data[chance.randrange(len(data))] = chance.randrange(256)
            told(path, bytes(data), chance.randrange(1, 300))
