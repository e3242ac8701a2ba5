from __future__ import annotations

import errno
import hashlib
import io
import random
import struct
import threading
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions import packed
from redoubt.definitions.packed import PackedFile, PackedWriter
from redoubt.errors import DefinitionsError, DefinitionsMissing, DefinitionsRefused

MANY = [
    (f"{letter}key {number:05}".encode(), b"value" * (number % 7))
    for letter in "avz"
    for number in range(500)
]


def write(path, entries):
    writer = PackedWriter(path)
    writer.put(entries)
    return writer.finish(), writer


def opened(path, entries):
    layout, writer = write(path, entries)
    return PackedFile(path, layout, writer.size)


def number(key):
    return int.from_bytes(key, "little")


def test_every_entry_is_found_and_nothing_else(tmp_path):
    file = opened(tmp_path / "f", MANY)
    for key, value in MANY:
        assert file.read(key) == value
        assert file.read(key[:-1]) is file.read(key + b"0") is file.read(key + b"\0") is None
    assert list(file.entries()) == MANY
    assert list(file.entries("v")) == [entry for entry in MANY if entry[0][:1] == b"v"]
    assert list(file.entries("b")) == []


def test_file_without_entries_answers_nothing(tmp_path):
    file = opened(tmp_path / "f", [])
    assert file.read(b"a") is None
    assert file.read(b"") is None
    assert list(file.entries()) == list(file.entries("a")) == []


@pytest.mark.parametrize("prime", [1, 2, 7, 10007])
def test_keys_that_share_slots_stay_apart(tmp_path, monkeypatch, prime):
    monkeypatch.setattr(packed, "_prime", lambda: prime)
    file = opened(tmp_path / "f", MANY)
    for key, value in MANY:
        assert file.read(key) == value
        assert file.read(key + b"x") is None


def test_keys_of_the_last_slot_go_on_behind_it(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "_prime", lambda: 10007)
    last = [key for key, _ in MANY if number(key) % 10007 % 11 == 10][:7]
    file = opened(tmp_path / "f", [(key, key * 2) for key in last[:5]])
    assert [file.read(key) for key in last] == [key * 2 for key in last[:5]] + [None, None]


def test_every_file_has_a_modulus_of_its_own(tmp_path):
    drawn = {write(tmp_path / str(count), [])[0].modulus for count in range(5)}
    assert len(drawn) > 1
    assert all(1 << 29 < modulus < 1 << 30 for modulus in drawn)
    assert all(modulus % small for modulus in drawn for small in range(2, 2000))


