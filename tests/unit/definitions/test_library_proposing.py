"""A shelf whose changes are decided elsewhere: what is proposed does not count before it was adopted."""

from __future__ import annotations

from pathlib import Path

import pytest

from redoubt.definitions import stream
from redoubt.definitions.library import Library
from redoubt.definitions.proposing import ProposingLibrary
from redoubt.definitions.trust import TrustStore
from redoubt.errors import DefinitionsMissing, DefinitionsRefused
from support.definitions_bundles import NOW, Site, sample_records


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


def shelf(site: Site, data: Path) -> ProposingLibrary:
    TrustStore(data / "trust").add(site.root, site.channel, now=NOW)
    return ProposingLibrary(data)


def compressed(folder: Path, version: int) -> Path:
    path = folder / f"{version}.zst"
    with path.open("wb") as out:
        stream.write(sample_records(str(version)), out)
    return path


def test_import_is_proposed_and_counts_once_it_is_adopted(site: Site, tmp_path: Path) -> None:
    library = shelf(site, tmp_path / "data")
    entry = library.import_bundle(site.bundle(1), now=NOW).entry
    with pytest.raises(DefinitionsMissing):
        library.open_active()
    assert library.proposed is not None
    assert library.proposed.active == entry.digest
    assert library.has(entry.digest)
    library.adopt(library.proposed, {})
    with library.open_active() as definitions:
        assert definitions.info.version == 1


def test_what_was_not_decided_goes_with_the_next_that_is_adopted(site: Site, tmp_path: Path) -> None:
    library = shelf(site, tmp_path / "data")
    library.import_bundle(site.bundle(1), now=NOW)
    assert library.proposed is not None
    library.adopt(library.proposed, {})
    before = library.state()
    dropped = library.import_bundle(site.bundle(2), now=NOW).entry
    library.adopt(before, {})
    assert library.state() == before
    assert not library.has(dropped.digest)


def test_another_machine_becomes_the_same_out_of_streams(site: Site, tmp_path: Path) -> None:
    library = shelf(site, tmp_path / "data")
    for version in (1, 2):
        library.import_bundle(site.bundle(version), now=NOW)
        assert library.proposed is not None
        library.adopt(library.proposed, {})
    state = library.state()
    other = ProposingLibrary(tmp_path / "other")
    with pytest.raises(DefinitionsMissing):
        other.adopt(state, {})
    old = next(digest for digest in state.entries if digest != state.active)
    other.adopt(state, {state.active: compressed(tmp_path, 2)})
    assert [item.entry.digest for item in other.list()] == [state.active]
    with pytest.raises(DefinitionsRefused):
        other.adopt(state, {old: compressed(tmp_path, 3)})
    other.adopt(state, {old: compressed(tmp_path, 1)})
    assert other.state() == state
    assert Library(tmp_path / "other").verify(old).entry.manifest.version == 1


def test_rollback_is_proposed(site: Site, tmp_path: Path) -> None:
    library = shelf(site, tmp_path / "data")
    for version in (1, 2):
        library.import_bundle(site.bundle(version), now=NOW)
        assert library.proposed is not None
        library.adopt(library.proposed, {})
    entry = library.rollback(now=NOW)
    assert library.info().entry.manifest.version == 2
    assert library.proposed.active == entry.digest
    library.adopt(library.proposed, {})
    assert library.info().entry.manifest.version == 1
