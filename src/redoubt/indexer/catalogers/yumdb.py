"""Which repository each rpm package came from, as yum wrote it down: ``yumdb``, a folder a package.

``var/lib/yum/yumdb/LETTER/ID-NAME-VERSION-RELEASE-ARCH/from_repo`` holds the repository's id (yum 3.4,
``rpmsack.py``). Names no package: that it is installed, rpm's database says. yum links files of the same content to each
other, so the path alone tells whom one is about.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import MAX_FIELD, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.origins import Origin

_PLACE = re.compile(
    r"(?:.*/)?var/lib/yum/yumdb/[^/]+/[^/-]+-([^/]+)-([^/-]+-[^/-]+)-([^/-]+)/from_repo", re.DOTALL
)
#: What yum and the installer write where no repository was involved: a file, or whatever was there before.
_NO_REPOSITORY = re.compile(r"/.*|installed|anaconda\b.*|@.*", re.DOTALL)


class YumdbCataloger:
    """``**/var/lib/yum/yumdb/*/*/from_repo``."""

    name = "yumdb"
    version = 1
    wanted = Wanted(names=frozenset({b"from_repo"}), max_size=MAX_FIELD)

    def accepts(self, path: bytes) -> bool:
        """Whether the path is the note of a package's repository."""
        return _PLACE.fullmatch(path.decode("utf-8", "replace")) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """Where one package came from; nothing where that was no repository."""
        repository = clean(content.all())
        found = _PLACE.fullmatch(path)
        if not repository or found is None or _NO_REPOSITORY.fullmatch(repository):
            return Catalog()
        return Catalog(
            origins=(Origin("rpm", clean(found[1]), clean(found[2]), clean(found[3]), repository),)
        )
