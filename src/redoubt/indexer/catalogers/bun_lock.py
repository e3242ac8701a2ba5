"""The lock files of Bun (``bun.lock``: JSON with trailing commas) and Deno (``deno.lock``: JSON, versions 2 to 5).

Bun's older ``bun.lockb`` is binary and not read: a problem says so. Deno's packages of jsr.io and modules by URL are
not listed: no advisories speak of them. It must not know whether anything is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.indexer.catalogers import lockfiles, npm_names
from redoubt.indexer.catalogers.documents import decoded, rows, table, word
from redoubt.indexer.catalogers.fields import Findings
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.model import ProblemKind

#: Strings are passed over whole, so that a comma in one stays.
_TRAILING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|(,)(?=\s*+[}\]])', re.DOTALL)
_DECODER = msgspec.json.Decoder(dict[str, object])
_USED = ("dependencies", "optionalDependencies", "peerDependencies")
#: Folders of the application's own.
_OWN = ("workspace:", "link:", "root:", "file:.")
#: How deep packages may lie in each other before only the top is looked at.
_DEPTH = 32


class BunLockCataloger:
    """``bun.lock``, ``bun.lockb`` and ``deno.lock``, but for those inside of installed packages."""

    name = "bun-lock"
    version = 1
    wanted = Wanted(
        names=frozenset({b"bun.lock", b"bun.lockb", b"deno.lock"}), max_size=16 << 20, declared=True
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but the application's own; of Bun's, without those for development only."""
        found = Findings()
        if path.endswith(".lockb"):
            message = (
                "Bun's binary lock file is not read; bun install --save-text-lockfile writes one that is"
            )
            found.problem(ProblemKind.UNSUPPORTED, message)
        elif path.endswith("deno.lock"):
            _deno(decoded(_DECODER, content, found) or {}, found)
        else:
            data = bytearray(content.all())
            for match in _TRAILING.finditer(bytes(data)):
                if match[1]:
                    data[match.start()] = 0x20
            _bun(decoded(_DECODER, bytes(data), found) or {}, found)
        return found.catalog()


def _bun(lock: dict[str, object], found: Findings) -> None:
    packages = {place: rows(entry) for place, entry in table(lock.get("packages")).items()}
    start: list[str] = []
    needs: dict[str, list[str]] = {}
    for workspace in table(lock.get("workspaces")).values():
        start += _used(workspace)
    for place, entry in packages.items():
        details = next((item for item in entry[1:3] if isinstance(item, dict)), {})
        needs[place] = [_place(place, name, packages) for name in _used(details)]
    used = lockfiles.reached(start, needs)
    for place, entry in packages.items():
        name, version = npm_names.split(word(entry[0]) if entry else "")
        if place in used and not version.startswith(_OWN):
            npm_names.add(found, name, version, registry=":" not in version and "/" not in version)


def _used(package: object) -> Iterator[str]:
    for group in _USED:
        yield from table(table(package).get(group))


def _place(place: str, name: str, packages: dict[str, list[object]]) -> str:
    """Where a package finds another: below itself, else beside it, and so on upwards."""
    if place.count("/") <= _DEPTH:
        while place:
            if (inner := f"{place}/{name}") in packages:
                return inner
            place = place.rpartition("/")[0]
            if place.rpartition("/")[2].startswith("@"):  # that was half of a scoped name
                place = place.rpartition("/")[0]
    return name


def _deno(lock: dict[str, object], found: Findings) -> None:
    npm = table(lock.get("npm"))
    packages = table(npm.get("packages")) or table(table(lock.get("packages")).get("npm")) or npm
    for key in packages:
        name, version = npm_names.split(key)
        if version:
            npm_names.add(found, name, version.partition("_")[0], registry=True)
