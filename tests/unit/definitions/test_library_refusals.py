"""Every way in which a bundle is refused: real bundles, changed as an attacker or a bad stick would."""

from __future__ import annotations

import json
import stat
import struct
import zipfile

import msgspec
import pytest

from redoubt.definitions import stream
from redoubt.definitions.library import Library
from redoubt.definitions.trust import TrustStore
from redoubt.errors import AccessDenied, DefinitionsRefused, UnreadableInput
from support.definitions_bundles import NOW, Site, members, rezip, sample_records

ADD = "run `redoubt definitions trust add ROOT --channel site`"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A site with a good bundle of version 5 and one of version 6."""
    site = Site(tmp_path_factory.mktemp("built"))
    site.bundle(5)
    site.bundle(6)
    return site


@pytest.fixture
def library(built, tmp_path):
    """A shelf on which version 5 is active."""
    data = tmp_path / "data"
    library = Library(data, trust=TrustStore(data / "trust", starter=tmp_path / "absent"))
    library.trust.add(built.root, "site", now=NOW)
    library.import_bundle(built.folder / "site-5.zip", now=NOW)
    return library


@pytest.fixture
def refuse(library, tmp_path):
    """Import and open the bundle: both refuse, with one line; what was active stays."""

    def check(path, reason, error=DefinitionsRefused):
        before = library.info()
        for attempt in (library.import_bundle, library.open_bundle):
            with pytest.raises(error) as caught:
                attempt(path, now=NOW)
            assert reason in str(caught.value)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 600
        assert library.info() == before
        assert [item.entry for item in library.list()] == [before.entry]
        with library.open_active() as definitions:
            assert definitions.info.version == 5
        assert not (tmp_path / "data" / "definitions" / "tmp").exists()
        assert len(list((tmp_path / "data" / "definitions" / "snapshots").iterdir())) == 1

    return check


@pytest.fixture
def good(built):
    return members(built.folder / "site-6.zip")


def test_good_bundle_is_not_refused(library, built, good, tmp_path):
    assert library.import_bundle(rezip(tmp_path / "b.zip", good), now=NOW).entry.manifest.version == 6


def test_bundle_packed_again_by_hand_is_not_refused(library, good, tmp_path):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("metadata")
        for name, data in reversed(good.items()):
            archive.writestr(name, data)
    assert library.import_bundle(path, now=NOW).entry.manifest.version == 6


# Signatures


def test_channel_without_a_root_names_the_command(built, tmp_path):
    library = built.library("untrusting", trusted=False)
    with pytest.raises(DefinitionsRefused, match="no root is trusted for channel site") as caught:
        library.import_bundle(built.folder / "site-6.zip", now=NOW)
    assert ADD in str(caught.value)


def test_bundle_of_another_signer_is_refused(refuse, tmp_path):
    (tmp_path / "other").mkdir()
    refuse(Site(tmp_path / "other").bundle(6), ADD)


@pytest.mark.parametrize(
    "name", ["metadata/timestamp.json", "metadata/6.snapshot.json", "metadata/6.targets.json"]
)
@pytest.mark.parametrize("change", ["none", "wrong", "foreign"])
def test_missing_and_wrong_signatures_are_refused(refuse, good, tmp_path, name, change):
    metadata = json.loads(good[name])
    if change == "none":
        metadata["signatures"] = []
    elif change == "wrong":
        metadata["signatures"][0]["sig"] = "00" * 64
    else:
        metadata["signatures"][0]["keyid"] = "00" * 32
    good[name] = json.dumps(metadata).encode()
    reason = ADD if "timestamp" in name else "changed after signing"
    refuse(rezip(tmp_path / "b.zip", good), reason)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("metadata/timestamp.json", b'"version":6', b'"version":7'),
        ("metadata/6.snapshot.json", b'"version":6', b'"version":7'),
        ("metadata/6.targets.json", b'"channel":"site"', b'"channel":"sity"'),
        ("metadata/6.targets.json", b"2026-11-22T00:00:00Z", b"2027-11-22T00:00:00Z"),
    ],
)
def test_changed_metadata_is_refused(refuse, good, tmp_path, name, old, new):
    assert old in good[name]
    good[name] = good[name].replace(old, new, 1)
    refuse(
        rezip(tmp_path / "b.zip", good), "redoubt definitions trust add" if "timestamp" in name else "changed"
    )


def test_changed_stream_is_refused(refuse, good, tmp_path):
    name = next(name for name in good if name.startswith("targets/"))
    data = good[name]
    for changed in (data[:-1], data + b"\0", data[:40] + b"X" + data[41:], b""):
        refuse(rezip(tmp_path / "b.zip", {**good, name: changed}), "changed after signing")


def test_changed_manifest_is_refused(refuse, good, tmp_path):
    good["manifest.json"] = good["manifest.json"].replace(b'"tool": "test"', b'"tool": "evil"')
    refuse(rezip(tmp_path / "b.zip", good), "manifest.json was changed after signing")


@pytest.mark.parametrize(
    "part", ["metadata/timestamp.json", "metadata/6.snapshot.json", "metadata/6.targets.json", "targets/"]
)
def test_missing_member_is_refused(refuse, good, tmp_path, part):
    kept = {name: data for name, data in good.items() if not name.startswith(part)}
    assert len(kept) == len(good) - 1
    refuse(rezip(tmp_path / "b.zip", kept), "incomplete")


@pytest.mark.parametrize(
    "name", ["metadata/timestamp.json", "metadata/6.snapshot.json", "metadata/6.targets.json"]
)
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", b"[" * 15_000, b'{"signed": 1, "signatures": 2}']
)
def test_metadata_that_is_none_is_refused(refuse, good, tmp_path, name, content):
    refuse(rezip(tmp_path / "b.zip", {**good, name: content}), "carry it again")


def test_metadata_without_end_is_refused(refuse, good, tmp_path):
    good["metadata/timestamp.json"] = b" " * 2_000_000
    refuse(rezip(tmp_path / "b.zip", good), "carry it again")


def test_expired_signatures_are_refused(refuse, built):
    refuse(built.bundle(7, created="2010-01-01T00:00:00Z", name="old.zip"), "check this machine's clock")


def test_metadata_of_two_bundles_do_not_mix(refuse, built, good, tmp_path):
    older = members(built.folder / "site-5.zip")
    mixed = {**good, "metadata/timestamp.json": older["metadata/timestamp.json"]}
    refuse(rezip(tmp_path / "b.zip", mixed), "incomplete")


def test_planted_root_changes_nothing(refuse, good, tmp_path):
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other")
    theirs = members(other.bundle(6))
    theirs["metadata/1.root.json"] = other.root.read_bytes()
    theirs["metadata/2.root.json"] = other.root.read_bytes().replace(b'"version":1', b'"version":2', 1)
    refuse(rezip(tmp_path / "b.zip", theirs), ADD)


# Versions and channels


def test_older_bundle_is_refused_and_current_one_stays(refuse, built):
    refuse(built.bundle(4), "older than version 5 that was accepted of channel site; carry a newer one")


def test_same_version_with_other_contents_is_refused(refuse, built):
    refuse(built.bundle(5, sample_records("other"), name="twice.zip"), "accepted with other contents")


def test_channel_other_than_the_signed_one_is_refused(refuse, library, built, tmp_path):
    library.trust.add(built.root, "other", now=NOW)
    good = members(built.bundle(6, channel="other"))
    manifest = json.loads(good["manifest.json"])
    good["manifest.json"] = json.dumps({**manifest, "channel": "site"}).encode()
    refuse(rezip(tmp_path / "b.zip", good), "signed for channel 'other' but claims to be 'site'")


def test_demo_key_serves_no_channel_but_starter(tmp_path):
    (tmp_path / "demo").mkdir()
    demo = Site(tmp_path / "demo", "starter")
    data = tmp_path / "data"
    library = Library(data, trust=TrustStore(data / "trust", starter=demo.root))
    assert library.import_bundle(demo.bundle(1), now=NOW).entry.manifest.channel == "starter"
    with pytest.raises(DefinitionsRefused, match="no root is trusted for channel site"):
        library.import_bundle(demo.bundle(2, channel="site"), now=NOW)
    disguised = members(demo.bundle(3, channel="site"))
    manifest = json.loads(disguised["manifest.json"])
    disguised["manifest.json"] = json.dumps({**manifest, "channel": "starter"}).encode()
    with pytest.raises(DefinitionsRefused, match="signed for channel 'site'"):
        library.import_bundle(rezip(tmp_path / "b.zip", disguised), now=NOW)


@pytest.mark.parametrize("channel", ["", "../../x", "UPPER", "a" * 1000, "x\n"])
def test_unusable_channel_is_refused(refuse, good, tmp_path, channel):
    manifest = json.loads(good["manifest.json"])
    good["manifest.json"] = json.dumps({**manifest, "channel": channel}).encode()
    refuse(rezip(tmp_path / "b.zip", good), "names no usable channel")


# What is in the stream


def test_newer_major_schema_is_refused(refuse, built):
    contents = sample_records(schema="2.0")
    refuse(built.bundle(7, contents, schema="2.0", name="new.zip"), "install a newer Redoubt")
    refuse(built.bundle(7, contents, schema="1.0", name="lying.zip"), "install a newer Redoubt")


def test_newer_minor_schema_is_imported(library, built):
    extra = [(b"x-new", b"\xc1")]
    library.import_bundle(
        built.bundle(7, sample_records(schema="1.9", extra=extra), schema="1.9", name="minor.zip")
    )
    assert library.info().entry.manifest.schema == "1.9"
    library.verify()


def test_schema_other_than_the_signed_one_is_refused(refuse, built):
    refuse(
        built.bundle(7, sample_records(schema="1.4"), name="minor2.zip"),
        "schema is not the one that is signed",
    )


def test_stream_of_another_digest_is_refused(refuse, built):
    refuse(built.bundle(7, digest="sha256:" + "0" * 64, name="digest.zip"), "not the one that is signed for")


@pytest.mark.parametrize("digest", ["sha256:../../../../tmp/x", "md5:0", "sha256:" + "A" * 64])
def test_digest_that_is_none_is_refused(refuse, built, digest):
    refuse(built.bundle(7, digest=digest, name="nodigest.zip"), "not a SHA-256")


def test_stream_of_another_size_is_refused(refuse, built):
    refuse(built.bundle(7, size=10, name="small.zip"), "larger than 10 bytes")
    refuse(built.bundle(7, size=10_000, name="large.zip"), "not the one that is signed for")
    refuse(built.bundle(7, size=1 << 40, name="huge.zip"), "out of bounds")


def test_stream_out_of_order_is_refused(refuse, built):
    raw = b"".join(struct.pack("<HI", 1, 0) + key for key in (b"b", b"a"))
    refuse(built.bundle(7, compressed=lambda _: _zstd(raw), size=len(raw), name="order.zip"), "out of order")


def test_stream_that_is_a_bomb_is_refused(refuse, built):
    raw = b"".join(struct.pack("<HI", 1, 40 << 20) + key + bytes(40 << 20) for key in (b"b", b"c", b"d"))
    bomb = _zstd(raw)
    refuse(
        built.bundle(7, compressed=lambda _: bomb, size=len(raw), name="bomb.zip"),
        "expands more than 200 times",
    )


@pytest.mark.parametrize(
    "how", [lambda data: data[:-10], lambda data: data + b"more", lambda _: b"not zstd", lambda _: b""]
)
def test_stream_that_is_signed_but_spoilt_is_refused(refuse, built, how):
    refuse(built.bundle(7, compressed=how, name="spoilt.zip"), "carry the bundle again")


# The zip


def test_what_is_not_a_zip_is_refused(refuse, tmp_path):
    for content in (b"", b"not a zip", b"\x28\xb5\x2f\xfd" + bytes(1000), bytes(100_000)):
        (tmp_path / "b.zip").write_bytes(content)
        refuse(tmp_path / "b.zip", "not a definitions bundle (not a zip file)")


def test_zip_truncated_anywhere_is_refused(library, built, tmp_path):
    data = (built.folder / "site-6.zip").read_bytes()
    path = tmp_path / "b.zip"
    for end in range(4, len(data), 97):
        path.write_bytes(data[:end])
        with pytest.raises(DefinitionsRefused, match="truncated zip; carry the bundle again"):
            library.import_bundle(path, now=NOW)
    assert library.info().entry.manifest.version == 5


def test_zip_of_something_else_is_refused(refuse, tmp_path):
    refuse(rezip(tmp_path / "b.zip", {"readme.txt": b""}), "holds no manifest.json")


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/cron.d/evil",
        "a/../../evil",
        "..",
        "a//b",
        "a\\..\\b",
        "C:/evil",
        "a\0b",
        "ä",
        " a",
        "./a",
        "",
    ],
)
def test_member_with_an_unsafe_name_is_refused(refuse, good, tmp_path, name):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for known, data in good.items():
            archive.writestr(known, data)
        entry = zipfile.ZipInfo("placeholder")
        entry.filename = name
        archive.writestr(entry, b"evil")
    refuse(path, "unsafe name")


def test_member_that_occurs_twice_is_refused(refuse, good, tmp_path):
    path = rezip(tmp_path / "b.zip", good)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("manifest.json", b"{}")
    refuse(path, "manifest.json twice")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_link_or_device_is_refused(refuse, good, tmp_path, kind):
    path = rezip(tmp_path / "b.zip", good)
    entry = zipfile.ZipInfo("targets/link")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, "/etc/passwd")
    refuse(path, "link or a device")


def test_encrypted_member_is_refused(refuse, good, tmp_path):
    path = rezip(tmp_path / "b.zip", good)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    refuse(path, "encrypted")


def test_unknown_compression_is_refused(refuse, good, tmp_path):
    refuse(rezip(tmp_path / "b.zip", good, zipfile.ZIP_LZMA), "unknown compression")


def test_zip_bomb_is_refused_before_it_is_inflated(refuse, good, tmp_path):
    good["targets/bomb"] = bytes(50_000_000)
    path = rezip(tmp_path / "b.zip", good, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    refuse(path, "zip bomb")


def test_member_that_claims_to_be_huge_is_refused(refuse, good, tmp_path):
    path = rezip(tmp_path / "b.zip", good)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(data)
    refuse(path, "zip bomb")


def test_zip_of_too_many_members_is_refused(refuse, good, tmp_path):
    good.update({f"m{number}": b"" for number in range(700)})
    refuse(rezip(tmp_path / "b.zip", good), "too many members")


def test_zip_that_claims_too_large_a_directory_is_refused(refuse, good, tmp_path):
    path = rezip(tmp_path / "b.zip", good)
    data = bytearray(path.read_bytes())
    data[-10:-6] = (100 << 20).to_bytes(4, "little")
    path.write_bytes(data)
    refuse(path, "too many members")


def test_zip64_is_refused(refuse, good, tmp_path):
    path = rezip(tmp_path / "b.zip", good)
    data = path.read_bytes()
    locator = b"PK\x06\x07" + bytes(16)
    path.write_bytes(data[:-22] + locator + data[-22:])
    refuse(path, "zip64")


def test_zip_with_changed_bytes_is_imported_whole_or_refused(library, built, tmp_path):
    data = (built.folder / "site-6.zip").read_bytes()
    path = tmp_path / "b.zip"
    refused = 0
    for at in range(0, len(data), 61):
        path.write_bytes(data[:at] + bytes((data[at] ^ 0x55,)) + data[at + 1 :])
        try:
            library.import_bundle(path, now=NOW)
        except DefinitionsRefused:
            refused += 1
        with library.open_active() as definitions:
            assert stream.digest(definitions.records()) == definitions.info.digest
    assert refused > 20


# Where it lies


def test_missing_file_is_said(refuse, tmp_path):
    refuse(tmp_path / "absent.zip", "there is no file", UnreadableInput)


def test_named_pipe_does_not_hang(refuse, tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    refuse(tmp_path / "pipe", "not a regular file")


def test_path_through_a_file_is_said(refuse, tmp_path):
    (tmp_path / "file").write_text("")
    refuse(tmp_path / "file" / "b.zip", "Not a directory", AccessDenied)


def test_folder_without_a_bundle_is_refused(refuse, tmp_path):
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", "holds no manifest.json")


def test_link_in_an_unpacked_bundle_is_refused(refuse, good, tmp_path):
    folder = _unpack(tmp_path / "unpacked", good)
    (folder / "metadata" / "timestamp.json").unlink()
    (folder / "metadata" / "timestamp.json").symlink_to("/etc/passwd")
    refuse(folder, "unpack the bundle again")
    folder = _unpack(tmp_path / "linked", good)
    (folder / "metadata").rename(tmp_path / "elsewhere")
    (folder / "metadata").symlink_to(tmp_path / "elsewhere")
    refuse(folder, "unpack the bundle again")


def test_unpacked_bundle_is_imported_like_the_zip(library, good, tmp_path):
    folder = _unpack(tmp_path / "unpacked", good)
    assert library.import_bundle(folder, now=NOW).entry.manifest.version == 6


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"channel": 1}', b" " * 5_000_000]
)
def test_manifest_that_is_none_is_refused(refuse, good, tmp_path, content):
    refuse(rezip(tmp_path / "b.zip", {**good, "manifest.json": content}), "manifest.json")


def test_bundle_of_a_newer_format_is_refused(refuse, good, tmp_path):
    good["manifest.json"] = good["manifest.json"].replace(b"redoubt-bundle/1", b"redoubt-bundle/2")
    refuse(rezip(tmp_path / "b.zip", good), "install a newer Redoubt")


def test_what_is_signed_but_incomplete_is_refused(refuse, built, good, tmp_path, monkeypatch):
    builtins = msgspec.to_builtins
    monkeypatch.setattr(msgspec, "to_builtins", lambda facts: {**builtins(facts), "size": "many"})
    path = built.bundle(7, name="incomplete.zip")
    monkeypatch.undo()
    refuse(path, "what is signed in the bundle is incomplete")


def _zstd(raw):
    import zstandard

    return zstandard.ZstdCompressor(level=1).compress(raw)


def _unpack(folder, contents):
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
