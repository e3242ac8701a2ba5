"""Roots that several people hold: thresholds, bundles signed one after another, keys that come and go."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from redoubt.definitions import bundle, ceremony, keys, records, stream
from redoubt.definitions.carrier import open_carrier
from redoubt.definitions.cosigning import cosign
from redoubt.definitions.library import Library
from redoubt.definitions.trust import TrustStore
from redoubt.errors import DefinitionsRefused, UnreadableInput, UsageError
from support.definitions_bundles import NOW, members, rezip, sample_records

PEOPLE = ("alice", "bob", "carol", "dave")


class Circle:
    """Four people's keys, and a root that two of the first three have to sign, as they do bundles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in PEOPLE:
            ceremony.make_key(folder, name)
        self.root = folder / "root.json"
        ceremony.new_root(
            self.root,
            self.public("alice", "bob", "carol"),
            self.public("alice", "bob", "carol"),
            threshold=2,
            root_threshold=2,
            now=NOW,
        )
        for name in ("alice", "bob"):
            ceremony.sign_root(self.root, self.private(name))

    def public(self, *names: str) -> list[Path]:
        return [self.folder / f"{name}.pub" for name in names]

    def private(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def keyid(self, name: str) -> str:
        return keys.load_signer(self.private(name)).public_key.keyid

    def key(self, name: str) -> keys.SigningKey:
        return keys.load_key(self.private(name))

    def change(self, signers: tuple[str, ...], **what: object) -> Path:
        out, _ = ceremony.change_root(self.root, now=NOW, **what)
        for name in signers:
            ceremony.sign_root(out, self.private(name))
        return out

    def bundle(self, version: int, *signers: str, name: str = "") -> Path:
        """A bundle that the first of ``signers`` built and the others signed after."""
        out = io.BytesIO()
        facts = stream.write(sample_records(str(version)), out)
        source = self.folder / "stream.zst"
        source.write_bytes(out.getvalue())
        manifest = bundle.Manifest(
            channel="site",
            version=version,
            created="2026-11-22T00:00:00Z",
            digest=facts.digest,
            schema=records.SCHEMA,
            size=facts.size,
            counts=facts.counts,
        )
        path = self.folder / (name or f"{version}.zip")
        bundle.write_bundle(path, source, manifest, [self.key(signers[0])], partial=True)
        for signer in signers[1:]:
            cosign(path, self.key(signer))
        return path

    def library(self, name: str = "data", root: Path | None = None) -> Library:
        data = self.folder / name
        library = Library(data, trust=TrustStore(data / "trust", starter=self.folder / "none.json"))
        library.trust.add(root or self.root, "site", now=NOW)
        return library


@pytest.fixture
def circle(tmp_path):
    return Circle(tmp_path)


def accepted(library, path):
    return library.import_bundle(path, now=NOW).entry.manifest.version


def refused(library, path, match):
    with pytest.raises(DefinitionsRefused, match=match) as caught:
        library.import_bundle(path, now=NOW)
    assert "\n" not in str(caught.value)


# Two of three sign


@pytest.mark.parametrize("signers", [("alice", "bob"), ("bob", "carol"), ("carol", "alice", "bob")])
def test_any_two_suffice_in_any_order(circle, signers):
    assert accepted(circle.library(), circle.bundle(1, *signers)) == 1


def test_one_signature_is_refused_and_told_what_is_lacking(circle):
    path = circle.bundle(1, "alice")
    refused(
        circle.library(), path, "has 1 of the 2 signatures .* `redoubt definitions sign BUNDLE --key KEY`"
    )
    _, lacking = cosign(path, circle.key("carol"))
    assert lacking == 0
    assert accepted(circle.library(), path) == 1


def test_same_key_does_not_count_twice(circle):
    path = circle.bundle(1, "alice")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="signed the bundle already"):
        cosign(path, circle.key("alice"))
    assert path.read_bytes() == before
    refused(circle.library(), path, "has 1 of the 2 signatures")


def test_both_keys_on_one_machine_sign_at_once(circle):
    path = circle.bundle(1, "alice")
    with open_carrier(path) as carrier:
        manifest, _ = bundle.read_manifest(carrier)
    both = [circle.key("alice"), circle.key("bob")]
    assert bundle.write_bundle(path, circle.folder / "stream.zst", manifest, both) == 0
    assert accepted(circle.library(), path) == 1
    twice = [circle.key("alice"), circle.key("alice")]
    with pytest.raises(UsageError, match="asks for 2 keys to sign targets; 1 given"):
        bundle.write_bundle(path, circle.folder / "stream.zst", manifest, twice)


