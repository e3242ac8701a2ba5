"""A root that is replaced by its own next version: the new one is followed, the old one ends."""

from __future__ import annotations

import pytest

from redoubt.errors import DefinitionsRefused
from support.definitions_bundles import NOW, Site, members, rezip


@pytest.fixture
def sites(tmp_path):
    """A site, and what it became when it replaced all its keys: with the second version of its root."""
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root

    before, after = Site(tmp_path / "before"), Site(tmp_path / "after")
    rotated = Metadata[Root].from_bytes(after.root.read_bytes())
    rotated.signed.version = 2
    for site in (before, after):
        signer = CryptoSigner(_private(site.folder / "keys" / "root.pem"))
        rotated.sign(signer, append=site is after)
    return before, after, rotated.to_bytes()


def test_rotated_root_is_followed_and_ends_the_old_key(sites, tmp_path):
    """An old key that leaked is worth nothing once the new root was seen, whatever its bundles leave out."""
    before, after, rotated = sites
    library = before.library()
    carried = members(after.bundle(9))
    del carried["metadata/1.root.json"]
    carried["metadata/2.root.json"] = rotated
    path = rezip(tmp_path / "b.zip", carried)
    assert library.import_bundle(path, now=NOW).entry.manifest.version == 9
    assert library.trust.roots("site") == (rotated,)
    assert [root.version for root in library.trust.list()] == [2]
    with pytest.raises(DefinitionsRefused, match="not signed by a root that is trusted"):
        library.import_bundle(before.bundle(10), now=NOW)
    assert library.import_bundle(path, now=NOW).already_active


def test_rotated_root_counts_even_where_its_bundle_is_refused(sites, tmp_path):
    before, after, rotated = sites
    library = before.library()
    library.import_bundle(before.bundle(10), now=NOW)
    carried = members(after.bundle(9))
    carried["metadata/2.root.json"] = rotated
    with pytest.raises(DefinitionsRefused, match="older than version 10"):
        library.import_bundle(rezip(tmp_path / "b.zip", carried), now=NOW)
    assert library.trust.roots("site") == (rotated,)


def _private(path):
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(path.read_bytes(), None)
