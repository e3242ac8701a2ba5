from __future__ import annotations

import os
import shutil
import threading

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions import grouping, records, snapshot, stream
from redoubt.definitions.snapshot import Origin, Snapshot, SnapshotWriter
from redoubt.errors import DefinitionsError, DefinitionsMissing, DefinitionsRefused
from redoubt.model import Severity
from support.definitions_bundles import sample_records, span


@pytest.fixture
def place(tmp_path):
    directory = tmp_path / "snapshot"
    snapshot.create(directory, sample_records())
    return directory


def written(directory, contents):
    snapshot.create(directory, contents)
    return Snapshot.open(directory)


def test_package_gives_all_its_advisories_by_reference(place):
    with Snapshot.open(place) as definitions:
        assert definitions.affected("debian:12", "openssl") == [
            ("debian/CVE-2024-0001", (span("1.0"),)),
            ("debian/CVE-2024-0002", (span("3.0.11-1"),)),
        ]
        assert definitions.affected("pypi", "shop") == [("osv/PYSEC-1", (span("2.0"), span("3.0")))]


def test_what_is_not_there_is_nothing(place):
    with Snapshot.open(place) as definitions:
        assert definitions.affected("debian:12", "opens") == []
        assert definitions.affected("debian:1", "2\0openssl") == []
        assert definitions.affected("debian:11", "openssl") == []
        assert definitions.affected("", "") == []
        assert definitions.affected("pypi", "\udcff") == []
        assert definitions.affected("pypi", "n" * 10_000) == []
        assert definitions.advisory("debian/CVE-1") is None
        assert definitions.cve("") is None
        assert definitions.epss("CVE-2024-0002") is None


def test_advisory_and_facts_of_a_cve_are_found(place):
    with Snapshot.open(place) as definitions:
        advisory = definitions.advisory("debian/CVE-2024-0001")
        assert (advisory.id, advisory.source, advisory.severity) == ("CVE-2024-0001", "debian", Severity.HIGH)
        assert definitions.cve("CVE-2024-0001").kev.added == "2024-02-01"
        assert definitions.epss("CVE-2024-0001").probability == 0.97321


def test_info_says_what_the_snapshot_is_and_where_it_came_from(place):
    origin = Origin(channel="site", version=7, created="2026-11-22T00:00:00Z")
    with Snapshot.open(place, origin) as definitions:
        info = definitions.info
    assert info.digest == stream.digest(sample_records())
    assert (info.schema, info.channel, info.version, info.created) == ("1.0", "site", 7, origin.created)
    assert [source.name for source in info.sources] == ["debian", "osv"]
    assert info.namespaces == {"debian:12": 3, "pypi": 1}


def test_stream_and_digest_come_back_out_of_the_file(place):
    with Snapshot.open(place) as definitions:
        assert list(definitions.records()) == sample_records()
    assert snapshot.verify(place).digest == stream.digest(sample_records())


def test_names_that_begin_alike_stay_apart(tmp_path):
    names = ["foo", "foo\x01", "foo-bar", "foo bar", "fo", "foo.bar"]
    contents = [records.affected("pypi", name, f"osv/{name}", [span("1")]) for name in names]
    with written(tmp_path / "s", sample_records(extra=contents)) as definitions:
        for name in names:
            assert definitions.affected("pypi", name) == [(f"osv/{name}", (span("1"),))]
        assert list(definitions.records()) == sample_records(extra=contents)


