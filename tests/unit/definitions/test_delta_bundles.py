"""Deltas as signed bundles: accepted where their base is on the shelf, by the rules of any bundle."""

from __future__ import annotations

import io
import json

import msgspec
import pytest

from redoubt.definitions import bundle, delta, records, stream
from redoubt.errors import DefinitionsRefused
from support.definitions_bundles import NOW, Site, delta_bundle, members, rezip, sample_records


@pytest.fixture
def site(tmp_path):
    """Bundles 1 to 3."""
    site = Site(tmp_path)
    for version in (1, 2, 3):
        site.bundle(version)
    return site


def digest(version):
    return stream.digest(sample_records(str(version)))


def refused(library, path, *reasons):
    before = library.list()
    with pytest.raises(DefinitionsRefused) as caught:
        library.import_bundle(path, now=NOW)
    for reason in reasons:
        assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert library.list() == before


def test_delta_makes_the_target_active_as_its_bundle_would(site):
    library = site.library()
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    done = library.import_bundle(delta_bundle(site, 1, 2), now=NOW)
    assert (done.entry.digest, done.previous, done.older) == (digest(2), digest(1), False)
    assert done.entry.manifest.base == digest(1)
    assert library.verify().entry.digest == digest(2)
    with library.open_active() as definitions:
        assert list(definitions.records()) == sample_records("2")
        assert (definitions.info.version, definitions.info.unsigned) == (2, False)
    assert library.import_bundle(site.folder / "site-2.zip", now=NOW).already_active
    assert library.import_bundle(delta_bundle(site, 1, 2), now=NOW).already_active


def test_snapshot_of_a_delta_is_the_file_that_its_bundle_gives(site):
    whole, stepped = site.library("whole"), site.library("stepped")
    whole.import_bundle(site.folder / "site-2.zip", now=NOW)
    stepped.import_bundle(site.folder / "site-1.zip", now=NOW)
    stepped.import_bundle(delta_bundle(site, 1, 2), now=NOW)
    files = [library.info().path / "snapshot.kv" for library in (whole, stepped)]
    ends = [
        msgspec.json.decode((file.parent / "snapshot.json").read_bytes())["layout"]["entries"]
        for file in files
    ]
    assert files[0].read_bytes()[: ends[0]] == files[1].read_bytes()[: ends[1]]
    assert ends[0] == ends[1] > 500


def test_deltas_follow_each_other(site):
    library = site.library(keep=1)
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    library.import_bundle(delta_bundle(site, 1, 2), now=NOW)
    library.import_bundle(delta_bundle(site, 2, 3), now=NOW)
    assert [item.entry.digest for item in library.list()] == [digest(3)]
    library.verify()


def test_delta_without_its_base_is_refused_and_names_it(site):
    library = site.library()
    refused(library, delta_bundle(site, 1, 2), digest(1), "not on the shelf")
    library.import_bundle(site.folder / "site-2.zip", now=NOW)
    refused(library, delta_bundle(site, 1, 3), digest(1), "not on the shelf")


def test_delta_whose_target_is_on_the_shelf_needs_no_base(site):
    library = site.library()
    library.open_bundle(site.folder / "site-2.zip", now=NOW).close()
    assert library.import_bundle(delta_bundle(site, 1, 2), now=NOW).entry.digest == digest(2)


def test_delta_is_used_once_without_becoming_active(site):
    library = site.library()
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    with library.open_bundle(delta_bundle(site, 1, 2), now=NOW) as definitions:
        assert definitions.info.version == 2
    assert library.info().entry.digest == digest(1)


def test_older_delta_is_refused_and_allowed_when_asked(site):
    library = site.library()
    library.import_bundle(site.folder / "site-3.zip", now=NOW)
    back = delta_bundle(site, 3, 2)
    refused(library, back, "older than version 3", "--allow-older")
    assert library.import_bundle(back, now=NOW, allow_older=True).older


def test_delta_of_an_untrusted_channel_is_refused(site):
    refused(site.library(trusted=False), delta_bundle(site, 1, 2), "no root is trusted for channel site")


def test_damaged_base_is_not_built_upon(site):
    library = site.library()
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    data = library.info().path / "snapshot.kv"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    with pytest.raises(Exception, match="are damaged"):
        library.import_bundle(delta_bundle(site, 1, 2), now=NOW)


def test_delta_that_is_signed_for_another_target_is_refused(site):
    library = site.library()
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    made = delta_bundle(site, 1, 2, digest=digest(3))
    refused(library, made, "not the one that is signed for")


def test_delta_made_from_another_base_is_refused(site):
    library = site.library()
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    wrong = sample_records("1", extra=[records.meta("zz", 1)])
    refused(library, delta_bundle(site, 1, 2, steps_from=wrong), "does not fit the definitions")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"base": "sha256:../../etc"}, "without the digest of its base"),
        ({"base": ""}, "without the digest of its base"),
        ({"base": msgspec.UNSET}, "without the digest of its base"),
        ({"delta_size": msgspec.UNSET}, "without a size within bounds"),
        ({"delta_size": -1}, "without a size within bounds"),
        ({"delta_size": 1 << 60}, "without a size within bounds"),
        ({"delta_size": 1}, "larger than 1 bytes"),
        ({"size": 1}, "more of its base than is signed"),
        ({"schema": "1.9"}, "schema is not the one"),
        ({"format": bundle.FORMAT}, "as a delta and as none"),
        ({"format": "redoubt-delta/2"}, "this Redoubt reads redoubt-bundle/1 and redoubt-delta/1"),
    ],
)
def test_delta_signed_with_nonsense_is_refused(site, changed, reason):
    library = site.library()
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    refused(library, delta_bundle(site, 1, 2, **changed), reason)


def test_delta_changed_after_signing_is_refused(site):
    library = site.library()
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    good = members(delta_bundle(site, 1, 2))
    path = site.folder / "changed.zip"
    target = next(name for name in good if name.startswith("targets/"))
    refused(library, rezip(path, {**good, target: good[target] + b"\0"}), "changed after signing")
    refused(library, rezip(path, {**good, target: good[target][:-1]}), "changed after signing")
    refused(library, rezip(path, {k: v for k, v in good.items() if k != target}), "no stream")
    manifest = {**json.loads(good["manifest.json"]), "base": digest(3)}
    described = {**good, "manifest.json": json.dumps(manifest).encode()}
    refused(library, rezip(path, described), "was changed after signing")
    as_bundle = {**json.loads(good["manifest.json"]), "format": bundle.FORMAT}
    described = {**good, "manifest.json": json.dumps(as_bundle).encode()}
    refused(library, rezip(path, described), "signs no snapshot.kv.zst")


def test_day_of_one_percent_costs_less_than_two_percent():
    def day(number):
        return sorted(
            (b"vosv/CVE-%06d" % n, b"%064x" % (n * 7919**9 + (number if n % 100 == 0 else 0)))
            for n in range(20_000)
        )

    whole, part = io.BytesIO(), io.BytesIO()
    stream.write(day(1), whole)
    delta.write(day(1), day(2), part)
    assert 0 < len(part.getvalue()) < 0.02 * len(whole.getvalue())
