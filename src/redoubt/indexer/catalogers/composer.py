"""PHP's packages: what Composer installed (``installed.json``), and what it was asked for (``composer.lock``).

Both list packages in the same form. Names are lower-case, as Packagist has them. A package that Composer linked
from a folder is the application's own. It must not know how PHP versions are compared.
"""

from __future__ import annotations

import msgspec

from redoubt.indexer.catalogers import lockfiles
from redoubt.indexer.catalogers.documents import decoded, rows, table, word
from redoubt.indexer.catalogers.fields import Findings
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_INSTALLED = msgspec.json.Decoder(dict[str, object] | list[object])
_LOCK = msgspec.json.Decoder(dict[str, object])
_LARGEST = 32 << 20


class ComposerCataloger:
    """``composer/installed.json`` in any folder of packages (Composer 1: a list; 2: an object)."""

    name = "composer"
    version = 1
    wanted = Wanted(names=frozenset({b"installed.json"}), max_size=_LARGEST)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is Composer's."""
        return path.endswith(b"/composer/installed.json")

    def catalog(self, path: str, content: Content) -> Catalog:
        """Everything that is installed, for development too: it is there."""
        found = Findings()
        document = decoded(_INSTALLED, content, found)
        if document is not None:
            _add_all(document if isinstance(document, list) else document.get("packages"), found)
        return found.catalog()


class ComposerLockCataloger:
    """``composer.lock``, but for those inside of installed packages."""

    name = "composer-lock"
    version = 1
    wanted = Wanted(names=frozenset({b"composer.lock"}), max_size=_LARGEST, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but those for development only (``packages-dev``)."""
        found = Findings()
        document = decoded(_LOCK, content, found)
        if document is not None:
            _add_all(document.get("packages"), found)
        return found.catalog()


def _add_all(packages: object, found: Findings) -> None:
    if not isinstance(packages, list):
        found.damaged("not as Composer writes it; packages may be missing")
    for package in rows(packages):
        values = table(package)
        name, version = word(values.get("name")), word(values.get("version"))
        if word(table(values.get("dist")).get("type")) == "path":
            continue
        if name and version:
            found.add("composer", name.lower(), version)
        else:
            found.damaged("a package without a name or a version")
        if found.full:
            return
