"""Debian packages: dpkg's ``status`` file, and the ``status.d`` folder of distroless images.

Fields are those of deb-control(5) and dpkg's status file: paragraphs of ``Name: value`` lines, whose
continuation lines begin with a space. It must not know which distribution the packages belong to.
"""

from __future__ import annotations

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.catalogers.paragraphs import fields, paragraphs

_STATUS = b"lib/dpkg/status"
_FOLDER = b"lib/dpkg/status.d/"
#: Fields of vcpkg's database, which has the same form and often the name ``status``.
_VCPKG = (b"port-version", b"feature", b"default-features")


class DpkgCataloger:
    """``**/lib/dpkg/status`` and ``**/lib/dpkg/status.d/*`` (without ``*.md5sums``)."""

    name = "dpkg"
    version = 2
    wanted = Wanted(
        names=frozenset({b"status"}),
        directories=frozenset({b"status.d"}),
        databases=("var/lib/dpkg/status",),
        max_size=256 << 20,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the path is dpkg's database or a part of a divided one."""
        folder = path.rpartition(b"/")[0] + b"/"
        return _ends_with(path, _STATUS) or (_ends_with(folder, _FOLDER) and not path.endswith(b".md5sums"))

    def catalog(self, path: str, content: Content) -> Catalog:
        """The packages whose state is installed. A record that cannot be read is a problem; the next is read."""
        found = Findings()
        divided = "/status.d/" in path
        for number, paragraph in enumerate(paragraphs(content), 1):
            if not record(paragraph, number, divided, found) or found.full:
                break
        return found.catalog()


def _ends_with(path: bytes, suffix: bytes) -> bool:
    return path.endswith(suffix) and (len(path) == len(suffix) or path[-len(suffix) - 1] == 0x2F)


def record(paragraph: bytes, number: int, divided: bool, found: Findings) -> bool:
    """Take up one paragraph; without a state if ``divided``. False if the file turns out not to be dpkg's."""
    text = b"\n" + paragraph
    name, version = _field(text, b"\nPackage:"), _field(text, b"\nVersion:")
    status, arch = _field(text, b"\nStatus:"), _field(text, b"\nArchitecture:")
    source = _field(text, b"\nSource:")
    if not (name and version and arch and (status or divided)):
        # Field names may be in any case (deb-control(5)), which dpkg itself never makes use of.
        told = fields(text)
        name, version = told.get(b"package", b""), told.get(b"version", b"")
        status, arch = told.get(b"status", b""), told.get(b"architecture", b"")
        source = told.get(b"source", b"")
        if not (version and arch) and any(key in told for key in _VCPKG):
            found.damaged("this is a vcpkg database, not dpkg's; it is not read")
            return False
    words = status.split()
    if (words or not divided) and not (b"ok" in words and b"installed" in words):
        if not words or not name:
            found.damaged(
                f"record {number} ({shown(name) or 'no name'}) has no {'Status' if name else 'Package'}"
            )
        return True
    name_said, version_said = clean(name), clean(version)  # of control characters alone nothing is left
    if not name_said or not version_said:
        missing = "Version" if name_said else "Package"
        found.damaged(f"record {number} ({shown(name) or 'no name'}) has no {missing}")
        return True
    source_name, _, source_version = clean(source).partition(" ")
    found.add(
        "deb",
        name_said,
        version_said,
        arch=clean(arch),
        source_name=source_name,
        source_version=source_version.strip("() "),
        vendor=clean(_field(text, b"\nMaintainer:")),
    )
    return True


def _field(text: bytes, label: bytes) -> bytes:
    start = text.find(label)
    if start < 0:
        return b""
    start += len(label)
    end = text.find(b"\n", start)
    return text[start : end if end >= 0 else None].strip()
