"""Alpine's and Wolfi's packages: apk's ``installed`` database.

Paragraphs of ``X:value`` lines (apk-installed(5)): first the package's own fields, then its folders and
files. It must not know which distribution the packages belong to.
"""

from __future__ import annotations

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.catalogers.paragraphs import paragraphs

_PLACE = b"lib/apk/db/installed"


class ApkCataloger:
    """``**/lib/apk/db/installed``: in ``lib`` up to Alpine 3.22, in ``usr/lib`` since."""

    name = "apk"
    version = 2
    wanted = Wanted(
        names=frozenset({b"installed"}),
        databases=("lib/apk/db/installed", "usr/lib/apk/db/installed"),
        max_size=256 << 20,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the path is apk's database."""
        return path == _PLACE or path.endswith(b"/" + _PLACE)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package; its origin (the source package) as ``source_name``; and its files."""
        found = Findings()
        below = path[: -len(_PLACE)].removesuffix("usr/").encode()
        for number, paragraph in enumerate(paragraphs(content), 1):
            fields: dict[bytes, bytes] = {}
            # The files begin at the first folder (F:), and are most of the database.
            own, _, files = paragraph.partition(b"\nF:")
            for line in own.split(b"\n"):
                if line[1:2] == b":":
                    fields.setdefault(line[:1], line[2:])
            name, version = clean(fields.get(b"P", b"")), clean(fields.get(b"V", b""))
            if name and version:
                found.add(
                    "apk",
                    name,
                    version,
                    arch=clean(fields.get(b"A", b"")),
                    source_name=clean(fields.get(b"o", b"")),
                )
                if files:
                    found.owns(f"apk/{name}", _paths(files), below=below, version=version)
            else:
                missing = "version (V:)" if name else "name (P:)"
                found.damaged(f"record {number} ({shown(name) or 'no name'}) has no {missing}")
            if found.full:
                break
        return found.catalog()


def _paths(files: bytes) -> list[bytes]:
    """The paths in a record from its first folder on: ``F:`` begins a folder, ``R:`` is a file in it."""
    paths = []
    for folder in files.split(b"\nF:"):
        name, *lines = folder.split(b"\n")
        below = name + b"/" if name else b""
        paths += [below + line[2:] for line in lines if line.startswith(b"R:")]
    return paths
