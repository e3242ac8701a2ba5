from __future__ import annotations

import hashlib
import io
import struct

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions import stream
from redoubt.definitions.stream import Limits, StreamReader
from redoubt.errors import DefinitionsRefused, UnreadableInput

contents = st.dictionaries(st.binary(min_size=1, max_size=30), st.binary(max_size=50), max_size=40)


def framed(records):
    return b"".join(struct.pack("<HI", len(key), len(value)) + key + value for key, value in records)


def compressed(data, **options):
    return zstandard.ZstdCompressor(**options).compress(data)


def read(data, limits=None):
    reader = StreamReader(io.BytesIO(data), limits)
    return [record for batch in reader for record in batch], reader


def refused(data, limits=None):
    with pytest.raises(DefinitionsRefused) as caught:
        read(data, limits)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@settings(max_examples=60)
@given(contents)
def test_what_was_written_is_read(given_records):
    records = sorted(given_records.items())
    out = io.BytesIO()
    facts = stream.write(records, out)
    back, reader = read(out.getvalue())
    assert back == records
    assert (reader.digest, reader.size, reader.counts) == (facts.digest, facts.size, facts.counts)
    assert facts.digest == stream.digest(records)


def test_bytes_and_digest_are_those_of_the_format():
    records = [(b"a1", b"x"), (b"a2", b""), (b"v", b"yz")]
    out = io.BytesIO()
    facts = stream.write(records, out)
    raw = b"\x02\0\x01\0\0\0a1x" + b"\x02\0\0\0\0\0a2" + b"\x01\0\x02\0\0\0vyz"
    assert zstandard.ZstdDecompressor().decompressobj().decompress(out.getvalue()) == raw
    assert facts.digest == "sha256:" + hashlib.sha256(raw).hexdigest()
    assert facts.size == len(raw)
    assert facts.counts == {"a": 2, "v": 1}


def test_digest_does_not_depend_on_compression():
    records = [(b"%06d" % number, b"value" * 20) for number in range(5000)]
    small, large = io.BytesIO(), io.BytesIO()
    assert stream.write(records, small, level=19) == stream.write(records, large, level=1)
    assert small.getvalue() != large.getvalue()


def test_records_across_chunks_come_back_whole():
    records = [(b"k%d" % number, bytes([number]) * 700_000) for number in range(9)]
    out = io.BytesIO()
    stream.write(records, out)
    assert read(out.getvalue())[0] == records


@pytest.mark.parametrize("keys", [(b"b", b"a"), (b"a", b"a"), (b"",)])
def test_writer_refuses_records_out_of_order(keys):
    with pytest.raises(UnreadableInput, match="ascending"):
        stream.write([(key, b"") for key in keys], io.BytesIO())


def test_writer_refuses_a_key_that_readers_would():
    with pytest.raises(UnreadableInput, match="too large"):
        stream.write([(b"k" * 4097, b"")], io.BytesIO())


@pytest.mark.parametrize("keys", [(b"b", b"a"), (b"a", b"a"), (b"",)])
def test_reader_refuses_records_out_of_order(keys):
    assert "out of order" in refused(compressed(framed([(key, b"") for key in keys])))


def test_order_is_checked_across_batches():
    records = [(b"b", b"\0" * 1_100_000), (b"a", b"\0" * 1_100_000)]
    assert "out of order" in refused(compressed(framed(records)))


def test_stream_truncated_anywhere_is_refused():
    out = io.BytesIO()
    stream.write([(b"%04d" % number, b"%d" % (number * 7919)) for number in range(60)], out)
    data = out.getvalue()
    for end in range(len(data)):
        assert "carry the bundle again" in refused(data[:end])


def test_stream_that_ends_within_a_record_is_refused():
    raw = framed([(b"a", b"value"), (b"b", b"value")])
    for end in range(len(framed([(b"a", b"value")])) + 1, len(raw)):
        assert "ends within a record" in refused(compressed(raw[:end]))


def test_anything_after_the_stream_is_refused():
    data = compressed(framed([(b"a", b"")]))
    for more in (b"\0", b"x" * 5000, data):
        assert "something follows" in refused(data + more)


def test_changed_bytes_are_refused_or_change_the_digest():
    records = [(b"%04d" % number, b"%d" % (number * 7919)) for number in range(40)]
    out = io.BytesIO()
    digest = stream.write(records, out).digest
    data = out.getvalue()
    for at in range(len(data)):
        changed = data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]
        try:
            _, reader = read(changed)
        except DefinitionsRefused:
            continue
        assert reader.digest == digest, "the checksum lets no change of content through"


def test_stream_larger_than_its_limit_is_refused():
    data = compressed(framed([(b"a", b"x" * 5000)]))
    assert "larger than 4096 bytes" in refused(data, Limits(size=4096))


def test_zstd_bomb_is_refused_before_it_fills_memory():
    bomb = compressed(
        framed([(b"a", bytes(40 << 20)), (b"b", bytes(40 << 20)), (b"c", bytes(40 << 20))]), level=1
    )
    assert len(bomb) < 50_000
    assert "expands more than 200 times" in refused(bomb)


def test_frame_that_asks_for_too_large_a_window_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(framed([(b"a", b"x")])) + compressor.flush()
    assert "not readable zstd" in refused(data)


@pytest.mark.parametrize(("key_size", "value_size"), [(5000, 1), (1, 0xFFFFFFFF), (0xFFFF, 0xFFFFFFFF)])
def test_record_that_claims_to_be_huge_is_refused_at_once(key_size, value_size):
    data = compressed(struct.pack("<HI", key_size, value_size) + b"k" * 100)
    assert "too large" in refused(data)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(data, wrap):
    try:
        records, _ = read(compressed(data) if wrap else data)
    except DefinitionsRefused:
        return
    assert framed(records) == data
