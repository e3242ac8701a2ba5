"""npm's lock files: ``package-lock.json`` and ``npm-shrinkwrap.json``, in versions 1, 2 and 3.

From version 2 on, ``packages`` maps each place of the installation to what belongs there; version 1 nests
``dependencies``. ``node_modules/.package-lock.json`` is not read: what it lists has its own manifest beside it.
It must not know whether anything is installed.
"""

from __future__ import annotations

import msgspec

from redoubt.indexer.catalogers import lockfiles, npm_names
from redoubt.indexer.catalogers.documents import decoded, word
from redoubt.indexer.catalogers.fields import Findings
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_MODULES = "node_modules/"
_ALIAS = "npm:"


class _Entry(msgspec.Struct, gc=False):
    """A package at a place. ``name`` is there only if it is not the place's."""

    name: object = None
    version: object = None
    resolved: object = None
    dev: object = False
    link: object = False


class _Old(msgspec.Struct):
    """A package of version 1, with those that are installed below it."""

    version: object = None
    resolved: object = None
    dev: object = False
    dependencies: dict[str, _Old] = {}


class _Lock(msgspec.Struct, rename="camel"):
    lockfile_version: int = 1
    packages: dict[str, _Entry] | None = None
    dependencies: dict[str, _Old] | None = None


_DECODER = msgspec.json.Decoder(_Lock)


class NpmLockCataloger:
    """The two files by their names, but for those inside of installed packages."""

    name = "npm-lock"
    version = 1
    wanted = Wanted(
        names=frozenset({b"package-lock.json", b"npm-shrinkwrap.json"}), max_size=64 << 20, declared=True
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but the application's own and those for development only."""
        found = Findings()
        lock = decoded(_DECODER, content, found)
        if lock is None:
            return found.catalog()
        if lock.packages is not None:
            _places(lock.packages, found)
        elif lock.dependencies is not None:
            _nested(lock.dependencies, found)
        elif content.size < 3:
            found.damaged("not as npm writes it; packages may be missing")
        return found.catalog()


def _places(packages: dict[str, _Entry], found: Findings) -> None:
    for place, entry in packages.items():
        if entry.dev is True or entry.link is True or _MODULES not in place:
            continue  # a place outside of all modules is of the application's own
        name = word(entry.name) or place.rpartition(_MODULES)[2]
        registry = npm_names.from_registry(word(entry.resolved))
        npm_names.add(found, name, word(entry.version), registry=registry)
        if found.full:
            return


def _nested(dependencies: dict[str, _Old], found: Findings) -> None:
    waiting = [dependencies]
    while waiting and not found.full:
        for name, entry in waiting.pop().items():
            if entry.dependencies:
                waiting.append(entry.dependencies)
            version = word(entry.version)
            if entry.dev is True or version.startswith(("file:", "link:")):
                continue
            if version.startswith(_ALIAS):
                name, version = npm_names.split(version[len(_ALIAS) :])
            registry = ":" not in version and npm_names.from_registry(word(entry.resolved))
            npm_names.add(found, name, version, registry=registry)
