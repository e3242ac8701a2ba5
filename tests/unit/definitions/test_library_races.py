"""A bundle that somebody exchanges while it is verified: what was checked is what counts."""

from __future__ import annotations

import errno
import fcntl
import zipfile

import pytest

from redoubt.definitions import carrier
from redoubt.errors import AccessDenied, DefinitionsMissing, DefinitionsRefused
from support.definitions_bundles import NOW, Site


def test_bundle_that_changes_its_channel_meanwhile_is_refused(tmp_path, monkeypatch):
    """A root that is trusted for one channel must not sign for another by exchanging the manifest in time."""
    for name in ("site", "other"):
        (tmp_path / name).mkdir()
    site, other = Site(tmp_path / "site"), Site(tmp_path / "other", "other")
    library = site.library()
    library.trust.add(other.root, "other", now=NOW)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(other.bundle(7, channel="site")) as archive:
        archive.extractall(folder)
    forged = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(forged.replace(b'"channel": "site"', b'"channel": "other"'))
    opened = carrier._Folder.open

    def exchanging(self, name):
        manager = opened(self, name)
        if name == "manifest.json":
            with manager as member:
                data = member.read(1 << 20)
            (folder / "manifest.json").write_bytes(forged)
            (folder / "once").write_bytes(data)
            return opened(self, "once")
        return manager

    monkeypatch.setattr(carrier._Folder, "open", exchanging)
    with pytest.raises(DefinitionsRefused, match="is signed for channel 'site' but claims to be 'other'"):
        library.import_bundle(folder, now=NOW)
    with pytest.raises(DefinitionsMissing):
        library.info()


def test_giving_up_waiting_for_the_lock_leaves_the_work_of_its_holder_alone(tmp_path, monkeypatch):
    site = Site(tmp_path)
    path, library = site.bundle(1), site.library()
    flock = fcntl.flock

    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    def another_one_tries(step):
        if step == "verified":
            monkeypatch.setattr(fcntl, "flock", refused)
            with pytest.raises(AccessDenied, match="No locks available"):
                site.library().prune()
            monkeypatch.setattr(fcntl, "flock", flock)

    monkeypatch.setattr("redoubt.definitions.library._step", another_one_tries)
    assert library.import_bundle(path, now=NOW).entry.manifest.version == 1
