"""Deltas: what is written is applied to the target's exact bytes, on anything else it is refused."""

from __future__ import annotations

import io

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions import delta, grouping, stream
from redoubt.definitions.delta import DeltaReader, Kept
from redoubt.definitions.records import MAX_VALUE
from redoubt.definitions.snapshot import Snapshot, create
from redoubt.definitions.stream import Limits
from redoubt.errors import DefinitionsRefused, UnreadableInput
from support.definitions_bundles import grouped, sample_records

values = st.binary(max_size=6).map(msgspec.msgpack.encode)
others = st.binary(min_size=1, max_size=4).filter(lambda key: not key.startswith(b"a"))
part = st.binary(min_size=1, max_size=2).filter(lambda text: text.isascii() and b"\0" not in text)
packages = st.tuples(part, part, part).map(lambda parts: b"a" + b"\0".join(parts))
contents = st.dictionaries(others | packages, values, max_size=30).map(lambda found: sorted(found.items()))
GENEROUS = 1 << 30


def written(old, new):
    out = io.BytesIO()
    facts = delta.write(old, new, out)
    return out.getvalue(), facts


def packed(steps):
    out = io.BytesIO()
    stream.write(steps, out)
    return out.getvalue()


def applied(base, data, *, size=GENEROUS, limits=None):
    reader = DeltaReader(grouped(base), io.BytesIO(data), size=size, limits=limits or Limits())
    made = [grouping.ungrouped(part.entries) if isinstance(part, Kept) else part for part in reader]
    return [record for part in made for record in part], reader


def refused(base, data, **options):
    with pytest.raises(DefinitionsRefused) as caught:
        applied(base, data, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


@settings(max_examples=150)
@given(contents, contents)
def test_applied_to_its_base_a_delta_gives_the_target(old, new):
    data, _ = written(old, new)
    back, reader = applied(old, data)
    assert back == new
    assert reader.digest == stream.digest(new)
    assert reader.size == sum(6 + len(key) + len(value) for key, value in new)


@settings(max_examples=100)
@given(contents, contents, contents)
def test_applied_to_another_base_a_delta_gives_the_target_or_is_not_taken_for_it(old, new, other):
    data, _ = written(old, new)
    try:
        back, reader = applied(other, data)
    except DefinitionsRefused:
        return
    assert (reader.digest == stream.digest(new)) == (back == new)


@settings(max_examples=100)
@given(contents, st.binary(max_size=200))
def test_a_delta_of_any_bytes_is_refused_or_applied(old, noise):
    compressed = io.BytesIO()
    with stream._compressor(1).stream_writer(compressed, closefd=False) as sink:
        sink.write(noise)
    for data in (noise, compressed.getvalue()):
        try:
            back, _ = applied(old, data)
        except DefinitionsRefused:
            continue
        assert back == sorted(back)


def test_bytes_are_those_of_the_format():
    old = [(b"e1", b"x"), (b"e2", b"y"), (b"e3", b"z")]
    new = [(b"e1", b"x"), (b"e3", b"Z"), (b"f", b"")]
    data, facts = written(old, new)
    steps = [(b"e2", b"-"), (b"e3", b"+Z"), (b"f", b"+")]
    assert [record for batch in stream.StreamReader(io.BytesIO(data)) for record in batch] == steps
    assert facts.digest == stream.digest(steps)


def test_small_change_of_a_long_value_is_carried_as_what_stands_between():
    old, new = [(b"e", b"same start 1 same end")], [(b"e", b"same start 22 same end")]
    data, facts = written(old, new)
    steps = [(b"e", b"~\x0b\0\0\0\x09\0\0\0" + b"22")]
    assert facts.digest == stream.digest(steps)
    assert applied(old, data)[0] == new


@settings(max_examples=200)
@given(st.binary(max_size=40), st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=40))
def test_any_change_within_a_value_is_had_back(start, before, after, end):
    old, new = [(b"e", start + before + end)], [(b"e", start + after + end)]
    assert applied(old, written(old, new)[0])[0] == new


