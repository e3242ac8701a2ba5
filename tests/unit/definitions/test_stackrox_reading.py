"""StackRox's bundle → our records: every updater's words, every layout, and what is left out is said."""

from __future__ import annotations

import json
import random
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from redoubt.definitions import records
from redoubt.definitions.carrier import open_carrier
from redoubt.definitions.stackrox import blob, convert
from redoubt.definitions.stackrox.archive import is_stackrox, open_contents
from redoubt.definitions.stackrox.bundle import read_unsigned
from redoubt.definitions.stackrox.kinds import KINDS, of_updater
from redoubt.definitions.stream import StreamReader
from redoubt.errors import DefinitionsRefused
from support import stackrox
from support.stackrox import operation, package, release, vulnerability

NOW = datetime(2099, 3, 2, tzinfo=UTC)
EXPECTED = Path(__file__).parent / "stackrox_expected.json"


def read(path, tmp_path):
    """The bundle at ``path`` as the shelf gets it, and its records."""
    work = tmp_path / f"work-{len(list(tmp_path.iterdir()))}"
    work.mkdir()
    with open_carrier(path) as carrier:
        verified = read_unsigned(carrier, work, NOW)
    with verified.stream.open("rb") as file:
        made = [record for batch in StreamReader(file) for record in batch]
    assert sorted(work.iterdir()) == [verified.stream]
    return verified, made


def told(made):
    """Records as JSON that people can check: key → value, without what is derived (version keys)."""
    said = {}
    for key, value in made:
        name = key[1:].decode().replace("\0", " | ")
        match key[:1]:
            case b"a":
                ranges = records.decode_affected(value)
                said[f"a {name}"] = [
                    " ".join(
                        part
                        for part in (
                            item.text,
                            f"fixed {item.fixed}" if item.fixed else "",
                            item.status.value,
                            item.arch,
                            item.module,
                            item.repository,
                            item.severity.value if item.severity.rank else "",
                        )
                        if part
                    )
                    for item in ranges
                ]
            case b"v":
                said[f"v {name}"] = msgspec.to_builtins(records.decode_advisory(key[1:].decode(), value))
            case b"m":
                continue
            case _:
                said[f"{key[:1].decode()} {name}"] = msgspec.msgpack.decode(value)
    return json.loads(json.dumps(said))


def sources(verified):
    """Source → what is said of it."""
    return {
        item.name: (item.state, item.records, item.newest, item.detail) for item in verified.manifest.sources
    }


def one(tmp_path, *lines, group="debian"):
    """The records of a bundle with these lines alone."""
    return read(stackrox.write(tmp_path, {group: lines}), tmp_path)


def debian(name="CVE-2099-0001", fixed="1.0", **more):
    return vulnerability(
        "debian/updater",
        name,
        package("painter", "source"),
        distribution=release("debian", "12"),
        **{"fixed_in_version": fixed} | more,
    )


def test_every_updater_says_what_it_means(tmp_path):
    verified, made = read(stackrox.write(tmp_path), tmp_path)
    expected = json.loads(EXPECTED.read_text())
    assert told(made) == expected["records"]
    assert {name: list(said) for name, said in sources(verified).items()} == expected["sources"]
    assert verified.passed_over == ("scanner-defs.zip (definitions of Scanner V2)",)


def test_every_known_kind_is_in_the_sample():
    updaters = {line["Updater"] for lines in stackrox.sample().values() for line in lines}
    seen = {kind.source for name in updaters if (kind := of_updater(name))}
    assert {kind.source for kind in KINDS} - seen == {"osv-hex", "osv-pub", "redhat-maps"}


def test_facts_of_the_bundle_become_version_and_channel(tmp_path):
    verified, made = read(stackrox.write(tmp_path), tmp_path)
    assert verified.unsigned
    assert (verified.version, verified.facts.created) == (20990301060000, "2099-03-01T06:00:00Z")
    assert verified.facts.channel == verified.manifest.channel == "stackrox"
    assert verified.manifest.counts == {"a": 32, "c": 3, "e": 1, "m": 3, "r": 3, "v": 26}
    assert sum(verified.manifest.namespaces.values()) == 32
    assert records.decode_namespaces(dict(made)[b"mnamespaces"]) == verified.manifest.namespaces


