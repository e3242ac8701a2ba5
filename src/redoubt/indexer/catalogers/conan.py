"""C and C++ packages of Conan: ``conan.lock`` of Conan 1 (a graph) and 2 (lists).

No advisories go by Conan's names: they are listed, not judged. It must not know whether anything is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.indexer.catalogers import lockfiles
from redoubt.indexer.catalogers.documents import decoded, rows, table, word
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_DECODER = msgspec.json.Decoder(dict[str, object])
#: ``name/version@user/channel#revision%time``; all but the first two may be missing.
_REFERENCE = re.compile(r"([^/@#%]{1,200})/([^/@#%]{1,100})(?:[@#%].*)?").fullmatch


class ConanCataloger:
    """``conan.lock``."""

    name = "conan"
    version = 1
    wanted = Wanted(names=frozenset({b"conan.lock"}), max_size=16 << 20, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but tools for building."""
        found = Findings()
        document = decoded(_DECODER, content, found)
        if document is not None:
            if not ("graph_lock" in document or "requires" in document):
                found.damaged("not as Conan writes it; packages may be missing")
            for reference in _references(document):
                if match := _REFERENCE(reference):
                    found.add("conan", clean(match[1]), clean(match[2]))
                if found.full:
                    break
        return found.catalog()


def _references(document: dict[str, object]) -> Iterator[str]:
    yield from map(word, rows(document.get("requires")))
    for node in table(table(document.get("graph_lock")).get("nodes")).values():
        values = table(node)
        if word(values.get("context")) != "build":
            yield word(values.get("ref"))
