"""Julia's ``Manifest.toml``: every package of an environment, as Julia's package manager resolved it.

Tables are ``[[deps.NAME]]`` (format 2) or ``[[NAME]]`` (format 1). Standard libraries have no version there: they are
Julia's own and left out, as are packages in folders.
"""

from __future__ import annotations

from redoubt.indexer.catalogers import lockfiles, tomllines
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted


class JuliaCataloger:
    """``Manifest.toml`` and ``JuliaManifest.toml``."""

    name = "julia"
    version = 1
    wanted = Wanted(
        names=frozenset({b"Manifest.toml", b"JuliaManifest.toml"}), max_size=16 << 20, declared=True
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's, and not one in a package that Julia fetched."""
        return lockfiles.counts(path) and b"/.julia/packages/" not in path

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package; those of a repository without a version. A file of another program's has none."""
        found = Findings()
        for item in tomllines.tables(content.all().decode("utf-8", "replace")):
            name = clean(item.name.removeprefix("deps."))
            version = item.text("version")
            if name and "." not in name and item.text("uuid") and version and not item.text("path"):
                found.add("julia", name, "" if item.text("repo-url") else version)
            if found.full:
                break
        return found.catalog()