def test_signature_of_an_outsider_counts_for_nothing(circle, tmp_path):
    with pytest.raises(UsageError, match="does not let dave"):
        circle.key("dave")
    other = Circle(tmp_path / "other")
    with pytest.raises(UsageError, match="another root"):
        cosign(circle.bundle(1, "alice"), other.key("alice"))


def test_key_under_two_names_is_refused_wherever_it_comes(circle, tmp_path):
    """The identifier of a key is any text: one person's key under two of them would be two of three."""
    from tuf.api.metadata import Key, Metadata, Root

    metadata = Metadata[Root].from_bytes(circle.root.read_bytes())
    alice = metadata.signed.keys[circle.keyid("alice")]
    copy = Key.from_dict("ab" * 32, alice.to_dict())
    for role in ("root", *keys.ROLES):
        metadata.signed.add_key(copy, role)
    metadata.signed.version = 2
    for name in ("alice", "bob"):
        metadata.sign(keys.load_signer(circle.private(name)), append=name != "alice")
    twice = tmp_path / "twice.json"
    twice.write_bytes(metadata.to_bytes())
    with pytest.raises(UnreadableInput, match="the same key twice"):
        circle.library().trust.add(twice, "other", now=NOW)
    carried = members(circle.bundle(1, "alice", "bob"))
    path = rezip(tmp_path / "b.zip", carried | {"metadata/2.root.json": twice.read_bytes()})
    refused(circle.library("more"), path, "the same key twice")


def test_cosigner_is_told_of_what_is_not_what_it_says(circle, tmp_path):
    good = members(circle.bundle(1, "alice"))
    name = next(name for name in good if name.startswith("targets/"))
    for changed in (
        {name: good[name][:-1] + b"\0"},
        {"manifest.json": good["manifest.json"].replace(b'"site"', b'"sitf"')},
        {"metadata/1.targets.json": good["metadata/1.targets.json"].replace(b"site", b"sitf")},
        {"metadata/timestamp.json": good["metadata/1.snapshot.json"]},
        {"metadata/timestamp.json": b"{}"},
        {"metadata/1.snapshot.json": b"[" * 100_000},
    ):
        path = rezip(tmp_path / "b.zip", good | changed)
        before = path.read_bytes()
        with pytest.raises(DefinitionsRefused):
            cosign(path, circle.key("bob"))
        assert path.read_bytes() == before
    del good["metadata/timestamp.json"]
    with pytest.raises(DefinitionsRefused, match="incomplete"):
        cosign(rezip(tmp_path / "b.zip", good), circle.key("bob"))


def test_cosigner_may_name_the_digest_that_it_has_to_be(circle):
    path = circle.bundle(1, "alice")
    with open_carrier(path) as carrier:
        digest = bundle.read_manifest(carrier)[0].digest
    with pytest.raises(DefinitionsRefused, match="not sha256:00"):
        cosign(path, circle.key("bob"), digest="sha256:00")
    assert cosign(path, circle.key("bob"), digest=digest)[1] == 0


# Roots


def test_root_counts_once_enough_of_its_keys_signed_it(tmp_path):
    for name in PEOPLE:
        ceremony.make_key(tmp_path, name)
    public = [tmp_path / f"{name}.pub" for name in ("alice", "bob", "carol")]
    root = tmp_path / "root.json"
    found = ceremony.new_root(root, public, public, threshold=2, root_threshold=2, now=NOW)
    store = TrustStore(tmp_path / "trust")
    for name, lacking in (("alice", 1), ("alice", 1), ("bob", 0), ("carol", 0)):
        assert not found.complete or lacking == 0
        if not found.complete:
            with pytest.raises(UnreadableInput, match="not signed by its own root keys"):
                store.add(root, "site", now=NOW)
            with pytest.raises(UnreadableInput, match="not signed by its own root keys"):
                keys.load_key(tmp_path / "alice.pem")
        found = ceremony.sign_root(root, tmp_path / f"{name}.pem")
        assert found.root.lacking == lacking
    assert found == ceremony.standing(root)
    assert store.add(root, "site", now=NOW).keys == found.bundles.keys
    with pytest.raises(UsageError, match="not a root key"):
        ceremony.sign_root(root, tmp_path / "dave.pem")