@pytest.mark.parametrize(
    ("build", "version"),
    [
        (lambda groups: stackrox.outer({"v3": stackrox.inner(groups)}), 20990301060000),
        (lambda groups: stackrox.inner(groups), 20990301060000),
        (lambda groups: stackrox.vulnerabilities(groups), 20990301030000),
        (lambda groups: stackrox.outer({"4.4": stackrox.inner(groups, "4.4")}), 20990301060000),
        (lambda groups: stackrox.inner(groups, "4.4"), 20990301060000),
        (lambda groups: stackrox.outer({"4.5": stackrox.inner(groups, "4.5")}, v2=False), 20990301060000),
    ],
    ids=["outer", "inner", "vulnerabilities alone", "4.4 outer", "4.4 inner", "4.5"],
)
def test_layouts_hold_the_same_definitions(tmp_path, build, version):
    _, whole = read(stackrox.write(tmp_path), tmp_path)
    path = tmp_path / "other.zip"
    path.write_bytes(build(stackrox.sample()))
    verified, made = read(path, tmp_path)
    maps = [key for key, _ in made if key.startswith((b"rcontainer", b"rproduct"))]
    assert len(maps) == (0 if version == 20990301030000 else 2), "the maps lie beside the definitions"
    of_maps = () if maps else (b"rcontainer", b"rproduct")
    expected = [record for record in whole if not record[0].startswith((b"msources", *of_maps))]
    assert [record for record in made if record[0] != b"msources"] == expected
    assert verified.version == version


def test_deflated_inner_zips_are_read(tmp_path):
    path = tmp_path / "deflated.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("v4-definitions-v3.zip", stackrox.inner(stackrox.sample()))
    assert read(path, tmp_path)[0].manifest.counts["a"] == 32


def test_newest_schema_that_is_known_is_read_and_the_others_are_named(tmp_path):
    path = tmp_path / "several.zip"
    groups = {name: {"debian": operation("debian/updater", [debian(fixed=name)])} for name in ("1", "2", "3")}
    path.write_bytes(
        stackrox.outer(
            {
                "v2": stackrox.inner(groups["2"], "v2"),
                "4.5": stackrox.inner(groups["1"], "4.5"),
                "v9": stackrox.inner(groups["3"], "v9"),
            },
            v2=False,
        )
    )
    verified, made = read(path, tmp_path)
    assert told(made)["a debian:12 | painter | debian/CVE-2099-0001"] == ["< 2 fixed 2 affected"]
    assert verified.passed_over == (
        "v4-definitions-v9.zip (schema v9, which this Redoubt does not know)",
        "scanner-v4-defs-4.5.zip (schema 4.5, older)",
    )


def test_order_of_records_and_operations_does_not_matter(tmp_path):
    lines = [line for group in stackrox.sample().values() for line in group]
    path = tmp_path / "ordered.zip"
    path.write_bytes(stackrox.vulnerabilities(stackrox.sample()))
    whole, _ = read(path, tmp_path)
    random.Random(7).shuffle(lines)
    path = tmp_path / "shuffled.zip"
    path.write_bytes(stackrox.vulnerabilities({"all": lines}))
    assert read(path, tmp_path)[0].facts.digest == whole.facts.digest


def test_memory_bound_changes_nothing(tmp_path):
    path = stackrox.write(tmp_path)
    _, made = read(path, tmp_path)
    with open_carrier(path) as carrier, open_contents(carrier, tmp_path) as contents:
        converted = convert.convert(contents, tmp_path, budget=1000)
        assert list(converted.records()) == made
        assert list(converted.records()) == made, "asked for twice"
        converted.close()


