"""Smaller documents that others write: of registries, of upstreams' servers, of this machine's user, and texts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import packageurl

from redoubt.assessments import ignorefile
from redoubt.cli import entry
from redoubt.definitions import cvss, mirror
from redoubt.definitions.sources import SOURCES, Source
from redoubt.definitions.sources.repomd import updateinfo_of
from redoubt.errors import RedoubtError
from redoubt.indexer.java_index import JavaIndex, Listing
from redoubt.indexer.sources import manifests
from redoubt.indexer.sources.challenge import read_challenges
from redoubt.indexer.sources.manifests import Config
from redoubt.matcher import globs
from redoubt.model import Distribution, Package, purl, redhat
from targets.interface import Target

_SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None
_BETWEEN = b"\n\0\n"


def _manifests(data: bytes) -> int:
    """An index or a manifest, another document for what it points to, and a configuration."""
    first, second, config = [*data.split(_BETWEEN), b"", b""][:3]
    made = 0
    with suppress(RedoubtError):
        roots = manifests.read_index(first, "a")
        made += len(roots)
        manifests.choose(roots, None, lambda *_: second, "a")
    with suppress(RedoubtError):
        manifests.read_manifest(second, "application/vnd.oci.image.manifest.v1+json", "a")
        made += 1
    with suppress(RedoubtError):
        read = manifests.decode(config, Config, "a")
        manifests.check_platform(read, None, "a")
        manifests.created_by_of(read, 3)
        made += len(manifests.diff_ids_of(read, 1, "a"))
    return made


def _challenge(data: bytes) -> int:
    return len(read_challenges(data.decode("latin-1").split("\n")))


def _discover(source: Source, data: bytes) -> int:
    """A server that answers whatever it is asked with the same documents, one after the other."""
    answers = data.split(_BETWEEN)
    asked = [0]

    def get(url: str) -> bytes:
        asked[0] += 1
        assert asked[0] < 10_000, "asks without end"
        return answers[asked[0] % len(answers)]

    assert source.discover
    with suppress(RedoubtError):
        found = source.discover(get)
        for one in found.downloads:
            assert ".." not in one.path.split("/"), one.path
            assert not one.path.startswith("/"), one.path
        return asked[0] + len(found.downloads)
    return asked[0]


def _repomd(data: bytes) -> int:
    with suppress(RedoubtError):
        return len(updateinfo_of("a", data))
    return 0


def _in_file(read: Callable[[Path], int], data: bytes) -> int:
    with tempfile.TemporaryDirectory(dir=_SHM) as folder, suppress(RedoubtError):
        place = Path(folder, "file")
        place.write_bytes(data)
        return read(place)
    return 0


def _java_index(place: Path) -> int:
    index = JavaIndex(place)
    try:
        found = index.find(b"\0" * 20), index.find(b"\x11" * 20)
        index.verify()
    finally:
        index.close()
    return sum(each is not None for each in found)


def _java_lists(data: bytes) -> int:
    listing = Listing()
    with suppress(RedoubtError):
        listing.read_lines(data.decode("utf-8", "replace").splitlines())
    return len(listing)


def _java_indexes() -> list[bytes]:
    listing = Listing()
    listing.read_lines([f"{'11' * 20} g a 1", f"{'22' * 20} g b 2"])
    with tempfile.TemporaryDirectory(dir=_SHM) as folder:
        listing.write(place := Path(folder, "index"))
        return [place.read_bytes()]


def _config(place: Path) -> int:
    before = os.environ.get("REDOUBT_CONFIG")
    os.environ["REDOUBT_CONFIG"] = str(place)
    try:
        return len(entry._configuration("redoubt")[1])
    finally:
        if before is None:
            del os.environ["REDOUBT_CONFIG"]
        else:
            os.environ["REDOUBT_CONFIG"] = before


def _notes(place: Path) -> int:
    place.rename(place.with_name(mirror.NOTES))
    return len(mirror.read_notes(place.parent))


def _cvss(data: bytes) -> int:
    with suppress(cvss.InvalidVector):
        score = cvss.base_score(data.decode("utf-8", "replace"))
        assert 0 <= score <= 10
        return 1
    return 0


def _cpe(data: bytes) -> int:
    one, _, other = data.decode("utf-8", "replace").partition("\n")
    redhat.near(one, other)
    return int(redhat.cpe(one) is not None)


def _purl(data: bytes) -> int:
    """What is written is read by the library that others use, as the same package."""
    fields = data.decode("utf-8", "replace").split("\n")
    kind, name, version, arch, ident, release = [*fields, *[""] * 6][:6]
    kinds = ("deb", "rpm", "apk", "npm", "golang", "maven", "pypi", "cargo", "gem", "oci", "generic", "swift")
    kind = kind if kind in kinds else kinds[len(data) % len(kinds)]
    package = Package(type=kind, name=name or "a", version=version, arch=arch)
    said = purl.of_package(package, Distribution(id=ident, version_id=release) if ident else None)
    with suppress(ValueError):
        read = packageurl.PackageURL.from_string(said)
        assert read.type == kind, said
        return 1
    return 0


def _purl_read(data: bytes) -> int:
    return int(purl.parse(data.decode("utf-8", "replace")) is not None)


def _ignore(data: bytes) -> int:
    with suppress(RedoubtError):
        rules = ignorefile.read(data, "a")
        for rule in rules:
            globs.path(rule.path, "usr/lib/a/b.jar")
            globs.name(rule.package, "a-b-c")
        return len(rules)
    return 0


def _discoveries(source: Source) -> list[bytes]:
    return _BODIES[source.name]()


_SUM = "sha256:" + "0" * 64
_DESCRIPTOR = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": _SUM, "size": 2}


def _manifest_seeds() -> list[bytes]:
    encode = msgspec.json.encode
    platform = {"platform": {"architecture": "amd64", "os": "linux", "variant": "v2"}}
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [_SUM]},
        "history": [{"created_by": "COPY a"}, {"empty_layer": True}],
    }
    index = {
        "schemaVersion": 2,
        "manifests": [{**_DESCRIPTOR, **platform}, {**_DESCRIPTOR, "annotations": {"a": "b"}}],
    }
    manifest = {"schemaVersion": 2, "config": _DESCRIPTOR, "layers": [{**_DESCRIPTOR, "urls": ["https://x"]}]}
    return [_BETWEEN.join((encode(index), encode(manifest), encode(config)))]


_REPOMD = b"""<?xml version="1.0"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo">
  <data type="primary"><location href="repodata/p.xml.gz"/></data>
  <data type="updateinfo"><location href="repodata/u.xml.gz"/></data>