def test_long_keys_are_found_and_keep_their_place(tmp_path):
    long = "example.org/" + "deep/" * 200
    contents = [
        records.affected("golang", long + name, f"osv/{number}", [span(str(number))])
        for name in ("a", "b")
        for number in range(3)
    ]
    contents += [records.affected("golang", "example.org/z", "osv/" + "i" * 600, [span("1")])]
    contents += [records.advisory(msgspec.structs.replace(_advisory(), id="i" * 3000))]
    with written(tmp_path / "s", sample_records(extra=contents)) as definitions:
        assert definitions.affected("golang", long + "b") == [(f"osv/{n}", (span(str(n)),)) for n in range(3)]
        assert definitions.affected("golang", long + "c") == []
        assert definitions.affected("golang", "example.org/z") == [("osv/" + "i" * 600, (span("1"),))]
        assert definitions.advisory("osv/" + "i" * 3000).title == "long"
        assert list(definitions.records()) == sample_records(extra=contents)
    snapshot.verify(tmp_path / "s")


def test_package_with_thousands_of_advisories_is_one_value(tmp_path):
    contents = [records.affected("debian:12", "linux", f"debian/{n:05}", [span("6")]) for n in range(70_000)]
    with written(tmp_path / "s", sample_records(extra=contents)) as definitions:
        found = definitions.affected("debian:12", "linux")
        assert [ref for ref, _ in found] == [f"debian/{n:05}" for n in range(70_000)]
        assert stream.digest(definitions.records()) == definitions.info.digest


def test_prefixes_of_a_newer_minor_schema_are_kept_and_skipped(tmp_path):
    newer = [(b"b\0anything", b"\xc1"), (b"zzz", b""), records.meta("later", [1, 2])]
    contents = sample_records(schema="1.7", extra=newer)
    with written(tmp_path / "s", contents) as definitions:
        assert definitions.info.schema == "1.7"
        assert len(definitions.affected("debian:12", "openssl")) == 2
        assert list(definitions.records()) == contents


@pytest.mark.parametrize("schema", ["2.0", "0.1", ""])
def test_unreadable_schema_is_refused_when_written(tmp_path, schema):
    with pytest.raises(DefinitionsRefused):
        snapshot.create(tmp_path / "s", sample_records(schema=schema))
    with pytest.raises(DefinitionsMissing):
        Snapshot.open(tmp_path / "s")


def test_stream_without_a_schema_is_refused(tmp_path):
    with pytest.raises(DefinitionsRefused, match="schema"):
        snapshot.create(tmp_path / "s", [records.advisory(_advisory())])


@pytest.mark.parametrize(
    "bad",
    [
        (b"apypi\0shop\0osv/9", b"\xc1"),
        (b"apypi\0shop\0osv/9", b""),
        (b"apypi\0shop\0osv/9", b"\x90\x90"),
        (b"apypi\0shop\0osv/9", b"\x91\x90"),
        (b"apypi\0shop\0osv/9", b"\xdd\xff\xff\xff\xff"),
        (b"apypi\0shop\0osv/9", b"\x91" * 20_000),
        (b"apypi\0shop\0\xff", b"\x90"),
        (b"apypi\0shop", b"\x90"),
        (b"apypi", b"\x90"),
        (b"apypi\0shop\0", b"\x90"),
        (b"apypi\0shop\0osv\0/9", b"\x90"),
        (b"vosv/9", b"\x80"),
        (b"cCVE-9", b"\x90"),
        (b"eCVE-9", b"\x91\x01"),
        (b"msources", b"\x01"),
        (b"mnamespaces", b"\x90"),
    ],
)
def test_damaged_record_is_refused_when_written(tmp_path, bad):
    contents = dict([*sample_records(), bad])
    with pytest.raises(DefinitionsRefused) as caught:
        snapshot.create(tmp_path / "s", contents.items())
    assert "\n" not in str(caught.value)


def test_value_that_pretends_to_hold_the_next_record_is_refused(tmp_path):
    # One that ends in the start of another pair would shift what follows.
    forged = records.affected("pypi", "shop", "osv/2", [span("1")])[1] + b"\x92\xa5osv/3\x90"
    contents = {**dict(sample_records()), b"apypi\0shop\0osv/2": forged}
    with pytest.raises(DefinitionsRefused):
        snapshot.create(tmp_path / "s", contents.items())