def test_latest_operation_of_an_updater_counts_wherever_it_stands(tmp_path):
    new = operation("debian/updater", [debian(fixed="2.0")], date="2099-03-01T00:00:00Z")
    old = operation(
        "debian/updater", [debian(fixed="9.0"), debian("CVE-2099-0009")], date="2099-02-01T00:00:00+05:00"
    )
    for lines in (new + old, old + new, [old[0], *new, old[1]]):
        verified, made = one(tmp_path, *lines)
        assert [key for key in told(made) if key[0] == "a"] == [
            "a debian:12 | painter | debian/CVE-2099-0001"
        ]
        assert told(made)["a debian:12 | painter | debian/CVE-2099-0001"] == ["< 2.0 fixed 2.0 affected"]
        assert sources(verified)["debian"] == (
            "fresh",
            1,
            "",
            "2 left out: of an older run of the same updater",
        )
        assert verified.manifest.namespaces == {"debian:12": 1}


def test_updaters_share_a_cve(tmp_path):
    """Facts of a CVE from several updaters are united, and so are the packages of one advisory."""
    _, made = read(stackrox.write(tmp_path), tmp_path)
    record = records.decode_cve(dict(made)[b"cCVE-2099-0001"])
    assert record.kev is not None
    assert [score.source for score in record.cvss] == ["nvd", "redhat"]
    packages = {key.split(b"\0")[1] for key, _ in made if key.endswith(b"/CVE-2099-0001") and key[:1] == b"a"}
    assert {b"painter", b"libpaint7:binary", b"shop/painter-rhel9"} <= packages


def test_affected_beats_not_affected_of_the_same_package(tmp_path):
    _, made = one(tmp_path, *operation("debian/updater", [debian(fixed="0"), debian(fixed="2.0")]))
    assert told(made)["a debian:12 | painter | debian/CVE-2099-0001"] == ["< 2.0 fixed 2.0 affected"]


def test_unknown_updater_is_counted_and_said(tmp_path):
    strange = operation("martian/updater", [debian(), debian("CVE-2099-0002")])
    verified, made = one(tmp_path, *operation("debian/updater", [debian()]), *strange)
    assert sources(verified)["martian/updater"] == (
        "missing",
        0,
        "",
        "2 records of an updater that is not known",
    )
    assert [source.name for source in records.decode_sources(dict(made)[b"msources"])] == [
        "debian",
        "redhat-maps",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"distribution": None}, "names no release"),
        ({"distribution": release("slackware", "15")}, "speaks of the distribution 'slackware'"),
        ({"distribution": release("debian", "")}, "a release that is none"),
        ({"package": package("painter", "binary")}, "source packages"),
        ({"package": package("", "source")}, "not a package name"),
        ({"package": package("a\0b", "source")}, "not a package name"),
        ({"package": None}, "names no release or no package"),
        ({"fixed_in_version": "1" * 2000}, "not a version"),
        ({"fixed_in_version": "1\x1b[2J"}, "not a version"),
        ({"fixed_in_version": 7}, "Expected `str`"),
        ({"name": "CVE 2099"}, "not an identifier"),
        ({"name": "x" * 300}, "not an identifier"),
    ],
)
def test_spoilt_record_is_counted_and_the_rest_is_read(tmp_path, change, reason):
    verified, _ = one(tmp_path, *operation("debian/updater", [debian(), debian("CVE-2099-0002") | change]))
    assert verified.manifest.namespaces == {"debian:12": 1}
    _, count, _, detail = sources(verified)["debian"]
    assert count == 1
    assert detail.startswith("1 left out: cannot be used (debian/updater: ")
    assert reason in detail


def test_a_module_that_is_no_name_spoils_its_record():
    """Found by fuzzing: no package is in such a module, and a flaw that never matches is no flaw to anybody."""
    from redoubt.definitions.feeds.interface import SpoiltRecord
    from redoubt.definitions.feeds.ranges import affected

    assert affected("rpm", upper="1-1", module="nodejs:18").module == "nodejs:18"
    for part in ("arch", "module", "repository", "channel", "notice"):
        with pytest.raises(SpoiltRecord, match="no name"):
            affected("rpm", upper="1-1", **{part: "a\0"})


