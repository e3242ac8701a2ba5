from __future__ import annotations

import os
import stat

import pytest

from redoubt.definitions import bundle, keys
from redoubt.definitions.carrier import open_carrier
from redoubt.errors import AccessDenied, UnreadableInput, UsageError
from support.definitions_bundles import NOW, Site, members, sample_records


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return Site(tmp_path_factory.mktemp("site"))


def test_bundle_is_a_tuf_repository_with_a_manifest_for_people(site):
    path = site.bundle(7)
    names = list(members(path))
    assert names[:5] == [
        "manifest.json",
        "metadata/1.root.json",
        "metadata/timestamp.json",
        "metadata/7.snapshot.json",
        "metadata/7.targets.json",
    ]
    assert names[5].startswith("targets/")
    assert names[5].endswith(".snapshot.kv.zst")
    with open_carrier(path) as carrier:
        manifest, _ = bundle.read_manifest(carrier)
    assert (manifest.channel, manifest.version, manifest.schema) == ("site", 7, "1.0")
    assert manifest.counts == {"a": 4, "c": 1, "e": 1, "m": 3, "v": 3}


def test_same_input_gives_the_same_bytes(site):
    first = site.bundle(8, sample_records(), name="one.zip").read_bytes()
    assert site.bundle(8, sample_records(), name="two.zip").read_bytes() == first


def test_verification_gives_what_was_signed_and_the_stream(site, tmp_path):
    path = site.bundle(9)
    with open_carrier(path) as carrier:
        verified = bundle.verify_bundle(carrier, lambda channel: [site.root.read_bytes()], tmp_path)
    assert verified.version == 9
    assert (verified.facts.channel, verified.facts.created) == ("site", "2026-11-22T00:00:00Z")
    assert verified.stream.read_bytes() == (site.folder / "site-9.zip.zst").read_bytes()


def test_version_ascends_with_time():
    assert bundle.default_version(NOW) == 20261122120000


def test_what_is_no_file_is_not_replaced_by_a_bundle(site, tmp_path):
    """Whoever builds as root and tries ``--out /dev/null`` must not lose that device."""
    with open_carrier(site.bundle(10)) as carrier:
        manifest, _ = bundle.read_manifest(carrier)
    out = tmp_path / "pipe"
    os.mkfifo(out)
    with pytest.raises(UsageError, match="is not a file"):
        bundle.write_bundle(out, site.folder / "site-10.zip.zst", manifest, [site.key])
    assert out.is_fifo()


def test_failed_writing_leaves_the_old_bundle_and_nothing_else(site, tmp_path):
    path = site.bundle(10, name="kept.zip")
    before, listing = path.read_bytes(), sorted(site.folder.iterdir())
    with open_carrier(path) as carrier:
        manifest, _ = bundle.read_manifest(carrier)
    with pytest.raises(AccessDenied):
        bundle.write_bundle(path, tmp_path / "absent", manifest, [site.key])
    assert path.read_bytes() == before
    assert sorted(site.folder.iterdir()) == listing


@pytest.mark.parametrize("version", [0, -1, 1 << 63])
def test_unusable_version_is_refused_when_writing(site, version):
    with pytest.raises(UsageError, match="positive whole number"):
        site.bundle(version)


@pytest.mark.parametrize("channel", ["", "UPPER", "a b", "../up", "-a", "a-", "a" * 64, "ä", "a\n"])
def test_unusable_channel_is_refused_when_writing(site, channel):
    with pytest.raises(UsageError, match="channel"):
        bundle.require_channel(channel)


def test_keys_are_for_their_owner_only_and_the_root_for_all(site):
    folder = site.folder / "keys"
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert modes["root.pem"] == modes["definitions.pem"] == 0o600
    assert modes["root.json"] & 0o444 == 0o444 & ~_umask()
    assert b"PRIVATE" not in (folder / "root.json").read_bytes()


