"""Snaps that are unpacked: the ``meta/snap.yaml`` that each carries.

Only its top-level texts are read, a line each, as snapcraft writes them: no YAML is parsed. It must not know about
squashfs, in which snaps usually lie.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_LINE = re.compile(rb"""^(name|version):[ \t]*(?:'([^'\n]*)'|"([^"\n]*)"|([^\n#]*))""", re.MULTILINE)
_ARCHITECTURE = re.compile(rb"^architectures:\s*(?:\[\s*|-\s*)([a-z0-9_]+)\s*\]?\n(?!\s*-)", re.MULTILINE)


class SnapCataloger:
    """``**/meta/snap.yaml``."""

    name = "snap"
    version = 1
    wanted = Wanted(names=frozenset({b"snap.yaml"}), max_size=1 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies where a snap has it."""
        return (b"/" + path).endswith(b"/meta/snap.yaml")

    def catalog(self, path: str, content: Content) -> Catalog:
        """The snap; its architecture where it has one only."""
        found = Findings()
        text = content.all()
        told = {
            match[1]: b"".join(part or b"" for part in match.groups()[1:]) for match in _LINE.finditer(text)
        }
        arch = _ARCHITECTURE.search(text + b"\n")
        name = clean(told.get(b"name", b""))
        if name:
            version = clean(told.get(b"version", b""))
            found.add("snap", name, version, arch=clean(arch[1]) if arch else "")
        else:
            found.damaged("a snap without a name")
        return found.catalog()