def test_values_that_repeat_do_not_overlap():
    for before, after in ((b"x" * 50, b"x" * 60), (b"x" * 60, b"x" * 50), (b"ab" * 30, b"ab" * 31)):
        old, new = [(b"e", before)], [(b"e", after)]
        assert applied(old, written(old, new)[0])[0] == new


def test_equal_streams_differ_in_nothing():
    data, facts = written(sample_records(), sample_records())
    assert facts.size == 0
    assert applied(sample_records(), data)[0] == sample_records()


def test_snapshot_on_disk_is_a_base_as_good_as_its_stream(tmp_path):
    long = [(b"a" + b"n" * 600 + b"\0name\0osv/X", b"\x90"), (b"v" + b"w" * 700, b"\x90")]
    old, new = sample_records("1"), sample_records("2", extra=long)
    create(tmp_path / "old", old)
    create(tmp_path / "new", new)
    with Snapshot.open(tmp_path / "old") as first, Snapshot.open(tmp_path / "new") as second:
        forward, _ = written(first.records(), second.records())
        back, _ = written(second.records(), first.records())
        assert forward == written(old, new)[0]
        assert applied(first.records(), forward)[0] == new
        assert applied(second.records(), back)[0] == old


@pytest.mark.parametrize(
    "step",
    [
        (b"f", b"-"),  # removes what is not there
        (b"z", b"-"),
        (b"e", b"+1"),  # changes nothing
        (b"e", b""),  # says nothing
        (b"e", b"-1"),
        (b"e", b"*2"),
        (b"f", b"2"),
        (b"f", b"~\0\0\0\0\0\0\0\0new"),  # a part of what is not there
        (b"e", b"~\0\0\0\0\0\0\0"),
        (b"e", b"~\1\0\0\0\1\0\0\0new"),
        (b"e", b"~\xff\xff\xff\xff\xff\xff\xff\xffnew"),
        (b"e", b"~\1\0\0\0\0\0\0\0"),
    ],
)
def test_step_that_does_not_fit_the_base_is_refused(step):
    assert "does not fit" in refused([(b"e", b"1"), (b"g", b"3")], packed([step]))


def test_steps_out_of_order_or_twice_are_refused():
    frame = b"\x01\0\x02\0\0\0b+2"
    for frames in (frame + b"\x01\0\x02\0\0\0a+2", frame + frame):
        compressed = io.BytesIO()
        with stream._compressor(1).stream_writer(compressed, closefd=False) as sink:
            sink.write(frames)
        assert "out of order" in refused([], compressed.getvalue())


def test_delta_truncated_anywhere_is_refused():
    data, _ = written(sample_records("1"), sample_records("2"))
    for size in range(len(data)):
        refused(sample_records("1"), data[:size])


def test_something_after_the_delta_is_refused():
    data, _ = written(sample_records("1"), sample_records("2"))
    assert "follows" in refused(sample_records("1"), data + b"\0")


def test_delta_larger_than_signed_is_refused():
    data, facts = written([], [(bytes((n,)), b"x" * 100) for n in range(200)])
    assert "larger than" in refused([], data, limits=Limits(size=facts.size - 1))
    assert len(applied([], data, limits=Limits(size=facts.size))[0]) == 200


def test_more_than_signed_for_is_refused_before_the_end_of_it():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield taken.to_bytes(8, "big"), b"x"

    assert "more of its base than is signed" in refused(endless(), packed([]), size=100_000)
    assert taken < 50_000


def test_value_that_grows_beyond_every_limit_is_refused():
    step = (b"e", b"~" + MAX_VALUE.to_bytes(4, "little") + bytes(4) + b"x")
    assert "does not fit" in refused([(b"e", bytes(MAX_VALUE))], packed([step]))


def test_value_that_fits_a_snapshot_but_no_delta_is_refused_when_written():
    with pytest.raises(UnreadableInput, match="too large"):
        written([], [(b"a", bytes(MAX_VALUE))])
