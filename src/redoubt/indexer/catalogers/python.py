"""Installed Python distributions: wheels' ``METADATA`` and eggs' ``PKG-INFO``.

The files are e-mail-like headers and, after a blank line, prose (PyPA core metadata specification);
only the headers are read. A ``direct_url.json`` beside them (PEP 610) says that pip was not asked for the index's
package of that name: what came from a repository or a folder is not judged as if it were; an archive, most
often a wheel built or fetched beforehand, is. It must not know how Python names are compared.
"""

from __future__ import annotations

import re

import msgspec

from redoubt.indexer.catalogers.documents import decoded, word
from redoubt.indexer.catalogers.fields import MAX_FIELD, Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_HEAD = 1 << 16
_NAME = re.compile(rb"^name[ \t]*:[ \t]*(\S[^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_VERSION = re.compile(rb"^version[ \t]*:[ \t]*(\S[^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_FOLDER = re.compile(
    r"([^/]+?)-(\d[^/-]*)(?:-[^/]*)?\.(?:(?:dist|egg)-info(?:/[^/]*)?|egg(?:/EGG-INFO/[^/]*)?)$",
    re.IGNORECASE,
)
_DIRECT_URL = "direct_url.json"
_USER = re.compile(r"(?<=://)[^/@]*@")


class _Origin(msgspec.Struct):
    """Where pip was told to take a distribution from. One of the two, or ``archive_info``, is there."""

    url: object = ""
    vcs_info: object = None
    dir_info: object = None


_ORIGIN = msgspec.json.Decoder(_Origin)


class PythonCataloger:
    """``*.dist-info/METADATA``, ``*.egg-info/PKG-INFO``, ``EGG-INFO/PKG-INFO`` and ``*.egg-info`` files.

    And ``*.dist-info/direct_url.json``, which speaks of the ``METADATA`` beside it.
    """

    name = "python"
    version = 2
    wanted = Wanted(
        names=frozenset({b"METADATA", b"PKG-INFO", _DIRECT_URL.encode()}),
        extensions=frozenset({b".egg-info"}),
        max_size=16 << 20,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies in a distribution's own folder, or is itself an ``.egg-info``."""
        parent, _, name = path.rpartition(b"/")
        parent = parent.rpartition(b"/")[2].lower()
        if name in (b"METADATA", b"direct_url.json"):
            return parent.endswith(b".dist-info")
        if name == b"PKG-INFO":
            return parent.endswith(b".egg-info") or parent == b"egg-info"
        return True

    def catalog(self, path: str, content: Content) -> Catalog:
        """The one distribution that the headers name; what they lack is taken from the folder's name."""
        found = Findings()
        if path.endswith("/" + _DIRECT_URL):
            elsewhere = _elsewhere(content, found)
            return msgspec.structs.replace(found.catalog(), elsewhere=elsewhere)
        head = content.read(0, _HEAD)
        if len(head) == _HEAD and _blank(head) < 0:
            head = content.all()
        distribution(head, path, found)
        return found.catalog()


def distribution(head: bytes, path: str, found: Findings) -> None:
    """The distribution that headers name; what they lack is taken from ``path``, with a problem."""
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


def _elsewhere(content: Content, found: Findings) -> str:
    """Where the distribution came from, if that was a repository or a folder."""
    origin = decoded(_ORIGIN, content, found)
    if origin is None or (origin.vcs_info is None and origin.dir_info is None):
        return ""
    return _USER.sub("", word(origin.url))[:MAX_FIELD] or "elsewhere"


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
