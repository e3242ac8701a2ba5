"""Unsigned bundles: only where they are allowed, never older, and marked for ever."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from redoubt.definitions.library import Library
from redoubt.errors import DefinitionsRefused, UsageError
from support import stackrox
from support.definitions_bundles import Site

NOW = datetime(2099, 3, 5, tzinfo=UTC)


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "data")


def bundle(tmp_path, day=1, groups=None):
    return stackrox.write(tmp_path, groups, f"{day}.zip", created=f"2099-03-{day:02}T00:00:00Z")


def test_refused_until_it_is_allowed_and_the_refusal_says_how(library, tmp_path):
    path = bundle(tmp_path)
    for attempt in (library.import_bundle, library.open_bundle):
        with pytest.raises(DefinitionsRefused, match="`redoubt definitions trust allow-unsigned stackrox`"):
            attempt(path, now=NOW)
    assert library.list() == ()
    assert library.trust.allow_unsigned("stackrox")
    assert not library.trust.allow_unsigned("stackrox")
    assert library.import_bundle(path, now=NOW).entry.unsigned


def test_refusal_reads_nothing_of_the_bundle(library, tmp_path):
    """Whoever did not allow it is told so, whatever else is wrong with it."""
    path = tmp_path / "bad.zip"
    path.write_bytes(stackrox.zipped({"vulnerabilities.zip": b"no zip"}))
    with pytest.raises(DefinitionsRefused, match="allow-unsigned"):
        library.import_bundle(path, now=NOW)


def test_revoked_is_refused_again_and_what_was_imported_stays(library, tmp_path):
    library.trust.allow_unsigned("stackrox")
    done = library.import_bundle(bundle(tmp_path), now=NOW)
    library.trust.disallow_unsigned("stackrox")
    with pytest.raises(DefinitionsRefused, match="allow-unsigned"):
        library.import_bundle(bundle(tmp_path, 2), now=NOW)
    with library.open_active() as snapshot:
        assert (snapshot.info.digest, snapshot.info.unsigned) == (done.entry.digest, True)
    with pytest.raises(UsageError, match="not accepted as it is"):
        library.trust.disallow_unsigned("stackrox")


def test_unsigned_is_said_wherever_it_is_opened(library, tmp_path):
    library.trust.allow_unsigned("stackrox")
    path = bundle(tmp_path)
    with library.open_bundle(path, now=NOW) as snapshot:
        assert snapshot.info.unsigned
        assert (snapshot.info.channel, snapshot.info.version) == ("stackrox", 20990301000000)
    digest = library.list()[0].entry.digest
    with library.open(digest) as snapshot:
        assert snapshot.info.unsigned
    assert library.import_bundle(path, now=NOW).entry.unsigned
    assert library.info().entry.unsigned


def test_older_bundle_is_refused_and_the_override_recorded(library, tmp_path):
    library.trust.allow_unsigned("stackrox")
    library.import_bundle(bundle(tmp_path, 2), now=NOW)
    older = bundle(tmp_path, 1, {"debian": stackrox.sample()["debian"]})
    with pytest.raises(DefinitionsRefused, match="older than version 20990302000000"):
        library.import_bundle(older, now=NOW)
    assert library.import_bundle(older, now=NOW, allow_older=True).older
    assert [event.action for event in library.history()] == ["import", "import-older"]


def test_same_time_with_other_contents_is_taken(library, tmp_path):
    """Another Redoubt may read more out of the same bundle."""
    library.trust.allow_unsigned("stackrox")
    first = library.import_bundle(bundle(tmp_path), now=NOW)
    second = library.import_bundle(bundle(tmp_path, 1, {"debian": stackrox.sample()["debian"]}), now=NOW)
    assert second.entry.digest != first.entry.digest
    assert not second.older


def test_same_bundle_again_changes_nothing(library, tmp_path):
    library.trust.allow_unsigned("stackrox")
    path = bundle(tmp_path)
    library.import_bundle(path, now=NOW)
    assert library.import_bundle(path, now=NOW).already_active


def test_same_bundle_again_is_not_read_again(library, tmp_path, monkeypatch):
    library.trust.allow_unsigned("stackrox")
    path = bundle(tmp_path)
    first = library.import_bundle(path, now=NOW)
    with monkeypatch.context() as patched:
        patched.setattr("redoubt.definitions.stackrox.bundle.convert", None)
        assert library.import_bundle(path, now=NOW).already_active
        with library.open(str(path), now=NOW) as definitions:
            assert definitions.info.digest == first.entry.digest
            assert definitions.info.unsigned
        library.trust.disallow_unsigned("stackrox")
        with pytest.raises(DefinitionsRefused, match="allow-unsigned"):
            library.import_bundle(path, now=NOW)


def test_same_bundle_is_read_again_by_another_redoubt_and_where_its_snapshot_is_damaged(
    library, tmp_path, monkeypatch
):
    library.trust.allow_unsigned("stackrox")
    path = bundle(tmp_path)
    first = library.import_bundle(path, now=NOW)
    (library.info().path / "snapshot.kv").write_bytes(b"")
    assert library.import_bundle(path, now=NOW).entry.digest == first.entry.digest
    assert library.verify().entry.digest == first.entry.digest
    read = []
    monkeypatch.setattr("redoubt.__version__", "9.9")
    monkeypatch.setattr("redoubt.definitions.stackrox.bundle.convert", lambda *_: read.append(1) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        library.import_bundle(path, now=NOW)
    assert read


def test_refused_bundle_leaves_what_was_active(library, tmp_path):
    library.trust.allow_unsigned("stackrox")
    done = library.import_bundle(bundle(tmp_path), now=NOW)
    whole = bundle(tmp_path, 2).read_bytes()
    for size in (len(whole) // 3, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.zip").write_bytes(whole[:size])
        with pytest.raises(DefinitionsRefused):
            library.import_bundle(tmp_path / "cut.zip", now=NOW)
    assert library.info().entry.digest == done.entry.digest
    library.verify()


def test_bundle_from_the_future_would_keep_all_others_out(library, tmp_path):
    library.trust.allow_unsigned("stackrox")
    with pytest.raises(DefinitionsRefused, match="still to come; set this machine's clock"):
        library.import_bundle(bundle(tmp_path, 9), now=NOW)


def test_signed_channels_and_this_one_are_kept_apart(library, tmp_path):
    site = Site(tmp_path / "site", channel="site")
    with pytest.raises(UsageError, match="which nobody signs"):
        library.trust.add(site.root, "stackrox")
    for attempt in (library.trust.allow_unsigned, library.trust.disallow_unsigned):
        with pytest.raises(UsageError, match="bundles of channel site are signed"):
            attempt("site")
    library.trust.allow_unsigned("stackrox")
    with pytest.raises(DefinitionsRefused, match="no root is trusted for channel stackrox"):
        library.import_bundle(site.bundle(1, channel="stackrox"), now=NOW)


def test_allowance_is_listed(library):
    assert not [root for root in library.trust.list() if root.unsigned]
    library.trust.allow_unsigned("stackrox")
    assert [root.channel for root in library.trust.list() if root.unsigned] == ["stackrox"]