@pytest.mark.parametrize(("threshold", "root_threshold"), [(4, 2), (2, 4)])
def test_threshold_that_nobody_can_reach_is_refused(tmp_path, threshold, root_threshold):
    public = [ceremony.make_key(tmp_path, name)[1] for name in ("alice", "bob", "carol")]
    with pytest.raises(UsageError, match="4 keys cannot sign"):
        ceremony.new_root(
            tmp_path / "root.json",
            public,
            public,
            threshold=threshold,
            root_threshold=root_threshold,
            now=NOW,
        )
    assert not (tmp_path / "root.json").exists()


def test_what_is_given_twice_or_is_there_or_is_no_key_is_refused(circle, tmp_path):
    alice = circle.public("alice")
    for public, match in (([*alice, *alice], "given twice"), ([circle.root], "not a public key")):
        with pytest.raises((UsageError, UnreadableInput), match=match):
            ceremony.new_root(tmp_path / "r.json", public, alice, threshold=1, root_threshold=1, now=NOW)
    with pytest.raises(UsageError, match="is not overwritten"):
        ceremony.new_root(circle.root, alice, alice, threshold=1, root_threshold=1, now=NOW)
    with pytest.raises(UsageError, match="is not overwritten"):
        ceremony.make_key(circle.folder, "alice")
    for name in ("", "../x", "a b", "x" * 90):
        with pytest.raises(UsageError, match="not a name"):
            ceremony.make_key(circle.folder, name)
    assert circle.private("alice").stat().st_mode & 0o077 == 0


# Rotation


def test_key_is_replaced_by_the_next_version(circle):
    library = circle.library()
    assert accepted(library, circle.bundle(1, "alice", "carol")) == 1
    circle.change(("alice", "bob"), add=circle.public("dave"), remove=[circle.keyid("carol")])
    old = circle.bundle(2, "alice", "bob", name="two.zip")
    assert accepted(library, old) == 2
    assert accepted(library, circle.bundle(3, "bob", "dave")) == 3
    with pytest.raises(UsageError, match="does not let carol"):
        circle.key("carol")
    assert [root.version for root in library.trust.list()] == [2]


def test_next_version_waits_for_enough_of_the_old_keys(circle):
    """Until then the root before it signs; a bundle never carries what does not count."""
    out = circle.change(("alice",), add=circle.public("dave"))
    assert ceremony.standing(out).before.lacking == 1
    assert circle.key("alice").root_version == 1
    assert "metadata/2.root.json" not in members(circle.bundle(1, "alice", "bob"))
    ceremony.sign_root(out, circle.private("carol"))
    assert ceremony.standing(out).complete
    assert circle.key("dave").root_version == 2


def test_next_version_needs_its_own_keys_too(circle):
    """Two of the old ones sign; of the new ones, all three have to."""
    out = circle.change(("alice", "bob"), root_threshold=3)
    found = ceremony.standing(out)
    assert (found.before.lacking, found.root.lacking, found.complete) == (0, 1, False)
    assert ceremony.sign_root(out, circle.private("carol")).complete


def test_forged_next_version_is_not_followed(circle, tmp_path):
    """One old key and two new ones are not two old ones, whoever carries them in."""
    from tuf.api.metadata import Metadata, Root

    metadata = Metadata[Root].from_bytes(circle.root.read_bytes())
    for name in ("bob", "carol"):
        for role in ("root", *keys.ROLES):
            metadata.signed.revoke_key(circle.keyid(name), role)
    dave = keys.load_signer(circle.private("dave"))
    for role in ("root", *keys.ROLES):
        metadata.signed.add_key(dave.public_key, role)
    metadata.signed.version = 2
    metadata.sign(keys.load_signer(circle.private("alice")))
    metadata.sign(dave, append=True)
    (circle.folder / "2.root.json").write_bytes(metadata.to_bytes())
    with pytest.raises(UsageError, match="does not let dave"):
        circle.key("dave")
    good = members(circle.bundle(1, "alice", "bob"))
    path = rezip(tmp_path / "b.zip", good | {"metadata/2.root.json": metadata.to_bytes()})
    refused(circle.library(), path, "signed by|signatures")


