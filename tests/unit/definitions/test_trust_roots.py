from __future__ import annotations

from datetime import timedelta

import pytest

from redoubt.definitions import keys
from redoubt.definitions.trust import TrustStore
from redoubt.errors import AccessDenied, UnreadableInput, UsageError
from support.definitions_bundles import NOW


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("roots")
    return [keys.keygen(folder / str(number), NOW) for number in range(3)]


@pytest.fixture
def store(tmp_path, roots):
    return TrustStore(tmp_path / "trust", starter=roots[0])


def test_added_root_is_trusted_for_its_channel_only(store, roots):
    added = store.add(roots[1], "site", now=NOW)
    assert store.roots("site") == (roots[1].read_bytes(),)
    assert store.roots("other") == ()
    assert added in store.list()
    assert (added.channel, added.version, added.expires, added.builtin) == (
        "site",
        1,
        "2036-11-22T12:00:00Z",
        False,
    )
    assert len(added.keys) == 1


def test_adding_again_changes_nothing(store, roots):
    assert store.add(roots[1], "site", now=NOW) == store.add(roots[1], "site", now=NOW)
    assert len(store.roots("site")) == 1


def test_channel_may_have_several_roots_and_one_be_removed(store, roots):
    first, second = store.add(roots[1], "site", now=NOW), store.add(roots[2], "site", now=NOW)
    assert sorted(store.roots("site")) == sorted(root.read_bytes() for root in roots[1:])
    assert store.remove("site", first.fingerprint[:12]) == (first,)
    assert store.roots("site") == (roots[2].read_bytes(),)
    assert store.remove("site") == (second,)
    with pytest.raises(UsageError, match="no such root"):
        store.remove("site")


def test_built_in_root_is_trusted_for_the_starter_channel_only(store, roots):
    assert store.roots("starter") == (roots[0].read_bytes(),)
    assert [(root.channel, root.builtin) for root in store.list()] == [("starter", True)]


def test_nobody_changes_who_is_trusted_for_starter(store, roots, tmp_path):
    with pytest.raises(UsageError, match="built-in"):
        store.add(roots[1], "starter", now=NOW)
    with pytest.raises(UsageError, match="built-in"):
        store.remove("starter")
    (tmp_path / "trust" / "starter").mkdir(parents=True)
    (tmp_path / "trust" / "starter" / "planted.root.json").write_bytes(roots[1].read_bytes())
    assert store.roots("starter") == (roots[0].read_bytes(),)
    assert len(store.list()) == 1


def test_demo_root_is_not_added_for_another_channel(store, roots):
    with pytest.raises(UsageError, match="channel starter only"):
        store.add(roots[0], "site", now=NOW)
    assert store.roots("site") == ()


def test_missing_starter_root_is_no_root(tmp_path):
    store = TrustStore(tmp_path / "trust", starter=tmp_path / "absent")
    assert store.roots("starter") == ()
    assert store.list() == ()


@pytest.mark.parametrize("channel", ["", "../etc", "a/b", "UPPER", ".", "a\0b"])
def test_channel_is_never_a_path(store, roots, channel, tmp_path):
    for attempt in (
        lambda: store.add(roots[1], channel, now=NOW),
        lambda: store.remove(channel),
        lambda: store.roots(channel),
    ):
        with pytest.raises(UsageError, match="not a channel's name"):
            attempt()
    assert not (tmp_path / "trust").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 50_000, b"x" * 600_000])
def test_what_is_not_a_root_is_not_added(store, tmp_path, content):
    (tmp_path / "root.json").write_bytes(content)
    with pytest.raises(UnreadableInput):
        store.add(tmp_path / "root.json", "site", now=NOW)
    assert store.roots("site") == ()


def test_changed_root_is_not_added(store, roots, tmp_path):
    changed = roots[1].read_bytes().replace(b'"version":1', b'"version":2', 1)
    assert changed != roots[1].read_bytes()
    (tmp_path / "root.json").write_bytes(changed)
    with pytest.raises(UnreadableInput, match="not signed by its own root keys"):
        store.add(tmp_path / "root.json", "site", now=NOW)


def test_expired_root_is_not_added(store, roots):
    with pytest.raises(UsageError, match="expired on 2036-11-22"):
        store.add(roots[1], "site", now=NOW + timedelta(days=3654))


def test_private_key_in_place_of_a_root_is_said(store, roots):
    with pytest.raises(UnreadableInput, match="not a TUF root"):
        store.add(roots[1].parent / "root.pem", "site", now=NOW)


def test_missing_root_file_is_said(store, tmp_path):
    with pytest.raises(UnreadableInput, match="No such file"):
        store.add(tmp_path / "absent", "site", now=NOW)


def test_damaged_file_in_the_store_is_listed_so_that_it_can_be_removed(store, roots, tmp_path):
    store.add(roots[1], "site", now=NOW)
    (tmp_path / "trust" / "site" / "0000.root.json").write_bytes(b"garbage")
    assert [root.version for root in store.list() if root.channel == "site"].count(0) == 1
    store.remove("site", "0000")
    assert store.roots("site") == (roots[1].read_bytes(),)


def test_store_that_cannot_be_written_says_so(roots, tmp_path):
    (tmp_path / "trust").write_text("a file")
    with pytest.raises(AccessDenied, match="cannot write"):
        TrustStore(tmp_path / "trust", starter=tmp_path / "absent").add(roots[1], "site", now=NOW)


def test_another_store_is_restored_to_the_same_and_nothing_else(store, roots, tmp_path):
    store.add(roots[1], "site", now=NOW)
    store.allow_unsigned("stackrox")
    other = TrustStore(tmp_path / "other", starter=roots[0])
    other.add(roots[2], "elsewhere", now=NOW)
    other.restore(store.contents())
    assert other.list() == store.list()
    assert other.contents() == store.contents()
    other.restore({})
    assert other.contents() == {}


@pytest.mark.parametrize(
    "name", ["../x", "site", "site/../../x", "site/x.root.json", "/etc/passwd", "Ä/unsigned"]
)
def test_restoring_writes_no_file_of_another_name(store, tmp_path, name):
    with pytest.raises(UsageError):
        store.restore({name: b"x"})
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"x"]
