"""Which distribution an image is: ``etc/os-release``, or ``usr/lib/os-release``.

The rules are os-release(5)'s: lines of ``NAME=value`` with shell quoting. It must not know what any
distribution's names mean.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import MAX_FIELD, Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.model import Distribution

_PLACES = ("etc/os-release", "usr/lib/os-release")
_LINE = re.compile(r"[ \t]*([A-Z][A-Z0-9_]*)=(.*)")
_DOUBLE = re.compile(r'"((?:[^"\\]++|\\.)*+)"')
_ESCAPE = re.compile(r"\\(.)")


class OsReleaseCataloger:
    """The root's own os-release only: one in a nested tree says nothing about the image."""

    name = "os-release"
    version = 1
    wanted = Wanted(names=frozenset({b"os-release"}), databases=_PLACES, max_size=1 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether this is one of the two places."""
        return path in (b"etc/os-release", b"usr/lib/os-release")

    def catalog(self, path: str, content: Content) -> Catalog:
        """The distribution; a problem and none if the file has no ``ID``. Lines that are not assignments are skipped."""
        found = Findings()
        values: dict[str, str] = {}
        for line in content.all().decode("utf-8", "replace").split("\n"):
            if match := _LINE.match(line):
                # As in a shell, the last assignment wins.
                values[match[1]] = clean(_unquoted(match[2].strip()))[:MAX_FIELD]
        identity = values.get("ID", "").lower()
        if identity:
            found.distribution = Distribution(
                id=identity,
                version_id=values.get("VERSION_ID", ""),
                codename=values.get("VERSION_CODENAME", ""),
                name=values.get("PRETTY_NAME") or values.get("NAME", ""),
                id_like=tuple(values.get("ID_LIKE", "").lower().split()),
            )
        else:
            found.damaged("has no ID line: the distribution is unknown")
        return found.catalog()


def _unquoted(value: str) -> str:
    if value.startswith("'"):
        return value[1:].partition("'")[0]
    if match := _DOUBLE.match(value):
        return _ESCAPE.sub(r"\1", match[1])
    return _ESCAPE.sub(r"\1", value.split(" #")[0].strip('"'))
