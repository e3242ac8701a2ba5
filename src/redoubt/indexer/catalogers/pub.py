"""Dart's ``pubspec.lock``. It must not know whether anything is installed."""

from __future__ import annotations

from redoubt.indexer.catalogers import lockfiles, yamllines
from redoubt.indexer.catalogers.fields import Findings
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted


class PubCataloger:
    """``pubspec.lock``, but for those inside of fetched packages."""

    name = "pub"
    version = 1
    wanted = Wanted(names=frozenset({b"pubspec.lock"}), max_size=16 << 20, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but the application's own, the SDK's, and what it names for development itself."""
        found = Findings()
        section = name = ""
        known = False
        values: dict[str, str] = {}
        for line in yamllines.pairs(content.all().decode("utf-8", "replace")):
            if line.indent == 4 and section == "packages":
                values[line.key] = line.value
            elif line.indent in (0, 2):
                _add(name, values, found)
                section = line.key if line.indent == 0 else section
                known = known or section == "packages"
                name, values = (line.key if line.indent == 2 else ""), {}
            if found.full:
                break
        _add(name, values, found)
        if not known:
            found.damaged("not as Dart writes it; packages may be missing")
        return found.catalog()


def _add(name: str, values: dict[str, str], found: Findings) -> None:
    source = values.get("source", "")
    if name and source in ("hosted", "git") and values.get("dependency") != "direct dev":
        found.add("pub", name, values.get("version", "") if source == "hosted" else "")