def test_records_out_of_order_are_refused_by_the_file_too(tmp_path):
    (tmp_path / "s").mkdir()
    with SnapshotWriter(tmp_path / "s") as writer, pytest.raises(DefinitionsRefused, match="order"):
        writer.add(list(reversed(sample_records())))


def test_file_of_another_size_is_not_opened(place):
    whole = (place / snapshot.DATA).read_bytes()
    for data in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\0"):
        (place / snapshot.DATA).write_bytes(data)
        with pytest.raises(DefinitionsError, match="damaged; import"):
            Snapshot.open(place)


def test_changed_byte_is_found_by_verify(place):
    path = place / snapshot.DATA
    data = bytearray(path.read_bytes())
    at = data.index(b"PYSEC-1")
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(DefinitionsError, match="damaged; import"):
        snapshot.verify(place)


def test_damage_that_is_met_when_reading_is_said(place):
    path = place / snapshot.DATA
    data = bytearray(path.read_bytes())
    at = data.index(b"\x92\xabosv/PYSEC-1")
    data[at] = 0xC1
    path.write_bytes(data)
    with Snapshot.open(place) as definitions, pytest.raises(DefinitionsError, match="damaged; import"):
        definitions.affected("pypi", "shop")


def test_damage_that_is_met_in_what_is_stored_is_said(place):
    path = place / snapshot.DATA
    data = bytearray(path.read_bytes())
    data[data.index(b"\x92\xabosv/PYSEC-1")] = 0xC1
    path.write_bytes(data)
    with Snapshot.open(place) as definitions:
        with pytest.raises(DefinitionsError, match="damaged; import"):
            definitions.undecoded("pypi", "shop")
        with pytest.raises(DefinitionsError, match="damaged; import"):
            definitions.decoded([b"\x92\xa5osv/1"])
        for cut in (b"\x92", b"\x92\xd9", b"\x92\xa2\xff\xff"):
            with pytest.raises(DefinitionsError, match="damaged; import"):
                definitions.parted([cut])
        with pytest.raises(DefinitionsError, match="damaged; import"):
            definitions.ranges(b"")


def test_what_is_stored_says_what_was_asked_for(place):
    with Snapshot.open(place) as definitions:
        for name in (("debian:12", "openssl"), ("pypi", "shop"), ("pypi", "unknown")):
            stored = definitions.undecoded(*name)
            assert definitions.decoded(stored) == definitions.affected(*name)
            assert definitions.decoded(stored[::-1]) == definitions.affected(*name)[::-1]
            parted = [(ref, definitions.ranges(ranges)) for ref, ranges in definitions.parted(stored)]
            assert parted == definitions.affected(*name)
            assert all(
                ref.encode() in one for one, (ref, _) in zip(stored, definitions.affected(*name), strict=True)
            )