</repomd>
"""
_CATALOG = b'{"versions": ["2099.1.20990101"], "releases": [{"version": "2099.1.20990101"}]}'
_BODIES: dict[str, Callable[[], list[bytes]]] = {
    "amazon": lambda: [b"https://x/$basearch/\n" + _BETWEEN + _REPOMD, _CATALOG + _BETWEEN + _REPOMD],
    "rocky": lambda: [_REPOMD, b'<a href="9.4/">9.4/</a>' + _BETWEEN + _REPOMD],
    "redhat": lambda: [
        b'"2099/cve-2099-0001.json","2099-01-02T00:00:00+00:00"\n'
        + _BETWEEN
        + b"csaf_vex_2099-01-01.tar.zst\n"
    ],
    "fedora": lambda: [
        b'{"releases": [{"name": "F42", "state": "current", "id_prefix": "FEDORA", "version": "42", "branch": "f42"}], "total": 1}'
        + _BETWEEN
        + b'{"total": 3, "pages": 2, "updates": []}'
    ],
}

TARGETS: dict[str, Target] = {
    "manifests": Target(_manifests, _manifest_seeds),
    "challenge": Target(
        _challenge,
        lambda: [
            b'Bearer realm="https://x/token",service="x",scope="repository:a/b:pull"\nBasic realm="a\\"b"'
        ],
    ),
    "repomd": Target(_repomd, lambda: [_REPOMD]),
    "java-index": Target(partial(_in_file, _java_index), _java_indexes),
    "java-lists": Target(_java_lists, lambda: [b"11" * 20 + b" g a 1\n# x\n" + b"22" * 20 + b",g:b:2\n"]),
    "config": Target(
        partial(_in_file, _config),
        lambda: [b'[scan]\nfail-on = "high"\nformat = ["json"]\n[definitions.build]\na = 1\n'],
    ),
    "fetch-notes": Target(
        partial(_in_file, _notes),
        lambda: [b'{"a/b.json": {"url": "https://x", "etag": "1", "checked": "2099-01-01T00:00:00Z"}}'],
    ),
    "purl-read": Target(
        _purl_read, lambda: [b"pkg:deb/debian/a%2Bb@1:2~x?arch=amd64&distro=debian-12#s", b"pkg:npm/%40s/a@1"]
    ),
    "ignore-file": Target(
        _ignore,
        lambda: [
            b'[[ignore]]\nid = "CVE-2099-0001"\npackage = "a*"\npath = "usr/**/*.jar"\nreason = "x"\nexpires = 2099-01-01\n'
        ],
    ),
    "cvss": Target(
        _cvss,
        lambda: [
            b"AV:N/AC:L/Au:N/C:P/I:P/A:P",
            b"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            b"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        ],
    ),
    "cpe": Target(
        _cpe,
        lambda: [
            b"cpe:/o:redhat:enterprise_linux:9::baseos\ncpe:/a:redhat:rhel_eus:9.2::appstream",
            b"cpe:2.3:o:redhat:enterprise_linux:9:*:*:*:*:*:*:*\nx",
        ],
    ),
    "purl": Target(
        _purl,
        lambda: [
            b"deb\na+b\n1:2~x\namd64\ndebian\n12",
            b"npm\n@s/a\n1.0.0",
            b"golang\nx.org/a/b\nv1+incompatible",
        ],
    ),
    **{
        f"discover:{source.name}": Target(partial(_discover, source), partial(_discoveries, source))
        for source in SOURCES
        if source.discover
    },
}