@pytest.mark.parametrize(
    ("pattern", "operation_", "expected"),
    [
        ("", "", ""),
        ("x86_64", "equals", "x86_64"),
        ("amd64|x86_64|aarch64", "pattern match", "aarch64|amd64|x86_64"),
        ("^(aarch64|s390x)$", "pattern match", "aarch64|s390x"),
    ],
)
def test_architectures(pattern, operation_, expected):
    from redoubt.definitions.stackrox.distributions import architectures

    assert architectures(pattern, operation_) == expected


@pytest.mark.parametrize(("pattern", "operation_"), [("x86_64", "not equals"), ("x86.*", "pattern match")])
def test_architectures_that_cannot_be_said_are_refused(pattern, operation_):
    from redoubt.definitions.feeds.interface import SpoiltRecord
    from redoubt.definitions.stackrox.distributions import architectures

    with pytest.raises(SpoiltRecord):
        architectures(pattern, operation_)


def test_bundle_of_ours_is_not_taken_for_one(tmp_path):
    assert not is_stackrox(("manifest.json", "metadata/1.root.json", "targets/abc.snapshot.kv.zst"))
    assert is_stackrox(("scanner-defs.zip",))
    assert is_stackrox(("alpine.json.zst",))


@pytest.mark.parametrize("data", [b"", b"[]", b'{"data": 7}', b"[" * 100_000])
def test_damaged_map_is_refused(tmp_path, data):
    members = {
        "manifest.json": stackrox.manifest(),
        "vulnerabilities.zip": stackrox.vulnerabilities(stackrox.sample()),
        "repository-to-cpe.json": data,
    }
    match = "repository-to-cpe.json is not a map" if data else None
    if match:
        refused(written(tmp_path, stackrox.zipped(members)), tmp_path, match)
    else:
        assert read(written(tmp_path, stackrox.zipped(members)), tmp_path)[0].manifest.counts["a"] == 32


# What is refused, in one line.


def refused(path, tmp_path, match):
    work = tmp_path / "refused"
    work.mkdir(exist_ok=True)
    with pytest.raises(DefinitionsRefused, match=match) as caught, open_carrier(path) as carrier:
        read_unsigned(carrier, work, NOW)
    assert "\n" not in str(caught.value)


def written(tmp_path, data):
    path = tmp_path / "bad.zip"
    path.write_bytes(data)
    return path


def stream_of(tmp_path, data):
    """A bundle whose one stream is ``data``."""
    return written(tmp_path, stackrox.zipped({"debian.json.zst": data}))


def test_v2_alone_is_refused(tmp_path):
    refused(written(tmp_path, stackrox.outer({})), tmp_path, "Scanner V2 only")


def test_unknown_schema_is_refused(tmp_path):
    path = written(tmp_path, stackrox.outer({"v9": stackrox.inner(stackrox.sample(), "v9")}))
    refused(path, tmp_path, "schema v9, which this Redoubt does not know.; install a newer Redoubt")
    refused(written(tmp_path, stackrox.inner(stackrox.sample(), "v9")), tmp_path, "has schema 'v9'")


def test_one_schema_twice_is_refused(tmp_path):
    data = stackrox.inner(stackrox.sample())
    refused(written(tmp_path, stackrox.outer({"v3": data, "v3-again": data})), tmp_path, "schema v3 twice")


@pytest.mark.parametrize(
    ("manifest", "match"),
    [
        (b"", "manifest.json is damaged"),
        (b'{"version": 3}', "manifest.json is damaged"),
        (b"[" * 100_000, "manifest.json is damaged"),
        (b'{"version": "v3", "created": "soon"}', "does not say when it was made"),
        (b'{"version": "v3", "created": "9999-01-01T00:00:00Z"}', "still to come"),
        (None, "has no manifest.json"),
    ],
)
def test_damaged_manifest_is_refused(tmp_path, manifest, match):
    members = {"vulnerabilities.zip": stackrox.vulnerabilities(stackrox.sample())}
    if manifest is not None:
        members["manifest.json"] = manifest
    refused(
        written(tmp_path, stackrox.zipped({"v4-definitions-v3.zip": stackrox.zipped(members)})),
        tmp_path,
        match,
    )


