from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.collector import records
from redoubt.collector.records import Connected, Executed, Exited, Forked, Named, Record, Spoilt, decode
from support import rings


def test_a_started_program_is_read_whole() -> None:
    told = decode(rings.executed(b"true\0a b\0\0", asked=b"./true\0", ancestors=(5, 6)))
    assert isinstance(told, Executed)
    assert (told.command, told.asked, told.file) == (b"true", b"./true", b"/bin/true")
    assert told.arguments == (b"true", b"a b", b"")
    assert (told.ancestors, told.cut, told.login) == ((5, 6), 0, None)
    assert (told.pid, told.parent, told.cgroup, told.contained) == (10, 1, 7, True)


def test_arguments_that_were_cut_say_by_how_much() -> None:
    told = decode(rings.executed(b"true\0aaa", whole=1000))
    assert isinstance(told, Executed)
    assert told.arguments == (b"true", b"aaa")
    assert told.cut == 992


@pytest.mark.parametrize(
    "names", [b"", b"x\0" * 16, b"x" * 127 + b"\0", b"x\0" + b"y" * 127 + b"\0"], ids=lambda v: str(len(v))
)
def test_a_path_that_may_be_cut_is_not_told(names: bytes) -> None:
    told = decode(rings.executed(file=names))
    assert isinstance(told, Executed)
    assert told.file == b""


def test_forks_ends_and_cgroups() -> None:
    assert decode(rings.record(rings.FORK, struct.pack("<II", 77, 0))) == Forked(1, 10, 1, 0, 0, 7, True, 77)
    assert decode(rings.record(rings.EXIT, struct.pack("<II", 256, 0))) == Exited(
        1, 10, 1, 0, 0, 7, True, 256
    )
    told = decode(rings.named("kubepods/pod1/abc"))
    assert isinstance(told, Named)
    assert told.path == "kubepods/pod1/abc"


@pytest.mark.parametrize(
    ("family", "data", "text"),
    [
        (2, b"\x7f\0\0\x01", "127.0.0.1"),
        (10, bytes(15) + b"\x01", "::1"),
        (10, bytes(10) + b"\xff\xff\x0a\0\0\x01", "10.0.0.1"),
        (10, bytes.fromhex("20010db8000000000000000000000001"), "2001:db8::1"),
    ],
)
def test_addresses_of_both_families(family: int, data: bytes, text: str) -> None:
    told = decode(rings.connected(2, records.ESTABLISHED, family=family, local=data, remote=data))
    assert isinstance(told, Connected)
    assert (told.local, told.remote) == (text, text)
    assert (told.local_port, told.remote_port) == (40000, 443)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "shorter"),
        (rings.executed()[:39], "shorter"),
        (rings.executed()[:-1], "says that it has"),
        (rings.executed() + b"\0", "says that it has"),
        (rings.record(0, b""), "no kind 0"),
        (rings.record(7, b""), "no kind 7"),
        (rings.record(rings.EXEC, b"short"), "kind 1 has"),
        (rings.record(rings.TCP, b"short"), "kind 4 has"),
        (rings.record(rings.FORK, b""), "kind 2 has"),
        (rings.record(rings.EXEC, rings.executed()[40:] + b"more"), "other lengths"),
        (rings.record(rings.CGROUP, struct.pack("<II", 13, 0) + bytes(2304)), "13 levels"),
        (rings.record(rings.CGROUP, struct.pack("<II", 1, 0) + bytes(10)), "levels"),
        (rings.connected(1, 7, family=1), "no family 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_record_is_spoilt(data: bytes, why: str) -> None:
    with pytest.raises(Spoilt, match=why):
        decode(data)


WHOLE = [
    rings.executed(b"true\0" * 100),
    rings.connected(2, 1),
    rings.named("kubepods/pod1/abc"),
    rings.record(rings.FORK, bytes(8)),
]


@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 2400), st.integers(0, 255)), max_size=8),
    st.integers(0, 2500),
    st.booleans(),
)
def test_whatever_the_bytes_are_they_are_a_record_or_spoilt(
    data: bytes, changes: list[tuple[int, int]], length: int, honest: bool
) -> None:
    changed = bytearray(data)
    for at, value in changes:
        if at < len(changed):
            changed[at] = value
    cut = changed[:length]
    if honest and len(cut) >= 4:
        struct.pack_into("<H", cut, 2, len(cut))
    try:
        told = decode(memoryview(bytes(cut)))
    except Spoilt:
        return
    assert isinstance(told, Record)


@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\0" not in b), min_size=1, max_size=20))
def test_arguments_come_back_as_they_were_given(arguments: list[bytes]) -> None:
    told = decode(rings.executed(b"\0".join(arguments) + b"\0"))
    assert isinstance(told, Executed)
    assert told.arguments == tuple(arguments)


@given(st.binary(max_size=200))
def test_any_bytes_at_all(data: bytes) -> None:
    with pytest.raises(Spoilt):
        decode(struct.pack("<HH", 9, len(data)) + data)