@pytest.mark.parametrize("size", [1, 31, 32, 255, 256, 4000])
def test_refs_of_every_length_are_parted_from_their_ranges(size):
    pair = msgspec.msgpack.encode(("ö" * (size // 2) + "x" * (size % 2), [1, 2]))
    assert grouping.parted([pair]) == [("ö" * (size // 2) + "x" * (size % 2), b"\x92\x01\x02")]


def test_closed_definitions_answer_nothing(place):
    definitions = Snapshot.open(place)
    definitions.close()
    for ask in (lambda: definitions.affected("pypi", "shop"), lambda: definitions.advisory("x" * 600)):
        with pytest.raises(DefinitionsError, match="closed"):
            ask()


def test_stamp_that_names_another_digest_is_found_by_verify(place):
    stamp = msgspec.json.decode((place / snapshot.STAMP).read_bytes())
    stamp["digest"] = "sha256:" + "0" * 64
    (place / snapshot.STAMP).write_bytes(msgspec.json.encode(stamp))
    with pytest.raises(DefinitionsError, match="damaged"):
        snapshot.verify(place)


@pytest.mark.parametrize("stamp", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"digest":1}'])
def test_damaged_stamp_is_said(place, stamp):
    (place / snapshot.STAMP).write_bytes(stamp)
    with pytest.raises(DefinitionsError, match="damaged"):
        Snapshot.open(place)


def test_stamp_of_a_newer_schema_is_refused(place):
    stamp = msgspec.json.decode((place / snapshot.STAMP).read_bytes())
    (place / snapshot.STAMP).write_bytes(msgspec.json.encode({**stamp, "schema": "2.0"}))
    with pytest.raises(DefinitionsRefused, match="newer Redoubt"):
        Snapshot.open(place)


@pytest.mark.parametrize("missing", [snapshot.DATA, snapshot.STAMP])
def test_missing_file_says_which_command_to_run(place, missing):
    (place / missing).unlink()
    with pytest.raises(DefinitionsMissing, match="redoubt definitions import"):
        Snapshot.open(place)


def test_several_readers_share_one_file_and_close_apart(place):
    first, second = Snapshot.open(place), Snapshot.open(place)
    first.close()
    first.close()
    assert len(second.affected("debian:12", "openssl")) == 2
    with pytest.raises(DefinitionsError, match="closed"):
        first.affected("debian:12", "openssl")
    with pytest.raises(DefinitionsError, match="closed"):
        first.records()
    second.close()
    with Snapshot.open(place) as third:
        assert third.cve("CVE-2024-0001") is not None


def test_open_snapshot_outlives_its_directory(place):
    with Snapshot.open(place) as definitions:
        shutil.rmtree(place)
        assert len(definitions.affected("debian:12", "openssl")) == 2
        assert stream.digest(definitions.records()) == definitions.info.digest


def test_reading_writes_nothing(place):
    before = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(place)}
    place.chmod(0o555)
    try:
        with Snapshot.open(place) as definitions:
            assert definitions.affected("pypi", "shop")
    finally:
        place.chmod(0o755)
    assert {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(place)} == before


def test_threads_share_one_snapshot(place):
    wrong = []
    with Snapshot.open(place) as definitions:

        def read():
            for _ in range(300):
                if len(definitions.affected("debian:12", "openssl")) != 2 or definitions.cve("CVE-9"):
                    wrong.append(1)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_unfinished_snapshot_is_not_one(tmp_path):
    (tmp_path / "s").mkdir()
    with SnapshotWriter(tmp_path / "s") as writer:
        writer.add(sample_records())
    with pytest.raises(DefinitionsMissing):
        Snapshot.open(tmp_path / "s")


def _advisory():
    return records.decode_advisory("osv/1", msgspec.msgpack.encode(["LOW", "long"]))


hostile_keys = st.builds(
    lambda prefix, rest: prefix + rest,
    st.sampled_from([b"a", b"a", b"a", b"c", b"e", b"m", b"v", b"z", b"A"]),
    st.one_of(
        st.binary(max_size=12), st.text("xy\0/é", max_size=9).map(str.encode), st.just(b"x\0y\0" + b"r" * 600)
    ),
)
hostile_values = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"\x90", b"\x80", b"\x93\x01\x02\xa0", records.affected("x", "y", "z", [span("1")])[1]]),
)


@settings(max_examples=60, deadline=None)
@given(contents=st.dictionaries(hostile_keys, hostile_values, max_size=8))
def test_whatever_is_written_comes_back_or_was_refused(tmp_path_factory, contents):
    directory = tmp_path_factory.mktemp("hostile") / "s"
    contents = {**contents, b"mschema": b"\xa31.0"}
    try:
        snapshot.create(directory, contents.items())
    except DefinitionsRefused:
        with pytest.raises(DefinitionsMissing):
            Snapshot.open(directory)
        return
    with Snapshot.open(directory) as definitions:
        assert list(definitions.records()) == sorted(contents.items())
