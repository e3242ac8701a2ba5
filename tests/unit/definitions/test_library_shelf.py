from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from subprocess import run

import pytest

from redoubt.definitions import snapshot, stream
from redoubt.definitions.library import Library
from redoubt.errors import (
    AccessDenied,
    DefinitionsError,
    DefinitionsMissing,
    DefinitionsRefused,
    UnreadableInput,
    UsageError,
)
from support.definitions_bundles import NOW, Site, sample_records, span


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("built"))
    for version in range(1, 8):
        site.bundle(version)
    return site


@pytest.fixture
def library(built, tmp_path):
    library = Library(tmp_path / "data")
    library.trust.add(built.root, "site", now=NOW)
    return library


def load(library, built, version, **options):
    return library.import_bundle(built.folder / f"site-{version}.zip", now=NOW, **options)


def active(library):
    with library.open_active() as definitions:
        return definitions.info.version


def digest_of(version):
    return snapshot.stream.digest(sample_records(str(version)))


def versions(library):
    return [item.entry.manifest.version for item in library.list()]


def test_empty_shelf_says_which_command_to_run(library):
    for attempt in (library.open_active, library.info, library.verify, library.rollback):
        with pytest.raises(DefinitionsMissing, match="run `redoubt definitions import BUNDLE`"):
            attempt()
    assert library.list() == ()
    assert library.history() == ()


def test_imported_definitions_are_active_and_say_where_they_came_from(library, built):
    imported = load(library, built, 3)
    assert (imported.already_active, imported.older, imported.previous) == (False, False, "")
    with library.open_active() as definitions:
        assert definitions.affected("debian:12", "openssl")[0] == ("debian/CVE-2024-0001", (span("3"),))
        info = definitions.info
    assert (info.channel, info.version, info.created) == ("site", 3, "2026-11-22T00:00:00Z")
    assert info.digest == imported.entry.digest == digest_of(3)
    assert library.info().entry.imported == "2026-11-22T12:00:00Z"


def test_reader_keeps_its_definitions_until_it_reopens(built, tmp_path):
    library = built.library(str(tmp_path / "data"), keep=1)
    load(library, built, 1)
    with library.open_active() as before:
        load(library, built, 2)
        load(library, built, 3)
        assert versions(library) == [3]
        assert before.info.version == 1
        assert before.affected("debian:12", "openssl")[0][1] == (span("1"),)
    assert active(library) == 3


def test_importing_again_changes_nothing(library, built):
    load(library, built, 2)
    before = library.info(), library.history()
    assert load(library, built, 2).already_active
    assert (library.info(), library.history()) == before


def test_newest_few_stay_and_the_active_one_always(library, built):
    for version in (1, 2, 3, 4, 5):
        load(library, built, version)
    assert versions(library) == [5, 4, 3]
    library.rollback(digest_of(3))
    load(library, built, 6)
    load(library, built, 7)
    assert versions(library) == [7, 6, 5]
    library.rollback(digest_of(5))
    assert [entry.manifest.version for entry in library.prune(1)] == [6]
    assert versions(library) == [7, 5]
    assert active(library) == 5
    with pytest.raises(UsageError):
        library.prune(0)


def test_rolling_back_twice_goes_back_twice(library, built):
    for version in (1, 2, 3):
        load(library, built, version)
    assert library.rollback(now=NOW).manifest.version == 2
    assert active(library) == 2
    assert library.rollback(now=NOW).manifest.version == 1
    with pytest.raises(DefinitionsMissing, match="nothing earlier"):
        library.rollback(now=NOW)
    assert active(library) == 1
    assert library.rollback(digest_of(3)[:20], now=NOW).manifest.version == 3
    assert [event.action for event in library.history()] == ["import"] * 3 + ["rollback"] * 3


def test_rollback_returns_to_what_was_active_and_not_to_what_was_left(library, built):
    load(library, built, 1)
    load(library, built, 2)
    library.rollback()
    load(library, built, 3)
    assert library.rollback().manifest.version == 1


def test_rollback_steps_over_what_was_pruned(library, built):
    for version in (1, 2, 3):
        load(library, built, version)
    library.rollback(digest_of(1))
    load(library, built, 4)
    assert versions(library) == [4, 3, 2]
    with pytest.raises(DefinitionsMissing, match="nothing earlier"):
        library.rollback()


def test_rolling_back_lets_nothing_older_in_later(library, built):
    load(library, built, 1)
    load(library, built, 5)
    library.rollback()
    with pytest.raises(DefinitionsRefused, match="older than version 5"):
        load(library, built, 3)
    assert load(library, built, 5).entry.manifest.version == 5
    assert active(library) == 5


def test_older_bundle_is_imported_where_asked_for_and_recorded(library, built):
    load(library, built, 5)
    assert load(library, built, 3, allow_older=True).older
    assert active(library) == 3
    event = library.history()[-1]
    assert (event.action, event.version, event.previous) == ("import-older", 3, digest_of(5))
    assert not load(library, built, 4).older


