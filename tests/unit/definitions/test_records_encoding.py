from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions import records
from redoubt.errors import DefinitionsRefused, UnreadableInput
from redoubt.model import (
    Advisory,
    AffectedRange,
    CveRecord,
    Cvss,
    Epss,
    KnownExploited,
    Severity,
    SourceInfo,
    Status,
)

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ranges = st.builds(
    AffectedRange,
    lower_key=st.binary(max_size=12),
    upper_key=st.binary(max_size=12),
    flags=st.integers(0, 7),
    lower=texts,
    upper=texts,
    status=st.sampled_from(Status),
    arch=texts,
    module=texts,
    severity=st.sampled_from(Severity),
)
lists = st.lists(texts, max_size=3).map(tuple)
advisories = st.builds(
    Advisory,
    id=names,
    source=names.map(lambda name: name.replace("/", "-")),
    title=texts,
    severity=st.sampled_from(Severity),
    cvss=st.lists(st.builds(Cvss, texts, texts, st.floats(0, 10)), max_size=2).map(tuple),
    cwes=lists,
    aliases=lists,
    cves=lists,
    references=lists,
    url=texts,
    published=texts,
    modified=texts,
    withdrawn=texts,
)


@settings(max_examples=60)
@given(namespace=names, name=names, ref=names, given_ranges=st.lists(ranges, max_size=4))
def test_ranges_come_back_as_they_were(namespace, name, ref, given_ranges):
    key, value = records.affected(namespace, name, ref, given_ranges)
    assert key == b"a" + "\0".join((namespace, name, ref)).encode()
    assert records.decode_affected(value) == tuple(given_ranges)


@settings(max_examples=60)
@given(advisories)
def test_advisory_comes_back_as_it_was(advisory):
    key, value = records.advisory(advisory)
    assert key == b"v" + advisory.ref.encode()
    assert records.decode_advisory(advisory.ref, value) == advisory


def test_cve_and_sources_and_counts_come_back_as_they_were():
    cve = CveRecord(kev=KnownExploited("2024-01-01", ransomware=True), severity=Severity.LOW)
    assert records.decode_cve(records.cve("CVE-1", cve)[1]) == cve
    sources = (SourceInfo(name="b", records=3), SourceInfo(name="a", newest="2026-01-01T00:00:00Z"))
    described = dict(records.describe(sources, {"pypi": 2, "npm": 1}))
    assert list(described) == [b"mnamespaces", b"mschema", b"msources"]
    assert records.decode_sources(described[b"msources"]) == tuple(sorted(sources))
    assert records.decode_namespaces(described[b"mnamespaces"]) == {"npm": 1, "pypi": 2}
    assert records.decode_schema(described[b"mschema"]) == records.SCHEMA


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_published_scores_are_stored_small_and_exactly(probability, percentile):
    score = Epss(float(f"{probability / 100_000:.5f}"), float(f"{percentile / 100_000:.5f}"), "2026-11-22")
    _, value = records.epss("CVE-1", score)
    assert records.decode_epss(value) == score
    assert len(value) <= 1 + 5 + 5 + 11


def test_a_score_of_more_decimals_is_kept_exactly():
    score = Epss(0.123456789, 1 / 3)
    assert records.decode_epss(records.epss("CVE-1", score)[1]) == score


def test_trailing_defaults_take_no_space():
    short = AffectedRange(b"", b"1", 4, "", "1")
    assert records.affected("pypi", "shop", "osv/1", [short])[1] == b"\x91\x95\xc4\x00\xc4\x011\x04\xa0\xa11"
    assert records.advisory(Advisory(id="1", source="osv"))[1] == b"\x90"


def test_equal_maps_are_equal_bytes_whatever_their_order():
    assert records.meta("namespaces", {"b": 1, "a": 2}) == records.meta("namespaces", {"a": 2, "b": 1})


@pytest.mark.parametrize("bad", ["", "a\0b", "\0", "\udcff"])
def test_names_that_cannot_be_keys_are_refused(bad):
    for attempt in (
        lambda: records.affected(bad, "name", "osv/1", []),
        lambda: records.affected("pypi", bad, "osv/1", []),
        lambda: records.affected("pypi", "name", bad, []),
        lambda: records.cve(bad, CveRecord()),
        lambda: records.epss(bad, Epss(0.1, 0.1)),
    ):
        with pytest.raises(UnreadableInput):
            attempt()


def test_key_of_excessive_length_is_refused():
    with pytest.raises(UnreadableInput, match="longer than 4096 bytes"):
        records.affected("pypi", "n" * 4096, "osv/1", [])


def test_what_a_newer_minor_schema_adds_is_skipped():
    newer_range = msgspec.msgpack.encode(
        [[b"", b"1", 4, "", "1", "affected", "", "", "LOW", "repo", "esm", "new", 7]]
    )
    assert records.decode_affected(newer_range)[0].severity is Severity.LOW
    newer_advisory = msgspec.msgpack.encode(["HIGH", "title", *[[]] * 5, "", "", "", "", {"new": 1}, "more"])
    assert records.decode_advisory("osv/1", newer_advisory).severity is Severity.HIGH
    assert (
        records.decode_cve(msgspec.msgpack.encode({"new": [1, 2], "severity": "LOW"})).severity
        is Severity.LOW
    )
    assert records.decode_epss(msgspec.msgpack.encode([5, 6, "2026-11-22", "new"])) == Epss(
        0.00005, 0.00006, "2026-11-22"
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\xa1\xff",
        b"\x91\x90",
        b"\x80",
        b"\x90\x90",
        b"\xc0",
    ],
)
def test_damaged_values_are_refused_and_nothing_else(value):
    for decode in (
        records.decode_affected,
        lambda data: records.decode_advisory("osv/1", data + b"\0"),
        lambda data: records.decode_cve(data + b"\0"),
        records.decode_epss,
        records.decode_schema,
    ):
        with pytest.raises(DefinitionsRefused):
            decode(value)


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused(value):
    for decode in (
        records.decode_affected,
        lambda data: records.decode_advisory("osv/1", data),
        records.decode_cve,
        records.decode_epss,
        records.decode_sources,
        records.decode_namespaces,
        records.decode_schema,
    ):
        with suppress(DefinitionsRefused):
            assert decode(value) is not None


@pytest.mark.parametrize("schema", ["1.0", "1.1", "1.999"])
def test_newer_minor_schema_is_readable(schema):
    records.require_readable(schema)


@pytest.mark.parametrize(
    ("schema", "advice"),
    [
        ("2.0", "install a newer Redoubt"),
        ("99999999999999999999.0", "install a newer Redoubt"),
        ("0.9", "too old"),
        ("", "no usable schema"),
        ("1", "no usable schema"),
        ("1.x", "no usable schema"),
        ("١.0", "no usable schema"),
        ("-1.0", "no usable schema"),
    ],
)
def test_other_schemas_are_refused_with_advice(schema, advice):
    with pytest.raises(DefinitionsRefused, match=advice):
        records.require_readable(schema)
