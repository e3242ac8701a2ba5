"""The list of rpm packages in images that have no rpm database: distroless images of CBL-Mariner and Azure Linux.

``var/lib/rpmmanifest/container-manifest-2``, written when the image is built: a package a line, ten fields
between tabs, as ``rpm --queryformat`` gives them: name, version-release, when it was installed, when it was
built, vendor, epoch, size, architecture, epoch as a number, source rpm. Of what is absent rpm writes
``(none)``. Beside it lies ``container-manifest-1``, which holds nothing more and is not read.
"""

from __future__ import annotations

from redoubt.indexer.catalogers import rpm_header
from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_PLACE = b"var/lib/rpmmanifest/container-manifest-2"
_FIELDS = 10
_NONE = b"(none)"
_LONGEST_EPOCH = 10  # digits: it has 32 bits


class RpmManifestCataloger:
    """``var/lib/rpmmanifest/container-manifest-2``, at the root or in a tree below it."""

    name = "rpm-manifest"
    version = 1
    wanted = Wanted(
        names=frozenset({_PLACE.rpartition(b"/")[2]}), databases=(_PLACE.decode(),), max_size=16 << 20
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the path is that of a manifest."""
        return (b"/" + path).endswith(b"/" + _PLACE)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but ``gpg-pubkey``. A line that is none costs only itself; an empty list is damage."""
        found = Findings()
        lines = content.all().split(b"\n")
        for number, line in enumerate(lines, 1):
            if found.full:
                break
            if line.strip(b" \r"):
                _package(number, line.rstrip(b"\r"), found)
        if not any(line.strip(b" \r") for line in lines):
            found.damaged("an empty file in place of the list of rpm packages")
        return found.catalog()


def _package(number: int, line: bytes, found: Findings) -> None:
    told = [b"" if field == _NONE else field for field in line.split(b"\t", _FIELDS)]
    if len(told) != _FIELDS:
        found.damaged(f"line {number} has {min(len(told), _FIELDS + 1)} fields and not {_FIELDS}")
        return
    name, short = clean(told[0]), clean(told[1])
    version, dash, release = short.partition("-")
    epoch = clean(told[8]) or clean(told[5])
    if name == "gpg-pubkey":
        return
    plain = not epoch or (epoch.isascii() and epoch.isdigit() and len(epoch) <= _LONGEST_EPOCH)
    if not (name and version and dash and release and plain):
        found.damaged(
            f"line {number} ({shown(name) or 'no name'}) is no package with a version and a release"
        )
        return
    source_name, source_version = rpm_header.source(clean(told[9]))
    found.add(
        "rpm",
        name,
        f"{int(epoch)}:{short}" if epoch.strip("0") else short,
        arch=clean(told[7]),
        source_name=source_name,
        source_version=source_version if source_version != short else "",
        vendor=clean(told[4]),
    )