def test_channels_do_not_hinder_each_other(library, built):
    load(library, built, 5)
    library.trust.add(built.root, "lab", now=NOW)
    library.import_bundle(built.bundle(1, channel="lab"), now=NOW)
    with library.open_active() as definitions:
        assert (definitions.info.channel, definitions.info.version) == ("lab", 1)
    with pytest.raises(DefinitionsRefused, match="older than version 5"):
        load(library, built, 4)


def test_new_version_with_the_same_contents_becomes_active(library, built):
    load(library, built, 5)
    imported = library.import_bundle(built.bundle(8, sample_records("5"), name="same.zip"), now=NOW)
    assert not imported.already_active
    assert imported.entry.digest == digest_of(5)
    assert active(library) == 8
    assert len(library.list()) == 1


# Naming a file


def test_named_file_is_opened_without_becoming_active(library, built):
    load(library, built, 3)
    with library.open(str(built.folder / "site-4.zip"), now=NOW) as definitions:
        assert definitions.info.version == 4
        assert definitions.affected("debian:12", "openssl")[0][1] == (span("4"),)
    assert active(library) == 3
    with library.open(digest_of(4)) as definitions:
        assert definitions.info.version == 4
    with pytest.raises(DefinitionsMissing, match="nothing earlier"):
        library.rollback()


def test_named_file_is_stored_once(library, built):
    with library.open_bundle(built.folder / "site-4.zip", now=NOW):
        path = library.info(digest_of(4)).path / snapshot.DATA
    before = path.stat().st_ino
    with library.open_bundle(built.folder / "site-4.zip", now=NOW):
        assert path.stat().st_ino == before
    assert versions(library) == [4]


def test_named_files_push_no_imports_out(library, built):
    load(library, built, 1)
    load(library, built, 2)
    for version in (3, 4, 5, 6):
        library.open_bundle(built.folder / f"site-{version}.zip", now=NOW).close()
    assert versions(library) == [6, 5, 4, 2, 1]
    assert library.rollback().manifest.version == 1


def test_named_file_does_not_raise_what_was_accepted(library, built):
    load(library, built, 2)
    library.open_bundle(built.folder / "site-7.zip", now=NOW).close()
    assert load(library, built, 3).entry.manifest.version == 3


def test_named_older_file_is_refused_unless_allowed_or_known(library, built):
    load(library, built, 5)
    with pytest.raises(DefinitionsRefused, match="older than version 5"):
        library.open_bundle(built.folder / "site-4.zip", now=NOW)
    library.open_bundle(built.folder / "site-4.zip", allow_older=True, now=NOW).close()
    with library.open_bundle(built.folder / "site-4.zip", now=NOW) as definitions:
        assert definitions.info.version == 4


def test_digest_is_found_by_its_beginning(library, built):
    load(library, built, 1)
    hexadecimal = digest_of(1).removeprefix("sha256:")
    for name in (digest_of(1), hexadecimal, hexadecimal[:6], f"sha256:{hexadecimal[:9]}"):
        with library.open(name) as definitions:
            assert definitions.info.digest == digest_of(1)


def test_digest_that_is_not_here_is_said(library, built):
    load(library, built, 1)
    with pytest.raises(DefinitionsMissing, match="see `redoubt definitions list`"):
        library.open("0123456789ab")
    with pytest.raises(UnreadableInput, match="there is no file"):
        library.open("no-such-bundle.zip")
    with pytest.raises(UsageError, match="not a digest"):
        library.rollback("x" * 1000)


def test_beginning_of_two_digests_is_refused(library, built, tmp_path):
    load(library, built, 1)
    load(library, built, 2)
    state = tmp_path / "data" / "definitions" / "state.json"
    alike = digest_of(1)[:20] + "0" * (len(digest_of(1)) - 20)
    state.write_text(state.read_text().replace(digest_of(2), alike))
    with pytest.raises(UsageError, match="more than one"):
        library.info(digest_of(1)[:20])


# Damage


def test_verify_reads_everything_and_names_damage(library, built):
    load(library, built, 1)
    assert library.verify().entry.digest == digest_of(1)
    path = library.info().path / snapshot.DATA
    data = bytearray(path.read_bytes())
    data[data.index(b"PYSEC-1")] ^= 1
    path.write_bytes(data)
    with pytest.raises(DefinitionsError, match="are damaged; import their bundle again"):
        library.verify()


def test_snapshot_under_anothers_name_is_found_by_verify(library, built):
    load(library, built, 1)
    load(library, built, 2)
    one, two = library.info(digest_of(1)).path, library.info(digest_of(2)).path
    shutil.rmtree(two)
    shutil.copytree(one, two)
    with pytest.raises(DefinitionsError, match="not those of their name"):
        library.verify()


