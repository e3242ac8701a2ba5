"""What Bitnami's images say of themselves: an SPDX document beside each component, or the older list of them.

Versions end with the revision of Bitnami's build (``7.4.0-2``), which advisories don't know: it is left out. Only
Bitnami's own packages are taken; what else is in the image has metadata of its own.
"""

from __future__ import annotations

import re

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers.documents import decoded, table, word
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_REVISION = re.compile(r"-[0-9]{1,4}$")
_LIST = b".bitnami_components.json"
_DECODER = msgspec.json.Decoder(dict[str, object])


class BitnamiCataloger:
    """``.spdx-COMPONENT.spdx`` and ``.bitnami_components.json``."""

    name = "bitnami"
    version = 1
    wanted = Wanted(extensions=frozenset({b".spdx"}), names=frozenset({_LIST}), max_size=32 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the file's name is as Bitnami writes it."""
        name = path.rpartition(b"/")[2]
        return name == _LIST or name.startswith(b".spdx-")

    def catalog(self, path: str, content: Content) -> Catalog:
        """Bitnami's packages."""
        from redoubt.indexer import sbom

        found = Findings()
        if path.endswith(".json"):
            components = decoded(_DECODER, content, found)
            for name, entry in (components or {}).items():
                _add(name, word(table(entry).get("version")), found)
            return found.catalog()
        try:
            packages = sbom.read(content.all(), "the document").report.packages
        except UnreadableInput as error:
            found.damaged(str(error))
            packages = ()
        for package in packages:
            if package.type == "bitnami":
                _add(package.name, package.version, found)
        return found.catalog()


def _add(name: str, version: str, found: Findings) -> None:
    name, version = clean(name), _REVISION.sub("", clean(version))
    if name and version:
        found.add("bitnami", name, version)
    else:
        found.damaged("a component without a name or a version")
