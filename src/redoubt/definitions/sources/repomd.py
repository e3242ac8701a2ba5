"""Where the ``updateinfo.xml`` of a yum or dnf repository is today: its address changes with its content.

``repodata/repomd.xml`` of a repository names it; a ``mirror.list``, one address a line, may say where the repository
itself is. Knows no distribution.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from redoubt import egress
from redoubt.definitions.feeds import xmlstream
from redoubt.definitions.sources.interface import Download, Get
from redoubt.errors import AccessDenied, RedoubtError, UnreadableInput

#: What a repository is asked by when it need not be there: storage without listings denies what it does not have.
ABSENT = (egress.Missing, AccessDenied)
_MIRRORS = 5
#: Bytes of a list of mirrors that are looked at.
_MIRROR_LIST = 64 << 10


def of_mirrors(get: Get, path: str, mirror_list: str, arch: str) -> Download | None:
    """The updateinfo of the repository that a ``mirror.list`` points to; None where it has none.

    Mirrors are asked in their order until one answers. Raises what ``get`` raises where none does, and
    ``UnreadableInput`` for a list without one.
    """
    secure = urlsplit(mirror_list).scheme == "https"
    trouble: RedoubtError = UnreadableInput(f"{mirror_list} names no mirror")
    lines = get(mirror_list)[:_MIRROR_LIST].decode("utf-8", "replace").split()
    for line in [line for line in lines if _usable(line, secure)][:_MIRRORS]:
        try:
            return of_repository(get, path, line.replace("$basearch", arch))
        except RedoubtError as error:
            trouble = error
    raise trouble


def of_repository(get: Get, path: str, repository: str) -> Download | None:
    """The updateinfo of a repository as a download to ``path``; None where it has none. Raises what ``get`` raises."""
    base = repository.rstrip("/") + "/"
    address = f"{base}repodata/repomd.xml"
    href = updateinfo_of(address, get(address))
    try:
        url = urljoin(base, href) if href else ""
    except ValueError:  # an address in brackets that is none
        raise UnreadableInput(f"{address} points to something that is no address") from None
    if href and not _usable(url, urlsplit(base).scheme == "https"):
        raise UnreadableInput(f"{address} points to {egress.scrub(url)}; it is not followed")
    return Download(path, url) if url else None


def updateinfo_of(name: str, document: bytes) -> str:
    """The relative address of ``updateinfo.xml`` in a ``repomd.xml``, or empty. Raises ``UnreadableInput``."""
    reader = _Reader(name)
    xmlstream.parse(name, (document,), reader)
    return reader.href


def _usable(url: str, secure: bool) -> bool:
    if not (url.isascii() and url.isprintable()):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.netloc) and parts.scheme in (("https",) if secure else ("https", "http"))


class _Reader:
    def __init__(self, name: str) -> None:
        self.href = ""
        self._name = name
        self._wanted = False

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> bool:
        """See ``xmlstream.Handler``."""
        if depth == 1 and tag != "repomd":
            raise UnreadableInput(f"{self._name} is no repomd.xml: its root is {tag[:40]!r}")
        if depth == 2:
            self._wanted = tag == "data" and attributes.get("type") == "updateinfo"
        elif depth == 3 and tag == "location" and self._wanted:
            self.href = self.href or attributes.get("href", "")
        return False

    def end(self, tag: str, text: str, depth: int) -> None:
        """See ``xmlstream.Handler``."""
