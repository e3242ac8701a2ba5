"""Java archives: jars, wars and their kin, what is shaded into them, and the archives nested in them.

This module only says which files those are; ``java_archive`` reads them, and is imported when the first
one comes by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redoubt.indexer.catalogers.fields import Findings
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

if TYPE_CHECKING:
    from redoubt.indexer.java_index import JavaIndex

_ALWAYS_ZIP = (".jar", ".war", ".ear", ".jpi", ".hpi")
# Other things end like these too: RAR archives, parity files, karaoke, system statistics.
_SOMETIMES_ZIP = (".par", ".sar", ".nar", ".kar", ".rar", ".far", ".lpkg", ".zap")


class JavaCataloger:
    """Files named like Java archives, wherever they lie."""

    name = "java"
    version = 4
    wanted = Wanted(
        extensions=frozenset(extension.encode() for extension in _ALWAYS_ZIP + _SOMETIMES_ZIP),
        max_size=4 << 30,
    )

    def __init__(self, index: JavaIndex | None = None) -> None:
        """``index`` names archives that nothing in them names."""
        self._index = index
        #: What else the output depends on (``interface.lookups``).
        self.lookup = index.digest if index else ""

    def accepts(self, path: bytes) -> bool:
        """Every path: the name decides."""
        return True

    def catalog(self, path: str, content: Content) -> Catalog:
        """The archive itself, what is shaded into it, and every nested archive with a location of its own."""
        from redoubt.indexer.catalogers.java_archive import ArchiveWalk

        found = Findings()
        if not path.lower().endswith(_SOMETIMES_ZIP) or content.read(0, 2) == b"PK":
            ArchiveWalk(found, content.size, self.wanted.extensions, self._index).visit(path, content)
        return found.catalog()
