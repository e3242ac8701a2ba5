"""Every source has input and expectation, and its feed turns the one into the other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from redoubt.definitions.sources import SOURCES, Source, select
from redoubt.definitions.sources.apk import alpine
from redoubt.errors import UsageError
from redoubt.model import Affected, namespaces
from support.data import ROOT
from support.feeds import FIXTURES, fixture_mirror, heard

each_source = pytest.mark.parametrize("source", SOURCES, ids=[source.name for source in SOURCES])


@each_source
def test_feed_makes_the_expected_records_of_its_fixture(source: Source, tmp_path: Path) -> None:
    expected = json.loads((FIXTURES / source.name / "expected.json").read_text())
    assert heard(source, fixture_mirror(tmp_path, [source.name])) == expected
    assert expected["affected"] or expected["facts"]


@each_source
def test_facts_only_carries_no_titles_and_the_same_facts(source: Source, tmp_path: Path) -> None:
    mirror = fixture_mirror(tmp_path, [source.name])
    whole, facts = heard(source, mirror), heard(source, mirror, facts_only=True)
    for advisory in whole["advisories"].values():
        advisory.pop("title", None)
    assert facts == whole


def test_no_fixture_is_left_without_a_source() -> None:
    assert {path.name for path in FIXTURES.iterdir() if path.is_dir()} == {source.name for source in SOURCES}


def test_names_and_places_are_unique() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    paths = [download.path for source in SOURCES for download in source.downloads]
    assert len(set(paths)) == len(paths)


@each_source
def test_what_is_fetched_is_what_is_read(source: Source, tmp_path: Path) -> None:
    from redoubt.definitions.mirror import Mirror

    for path, url in source.downloads:
        assert url.startswith("https://")
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    found = {path for path, _ in Mirror(tmp_path).files(source)}
    assert found == {download.path for download in source.downloads}


@each_source
def test_notice_and_documents_name_every_source(source: Source) -> None:
    assert source.attribution in (ROOT / "NOTICE").read_text()
    assert re.search(rf"^\| `{re.escape(source.name)}` ", (ROOT / "docs" / "sources.md").read_text(), re.M)


@each_source
def test_every_namespace_of_a_feed_has_a_version_scheme(source: Source, tmp_path: Path) -> None:
    from redoubt.definitions.feeds.files import Files
    from redoubt.definitions.feeds.interface import Notes
    from redoubt.definitions.mirror import Mirror

    files = Files(Mirror(fixture_mirror(tmp_path, [source.name])).files(source))
    for _, second in source.feed.read(files, source.name, Notes(), facts_only=True):
        for one in second if isinstance(second, tuple) else ():
            assert isinstance(one, Affected)
            assert namespaces.scheme(one.namespace)


def test_selecting_keeps_the_registrys_order_and_refuses_unknown_names() -> None:
    assert [source.name for source in select(["kev", "debian"])] == ["debian", "kev"]
    with pytest.raises(UsageError, match=r"no such source: debiam; there are osv-pypi"):
        select(["kev", "debiam"])
    with pytest.raises(UsageError, match="no source"):
        select([])


def test_alpine_releases_can_be_chosen() -> None:
    urls = [download.url for download in alpine(["v3.99"]).downloads]
    assert urls == [f"https://secdb.alpinelinux.org/v3.99/{name}.json" for name in ("main", "community")]