def test_site_that_missed_a_version_follows_the_chain(circle):
    """Versions 1, 2 and 3 in one bundle; version 3 shares not a single key with version 1."""
    everybody = ("alice", "bob", "carol")
    behind = circle.library("behind")
    circle.change(
        ("alice", "bob", "dave"),
        add=circle.public("dave"),
        remove=[circle.keyid("alice")],
        add_root=circle.public("dave"),
        remove_root=[circle.keyid("alice")],
    )
    ceremony.make_key(circle.folder, "erin")
    ceremony.make_key(circle.folder, "frank")
    circle.change(
        ("carol", "dave", "erin"),
        add=circle.public("erin", "frank"),
        remove=[circle.keyid(name) for name in ("bob", "carol")],
        add_root=circle.public("erin", "frank"),
        remove_root=[circle.keyid(name) for name in ("bob", "carol")],
    )
    path = circle.bundle(5, "erin", "frank")
    assert [name for name in members(path) if "root" in name] == [
        f"metadata/{version}.root.json" for version in (1, 2, 3)
    ]
    assert accepted(behind, path) == 5
    assert [root.version for root in behind.trust.list()] == [3]
    assert not set(behind.trust.list()[0].keys) & {circle.keyid(name) for name in everybody}


def test_chain_with_a_gap_is_refused(circle, tmp_path):
    test_site_that_missed_a_version_follows_the_chain(circle)
    carried = members(circle.folder / "5.zip")
    del carried["metadata/2.root.json"]
    refused(circle.library("gap"), rezip(tmp_path / "b.zip", carried), "not signed by a root that is trusted")


def test_lost_key_is_replaced_by_the_two_that_are_left(circle):
    library = circle.library()
    lost = circle.keyid("carol")
    circle.private("carol").unlink()
    out = circle.change(
        ("alice", "bob"),
        add=circle.public("dave"),
        remove=[lost[:8]],
        add_root=circle.public("dave"),
        remove_root=[lost[:8]],
    )
    assert ceremony.standing(out).complete
    assert lost not in ceremony.standing(out).bundles.keys
    assert accepted(library, circle.bundle(1, "dave", "bob")) == 1


def test_threshold_is_raised_and_old_bundles_end(circle):
    library = circle.library()
    assert accepted(library, circle.bundle(1, "alice", "bob")) == 1
    stale = circle.bundle(3, "alice", "bob", name="stale.zip")
    circle.change(("alice", "bob"), threshold=3)
    path = circle.bundle(2, "alice", "bob")
    refused(library, path, "has 2 of the 3 signatures")
    cosign(path, circle.key("carol"))
    assert accepted(library, path) == 2
    refused(library, stale, "signatures|signed by")


@pytest.mark.parametrize(
    ("what", "match"),
    [
        ({}, "nothing would change"),
        ({"remove": ["ffff"]}, "does not begin the identifier"),
        ({"remove": [""]}, "does not begin the identifier"),
        ({"threshold": 9}, "9 keys cannot sign bundles"),
        ({"root_threshold": 9}, "9 keys cannot sign the root"),
    ],
)
def test_change_that_makes_no_sense_is_refused(circle, what, match):
    with pytest.raises(UsageError, match=match):
        ceremony.change_root(circle.root, now=NOW, **what)
    assert not (circle.folder / "2.root.json").exists()


def test_change_in_the_making_is_not_overwritten(circle):
    circle.change((), threshold=1)
    with pytest.raises(UsageError, match="exists already"):
        circle.change((), threshold=1)


def test_version_without_the_one_before_it_cannot_be_signed_blindly(circle, tmp_path):
    out = circle.change((), threshold=1)
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(out, alone)
    with pytest.raises(UnreadableInput, match="holds no whole version 1"):
        ceremony.sign_root(alone / out.name, circle.private("alice"))


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"signed": {"_type": "targets"}}'])
def test_what_is_no_root_is_said(tmp_path, content):
    file = tmp_path / "root.json"
    file.write_bytes(content)
    with pytest.raises(UnreadableInput, match="not a TUF root"):
        ceremony.standing(file)


def test_root_without_a_canonical_form_is_said(circle):
    """Found by fuzzing: canonical JSON has no fractions."""
    data = circle.root.read_bytes().replace(b'"_type":"root"', b'"_type":"root","more":1.5')
    assert data != circle.root.read_bytes()
    circle.root.write_bytes(data)
    with pytest.raises(UnreadableInput, match="not a TUF root"):
        ceremony.standing(circle.root)


def test_bundle_without_a_canonical_form_is_not_signed(circle, tmp_path):
    good = members(circle.bundle(1, "alice"))
    name = "metadata/timestamp.json"
    spoilt = good[name].replace(b'"_type":"timestamp"', b'"_type":"timestamp","more":1.5')
    assert spoilt != good[name]
    with pytest.raises(DefinitionsRefused, match="damaged"):
        cosign(rezip(tmp_path / "b.zip", good | {name: spoilt}), circle.key("bob"))
