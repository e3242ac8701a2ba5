"""Zipped eggs: a Python distribution in one ``.egg`` file, with its ``PKG-INFO`` inside."""

from __future__ import annotations

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers.fields import Findings
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.catalogers.python import distribution

_MEMBER = b"EGG-INFO/PKG-INFO"
_LARGEST = 1 << 20


class EggCataloger:
    """Files named ``*.egg``. A folder of that name is read by its ``EGG-INFO/PKG-INFO``."""

    name = "python-egg"
    version = 1
    wanted = Wanted(extensions=frozenset({b".egg"}), max_size=1 << 30)

    def accepts(self, path: bytes) -> bool:
        """Every path: the name decides."""
        return True

    def catalog(self, path: str, content: Content) -> Catalog:
        """The one distribution in it. What has the name and is no zip (setuptools' links) is left alone."""
        from redoubt.indexer.catalogers.ziparchive import ZipArchive

        found = Findings()
        if content.read(0, 2) != b"PK":
            return found.catalog()
        try:
            archive = ZipArchive(content)
            for member in archive.members(_MEMBER.__eq__):
                distribution(archive.read(member, _LARGEST), path, found)
                break
            else:
                found.damaged("no EGG-INFO/PKG-INFO in it")
        except (UnreadableInput, LimitExceeded) as error:
            found.damaged(str(error))
        return found.catalog()
