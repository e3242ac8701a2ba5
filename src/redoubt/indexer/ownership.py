"""Which operating system's package installed a file: what the package databases claim, kept small, and
whether a claim still holds once all layers lie over each other.

A database names every file of a package. Kept are the paths under which some cataloger would look for a
language package, and those where programs lie. It must not know any database's form, nor how layers are
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from redoubt.indexer.dispatch import Tables

#: Most paths of one file's claims that are looked at. The largest package of Debian has a fifth of it.
MAX_PATHS = 1_000_000
#: Where no program lies, but most of a system's files that have no dot in their names.
_NO_PROGRAMS = (b"usr/share/", b"usr/include/", b"usr/src/", b"etc/", b"var/", b"boot/", b"usr/lib/debug/")


class Claim(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The files that a package (``owner``, as ``type/name``) says it installed.

    ``paths`` are lines, relative to the image's root, as far as ``candidates`` keeps them. ``version`` is the
    package's; empty where the file with the claim is this package's alone, and is written anew with it.
    ``diverted`` makes it another thing (dpkg-divert(1)): what packages other than ``owner`` install as
    the one path in ``paths`` lies at ``diverted``.
    """

    owner: str
    paths: bytes
    version: str = ""
    diverted: str = ""


def candidates(paths: Sequence[bytes]) -> list[bytes]:
    """Those of a package's ``paths`` (relative to its root) at which a language package may be found.

    A folder is dropped where the path after it lies inside, as package databases list them.
    """
    tables = _tables()
    names, extensions, programs = tables.names, tables.extensions, tables.programs
    kept = []
    for number, path in enumerate(paths):
        base = path[path.rfind(b"/") + 1 :]
        dot = base.rfind(b".")
        ending = base[dot:].lower() if dot >= 0 else b""
        if base in names or ending in extensions or (ending in tables.looked_at and tables.affixed(base)):
            if tables.by_name(path):
                kept.append(path)
        elif dot < 0:
            if base and not path.startswith(_NO_PROGRAMS):
                following = paths[number + 1] if number + 1 < len(paths) else b""
                if not following.startswith(path + b"/"):
                    kept.append(path)
        elif ending in programs or path[: -len(base) - 1].endswith(b"bin"):
            kept.append(path)
    return kept


@cache
def _tables() -> Tables:
    from redoubt.indexer.catalogers import ALL
    from redoubt.indexer.dispatch import Tables

    return Tables(ALL)


def owners(
    claims: Iterable[tuple[Claim, int]],
    files: Mapping[str, int],
    links: Iterable[str],
    real: Callable[[str], str],
    existed: Callable[[set[str]], dict[str, int]],
) -> dict[str, str]:
    """Path → owner, for those of ``files`` that an operating system's package installed.

    ``claims`` are those in sight, each with the number of the layer from which on it was made; ``files`` gives for each
    real path the layer in which its content appeared. ``real`` follows ``links`` in all of a path but its last
    part. ``existed`` gives the lowest layer that has each of some paths.

    A file that came in a later layer than the claim took the place of the owner's, unless no layer below it
    has that path: then the image is divided by something other than time, and the file is the owner's.
    """
    every = list(claims)
    prefixes = tuple(f"{link}/" for link in links)

    def resolved(path: str) -> str:
        return real(path) if path.startswith(prefixes) else path

    diversions = {
        resolved(_text(claim.paths)): (claim.owner, resolved(claim.diverted))
        for claim, _ in every
        if claim.diverted
    }
    found: dict[str, tuple[int, str]] = {}
    for claim, layer in every:
        if claim.diverted:
            continue
        for line in _text(claim.paths).split("\n"):
            path = resolved(line)
            if path in diversions and diversions[path][0] != claim.owner:
                path = diversions[path][1]
            if path in files:
                # Of two the later one wrote it; then the name decides, for the same answer always.
                found[path] = max(found.get(path, (-1, "")), (layer, claim.owner))
    later = {path for path, (layer, _) in found.items() if files[path] > layer}
    replaced = {path for path, first in existed(later).items() if first < files[path]} if later else set()
    return {path: owner for path, (_, owner) in found.items() if path not in replaced}


def _text(paths: bytes) -> str:
    return paths.decode("utf-8", "backslashreplace")