@pytest.mark.parametrize("damage", ["truncated", "changed", "removed"])
def test_importing_again_repairs_damage(library, built, damage):
    load(library, built, 1)
    path = library.info().path / snapshot.DATA
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "changed":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        shutil.rmtree(path.parent)
    with pytest.raises(DefinitionsError):
        library.verify()
    load(library, built, 1)
    library.verify()
    assert active(library) == 1


def test_truncated_snapshot_is_not_opened_and_a_rollback_helps(library, built):
    load(library, built, 1)
    load(library, built, 2)
    path = library.info().path / snapshot.DATA
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(DefinitionsError, match="redoubt definitions rollback"):
        library.open_active()
    library.rollback()
    assert active(library) == 1


def test_rollback_to_damaged_definitions_is_refused(library, built):
    load(library, built, 1)
    load(library, built, 2)
    (library.info(digest_of(1)).path / snapshot.DATA).write_bytes(b"")
    with pytest.raises(DefinitionsError, match="damaged"):
        library.rollback()
    assert active(library) == 2


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b'{"entries": 1}'])
def test_damaged_state_is_said_and_nothing_removed(library, built, tmp_path, content):
    load(library, built, 1)
    (tmp_path / "data" / "definitions" / "state.json").write_bytes(content)
    for attempt in (library.open_active, lambda: load(library, built, 2), library.prune):
        with pytest.raises(DefinitionsError, match=r"state\.json is damaged; remove it and run"):
            attempt()
    assert len(list((tmp_path / "data" / "definitions" / "snapshots").iterdir())) == 1


def test_state_of_a_newer_program_is_left_alone(library, built, tmp_path):
    load(library, built, 1)
    state = tmp_path / "data" / "definitions" / "state.json"
    state.write_text(state.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(DefinitionsError, match="newer Redoubt"):
        load(library, built, 2)


def test_leftovers_of_the_dead_are_removed_by_the_next_writer(library, built, tmp_path):
    load(library, built, 1)
    home = tmp_path / "data" / "definitions"
    (home / "tmp" / "snapshot").mkdir(parents=True)
    (home / "tmp" / "snapshot" / "snapshot.kv").write_bytes(b"half")
    (home / "snapshots" / ("0" * 64)).mkdir()
    (home / "snapshots" / "stray").write_text("")
    load(library, built, 2)
    assert sorted(place.name for place in (home / "snapshots").iterdir()) == sorted(
        digest_of(version).removeprefix("sha256:") for version in (1, 2)
    )
    assert not (home / "tmp").exists()


def test_place_that_cannot_be_written_says_so(built, tmp_path):
    (tmp_path / "file").write_text("")
    library = Library(tmp_path / "file")
    with pytest.raises(AccessDenied, match="cannot write"):
        library.import_bundle(built.folder / "site-1.zip", now=NOW)


def test_history_is_bounded(library, built):
    load(library, built, 1)
    entry = library.info().entry
    state = library._read()
    for _ in range(1100):
        state = state.with_rollback(entry, "2026-11-22T12:00:00Z")
    assert len(state.history) == 1000


def test_times_are_utc(library, built):
    imported = library.import_bundle(built.folder / "site-1.zip", now=NOW.astimezone(_zone(9)))
    assert imported.entry.imported == "2026-11-22T12:00:00Z"


def test_reading_the_shelf_needs_no_signature_library():
    code = (
        "import sys; from pathlib import Path; from redoubt.definitions.library import Library\n"
        "try: Library(Path('/nonexistent')).open_active()\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print(sorted({'tuf', 'cryptography', 'securesystemslib', 'httpx', 'urllib3'} & set(sys.modules)))"
    )
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["DefinitionsMissing", "[]"]


def _zone(hours):
    from datetime import timezone

    return timezone(timedelta(hours=hours))


def test_follower_proves_the_digest_and_takes_what_the_other_shelf_has(tmp_path):
    site = Site(tmp_path / "site")
    leader, follower = site.library("leader"), Library(tmp_path / "follower")
    leader.import_bundle(site.bundle(1))
    entry = leader.info().entry
    packed = tmp_path / "stream.zst"
    with leader.open_active() as snapshot, packed.open("wb") as sink:
        stream.write(snapshot.records(), sink)
    wrong = tmp_path / "wrong.zst"
    with wrong.open("wb") as sink:
        stream.write(sample_records("other"), sink)
    with pytest.raises(DefinitionsRefused):
        follower.follow(entry, wrong)
    assert follower.list() == ()
    assert follower.follow(entry, packed).digest == entry.digest
    with follower.open_active() as ours, leader.open_active() as theirs:
        assert list(ours.records()) == list(theirs.records())
    assert follower.follow(entry, tmp_path / "gone").digest == entry.digest
    assert [event.action for event in follower.history()] == ["follow"]