def test_names_chosen_for_one_modulus_are_spread_by_another(tmp_path, monkeypatch):
    chosen = sorted((100 + step * 600_000_001).to_bytes(9, "little") for step in range(1, 3000))
    monkeypatch.setattr(packed, "_prime", lambda: 600_000_007)
    layout, writer = write(tmp_path / "f", [(key, b"") for key in chosen])
    data = (tmp_path / "f").read_bytes()
    table = struct.unpack_from(f"={layout.slots}Q", data, -(-layout.entries // 64) * 64)
    assert "0" * 60 not in "".join("1" if place else "0" for place in table)
    assert len(data) == writer.size


def test_entries_out_of_order_are_refused(tmp_path):
    for number_, bad in enumerate(([(b"b", b""), (b"a", b"")], [(b"a", b""), (b"a", b"")], [(b"", b"")])):
        with pytest.raises(DefinitionsRefused, match="order"):
            write(tmp_path / str(number_), bad)
    writer = PackedWriter(tmp_path / "f")
    writer.put([(b"b", b"")])
    with pytest.raises(DefinitionsRefused, match="order"):
        writer.put([(b"a", b"")])


@pytest.mark.parametrize("chunk", [8, 64, 1000, 1 << 21])
def test_size_and_sum_are_those_of_the_file_however_it_was_written(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(packed, "_CHUNK", chunk)
    writer = PackedWriter(tmp_path / "f")
    for start in range(0, len(MANY), 100):
        writer.put(MANY[start : start + 100])
    layout = writer.finish()
    data = (tmp_path / "f").read_bytes()
    assert (writer.size, writer.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert list(PackedFile(tmp_path / "f", layout, len(data)).entries()) == MANY


def test_what_is_written_piecemeal_is_written_whole(tmp_path, monkeypatch):
    class Slow(io.FileIO):
        def write(self, data):
            return super().write(memoryview(data)[:701])

    writer = PackedWriter(tmp_path / "f")
    writer._file.close()
    writer._file = Slow(tmp_path / "f", "wb")
    writer.put(MANY)
    layout = writer.finish()
    assert list(PackedFile(tmp_path / "f", layout, writer.size).entries()) == MANY
    assert hashlib.sha256((tmp_path / "f").read_bytes()).hexdigest() == writer.sha256


def test_file_is_never_written_over(tmp_path):
    (tmp_path / "f").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        PackedWriter(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"mine"


def test_disk_that_fills_up_is_said_and_leaves_no_thread_behind(tmp_path, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packed, "_CHUNK", 64)
    writer = PackedWriter(tmp_path / "f")
    before = threading.active_count()
    writer._file.close()
    writer._file = Full(tmp_path / "f", "wb")
    writer.put(MANY[:100])
    with pytest.raises(OSError, match="No space"):
        writer.put(MANY[100:])
    writer.close()
    writer.close()
    assert threading.active_count() <= before


# Damage


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 1000, -1, -8, -64])
def test_file_that_was_cut_is_not_opened(tmp_path, cut):
    layout, writer = write(tmp_path / "f", MANY)
    data = (tmp_path / "f").read_bytes()[:cut]
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(DefinitionsError, match="damaged"):
        PackedFile(tmp_path / "f", layout, writer.size)
    with suppress(DefinitionsError):  # and where its stamp says so, nothing wrong is read from it
        file = PackedFile(tmp_path / "f", layout, len(data))
        assert all(file.read(key) == value for key, value in MANY)


def test_file_that_is_gone_or_another_is_said(tmp_path):
    layout, writer = write(tmp_path / "f", MANY)
    with pytest.raises(DefinitionsMissing):
        PackedFile(tmp_path / "g", layout, writer.size)
    (tmp_path / "f").write_bytes(b"\0" * writer.size)
    with pytest.raises(DefinitionsError, match="damaged"):
        PackedFile(tmp_path / "f", layout, writer.size)


@pytest.mark.parametrize(
    "lie",
    [
        {"entries": -1},
        {"entries": 0},
        {"entries": 1 << 62},
        {"slots": 0},
        {"slots": -5},
        {"slots": 1 << 40},
        {"modulus": 0},
        {"modulus": -7},
        {"sections": {"a": -1}},
        {"sections": {"a": 0}},
        {"sections": {"a": 1 << 50}},
    ],
)
def test_layout_that_cannot_be_is_said(tmp_path, lie):
    layout, writer = write(tmp_path / "f", MANY)
    with pytest.raises(DefinitionsError, match="damaged"):
        PackedFile(tmp_path / "f", msgspec.structs.replace(layout, **lie), writer.size)


def test_section_that_begins_within_an_entry_is_not_read_beyond_the_end(tmp_path):
    layout, writer = write(tmp_path / "f", MANY)
    for begin in range(layout.entries - 60, layout.entries):
        wrong = msgspec.structs.replace(layout, sections={"a": begin})
        file = PackedFile(tmp_path / "f", wrong, writer.size)
        with suppress(DefinitionsError):
            assert all(entry in MANY for entry in file.entries("a"))


def test_value_that_would_end_beyond_the_entries_is_damage(tmp_path):
    layout, writer = write(tmp_path / "f", MANY)
    data = bytearray((tmp_path / "f").read_bytes())
    key, value = MANY[-1]
    at = layout.entries - len(key) - len(value) - packed.HEAD.size
    for size in (len(value) + 1, writer.size, (1 << 32) - 1):
        packed.HEAD.pack_into(data, at, len(key), size)
        (tmp_path / "f").write_bytes(data)
        with pytest.raises(DefinitionsError, match="damaged"):
            PackedFile(tmp_path / "f", layout, writer.size).read(key)


def test_search_in_a_table_without_an_end_ends(tmp_path):
    layout, writer = write(tmp_path / "f", MANY)
    begin = -(-layout.entries // 64) * 64
    data = (tmp_path / "f").read_bytes()
    for place in (16, 17, layout.entries - 1, writer.size - 3, writer.size, 1 << 62, (1 << 64) - 1):
        full = struct.pack("=Q", place) * ((len(data) - begin) // 8)
        (tmp_path / "f").write_bytes(data[:begin] + full)
        file = PackedFile(tmp_path / "f", layout, writer.size)
        with pytest.raises(DefinitionsError, match="damaged"):
            file.read(b"unknown")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_damaged_places_give_no_other_entrys_value(tmp_path_factory, seed):
    chance = random.Random(seed)
    path = tmp_path_factory.mktemp("damaged") / "f"
    layout, writer = write(path, MANY)
    begin = -(-layout.entries // 64) * 64
    data = bytearray(path.read_bytes())
    for _ in range(400):
        at = begin + 8 * chance.randrange(layout.slots)
        place = chance.choice((0, chance.randrange(writer.size), chance.randrange(1 << 64)))
        data[at : at + 8] = struct.pack("=Q", place)
    path.write_bytes(data)
    file = PackedFile(path, layout, writer.size)
    for key, value in MANY:
        with suppress(DefinitionsError):
            assert file.read(key) in (value, None)