def test_keygen_never_overwrites(site, tmp_path):
    for name in ("root.pem", "definitions.pem", "root.json"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(UsageError, match="not overwritten"):
            keys.keygen(folder, NOW)
        assert [file.name for file in folder.iterdir()] == [name]
        assert (folder / name).read_text() == "mine"


def test_keygen_where_nothing_can_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AccessDenied, match="cannot write"):
        keys.keygen(tmp_path / "file" / "keys", NOW)


def test_key_is_read_from_its_file_or_its_folder(site):
    folder = site.folder / "keys"
    by_file, by_folder = keys.load_key(folder / "definitions.pem"), keys.load_key(folder)
    assert by_file.signer.public_key == by_folder.signer.public_key
    assert by_file.roles == {"targets", "snapshot", "timestamp"}
    assert by_file.root == (folder / "root.json").read_bytes()


def test_root_key_does_not_sign_bundles(site):
    with pytest.raises(UsageError, match=r"does not let root\.pem sign"):
        keys.load_key(site.folder / "keys" / "root.pem")


def test_key_without_its_own_root_is_refused(site, tmp_path):
    pem = (site.folder / "keys" / "definitions.pem").read_bytes()
    (tmp_path / "definitions.pem").write_bytes(pem)
    with pytest.raises(UnreadableInput, match=r"root\.json"):
        keys.load_key(tmp_path)
    other = keys.keygen(tmp_path / "other", NOW)
    (tmp_path / "root.json").write_bytes(other.read_bytes())
    with pytest.raises(UsageError, match=r"does not let definitions\.pem sign"):
        keys.load_key(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_not_a_key_is_said(tmp_path, content):
    (tmp_path / "definitions.pem").write_bytes(content)
    with pytest.raises(UnreadableInput, match="not a private key"):
        keys.load_key(tmp_path)


def test_encrypted_and_unsuitable_keys_are_said(site, tmp_path):
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

    def pem(key, encryption):
        return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, encryption)

    (tmp_path / "root.json").write_bytes(site.root.read_bytes())
    file = tmp_path / "definitions.pem"
    file.write_bytes(pem(ed25519.Ed25519PrivateKey.generate(), s.BestAvailableEncryption(b"secret")))
    with pytest.raises(UnreadableInput, match="encrypted"):
        keys.load_key(file)
    file.write_bytes(pem(x25519.X25519PrivateKey.generate(), s.NoEncryption()))
    with pytest.raises(UnreadableInput, match="not a private key in PEM that can sign"):
        keys.load_key(file)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 100_000, b'{"signed": {"_type": "root"}, "signatures": []}']
)
def test_damaged_root_beside_a_key_is_said(site, tmp_path, content):
    (tmp_path / "definitions.pem").write_bytes((site.folder / "keys" / "definitions.pem").read_bytes())
    (tmp_path / "root.json").write_bytes(content)
    with pytest.raises(UnreadableInput, match="not a TUF root"):
        keys.load_key(tmp_path)


def test_missing_key_is_said(tmp_path):
    with pytest.raises(UnreadableInput, match="cannot read"):
        keys.load_key(tmp_path / "absent.pem")


def test_too_few_keys_for_the_roots_threshold_are_refused(site, tmp_path):
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root

    folder = tmp_path / "keys"
    keys.keygen(folder, NOW)
    metadata = Metadata[Root].from_bytes((folder / "root.json").read_bytes())
    metadata.signed.add_key(CryptoSigner.generate_ed25519().public_key, "targets")
    metadata.signed.roles["targets"].threshold = 2
    metadata.sign(_signer(folder / "root.pem"))
    (folder / "root.json").write_bytes(metadata.to_bytes())
    with open_carrier(site.bundle(11)) as carrier:
        manifest, _ = bundle.read_manifest(carrier)
    with pytest.raises(UsageError, match="asks for 2 keys to sign targets; 1 given"):
        bundle.write_bundle(
            tmp_path / "b.zip", site.folder / "site-11.zip.zst", manifest, [keys.load_key(folder)]
        )
    assert not (tmp_path / "b.zip").exists()


def _signer(path):
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    return CryptoSigner(load_pem_private_key(path.read_bytes(), None))


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