@pytest.mark.parametrize("keep", [0, 1, 3, 20, 60, 200, -1])
def test_truncated_stream_is_refused(tmp_path, keep):
    data = stackrox.stream(stackrox.sample()["debian"])
    refused(stream_of(tmp_path, data[:keep]), tmp_path, "truncated|not readable zstd")


def test_truncated_zip_is_refused(tmp_path):
    whole = stackrox.write(tmp_path).read_bytes()
    for size in range(4, len(whole), 1024):
        path = written(tmp_path, whole[:size])
        with pytest.raises(DefinitionsRefused), open_carrier(path) as carrier:
            read_unsigned(carrier, tmp_path, NOW)


def test_flipped_bytes_are_refused_or_read_but_never_leak(tmp_path):
    whole = bytearray(stackrox.write(tmp_path).read_bytes())
    chance = random.Random(11)
    for _ in range(150):
        spoilt = bytearray(whole)
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
        path = written(tmp_path, bytes(spoilt))
        work = tmp_path / "flipped"
        work.mkdir(exist_ok=True)
        with suppress(DefinitionsRefused), open_carrier(path) as carrier:
            read_unsigned(carrier, work, NOW)
        for left in work.iterdir():
            left.unlink()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"not json\n", "line 1 of debian.json.zst is damaged"),
        (b"[" * 200_000 + b"\n", "line 1 of debian.json.zst"),
        (b'{"Updater": "debian/updater"\n', "is damaged"),
        (b"{}\n", "belongs to no update operation"),
        (b'{"Updater": 1, "Date": "", "Kind": "", "Ref": ""}\n', "belongs to no update operation"),
        (b'{"Updater": "debian/updater", "Date": "", "Kind": "vulnerability", "Ref": ""}\n', "when it ran"),
        (b"\xff\xfe\n", "is damaged"),
        (b"\n\n\n", "no records that this Redoubt knows"),
    ],
)
def test_stream_of_something_else_is_refused(tmp_path, text, match):
    import zstandard

    refused(stream_of(tmp_path, zstandard.compress(text)), tmp_path, match)


def test_only_unknown_updaters_is_refused(tmp_path):
    data = stackrox.stream(operation("martian/updater", [debian()]))
    refused(stream_of(tmp_path, data), tmp_path, "no records that this Redoubt knows")


def test_updater_that_is_mostly_spoilt_is_refused(tmp_path):
    lines = operation("debian/updater", [debian() | {"package": None} for _ in range(200)])
    refused(stream_of(tmp_path, stackrox.stream(lines)), tmp_path, "200 of 200 records of the updater")


def test_too_many_operations_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "_OPERATIONS", 3)
    lines = [line for n in range(4) for line in operation(f"osv/x{n}", [debian()])]
    refused(stream_of(tmp_path, stackrox.stream(lines)), tmp_path, "more than 3 operations")


def test_endless_line_and_bomb_are_refused():
    import io

    import zstandard

    zeros = zstandard.compress(b"0" * (9 << 20))
    with pytest.raises(DefinitionsRefused, match="a record of more than"):
        list(blob.lines(io.BytesIO(zeros), "bomb"))
    limits = blob.Limits(ratio=100, ratio_from=1 << 20)
    lines = zstandard.compress(b"\n" * (9 << 20))
    with pytest.raises(DefinitionsRefused, match="expands too far"):
        list(blob.lines(io.BytesIO(lines), "bomb", limits))
    with pytest.raises(DefinitionsRefused, match="expands too far"):
        list(blob.lines(io.BytesIO(lines), "bomb", blob.Limits(size=1 << 20)))


def test_several_frames_are_one_stream(tmp_path):
    first, second = (
        stackrox.stream(operation("debian/updater", [debian(name)]))
        for name in ("CVE-2099-0001", "CVE-2099-0002")
    )
    verified, _ = read(stream_of(tmp_path, first + second), tmp_path)
    assert verified.manifest.namespaces == {"debian:12": 2}
    refused(stream_of(tmp_path, first + b"rest"), tmp_path, "not readable zstd")
