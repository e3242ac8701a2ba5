"""Installed Python distributions: wheels' ``METADATA`` and eggs' ``PKG-INFO``.

The files are e-mail-like headers and, after a blank line, prose (PyPA core metadata specification);
only the headers are read. It must not know how Python names are compared.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_HEAD = 1 << 16
_NAME = re.compile(rb"^name[ \t]*:[ \t]*(\S[^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_VERSION = re.compile(rb"^version[ \t]*:[ \t]*(\S[^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_FOLDER = re.compile(r"([^/]+?)-(\d[^/-]*)(?:-[^/]*)?\.(?:dist|egg)-info(?:/[^/]*)?$", re.IGNORECASE)


class PythonCataloger:
    """``*.dist-info/METADATA``, ``*.egg-info/PKG-INFO``, ``EGG-INFO/PKG-INFO`` and ``*.egg-info`` files."""

    name = "python"
    version = 1
    wanted = Wanted(
        names=frozenset({b"METADATA", b"PKG-INFO"}), extensions=frozenset({b".egg-info"}), max_size=16 << 20
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies in a distribution's own folder, or is itself an ``.egg-info``."""
        parent, _, name = path.rpartition(b"/")
        parent = parent.rpartition(b"/")[2].lower()
        if name == b"METADATA":
            return parent.endswith(b".dist-info")
        if name == b"PKG-INFO":
            return parent.endswith(b".egg-info") or parent == b"egg-info"
        return True

    def catalog(self, path: str, content: Content) -> Catalog:
        """The one distribution that the headers name; what they lack is taken from the folder's name."""
        found = Findings()
        head = content.read(0, _HEAD)
        end = _blank(head)
        if end < 0 and len(head) == _HEAD:
            head = content.all()
            end = _blank(head)
        head = b"\n" + (head if end < 0 else head[:end])
        name, version = _header(b"\nName: ", _NAME, head), _header(b"\nVersion: ", _VERSION, head)
        if not (name and version):
            missing = "Version" if name else "Name"
            if match := _FOLDER.search(path):
                name, version = name or clean(match[1]), version or clean(match[2])
                found.damaged(f"no {missing} header; the file's path was believed instead")
            else:
                found.damaged(f"no {missing} header")
        if name:
            found.add("pypi", name, version)
        return found.catalog()


def _blank(head: bytes) -> int:
    """Where the headers end: at the first empty line; -1 if there is none."""
    ends = [place for place in (head.find(b"\n\n"), head.find(b"\n\r\n")) if place >= 0]
    return min(ends, default=-1)


def _header(usual: bytes, pattern: re.Pattern[bytes], head: bytes) -> str:
    # Headers' names may be in any case, but hardly ever are: the pattern takes ten times as long.
    if (place := head.find(usual)) >= 0:
        start = place + len(usual)
        end = head.find(b"\n", start)
        if value := clean(head[start : end if end >= 0 else None]):
            return value
    match = pattern.search(head)
    return clean(match[1]) if match else ""
